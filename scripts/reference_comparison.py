"""Generates the figures of the comparison page: those with peers, from the benchmark results."""

from pathlib import Path

import reference_figures

PAGE = Path(__file__).parent.parent / "docs" / "comparison.md"
HEAD = "| | Bellcast | peers, same run |\n|---|---|---|\n"
# The peer with this name is Bellcast itself, with its own protocol.
OWN = "native"


def page() -> str:
    """Return the page with the newest figures."""
    return reference_figures.with_figures(PAGE, comparison(reference_figures.runs()))


def comparison(runs: list[Path]) -> str:
    """Return the table of the figures that have peers, and the machine."""
    if not runs:
        return reference_figures.NONE
    selection = reference_figures.select(runs)
    rows = [
        f"| {figure['name']} | {reference_figures.number(figure['value'])} {figure['unit']} "
        f"| {reference_figures.peers_of(figure)} |\n"
        for figure in selection.figures()
        if set(figure.get("peers", {})) - {OWN}
    ]
    return f"\n{HEAD}{''.join(rows)}\n{selection.machine()}. The peers are nginx with nchan, `ws` on Node, and the Node server of Socket.IO.\n\n"
