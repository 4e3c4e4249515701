"""Rate limit of inbound messages."""


class MessageRateLimiter:
    """Fixed-window limit of one connection's frames per second."""

    __slots__ = ("_count", "_limit", "_second")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._second = 0
        self._count = 0

    def hit(self, now: float) -> bool:
        """Count a frame; True if it exceeds the limit."""
        if int(now) != self._second:
            self._second, self._count = int(now), 0
        self._count += 1
        return 0 < self._limit < self._count
