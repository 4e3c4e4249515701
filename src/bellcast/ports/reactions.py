"""Reactions to live events of the app."""

from collections.abc import Sequence
from typing import Protocol

from bellcast.kernel.events import LiveEvent


class EventReactions(Protocol):
    """Sends and triggers of event sources, and runs that wait for an event."""

    async def matches(self, events: Sequence[LiveEvent]) -> bool:
        """Return whether there may be reactions to these events."""
        ...

    async def react(self, events: Sequence[LiveEvent], key: str | None) -> None:
        """Commit the reactions to events. Raises Unavailable if the store is unavailable; then some may be committed. A
        call with the same events and `key` commits the rest."""
        ...


class NoReactions:
    """No reactions."""

    async def matches(self, events: Sequence[LiveEvent]) -> bool:
        return False

    async def react(self, events: Sequence[LiveEvent], key: str | None) -> None:
        """Do nothing."""
