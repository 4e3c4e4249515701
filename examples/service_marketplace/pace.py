"""How fast one person may write: a page gone wild, or a person, is asked to wait."""

import time
from collections import deque

MOST = 20
SECONDS = 10.0


class Pace:
    """At most so many in a stretch of time, for each person."""

    def __init__(self, most: int = MOST, seconds: float = SECONDS) -> None:
        self._most = most
        self._seconds = seconds
        self._written: dict[str, deque[float]] = {}

    def wait(self, person: str) -> float:
        """Count one more; or, if that is too many, the seconds until it is not."""
        now = time.monotonic()
        written = self._written.setdefault(person, deque())
        while written and written[0] <= now - self._seconds:
            written.popleft()
        if len(written) >= self._most:
            return written[0] + self._seconds - now
        written.append(now)
        return 0
