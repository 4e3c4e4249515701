"""Rate limit of inbound messages."""

from bellcast.kernel.token_bucket import TokenBucket


class MessageRateLimiter:
    """Limits one connection's frames per second; 0 is unlimited."""

    __slots__ = ("_bucket",)

    def __init__(self, limit: int) -> None:
        self._bucket = TokenBucket(limit, 0)

    def hit(self, now: float) -> bool:
        """Count a frame; True if it exceeds the limit."""
        return self._bucket.take(int(now * 1000)) > 0
