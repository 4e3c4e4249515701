"""Generates the five figures of the README from the benchmark results."""

from pathlib import Path

import reference_figures
from reference_figures import Figure

PAGE = Path(__file__).parent.parent / "README.md"
# Texts of the README, each with the name of its figure.
HEADLINES = {
    "A live event, server CPU per connected client": "fan-out to 10,000 over WebSocket: server CPU per delivery",
    "Memory per idle connection": "memory per idle authenticated WebSocket connection",
    "Durable sends, one request each, one process on SQLite": "durable sends, single POSTs, 64 in flight",
    "From the request to the client's socket at 200 sends a second, 99th percentile": "send to socket at 200/s, 1,000 connections: p99",
    "Storing an announcement to 1,000,000 recipients": "announcement to 1,000,000 recipients, none connected: time",
}


def page() -> str:
    """Return the README with the newest figures."""
    return reference_figures.with_figures(PAGE, headlines(reference_figures.runs()))


def headlines(runs: list[Path]) -> str:
    """Return the figures with those of the peers, and the machine."""
    if not runs:
        return reference_figures.NONE
    selection = reference_figures.select(runs)
    figures = {figure["name"]: figure for figure in selection.figures()}
    lines = [f"- {text}: {_value(figures[name])}\n" for text, name in HEADLINES.items()]
    return f"\n{''.join(lines)}\nOn {selection.machine()}.\n\n"


def _value(figure: Figure) -> str:
    peers = reference_figures.peers_of(figure)
    value = f"**{reference_figures.number(figure['value'])} {figure['unit']}**"
    return f"{value} ({peers})" if peers else value
