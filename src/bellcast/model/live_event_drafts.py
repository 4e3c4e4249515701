"""A live event as requested by the app, and its validation. Pure."""

from typing import Any

from msgspec import Struct, field

from bellcast.kernel import validation
from bellcast.kernel.errors import FieldError, Invalid
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.limits import Limits


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
