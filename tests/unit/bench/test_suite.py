"""One benchmark that fails is told, and the next one runs."""

import pytest

from bellcast.bench import suite
from bellcast.bench.figures import Figure, MissingFigure
from bellcast.bench.handshakes import HandshakeRefused
from bellcast.bench.scales import QUICK
from bellcast.bench.suite import Benchmark

FIGURE = Figure(benchmark="good", name="speed", value=1.0, unit="/s")
ABSENT = MissingFigure("good", "nchan", "needs nginx")


def refused(_trial):
    raise HandshakeRefused("401")


def slow(trial):
    while True:
        trial.deadline.check()


def test_a_failure_is_told_instead_of_a_figure_and_the_next_one_runs():
    benchmarks = [Benchmark("bad", "", 5, refused), Benchmark("good", "", 5, lambda _trial: [FIGURE, ABSENT])]
    bad, good = suite.run(benchmarks, QUICK, lambda _text: None)
    assert (bad.failure, bad.figures) == ("HandshakeRefused: 401", [])
    assert (good.failure, good.figures, good.absent) == (None, [FIGURE], [ABSENT])


def test_a_benchmark_ends_at_its_bound():
    [result] = suite.run([Benchmark("slow", "", 0.05, slow)], QUICK, lambda _text: None)
    assert result.failure is not None
    assert result.failure.startswith("OutOfTimeError")


def test_a_fault_of_the_suite_itself_is_not_hidden():
    def broken(_trial):
        raise TypeError("ours")

    with pytest.raises(TypeError):
        suite.run([Benchmark("broken", "", 5, broken)], QUICK, lambda _text: None)


def test_no_names_means_all_and_names_keep_the_suites_order():
    assert suite.chosen([]) == suite.ALL
    assert [each.name for each in suite.chosen(["announcement", "inbox"])] == ["inbox", "announcement"]


def test_an_unknown_name_is_told_with_the_known_ones():
    with pytest.raises(ValueError, match=r"speed.*fanout"):
        suite.chosen(["speed"])
