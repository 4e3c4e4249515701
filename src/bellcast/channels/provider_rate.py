"""The rate of one provider: messages per second on all nodes."""

from bellcast.kernel import times
from bellcast.kernel.token_bucket import TokenBuckets

# One message per day. A lower rate is a mistake, and its waits would overflow times.
MIN_RATE = 1 / 86_400


class ProviderRate:
    """Messages above the rate get different due times, so that they do not all become due together."""

    def __init__(self, name: str, rate: float | None, rates: TokenBuckets) -> None:
        self._name = name
        self._rate = max(rate, MIN_RATE) if rate else 0.0
        self._rates = rates
        self._last = 0.0

    def due_at(self, now: int) -> int:
        """Count one message towards the rate: return `now` if it may be sent, else the time (UTC milliseconds) to try
        again."""
        wait = self._rates.take(self._name, self._rate, now)
        if not wait:
            return now
        # Messages for which the rate implies a longer wait get the same time.
        latest = now + times.MAX_AHEAD_SECONDS * 1000
        self._last = min(max(self._last + 1000 / self._rate, now + wait * 1000), latest)
        return int(self._last) + 1
