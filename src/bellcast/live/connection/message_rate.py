"""How fast a client may speak."""


class MessageRateLimiter:
    """How many frames came from one connection in the current second."""

    __slots__ = ("_count", "_limit", "_second")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._second = 0
        self._count = 0

    def hit(self, now: float) -> bool:
        """Count one more frame; whether that is one too many."""
        if int(now) != self._second:
            self._second, self._count = int(now), 0
        self._count += 1
        return 0 < self._limit < self._count
