"""Token buckets limit rates."""

import pytest

from bellcast.kernel.token_bucket import CHECKS_PER_NAME, NAMES, PACED_NAMES, Pace, TokenBucket, TokenBuckets

SECOND = 1_000


def allowed(buckets: TokenBuckets, rate: float, now: int, times: int, number: int = 1) -> int:
    """Count the allowed calls of `times`."""
    return [buckets.take("a", rate, now, number) for _ in range(times)].count(0.0)


def test_bucket_holds_one_second_and_refills_with_time() -> None:
    buckets = TokenBuckets()
    assert allowed(buckets, 5, 0, times=9) == 5
    assert allowed(buckets, 5, 200, times=9) == 1
    assert allowed(buckets, 5, 60 * SECOND, times=9) == 5


@pytest.mark.parametrize("seconds", [30, 3_600])
def test_clock_that_steps_back_takes_no_tokens(seconds: int) -> None:
    buckets = TokenBuckets()
    now = 10_000 * SECOND
    assert allowed(buckets, 5, now, times=2) == 2
    earlier = now - seconds * SECOND
    assert allowed(buckets, 5, earlier, times=9) == 3
    assert allowed(buckets, 5, earlier + 400, times=9) == 2


def test_denied_call_gets_the_time_until_the_next_token() -> None:
    buckets = TokenBuckets()
    allowed(buckets, 4, 0, times=4)
    assert buckets.take("a", 4, 0) == pytest.approx(0.25)
    assert buckets.take("a", 4, 0, number=3) == pytest.approx(0.75)


def test_burst_is_allowed_and_repaid() -> None:
    buckets = TokenBuckets()
    assert buckets.take("a", 10, 0, number=50) == 0
    assert allowed(buckets, 10, 4 * SECOND, times=1) == 0
    assert allowed(buckets, 10, 4 * SECOND + 100, times=3) == 1


def test_deduction_by_other_nodes_counts() -> None:
    buckets = TokenBuckets()
    buckets.take("a", 10, 0)
    buckets.deduct("a", 8)
    buckets.deduct("unknown", 8)
    assert allowed(buckets, 10, 0, times=5) == 1


def test_keys_have_separate_buckets() -> None:
    buckets = TokenBuckets()
    assert allowed(buckets, 1, 0, times=2) == 1
    assert buckets.take("b", 1, 0) == 0


def test_changed_rate_starts_a_new_bucket() -> None:
    buckets = TokenBuckets()
    assert allowed(buckets, 1, 0, times=2) == 1
    assert allowed(buckets, 3, 0, times=9) == 3


def test_zero_rate_is_unlimited() -> None:
    assert allowed(TokenBuckets(), 0, 0, times=1_000) == 1_000


def test_full_buckets_are_evicted_and_empty_ones_kept() -> None:
    buckets = TokenBuckets()
    for number in range(NAMES):
        buckets.take(f"name{number}", 1, 0)
    buckets.take("a", 1, 5 * SECOND)
    for number in range(NAMES):
        buckets.take(f"other{number}", 1, 5 * SECOND)
    assert len(buckets._buckets) <= NAMES + 1
    assert buckets.take("a", 1, 5 * SECOND) > 0


def test_new_key_among_many_empty_buckets_does_constant_work(monkeypatch: pytest.MonkeyPatch) -> None:
    buckets, filled = TokenBuckets(), 0
    for number in range(NAMES):
        buckets.take(f"name{number}", 1, 0)
    fill = TokenBucket.fill

    def count(bucket: TokenBucket, now: int) -> None:
        nonlocal filled
        filled += 1
        fill(bucket, now)

    monkeypatch.setattr(TokenBucket, "fill", count)
    for number in range(100):
        assert buckets.take(f"other{number}", 1, 0) == 0
    assert filled == 100 * (CHECKS_PER_NAME + 1)


def test_buckets_beyond_the_threshold_are_evicted_once_full() -> None:
    buckets = TokenBuckets()
    for number in range(2 * NAMES):
        buckets.take(f"name{number}", 1, 0)
    assert len(buckets._buckets) == 2 * NAMES
    for number in range(NAMES):
        buckets.take(f"other{number}", 1, 5 * SECOND)
    assert len(buckets._buckets) <= NAMES


def test_names_of_a_pace_take_turns_after_a_burst_of_one_second() -> None:
    pace, now = Pace(), 1_000.0
    assert [pace.take("a", 4, now, 1) for _ in range(9)] == pytest.approx([0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 1.25])
    assert pace.take("a", 4, now, 1) == pytest.approx(1.25)  # the one that would wait too long took nothing
    assert (pace.take("b", 4, now, 1, number=9), pace.take("b", 4, now, 2)) == pytest.approx((0, 1.5))
    assert [pace.take("c", 0, now, 0) for _ in range(9)] == [0] * 9
    assert pace.take("a", 4, now + 1, 1) == pytest.approx(0.25)
    assert [pace.take("a", 4, now + 60, 1) for _ in range(5)] == pytest.approx([0, 0, 0, 0, 0.25])


def test_pace_forgets_names_that_may_do_a_whole_burst() -> None:
    pace, now = Pace(), 1_000.0
    for number in range(3 * PACED_NAMES):
        pace.take(f"name{number}", 1, now, 1)
    assert len(pace._full_at) == 3 * PACED_NAMES
    for number in range(2 * PACED_NAMES):
        pace.take(f"other{number}", 1, now + 2, 1)
    assert len(pace._full_at) <= 2 * PACED_NAMES
    assert pace.take(f"other{number}", 1, now + 2, 1) == 1
