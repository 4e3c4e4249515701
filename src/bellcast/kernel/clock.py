"""The time."""

from typing import Protocol


class Clock(Protocol):
    """The current time and delays."""

    def now(self) -> int:
        """UTC milliseconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        ...
