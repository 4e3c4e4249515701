"""The report shows every figure, and every missing one with its reason."""

import io

from benchmarks import report
from benchmarks.figures import Figure, MissingFigure, at_most
from benchmarks.scales import FULL
from benchmarks.suite import BenchmarkResult
from rich.console import Console


def render(**more):
    out = io.StringIO()
    result = BenchmarkResult(name="fanout", started="", load=0.0, scale=FULL, **{"figures": [], "absent": [], **more})
    report.show(Console(file=out, width=160), [result])
    return out.getvalue()


def test_figure_is_shown_with_its_goal_and_its_peers():
    figure = Figure(
        benchmark="fanout", name="cost", value=6.351, unit="µs", goal=at_most(7.4, "nchan"), peers={"nchan": 7.4}
    )
    line = next(line for line in render(figures=[figure]).splitlines() if "cost" in line)
    assert [cell.strip() for cell in line.strip("│ ").split("│")] == [
        "cost", "6.35 µs", "≤ 7.4 (nchan)", "reached", "nchan 7.4 (86%)",
    ]  # fmt: skip


def test_absent_peer_and_failure_are_shown_with_their_reasons():
    text = render(absent=[MissingFigure("fanout", "ws", "needs npm")], failure="OutOfTimeError: not done after 60 s")
    assert "absent ws: needs npm" in text
    assert "failed fanout: OutOfTimeError: not done after 60 s" in text


def test_numbers_have_three_significant_digits():
    assert [report.number(value) for value in (0.24349, 6.3451, 83.27, 12_252.55)] == [
        "0.243",
        "6.35",
        "83.3",
        "12,253",
    ]
