"""A limit for wrong passwords. scrypt makes each guess slow, and the limit prevents many guesses."""

import time
from collections import OrderedDict
from collections.abc import Callable

# Enough for a person who tries several known passwords, too few to guess one.
MOST_WRONG = 10
PERIOD_SECONDS = 300.0
# User names and addresses in memory, about 1 MB; the oldest are removed first.
MOST_KEYS = 10_000


class WrongPasswords:
    """Counts wrong passwords per user name and address, in memory; a restart resets the counts."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()  # count, end of the period

    def wait(self, user_name: str, address: str) -> int:
        """Return the seconds until the next attempt is allowed; 0 if it is allowed now."""
        number, end = self._counts.get((user_name.casefold(), address), (0, 0.0))
        left = end - self._clock()
        return int(left) + 1 if number >= MOST_WRONG and left > 0 else 0

    def count(self, user_name: str, address: str) -> None:
        """Count a wrong password. The period begins with the first."""
        key, now = (user_name.casefold(), address), self._clock()
        number, end = self._counts.pop(key, (0, 0.0))
        self._counts[key] = (number + 1, end) if end > now else (1, now + PERIOD_SECONDS)
        if len(self._counts) > MOST_KEYS:
            self._counts.popitem(last=False)

    def forget(self, user_name: str, address: str) -> None:
        """Reset the count of a user who has signed in."""
        self._counts.pop((user_name.casefold(), address), None)
