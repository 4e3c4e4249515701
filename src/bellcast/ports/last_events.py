"""What is kept of topics themselves."""

from typing import Protocol

from msgspec import Struct


class LastEvent(Struct, frozen=True):
    """The last event of a topic: its name, its data as text, and when it was told."""

    name: str
    data: str
    at: int


class LastEvents(Protocol):
    """What is kept of topics themselves: the last event of those that keep it."""

    async def save(self, tenant: str, topic: str, last: LastEvent) -> None:
        """Keep this event instead of the one before."""
        ...

    async def get(self, tenant: str, topic: str, since: int) -> LastEvent | None:
        """The event kept, if it was told at `since` (UTC milliseconds) or later."""
        ...

    async def delete_older(self, before: int) -> None:
        """Drop what was told before a time."""
        ...
