"""The report: figures as a table."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Goal
from benchmarks.suite import Benchmark, BenchmarkResult

COLOURS = {"reached": "green", "missed": "red", "not judged": "yellow"}


def show(console: Console, results: Sequence[BenchmarkResult]) -> None:
    table = Table(title="Bellcast benchmarks", title_justify="left")
    for heading in ("figure", "measured", "goal", "verdict", "peers (Bellcast in % of each)"):
        table.add_column(heading, justify="right" if heading in {"measured", "goal"} else "left")
    for result in results:
        for figure in result.figures:
            table.add_row(*_row(figure))
        table.add_section()
    console.print(table)
    for line in _remarks(results):
        console.print(line, highlight=False)


def show_list(console: Console, benchmarks: Sequence[Benchmark]) -> None:
    for benchmark in benchmarks:
        console.print(f"[bold]{benchmark.name:14}[/] {benchmark.description}", highlight=False)


def number(value: float) -> str:
    """Format with three significant digits."""
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


def _remarks(results: Sequence[BenchmarkResult]) -> list[str]:
    absent = {f"[yellow]absent[/] {each.name}: {each.reason}" for result in results for each in result.absent}
    failed = [f"[red]failed[/] {result.name}: {result.failure}" for result in results if result.failure]
    return [*sorted(absent), *failed]
