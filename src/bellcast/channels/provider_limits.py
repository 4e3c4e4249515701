"""Limits of one provider: simultaneous messages in this process, and messages per second on all nodes."""

import asyncio

from bellcast.ports import Rates


class ProviderLimits:
    """Messages over the rate get times of their own, so that they do not all come due together."""

    def __init__(self, name: str, concurrency: int, rate: float | None, rates: Rates) -> None:
        self.slots = asyncio.Semaphore(concurrency)
        self._name = name
        self._rate = rate or 0.0
        self._rates = rates
        self._last = 0.0

    def due_at(self, now: int) -> int:
        """Take one message of the rate: return `now` if it may be sent, else the time (UTC milliseconds) to try again."""
        wait = self._rates.take(self._name, self._rate, now)
        if not wait:
            return now
        self._last = max(self._last + 1000 / self._rate, now + wait * 1000)
        return int(self._last) + 1
