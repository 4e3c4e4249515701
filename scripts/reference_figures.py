"""The figures of `benchmarks/README.md`: copied from the newest results that `bellcast bench` wrote, never typed."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "benchmarks" / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
BETWEEN = re.compile(r"(<!-- figures -->\n).*?(<!-- /figures -->)", re.DOTALL)
NONE = "There is no committed run yet; `make bench` makes one, with the peers that are installed.\n"

Figure = dict[str, Any]


class Selection(NamedTuple):
    """The last complete run, and for each benchmark the run with its newest figures."""

    last: Path
    newest: dict[str, Path]
    results: dict[Path, dict[str, Any]]

    def figures(self) -> list[Figure]:
        """The newest figures of every benchmark."""
        return [one for name, run in self.newest.items() for one in self.results[run]["benchmarks"][name]["figures"]]

    def machine(self) -> str:
        """The machine of the last complete run, in words."""
        machine = self.results[self.last]["machine"]
        return f"{machine['cores']} × {machine['cpu']}, Python {machine['python']}, {machine['disk']}"


def page() -> str:
    """Return the benchmark page with the newest figures."""
    return with_figures(PAGE, table(runs()))


def with_figures(file: Path, figures: str) -> str:
    """Return the text of a file with the figures between its two marks replaced."""
    return BETWEEN.sub(lambda found: found[1] + figures + found[2], file.read_text(encoding="utf-8"))


def runs() -> list[Path]:
    """Return the committed runs, newest last."""
    return sorted(RESULTS.glob("*.json"), key=_made)


def _made(run: Path) -> str:
    """Return the time of a run. The first runs have only a date, which sorts before any time of that day."""
    at: str = json.loads(run.read_bytes()).get("at", run.name[:10])
    return at


def shown(file: Path) -> str:
    """Return the figures in a file."""
    found = re.search(r"<!-- figures -->\n(.*?)<!-- /figures -->", file.read_text(encoding="utf-8"), re.DOTALL)
    return found[1] if found else ""


def select(runs: list[Path]) -> Selection:
    """Select the last complete run, with the figures of benchmarks that have been repeated since."""
    results = {run: json.loads(run.read_bytes()) for run in runs}
    most = max(len(result["benchmarks"]) for result in results.values())
    *_, last = [run for run in runs if len(results[run]["benchmarks"]) == most]
    newest = {name: run for run in runs[runs.index(last) :] for name in results[run]["benchmarks"]}
    return Selection(last, newest, results)


def table(runs: list[Path]) -> str:
    """Return the table of all figures, with the machine and the runs."""
    if not runs:
        return NONE
    selection = select(runs)
    rows = [_row(figure) for figure in selection.figures()]
    later = "".join(f"; {name}: {_link(run)}" for name, run in selection.newest.items() if run != selection.last)
    head = "| | measured | to reach | peers, same run |\n|---|---|---|---|\n"
    about = f"{selection.machine()}; {_link(selection.last)}, made by `make bench`{later}."
    return f"\n{head}{''.join(rows)}\n{about}\n\n"


def peers_of(figure: Figure) -> str:
    """Return the peers' values of a figure."""
    return ", ".join(f"{name} {number(value)}" for name, value in figure.get("peers", {}).items())


def _link(run: Path) -> str:
    return f"[{run.stem}](results/{run.name})"


def _row(figure: Figure) -> str:
    value = f"{number(figure['value'])} {figure['unit']}"
    return f"| {figure['name']} | {value} | {_goal(figure['goal'])} | {peers_of(figure)} |\n"


def _goal(goal: dict[str, Any] | None) -> str:
    return f"{'≤' if goal['at_most'] else '≥'} {number(goal['bound'])}" if goal else ""


def number(value: float) -> str:
    """Format a number with three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
