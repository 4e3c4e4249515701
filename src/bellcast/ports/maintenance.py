"""Maintenance of the store."""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol

from bellcast.model.events import Event


class RowCounts(NamedTuple):
    """Numbers of rows by kind, and the kinds whose number is a lower bound."""

    by_kind: dict[str, int]
    at_least: frozenset[str] = frozenset()


class Maintenance(Protocol):
    """Maintenance of the store, in bounded steps so that other writers do not wait."""

    def clear_log(self) -> None:
        """Soon delete content from the database's log that is no longer in its tables, if the store has the log."""
        ...

    async def next_expiry(self) -> int | None:
        """Return the time (UTC milliseconds) when the next notification or announcement expires, or the
        next snoozed one wakes."""
        ...

    async def expire(self, now: int, limit: int) -> tuple[int, list[Event]]:
        """Remove at most `limit` due rows; return their number and the events."""
        ...

    async def wake(self, now: int, limit: int) -> tuple[int, list[Event]]:
        """Wake at most `limit` due snoozed rows; return their number and the events."""
        ...

    def retire(
        self, now: int, older_than: int, limit: int, *, tenant: str | None = None, but: Sequence[str] = ()
    ) -> AsyncIterator[list[Event]]:
        """Delete notifications created before `older_than`, with tombstones: of one tenant, or of all tenants except those
        in `but`. Yield the events of each step, which deletes at most `limit`."""
        ...

    async def delete_forgotten(
        self, now: int, *, tombstones_before: int, keys_before: int, limit: int
    ) -> tuple[int, list[Event]]:
        """Delete at most `limit` tombstones, and as many idempotency keys, written before the given UTC milliseconds;
        return the larger number. Positions before a deleted tombstone can no longer be resumed. Announcements recalled
        before that time are removed from inboxes that still have them; the events publish that."""
        ...

    async def delete_messages(self, older_than: int, limit: int) -> tuple[int, list[Event]]:
        """Delete at most `limit` ended messages created before `older_than`, and as many decisions; return the larger
        number, and no events."""
        ...

    async def stats(self, tenant: str | None = None) -> RowCounts:
        """Count the rows of a tenant by kind, up to a limit; None counts the rows of all tenants, and the tenants. Counts of
        millions of rows are estimates, or a minute old."""
        ...
