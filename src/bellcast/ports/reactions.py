"""What follows from a live event of the app."""

from collections.abc import Sequence
from typing import Protocol

from bellcast.model.events import LiveEvent


class EventReactions(Protocol):
    """Sends and triggers of event sources, and the waits of runs."""

    async def matches(self, events: Sequence[LiveEvent]) -> bool:
        """Return whether something may follow from events."""
        ...

    async def react(self, events: Sequence[LiveEvent], key: str | None) -> None:
        """Commit what follows from events. Raises Unavailable if the store is away; then it may be committed in part. A call with
        the same events and `key` commits the rest."""
        ...


class NoReactions:
    """Nothing follows from events."""

    async def matches(self, events: Sequence[LiveEvent]) -> bool:
        return False

    async def react(self, events: Sequence[LiveEvent], key: str | None) -> None:
        """Do nothing."""
