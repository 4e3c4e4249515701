"""Sending, correcting and taking back."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from bellcast.model.events import Event
from bellcast.model.notifications import Content, Edit, Notification


class SendRequest(Struct, frozen=True, kw_only=True):
    """One accepted send to named recipients: `ids` beside `recipients`. `answer` is kept under `idempotency_key`
    together with the `fingerprint` of the body, for the next one who brings that key."""

    tenant: str
    recipients: tuple[str, ...]
    ids: tuple[str, ...]
    content: Content
    created_at: int
    idempotency_key: str | None = None
    fingerprint: bytes = b""
    answer: bytes = b""


class AnnounceRequest(Struct, frozen=True, kw_only=True):
    """One accepted send to many by one name. `tenant` "*" is every tenant; no `topic` is everyone."""

    id: str
    tenant: str
    topic: str | None
    content: Content
    created_at: int
    asked_tenant: str = ""  # whose idempotency keys
    idempotency_key: str | None = None
    fingerprint: bytes = b""
    answer: bytes = b""


class Sent(Struct, frozen=True):
    """The answer to a send: the one made now, or the first one given under the same key (then no events)."""

    answer: bytes
    events: tuple[Event, ...] = ()


class SentItem(Struct, frozen=True, kw_only=True):
    """A notification or announcement as the server side sees it. `seq` is set for announcements."""

    notification: Notification
    tenant: str
    recipient: str | None
    announcement: bool = False
    topic: str | None = None
    edited_at: int | None = None


class Sends(Protocol):
    """Sending, correcting and taking back, from the server side."""

    async def add(self, sendings: Sequence[SendRequest]) -> list[Sent | Exception]:
        """Commit each sending whole or not at all, in order; a refused one (IdempotencyMismatch) harms no other."""
        ...

    async def announce(self, announcing: AnnounceRequest) -> Sent:
        """Commit one row, whatever the size of its audience."""
        ...

    async def stored_response(self, asked: SendRequest | AnnounceRequest) -> bytes | None:
        """The answer already given under the same idempotency key, or IdempotencyMismatch if it was to another body; None
        if none was given."""
        ...

    async def find(self, tenant: str, id: str) -> SentItem | None:
        """A notification or announcement of that tenant (an announcement to every tenant belongs to the default one)."""
        ...

    async def edit(self, tenant: str, id: str, edit: Edit, now: int) -> tuple[SentItem, tuple[Event, ...]] | None:
        """Correct it in every inbox that has it; None if there is none."""
        ...

    async def recall(self, tenant: str, id: str, now: int) -> tuple[Event, ...] | None:
        """Take it out of every inbox that has it; None if there is none."""
        ...

    async def materialize(self, tenant: str, recipients: Sequence[str], now: int) -> list[Event]:
        """Take pending announcements into these existing inboxes; the events tell them."""
        ...
