"""Messages: deliveries through channels other than the inbox."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from bellcast.model.messages import Attempt, ExternalChannel, State
from bellcast.model.notifications import Priority
from bellcast.model.preferences import Channel
from bellcast.ports.list_scan import ListScan
from bellcast.ports.webhooks import EventReport, WebhookEvent, no_report

# Sorts after every id, because ids are hexadecimal.
NEWEST = "~"
# Content of a message that failed because its template could not be rendered. It cannot be delivered or retried.
NO_CONTENT = b"{}"


class NewMessage(Struct, frozen=True, kw_only=True):
    """A message to add. `content` is the channel's content as JSON. `unless` drops it if its inbox item was seen or
    read before `due_at`. `digest` is the id of the digest that it is part of; for a digest, its own id. Times are UTC
    milliseconds."""

    id: str
    tenant: str
    recipient: str
    notification: str | None
    run: str | None = None
    channel: ExternalChannel
    type: str
    priority: Priority
    address: str
    state: State = "queued"
    reason: str | None = None
    unless: str | None = None
    due_at: int
    created_at: int
    expires_at: int | None = None
    content: bytes
    digest: str | None = None

    @property
    def waits_for_digest(self) -> bool:
        """True until the message becomes part of a digest."""
        return self.state == "held" and self.reason == "digest"


class StoredMessage(NewMessage, frozen=True, kw_only=True):
    """A message and its state. `rounds` counts failed rounds of attempts, with one attempt per provider. `seen_at` and
    `read_at` belong to its inbox item; only `find` sets them."""

    provider: str | None = None
    reference: str | None = None
    attempts: tuple[Attempt, ...] = ()
    rounds: int = 0
    seen_at: int | None = None
    read_at: int | None = None


# Maximum decisions for one recipient of a notification: one per channel, and those of some releases of held messages.
MAX_DECISIONS = 100
# Maximum messages of one notification to one recipient: one per e-mail address, number, device and chat; some workflows
# add others.
MAX_MESSAGES = 100
# Maximum stored attempts per message: the rounds of the default retries with four providers each.
MAX_ATTEMPTS = 32
# Maximum messages with one reference. A vendor's references are unique, but providers of other tenants with the same
# key may use the same one.
MAX_OF_REFERENCE = 10
# Recipient recorded for the recall of an announcement.
EVERY_RECIPIENT = ""


class NewDecision(Struct, frozen=True, kw_only=True):
    """The decision for one channel of one notification, and its rule. `source` is the document that set the rule.
    `due_at` is set if the message waits."""

    tenant: str
    notification: str
    recipient: str
    channel: Channel
    outcome: str
    rule: str | None = None
    source: str | None = None
    message: str | None = None
    due_at: int | None = None
    decided_at: int


class RecordedAction(Struct, frozen=True, kw_only=True):
    """A notification was `snoozed`, until a time, or `recalled`. Times are UTC milliseconds."""

    what: str
    at: int
    until: int | None = None


class MessageUpdate(Struct, frozen=True, kw_only=True):
    """The new state of a message after an attempt or a decision. In an open state it is due again at `due_at`.
    `suppress` is the reason why its address must no longer be used. `events` are the message's events; `report` creates
    those of the messages that a digest combines."""

    message: StoredMessage
    decision: NewDecision | None = None
    suppress: str | None = None
    events: tuple[WebhookEvent, ...] = ()
    report: EventReport = no_report


class MessageQuery(Struct, frozen=True, kw_only=True):
    """A page of a tenant's messages, newest first; of all tenants if it is `*`, which needs no recipient, notification or run."""

    tenant: str
    recipient: str | None = None
    notification: str | None = None
    run: str | None = None
    workflow: str | None = None
    channel: str | None = None
    state: str | None = None
    provider: str | None = None
    before: str = NEWEST
    created_since: int = 0
    created_before: int | None = None
    limit: int = 50


class Messages(Protocol):
    """Messages are added with the send that causes them (`Sends.add`), or by `add`, each with a job that delivers it."""

    async def find(self, ids: Sequence[str]) -> list[StoredMessage]:
        """Return the existing ones of these messages, by id."""
        ...

    async def page(self, query: MessageQuery) -> list[StoredMessage]:
        """Return the messages of `scan`."""
        ...

    async def scan(self, query: MessageQuery) -> ListScan[StoredMessage]:
        """Return a page. With a recipient, notification or run it is complete; otherwise at most 20,000 messages are
        examined."""
        ...

    async def count(self, query: MessageQuery) -> int:
        """Count the rows of a query that filters only by tenant and time, up to its limit."""
        ...

    async def add(self, messages: Sequence[NewMessage]) -> None:
        """Add messages that belong to no send, with their jobs."""
        ...

    async def begin(self, ids: Sequence[str], now: int) -> list[StoredMessage]:
        """Mark due and expired messages as sending, and return them. Excludes messages that have ended, were postponed,
        or wait for a digest."""
        ...

    async def digest_members(
        self, tenant: str, recipient: str, now: int, limit: int, max_bytes: int
    ) -> list[StoredMessage]:
        """Return the messages that wait for a digest of the recipient which is due, the oldest first: at most `limit`, up to
        the one that brings their contents to `max_bytes`."""
        ...

    async def add_digest(
        self, digest: NewMessage | None, ids: Sequence[str], others: Sequence[MessageUpdate], now: int
    ) -> bool:
        """Add a digest of these messages, with its job, and end or postpone the others, in one transaction. Return
        False, and change nothing, if one of the messages no longer waits for a digest."""
        ...

    async def finish(self, updates: Sequence[MessageUpdate], now: int) -> list[MessageUpdate]:
        """Write outcomes, in one transaction. A message that another worker ended, or that was cancelled, during its
        attempt keeps its state unless the provider accepted or bounced it, and no provider did before. The messages of a
        digest take its state. Return the updates that were written."""
        ...

    async def of_reference(self, provider: str, reference: str, tenant: str) -> list[StoredMessage]:
        """Return the messages that have this reference at providers with this key: those of a tenant or, for the
        default tenant, at most MAX_OF_REFERENCE of all tenants."""
        ...

    async def settle(self, id: str, state: State, reason: str | None, report: EventReport, now: int) -> bool:
        """Write a receipt's state with its events; return whether the message was `sent` before."""
        ...

    async def tenants_of(self, channel: str, provider: str, address: str) -> list[str]:
        """Return the tenants whose provider with this key has sent to an address."""
        ...

    async def retry(self, tenant: str, ids: Sequence[str], now: int) -> list[str]:
        """Queue failed and bounced messages again; return their ids."""
        ...

    async def release(self, tenant: str, id: str, now: int) -> bool:
        """Queue a simulated message; return False if it is not simulated."""
        ...

    async def decisions(self, tenant: str, notification: str, recipient: str | None, limit: int) -> list[NewDecision]:
        """Return the decisions for a notification, ordered by recipient and time."""
        ...

    async def actions(self, tenant: str, notification: str, recipient: str | None, limit: int) -> list[RecordedAction]:
        """Return the snoozes and the recall of a notification, ordered by time, for one recipient or all (None). The
        recall of an announcement has the recipient EVERY_RECIPIENT, and is returned for each recipient."""
        ...


def with_outcome(message: StoredMessage, attempt: Attempt | None = None, **changes: object) -> StoredMessage:
    """Return the message after an attempt, with these fields changed. It keeps its last MAX_ATTEMPTS attempts."""
    attempts = message.attempts if attempt is None else (*message.attempts, attempt)[-MAX_ATTEMPTS:]
    return msgspec.structs.replace(message, attempts=attempts, **changes)


def as_change(message: NewMessage) -> dict[str, Any]:
    """Return a message as events report it."""
    return {
        "id": message.id,
        "recipient": message.recipient,
        "notification": message.notification,
        "run": message.run,
        "channel": message.channel,
        "to": message.address,
        "state": message.state,
        "reason": message.reason,
        "provider": message.provider if isinstance(message, StoredMessage) else None,
    }
