"""Retry delays of messages that no provider accepted."""

import random
from collections.abc import Callable, Sequence

# 10 s covers a restart, 2 h an outage; together about 4 hours.
RETRIES = (10.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0)
# Messages that failed together are not tried again together.
JITTER = 0.1
# A longer Retry-After of a provider is reduced to one day.
MAX_RETRY_AFTER = 86_400.0


def next_delay(
    failures: int, retries: Sequence[float], retry_after: float | None, draw: Callable[[], float] = random.random
) -> float | None:
    """Seconds until the next round after this many failed ones; None if it was the last."""
    if failures > len(retries):
        return None
    delay = retries[failures - 1] * (1 + JITTER * (2 * draw() - 1))
    return max(delay, min(retry_after or 0.0, MAX_RETRY_AFTER))
