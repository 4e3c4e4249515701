"""Figures, their goals and percentiles."""

import pytest
from benchmarks.figures import Figure, at_least, at_most, at_most_times, percentile


def figure(value, **more):
    return Figure(benchmark="fanout", name="cost", value=value, unit="µs", **more)


@pytest.mark.parametrize(
    ("value", "goal", "verdict"),
    [
        (4.0, at_most(4.0), "reached"),
        (4.1, at_most(4.0), "missed"),
        (4_000, at_least(4_000), "reached"),
        (3_999, at_least(4_000), "missed"),
        (1.0, None, "not judged"),
    ],
)
def test_goal_includes_its_bound(value, goal, verdict):
    assert figure(value, goal=goal).verdict == verdict


def test_ratio_is_own_value_over_the_peers():
    assert figure(3.0, peers={"nchan": 6.0, "ws": 0.0}).ratios == {"nchan": 0.5}


def test_goal_relative_to_a_peer_needs_the_peer():
    assert at_most_times(0.65, {"socket.io": 10.0}, "socket.io") == at_most(6.5, "0.65 × socket.io")
    assert at_most_times(0.65, {}, "socket.io") is None


@pytest.mark.parametrize(("share", "number"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_percentile_is_one_of_the_numbers(share, number):
    assert percentile(range(100, 0, -1), share) == number


def test_ninety_ninth_percentile_of_few_numbers_is_the_largest():
    assert percentile([3, 9, 1], 0.99) == 9
