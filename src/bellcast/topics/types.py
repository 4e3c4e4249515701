"""Topics: the meaning of their prefixes, and drafts of live events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Protocol

from msgspec import Struct, field

from bellcast.kernel import field_limits, validation
from bellcast.kernel.errors import FieldError
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.field_limits import (
    KEY,
    LIST,
    NULL,
    TENANT,
    TEXT,
    TOPIC,
    Limit,
    Schema,
    each,
    json_data,
    one_of,
    only,
)
from bellcast.kernel.limits import Limits
from bellcast.recipients.types import Subscription

PRIVATE, ENCRYPTED, PRESENCE, CACHE = "private-", "private-encrypted-", "presence-", "cache-"


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


class EventDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A live event to publish: to exactly one of topic, topics or recipient."""

    name: Annotated[str, Limit("event_name", 1)]
    data: Annotated[Any, json_data("event_data")] = None
    topic: Annotated[str | None, TOPIC] = None
    topics: Annotated[list[str] | None, each("to", TOPIC, "topics", least=1)] = None
    recipient: Annotated[str | None, KEY] = None
    # Each topic's event has a copy of it.
    sender: Annotated[str | None, Limit("key")] = field(default=None, name="except")
    tenant: Annotated[str | None, TENANT] = None
    keep: bool = True

    SCHEMA: ClassVar[Schema] = one_of(
        only("topic", TEXT, topics=NULL, recipient=NULL), only("topics", LIST, recipient=NULL), only("recipient", TEXT)
    )


def check(draft: EventDraft, limits: Limits) -> None:
    """Raise Invalid with every bad field."""
    validation.check(address_errors(draft), field_limits.errors(draft, limits))


def address_errors(draft: EventDraft) -> validation.FieldErrors:
    """Yield the error of a draft that does not have one destination."""
    named = [name for name in ("topic", "topics", "recipient") if getattr(draft, name) is not None]
    if len(named) != 1:
        got = f"not {' and '.join(named)}" if named else "none was given"
        yield FieldError(named[-1] if named else "topic", f"name exactly one of topic, topics and recipient; {got}")


def events(draft: EventDraft, tenant: str) -> list[LiveEvent]:
    """Return one event for each topic, or one for the recipient."""
    topics = [draft.topic] if draft.topics is None else list(dict.fromkeys(draft.topics))
    return [
        LiveEvent(tenant, draft.name, draft.data, topic, draft.recipient, sender=draft.sender, keep=draft.keep)
        for topic in topics
    ]


class EventReactions(Protocol):
    """Sends and triggers of event sources, and runs that wait for an event."""

    async def matches(self, events: Sequence[LiveEvent]) -> bool:
        """Return whether there may be reactions to these events. Raises Unavailable if this is not known."""

    async def react(self, events: Sequence[LiveEvent], key: str | None) -> None:
        """Commit the reactions to events. Raises Unavailable if the store is unavailable; then some may be committed. A
        call with the same events and `key` commits the rest."""


class SubscriptionPage(Struct, frozen=True):
    """A page of the subscriptions of a topic or a recipient; `next` is the value of `after` for the next page."""

    subscriptions: list[Subscription]
    next: str | None


class Member(Struct, frozen=True, omit_defaults=True):
    """A member present on a topic. `info` is the app's data about the member, given when it granted access."""

    recipient: str
    name: str | None = None
    connections: int | None = None
    info: Any = None


class Presence(Struct, frozen=True):
    """Members that are present on a topic."""

    topic: str
    members: list[Member]


class PastEvent(Struct, frozen=True):
    """A live event that is still kept."""

    id: str
    name: str
    data: Any
    at: datetime


class EventPage(Struct, frozen=True):
    """Stored live events, oldest first. `next` is null at the end. `epoch` identifies the log: if it differs, ids from
    earlier epochs are unknown. `recovered` is false if events after `after` are no longer kept."""

    events: list[PastEvent]
    next: str | None
    epoch: str | None
    recovered: bool


class ListedTopic(Struct, frozen=True, kw_only=True):
    """A topic with its subscribers (at most 10,000), the connections that follow it on all nodes, and its present members."""

    topic: str
    tenant: str | None
    subscribers: int
    followers: int
    present: int
