"""Sends that wait for a time."""

from typing import Protocol

from bellcast.errors import Invalid
from bellcast.model.notifications import Draft


class SendScheduler(Protocol):
    """Keeps sends until their time."""

    async def send_later(self, draft: Draft) -> bytes:
        """Commit a checked draft with `send_at` as a schedule; return the JSON answer. Raises Invalid."""
        ...


class NoScheduler:
    """Refuses sends that wait."""

    async def send_later(self, draft: Draft) -> bytes:
        """Raise Invalid."""
        raise Invalid.of("send_at", "is not possible here")
