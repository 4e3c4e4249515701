"""Token buckets, which limit rates by name. Pure: callers pass the time."""

from collections import OrderedDict

# Number of buckets stored before full ones are removed.
NAMES = 10_000
# Buckets checked for each new name beyond NAMES. Checking one would keep the number constant; two shrink it again after
# a burst. The work per name is constant, whereas a scan of all would take 1 ms for each new address of a client.
CHECKS_PER_NAME = 2
# Names whose buckets a `Pace` stores before it removes the full ones.
PACED_NAMES = 500
# Seconds that are not worth a wait.
NO_WAIT = 0.001


class TokenBucket:
    """Token bucket with a capacity of one second. The level may be negative, because usage of other nodes is reported
    late."""

    __slots__ = ("at", "rate", "tokens")

    def __init__(self, rate: float, now: int) -> None:
        self.rate = rate
        self.tokens = rate
        self.at = now

    def fill(self, now: int) -> None:
        """Add the tokens for the time up to `now` (UTC milliseconds). If the clock stepped back, do nothing."""
        self.tokens = min(self.rate, self.tokens + max(0, now - self.at) / 1000 * self.rate)
        self.at = now

    def take(self, now: int, number: int = 1) -> float:
        """Take `number` tokens and return 0 if they, or at least one second's worth, are available. The level may
        become negative. Otherwise take nothing and return the seconds to wait. A rate of 0 is unlimited."""
        if not self.rate:
            return 0.0
        self.fill(now)
        missing = min(number, self.rate) - self.tokens
        if missing > 0:
            return missing / self.rate
        self.tokens -= number
        return 0.0


class TokenBuckets:
    """One bucket per name. From NAMES of them on, full ones are removed."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()  # the least recently checked first

    def take(self, name: str, rate: float, now: int, number: int = 1) -> float:
        """Take tokens of a bucket, as `TokenBucket.take`."""
        if not rate:
            return 0.0
        bucket = self._buckets.get(name)
        if bucket is None or bucket.rate != rate:
            if len(self._buckets) >= NAMES:
                for _ in range(CHECKS_PER_NAME):
                    oldest, checked = self._buckets.popitem(last=False)
                    checked.fill(now)
                    if checked.tokens < checked.rate:
                        self._buckets[oldest] = checked
            bucket = self._buckets[name] = TokenBucket(rate, now)
        return bucket.take(now, number)

    def deduct(self, name: str, number: int) -> None:
        """Deduct tokens taken elsewhere; a negative number returns unused ones."""
        bucket = self._buckets.get(name)
        if bucket is not None:
            bucket.tokens -= number


class Pace:
    """Buckets of names that wait for their turn, each as the time at which it is full."""

    def __init__(self) -> None:
        self._full_at: dict[str, float] = {}
        self._room = PACED_NAMES

    def take(self, name: str, rate: float, now: float, max_wait: float, number: int = 1) -> float:
        """Take `number` tokens and return the seconds until they are available. Takes nothing if these are more than `max_wait`.
        `now` is in seconds. A rate of 0 is unlimited."""
        if not rate:
            return 0.0
        full_at = self._full_at.get(name, 0.0)
        if full_at < now:
            full_at = now
        wait = full_at - now + min(number, rate) / rate - 1
        if wait <= max_wait:
            self._full_at[name] = full_at + number / rate
            if len(self._full_at) > self._room:
                self._full_at = {one: at for one, at in self._full_at.items() if at > now}
                self._room = max(PACED_NAMES, 2 * len(self._full_at))
        return wait if wait > NO_WAIT else 0.0
