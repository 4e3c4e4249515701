"""Rates are kept by buckets."""

import pytest

from bellcast.model.token_bucket import NAMES, TokenBuckets

SECOND = 1_000


def taken(buckets: TokenBuckets, rate: float, now: int, times: int, number: int = 1) -> int:
    """How often it may be."""
    return [buckets.take("a", rate, now, number) for _ in range(times)].count(0.0)


def test_a_seconds_worth_is_there_at_once_and_more_comes_with_time() -> None:
    buckets = TokenBuckets()
    assert taken(buckets, 5, 0, times=9) == 5
    assert taken(buckets, 5, 200, times=9) == 1
    assert taken(buckets, 5, 60 * SECOND, times=9) == 5


def test_it_says_when_to_come_back() -> None:
    buckets = TokenBuckets()
    taken(buckets, 4, 0, times=4)
    assert buckets.take("a", 4, 0) == pytest.approx(0.25)
    assert buckets.take("a", 4, 0, number=3) == pytest.approx(0.75)


def test_many_at_once_are_taken_and_owed() -> None:
    buckets = TokenBuckets()
    assert buckets.take("a", 10, 0, number=50) == 0
    assert taken(buckets, 10, 4 * SECOND, times=1) == 0
    assert taken(buckets, 10, 4 * SECOND + 100, times=3) == 1


def test_what_others_take_is_taken_here() -> None:
    buckets = TokenBuckets()
    buckets.take("a", 10, 0)
    buckets.deduct("a", 8)
    buckets.deduct("never heard of", 8)
    assert taken(buckets, 10, 0, times=5) == 1


def test_names_do_not_meet() -> None:
    buckets = TokenBuckets()
    assert taken(buckets, 1, 0, times=2) == 1
    assert buckets.take("b", 1, 0) == 0


def test_another_rate_begins_anew() -> None:
    buckets = TokenBuckets()
    assert taken(buckets, 1, 0, times=2) == 1
    assert taken(buckets, 3, 0, times=9) == 3


def test_zero_is_no_bound() -> None:
    assert taken(TokenBuckets(), 0, 0, times=1_000) == 1_000


def test_full_buckets_are_forgotten_and_empty_ones_kept() -> None:
    buckets = TokenBuckets()
    for number in range(NAMES):
        buckets.take(f"name{number}", 1, 0)
    buckets.take("a", 1, 5 * SECOND)
    for number in range(NAMES):
        buckets.take(f"other{number}", 1, 5 * SECOND)
    assert len(buckets._buckets) <= NAMES + 1
    assert buckets.take("a", 1, 5 * SECOND) > 0
