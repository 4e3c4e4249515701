"""The time."""

from typing import Protocol


class Clock(Protocol):
    """The time. Tests own a fake one."""

    def now(self) -> int:
        """UTC milliseconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        ...
