"""Topics of event sources: placeholders, and the time that matching takes."""

import pytest

from bellcast.kernel import validation
from bellcast.kernel.errors import Invalid
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.limits import Limits
from bellcast.workflows import event_sources
from bellcast.workflows.event_sources import EventSource


def source(topic: str) -> EventSource:
    return EventSource(event="moved", topic=topic, notification={"to": "alice", "title": "x"})


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("room", "room", {}),
        ("room", "rooms", None),
        ("{a}.{b}", "x.y.z", {"a": "x", "b": "y.z"}),
        ("{a}.{b}.end", "x.y.end", {"a": "x", "b": "y"}),
        ("{a}.{b}.end", "x.y.z.end", None),
        ("{a}-{b}", "x-y-z", {"a": "x-y", "b": "z"}),
        ("in-{a}", "in-", None),
    ],
)
def test_placeholder_is_one_part_and_the_last_one_the_rest(
    pattern: str, topic: str, expected: dict[str, str] | None
) -> None:
    event = LiveEvent(tenant="", name="moved", topic=topic, data=None)
    values = event_sources.values_of(source(pattern), event)
    assert (None if values is None else values["topic"]) == expected


def test_placeholders_without_text_between_are_refused() -> None:
    validation.check(event_sources.errors(source("{a}-{b}"), Limits()))
    with pytest.raises(Invalid, match="topic"):
        validation.check(event_sources.errors(source("room.{a}{b}"), Limits()))


def test_matching_takes_no_combinations() -> None:
    """A regular expression would try 164^4 combinations."""
    event = LiveEvent(tenant="", name="moved", topic="-" * 164, data=None)
    assert event_sources.values_of(source("{a}-{b}-{c}-{d}-{e}-x"), event) is None


@pytest.mark.parametrize(
    ("notification", "field"),
    [
        ({}, "title"),
        ({"title": ""}, "title"),
        ({"title": "x" * 501, "body": "{{ event.data }}"}, "title"),
        ({"title": "{{ event.name }}", "channels": ["fax"]}, "channels.0"),
        ({"title": {"var": "event.data.title"}, "priority": "highest"}, "priority"),
        ({"title": "x", "tenant": "*"}, "tenant"),
        ({"title": "x", "tenant": "*", "to": {"role": "admins"}}, "tenant"),
    ],
)
def test_fixed_field_of_a_notification_is_checked(notification: dict[str, object], field: str) -> None:
    wrong = EventSource(event="moved", notification={"to": "{{ event.data.to }}"} | notification)
    with pytest.raises(Invalid) as refused:
        validation.check(event_sources.errors(wrong, Limits()))
    assert [error.field for error in refused.value.errors] == [f"notification.{field}"]


@pytest.mark.parametrize(
    "notification",
    [
        {"type": "booking"},  # may have a template with a title
        {"template": "{{ event.data.template }}"},
        {"title": "x", "to": 7, "priority": "{{ event.data.priority }}", "data": {"a": {"var": "event.data"}}},
        {"title": "x", "expires_at": "2020-01-01T00:00:00Z"},
        {"title": "x", "tenant": "*", "to": {"all": True}},
        {"title": "x", "tenant": "*", "to": {"var": "event.data.to"}},
    ],
)
def test_field_that_an_event_fills_is_checked_with_the_event(notification: dict[str, object]) -> None:
    validation.check(
        event_sources.errors(EventSource(event="moved", notification={"to": "alice"} | notification), Limits())
    )
