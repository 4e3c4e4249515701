"""Scheduled sends."""

from typing import Protocol

from bellcast.inbox.types.notifications import Draft
from bellcast.kernel.errors import Invalid


class SendScheduler(Protocol):
    """Stores sends until they are due."""

    async def send_later(self, draft: Draft, *, allows_past: bool) -> bytes:
        """Commit a checked draft with `send_at` as a schedule; return the JSON response, for a repeated idempotency key
        the first one. With `allows_past`, a time that has passed is due immediately, else it is refused. Raises Invalid and
        IdempotencyMismatch."""
        ...


class NoScheduler:
    """Refuses scheduled sends."""

    async def send_later(self, draft: Draft, *, allows_past: bool) -> bytes:
        """Raise Invalid."""
        raise Invalid.of("send_at", "is not possible here")
