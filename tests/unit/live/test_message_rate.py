"""The rate of a connection's messages."""

from bellcast.live.connection.inbound_queue import MessageRateLimiter


def test_burst_at_the_boundary_of_a_second_is_not_twice_the_limit() -> None:
    limiter = MessageRateLimiter(20)
    hits = [limiter.hit(7.9) for _ in range(20)] + [limiter.hit(8.0) for _ in range(20)]
    assert hits == [False] * 22 + [True] * 18


def test_rate_holds_over_time() -> None:
    limiter = MessageRateLimiter(20)
    assert not any(limiter.hit(10 + number / 20) for number in range(100))
    assert sum(not limiter.hit(20 + number / 40) for number in range(400)) in range(218, 222)


def test_limit_of_0_is_unlimited() -> None:
    limiter = MessageRateLimiter(0)
    assert not any(limiter.hit(1.0) for _ in range(1_000))
