"""Messages: deliveries through channels other than the inbox."""

from typing import Any

import msgspec
from msgspec import Struct

from bellcast.model.messages import Attempt, ExternalChannel, State
from bellcast.model.notifications import Priority
from bellcast.model.preferences import Channel
from bellcast.ports.webhooks import EventReport, WebhookEvent, no_report

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
