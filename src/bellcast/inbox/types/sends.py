"""Sends, edits and recalls."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from bellcast.channels.types import NewDecision, NewMessage
from bellcast.inbox.types import Audience, Content, Draft, Notification
from bellcast.inbox.types.inboxes import InboxEvent
from bellcast.kernel.events import Event
from bellcast.kernel.validation import FieldErrors
from bellcast.preferences.types import Channel
from bellcast.webhooks.types import WebhookEvent


class Claim(Struct, frozen=True):
    """A claim on something that a recipient gets only once, from the first request with the claim: a schedule's
    notification for one local time."""

    name: str
    expires_at: int


class ClaimTaken(Exception):
    """Another request has claimed some of the recipients: nothing was written."""


class KeyedRequest(Struct, frozen=True, kw_only=True):
    """An accepted request. `response` and the `fingerprint` of the body are stored under `idempotency_key`."""

    created_at: int
    idempotency_key: str | None = None
    fingerprint: bytes = b""
    response: bytes = b""


class SendRequest(KeyedRequest, frozen=True, kw_only=True):
    """An accepted send to named recipients, with an id per recipient."""

    tenant: str
    recipients: tuple[str, ...]
    ids: tuple[str, ...]
    content: Content
    charge: int = 0  # charge to the tenant's quota: the number of recipients
    contents: tuple[Content, ...] = ()  # per recipient, instead of `content`, if languages differ
    messages: tuple[NewMessage, ...] = ()
    decisions: tuple[NewDecision, ...] = ()
    events: tuple[WebhookEvent, ...] = ()
    claim: Claim | None = None


class ImportRequest(KeyedRequest, frozen=True, kw_only=True):
    """An accepted import for named recipients, with an id per recipient. `created_at` is the time of the import, the
    other times are those of the notification. If a request has an `idempotency_key` and the inbox already has a row
    with the id, this row is kept."""

    tenant: str
    recipients: tuple[str, ...]
    ids: tuple[str, ...]
    content: Content
    sent_at: int
    seen_at: int | None = None
    read_at: int | None = None
    archived_at: int | None = None


class AnnounceRequest(KeyedRequest, frozen=True, kw_only=True):
    """An accepted announcement. `tenant` "*" means all tenants; without `topic` it is for all recipients."""

    id: str
    tenant: str
    topic: str | None
    content: Content
    key_tenant: str = ""  # the tenant of the idempotency key
    fanout: bytes | None = None  # the draft as JSON, if it is also for channels outside the inbox
    has_row: bool = True  # False if it is not for the inbox
    events: tuple[WebhookEvent, ...] = ()  # webhook events of its row


class SendResult(Struct, frozen=True):
    """A committed send: its response, or the stored one for a repeated key (then without events)."""

    response: bytes
    events: tuple[Event, ...] = ()


class SentItem(Struct, frozen=True, kw_only=True):
    """A notification or announcement as the server API returns it."""

    notification: Notification
    tenant: str
    recipient: str | None
    announcement: bool = False
    has_row: bool = True  # False if it was not for the inbox
    topic: str | None = None
    edited_at: int | None = None


class Reach(Struct, frozen=True):
    """How many inboxes have an announcement, and in how many of these it was seen and read. An inbox gets it while its
    recipient is connected, or when it is next opened. Without `exact`, there are more, which are not counted."""

    inboxes: int
    seen: int
    read: int
    exact: bool


class Materialized(Struct, frozen=True):
    """Events of the inboxes to which announcements were added, recipients with nothing pending (`caught_up`), and
    recipients that another call must handle (`remaining`, used only within the store)."""

    events: tuple[InboxEvent, ...] = ()
    caught_up: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()


class Router(Protocol):
    """Decides through which channels each recipient gets a send."""

    def is_inbox_only(self, draft: Draft, tenant: str) -> bool:
        """True if the send is known to use only the inbox of each recipient, so that it need not be routed."""

    async def route(self, draft: Draft, request: SendRequest) -> SendRequest:
        """Return the request with its inbox rows, messages and decisions. Raises Invalid."""

    async def plan(self, draft: Draft, request: SendRequest) -> Sequence[NewDecision]:
        """Return what `route` would decide. Raises Invalid like `route`."""

    async def plan_audience(
        self, draft: Draft, tenant: str, audience: Audience, limit: int
    ) -> tuple[int | None, Sequence[NewDecision]]:
        """Return the number of members, None if there are more than 10,000, and what an announcement would decide for
        the first `limit` of them."""

    async def channels(self, draft: Draft, tenant: str) -> Sequence[Channel]:
        """Return the channels of a send."""

    async def announced(self, draft: Draft, request: AnnounceRequest) -> Content:
        """Return the content of the row of an announcement, which all its recipients share. Raises Invalid."""

    def wake_jobs(self) -> None:
        """Start the jobs that are due, such as the delivery of committed messages."""

    def committed(self, requests: Sequence[SendRequest | AnnounceRequest]) -> None:
        """Start delivering the messages of committed requests, and report those that have already ended."""

    def forget(self) -> None:
        """Drop cached types, templates and preferences after a change in this process."""


class SendScheduler(Protocol):
    """Stores sends until they are due."""

    async def send_later(self, draft: Draft, *, allows_past: bool) -> bytes:
        """Commit a checked draft with `send_at` as a schedule; return the JSON response, for a repeated idempotency key
        the first one. With `allows_past`, a time that has passed is due immediately, else it is refused. Raises Invalid and
        IdempotencyMismatch."""

    def time_errors(self, draft: Draft, *, allows_past: bool = False) -> FieldErrors:
        """Return the errors of the time of a draft."""


class Quotas(Protocol):
    """Send quotas of tenants."""

    def take(self, tenant: str, sends: int) -> None:
        """Charge sends to a tenant. Raises TooMany if its quota is exhausted, Conflict if it is being erased."""

    def give_back(self, tenant: str, sends: int) -> None:
        """Refund sends that failed."""

    async def load(self) -> None:
        """Read the tenants' rules, as all nodes do after some seconds."""
