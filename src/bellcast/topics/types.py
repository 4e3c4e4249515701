"""Topics: the meaning of their prefixes, the names of events that only the server sends, and live events as the app requests
them."""

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct, field

from bellcast.kernel import validation
from bellcast.kernel.errors import FieldError, Invalid
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.limits import Limits
from bellcast.kernel.validation import FieldErrors

PRIVATE, ENCRYPTED, PRESENCE, CACHE = "private-", "private-encrypted-", "presence-", "cache-"
# Addresses one signed-in recipient instead of a topic. `#` is not allowed in topic names.
TO_RECIPIENT = "#server-to-user-"


def is_private(topic: str) -> bool:
    """True if following needs a signature of the app or a permission."""
    return topic.startswith((PRIVATE, PRESENCE))


def is_presence(topic: str) -> bool:
    """True if its followers see each other."""
    return topic.startswith(PRESENCE)


def is_encrypted(topic: str) -> bool:
    """True if only its followers can decrypt its events."""
    return topic.startswith(ENCRYPTED)


def is_cache(topic: str) -> bool:
    """True if its last event is cached for later followers."""
    for prefix in (ENCRYPTED, PRIVATE, PRESENCE):
        if topic.startswith(prefix):
            return topic.startswith(CACHE, len(prefix))
    return topic.startswith(CACHE)


def recipient(channel: str) -> str | None:
    """Return the recipient that `#server-to-user-…` addresses."""
    return channel.removeprefix(TO_RECIPIENT) or None if channel.startswith(TO_RECIPIENT) else None


# Events that Socket.IO clients emit locally about the connection.
SOCKETIO_LIFECYCLE = frozenset(
    ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
)
# Events sent by the server to Socket.IO clients, which a published event of the same name would imitate.
SERVER_EVENTS = frozenset(
    (
        "counts",
        "error",
        "notification",
        "notification-delete",
        "notification-update",
        "pong",
        "presence",
        "ready",
        "reset",
        "typing",
    )
)
PUSHER_PREFIXES = ("pusher:", "pusher_internal:")


def publishable(field: str, name: str) -> FieldErrors:
    """Yield the error of a name that clients must not publish."""
    if name in SERVER_EVENTS or name in SOCKETIO_LIFECYCLE or name.startswith(PUSHER_PREFIXES):
        yield FieldError(field, f"must not be {name[:50]!r}, which only the server sends: choose another name")


class EventDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A live event to publish: to exactly one of topic, topics or recipient."""

    name: str
    data: Any = None
    topic: str | None = None
    topics: list[str] | None = None
    recipient: str | None = None
    sender: str | None = field(default=None, name="except")
    tenant: str | None = None
    keep: bool = True


def check(draft: EventDraft, limits: Limits) -> None:
    """Raise Invalid with every bad field."""
    found = [*_address_errors(draft, limits)]
    try:
        validation.check_event(draft.name, draft.data, limits)
    except Invalid as more:
        found += more.errors
    if found:
        raise Invalid.fields(found)


def _address_errors(draft: EventDraft, limits: Limits) -> validation.FieldErrors:
    named = [name for name in ("topic", "topics", "recipient") if getattr(draft, name) is not None]
    if len(named) != 1:
        got = f"not {' and '.join(named)}" if named else "none was given"
        yield FieldError(named[-1] if named else "topic", f"name exactly one of topic, topics and recipient; {got}")
    if draft.topic is not None:
        yield from validation.topic("topic", draft.topic, limits)
    if draft.topics is not None:
        yield from _topics(draft.topics, limits)
    if draft.recipient is not None:
        yield from validation.key("recipient", draft.recipient, limits)
    if draft.tenant is not None:
        yield from validation.tenant("tenant", draft.tenant, limits)
    # Each topic's event has a copy of it.
    yield from validation.text("except", draft.sender, limits.key)


def _topics(topics: list[str], limits: Limits) -> validation.FieldErrors:
    if not topics:
        yield FieldError("topics", "must name at least one topic")
    if limits.to and len(topics) > limits.to:
        yield FieldError("topics", f"must name at most {limits.to} topics, got {len(topics)}")
        return
    for number, topic in enumerate(topics):
        yield from validation.topic(f"topics.{number}", topic, limits)


def events(draft: EventDraft, tenant: str) -> list[LiveEvent]:
    """Return one event for each topic, or one for the recipient."""
    if draft.recipient is not None:
        return [
            LiveEvent(tenant, draft.name, draft.data, recipient=draft.recipient, sender=draft.sender, keep=draft.keep)
        ]
    topics = dict.fromkeys([draft.topic] if draft.topic is not None else draft.topics or ())
    return [
        LiveEvent(tenant, draft.name, draft.data, topic=topic, sender=draft.sender, keep=draft.keep) for topic in topics
    ]


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
