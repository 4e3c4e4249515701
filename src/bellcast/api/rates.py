"""How often one address may ask, if the operator set a bound (BELLCAST_LIMIT_REQUESTS_PER_SECOND)."""

from collections import Counter

SECOND = 1_000


class Rates:
    """Requests by address in the present second. Every second begins empty, so it holds no more than came in one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._second = 0
        self._asked: Counter[str] = Counter()

    def exceeded(self, address: str, now: int) -> bool:
        """Count one request at `now` (UTC milliseconds); whether it is one too many."""
        if self._limit == 0:
            return False
        if now // SECOND != self._second:
            self._second = now // SECOND
            self._asked.clear()
        self._asked[address] += 1
        return self._asked[address] > self._limit
