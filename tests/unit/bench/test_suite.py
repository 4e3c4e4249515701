"""A failed benchmark is reported and the next one runs."""

import pytest
from benchmarks import suite
from benchmarks.figures import Figure, MissingFigure
from benchmarks.handshakes import HandshakeRefused
from benchmarks.scales import QUICK
from benchmarks.suite import Benchmark

FIGURE = Figure(benchmark="good", name="speed", value=1.0, unit="/s")
ABSENT = MissingFigure("good", "nchan", "needs nginx")


def refuse(_run):
    raise HandshakeRefused("401")


def slow(run):
    while True:
        run.deadline.check()


def test_failed_benchmark_is_reported_and_the_next_one_runs():
    benchmarks = [Benchmark("bad", "", 5, refuse), Benchmark("good", "", 5, lambda _run: [FIGURE, ABSENT])]
    bad, good = suite.run(benchmarks, QUICK, lambda _text: None)
    assert (bad.failure, bad.figures) == ("HandshakeRefused: 401", [])
    assert (good.failure, good.figures, good.absent) == (None, [FIGURE], [ABSENT])


def test_benchmark_ends_at_its_deadline():
    [result] = suite.run([Benchmark("slow", "", 0.05, slow)], QUICK, lambda _text: None)
    assert result.failure is not None
    assert result.failure.startswith("OutOfTimeError")


def test_bug_in_the_suite_is_raised():
    def broken(_run):
        raise TypeError("a bug")

    with pytest.raises(TypeError):
        suite.run([Benchmark("broken", "", 5, broken)], QUICK, lambda _text: None)


def test_selection_defaults_to_all_and_keeps_the_suites_order():
    assert suite.select([]) == suite.ALL
    assert [benchmark.name for benchmark in suite.select(["announcement", "inbox"])] == ["inbox", "announcement"]


def test_unknown_benchmark_is_reported_with_the_command_that_lists_them():
    with pytest.raises(ValueError, match=r"speed.*--list"):
        suite.select(["speed"])
