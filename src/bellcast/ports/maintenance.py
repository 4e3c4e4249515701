"""What time does to the store."""

from collections.abc import Sequence
from typing import Protocol

from bellcast.model.events import Event


class Maintenance(Protocol):
    """What time does to the store, in bounded steps so that nobody waits."""

    async def next_expiry(self) -> int | None:
        """When the next notification or announcement expires, UTC milliseconds."""
        ...

    async def expire(self, now: int, limit: int) -> tuple[int, list[Event]]:
        """Take out at most `limit` due rows; how many, and the events."""
        ...

    async def retire(
        self, now: int, older_than: int, limit: int, *, tenant: str | None = None, but: Sequence[str] = ()
    ) -> tuple[int, list[Event]]:
        """Delete at most `limit` notifications made before `older_than`, leaving tombstones: of one tenant, or of all `but`
        some."""
        ...

    async def delete_forgotten(
        self, now: int, *, tombstones_before: int, keys_before: int, limit: int
    ) -> tuple[int, list[Event]]:
        """Drop at most `limit` tombstones, and at most as many idempotency keys, written before the given UTC
        milliseconds; the larger of the two numbers. Positions before a dropped tombstone can no longer be resumed.
        Announcements recalled before that time go from the inboxes that still have them: the events."""
        ...

    async def stats(self, tenant: str | None = None) -> dict[str, int]:
        """Rows of a tenant by kind; None: of every tenant, and how many those are."""
        ...
