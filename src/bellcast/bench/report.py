"""The report: the figures as a table a person can read."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bellcast.bench.figures import Figure, Goal
from bellcast.bench.suite import Benchmark, Result

COLOURS = {"reached": "green", "missed": "red", "not judged": "yellow"}


def show(console: Console, results: Sequence[Result]) -> None:
    table = Table(title="Bellcast, measured", title_justify="left")
    for heading in ("figure", "measured", "to reach", "verdict", "peers (ours is … of theirs)"):
        table.add_column(heading, justify="right" if heading in {"measured", "to reach"} else "left")
    for result in results:
        for figure in result.figures:
            table.add_row(*_row(figure))
        table.add_section()
    console.print(table)
    for line in _remarks(results):
        console.print(line, highlight=False)


def show_list(console: Console, benchmarks: Sequence[Benchmark]) -> None:
    for benchmark in benchmarks:
        console.print(f"[bold]{benchmark.name:14}[/] {benchmark.sentence}", highlight=False)


def number(value: float) -> str:
    """Three digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _row(figure: Figure) -> tuple[str, str, str, str, str]:
    peers = [f"{name} {number(value)} ({figure.ratios[name]:.0%})" for name, value in figure.peers.items()]
    verdict = f"[{COLOURS[figure.verdict]}]{figure.verdict}[/]"
    return figure.name, f"{number(figure.value)} {figure.unit}", _goal(figure.goal), verdict, ", ".join(peers)


def _goal(goal: Goal | None) -> str:
    if goal is None:
        return ""
    source = f" ({goal.source})" if goal.source else ""
    return f"{'≤' if goal.at_most else '≥'} {number(goal.bound)}{source}"


def _remarks(results: Sequence[Result]) -> list[str]:
    absent = {f"[yellow]absent[/] {each.name}: {each.reason}" for result in results for each in result.absent}
    failed = [f"[red]failed[/] {result.name}: {result.failure}" for result in results if result.failure]
    return [*sorted(absent), *failed]
