"""Last events of cache topics."""

from typing import Protocol

from msgspec import Struct


class LastEvent(Struct, frozen=True):
    """The last event of a topic: its name, its data as text, and its time (UTC milliseconds)."""

    name: str
    data: str
    at: int


class LastEvents(Protocol):
    """The last event of each cache topic."""

    async def save(self, tenant: str, topic: str, last: LastEvent) -> None:
        """Replace the last event of a topic."""
        ...

    async def get(self, tenant: str, topic: str, since: int) -> LastEvent | None:
        """Return the last event if its time is `since` (UTC milliseconds) or later."""
        ...

    async def delete_older(self, before: int) -> None:
        """Delete events older than a time (UTC milliseconds)."""
        ...
