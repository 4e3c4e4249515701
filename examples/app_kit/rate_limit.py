"""A rate limit for messages and forms."""

import time
from collections import deque

MAX_MESSAGES = 20
WINDOW_SECONDS = 10.0
# Persons and addresses in memory; those that have sent nothing for longest are removed first.
MOST_KEYS = 10_000


class RateLimit:
    """A sliding window for each person or address."""

    def __init__(self, max_messages: int = MAX_MESSAGES, window: float = WINDOW_SECONDS) -> None:
        self._max_messages = max_messages
        self._window = window
        self._times: dict[str, deque[float]] = {}

    def acquire(self, key: str) -> float:
        """Count a message and return 0, or return the seconds to wait if it is over the limit."""
        now = time.monotonic()
        times = self._times[key] = self._times.pop(key, deque())
        if len(self._times) > MOST_KEYS:
            del self._times[next(iter(self._times))]
        while times and times[0] <= now - self._window:
            times.popleft()
        if len(times) >= self._max_messages:
            return times[0] + self._window - now
        times.append(now)
        return 0
