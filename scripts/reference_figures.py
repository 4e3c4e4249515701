"""The figures of the README: copied from the newest results that `bellcast bench` wrote, never typed."""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
BETWEEN = re.compile(r"(<!-- figures -->\n).*?(<!-- /figures -->)", re.DOTALL)
NONE = "There is no committed run yet; `make bench` makes one, with the peers that are installed.\n"


def page() -> str:
    """The README with the newest figures in their place."""
    said = figures(runs())
    return BETWEEN.sub(lambda found: found[1] + said + found[2], README.read_text(encoding="utf-8"))


def runs() -> list[Path]:
    """Those that are kept, the newest last."""
    return sorted(RESULTS.glob("*.json"), key=_made)


def _made(run: Path) -> str:
    """When; the first runs have only their day, which is earlier than any hour of it."""
    at: str = json.loads(run.read_bytes()).get("at", run.name[:10])
    return at


def shown() -> str:
    """The figures as they stand in the README."""
    found = re.search(r"<!-- figures -->\n(.*?)<!-- /figures -->", README.read_text(encoding="utf-8"), re.DOTALL)
    return found[1] if found else ""


def figures(runs: list[Path]) -> str:
    """A table of the last whole run, with the machine it was made on; a benchmark that was run again since has its later
    figures, and a line that says so."""
    if not runs:
        return NONE
    told = {run: json.loads(run.read_bytes()) for run in runs}
    most = max(len(run["benchmarks"]) for run in told.values())
    *_, last = [run for run in runs if len(told[run]["benchmarks"]) == most]
    made = {name: run for run in runs[runs.index(last) :] for name in told[run]["benchmarks"]}
    rows = [_row(figure) for name, run in made.items() for figure in told[run]["benchmarks"][name]["figures"]]
    machine = told[last]["machine"]
    about = f"{machine['cores']} × {machine['cpu']}, Python {machine['python']}, {machine['disk']}"
    later = "".join(f"; {name}: {_link(run)}" for name, run in made.items() if run != last)
    table = "".join(["| | measured | to reach | peers, same run |\n", "|---|---|---|---|\n", *rows])
    return f"\n{table}\n{about}; {_link(last)}, made by `make bench`{later}.\n\n"


def _link(run: Path) -> str:
    return f"[{run.stem}](benchmarks/results/{run.name})"


def _row(figure: dict[str, Any]) -> str:
    peers = ", ".join(f"{name} {_number(value)}" for name, value in figure.get("peers", {}).items())
    return f"| {figure['name']} | {_number(figure['value'])} {figure['unit']} | {_goal(figure['goal'])} | {peers} |\n"


def _goal(goal: dict[str, Any] | None) -> str:
    return f"{'≤' if goal['at_most'] else '≥'} {_number(goal['bound'])}" if goal else ""


def _number(value: float) -> str:
    """Three digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
