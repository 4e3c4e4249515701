"""Responses of newer and older servers: unknown values, and fields that are missing."""

import copy
import pickle
from datetime import UTC, datetime
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest

from bellcast.client import Unreadable, messages, notifications, responses, topics, workflows
from bellcast.client.request import HttpResponse, reads

TYPES = [kind for kind in vars(responses).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
EXAMPLES = {str: "x", int: 1, bool: True, datetime: "2030-01-01T00:00:00Z", Any: {"x": 1}}


def parts(kind):
    return [one for one in get_args(kind) if one not in (NoneType, ...)]


def example(kind):
    """Return a JSON value of this type, with all fields."""
    if kind in EXAMPLES:
        return EXAMPLES[kind]
    if hasattr(kind, "__struct_fields__"):
        return {one.encode_name: example(one.type) for one in msgspec.structs.fields(kind)}
    origin, of = get_origin(kind), parts(kind)
    if origin is Literal:
        return of[0]
    if origin in (list, tuple):
        return [example(of[0])]
    return {"x": example(of[1])} if origin is dict else example(of[0])


def of_other_servers(kind):
    """Yield examples with one unknown value, or without one field, at any depth."""
    origin, of = get_origin(kind), parts(kind)
    if origin is Literal or kind in (int, bool, datetime):
        yield "new"
    elif hasattr(kind, "__struct_fields__"):
        whole = example(kind)
        for field in msgspec.structs.fields(kind):
            yield {name: value for name, value in whole.items() if name != field.encode_name}
            for value in of_other_servers(field.type):
                yield whole | {field.encode_name: value}
    elif origin in (list, tuple):
        yield from ([one] for one in of_other_servers(of[0]))
    elif origin is dict:
        yield from ({"x": one} for one in of_other_servers(of[1]))
    elif of:
        yield from of_other_servers(of[0])


def decoded(request, document):
    return request.decode(HttpResponse(200, msgspec.json.encode(document)))


def has_known_fields(value, document):
    """Return whether the typed value has every field of the document."""
    if isinstance(value, msgspec.Struct):
        names = dict(zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True))
        return all(has_known_fields(getattr(value, names[name]), one) for name, one in document.items())
    if isinstance(value, list | tuple):
        return len(value) == len(document) and all(map(has_known_fields, value, document))
    return msgspec.to_builtins(value) == document


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_response_of_another_version_is_returned_with_the_known_fields(kind):
    for document in filter(None, of_other_servers(kind)):
        response = reads(kind)(HttpResponse(200, msgspec.json.encode(document)))
        assert isinstance(response, kind)
        assert has_known_fields(response, document), document


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_complete_response_is_decoded_by_its_type(kind):
    whole = example(kind)
    assert reads(kind)(HttpResponse(200, msgspec.json.encode(whole))) == msgspec.convert(whole, kind)


def test_unknown_state_leaves_the_other_fields_typed():
    document = example(responses.Message) | {"state": "opened", "channel": "whatsapp", "mood": "good"}
    message = decoded(messages.get("m1"), document)
    assert (message.state, message.channel) == ("opened", "whatsapp")
    assert (message.due_at.year, message.attempts[0].provider) == (2030, "x")


def test_missing_field_has_its_default_or_none():
    message = decoded(messages.get("m1"), {"id": "m1", "channel": "sms"})
    assert (message.id, message.run, message.content, message.attempts) == ("m1", None, {}, ())
    run = decoded(workflows.run("r1"), {"id": "r1", "steps": [{"key": "a", "state": "snoozed"}], "data": None})
    assert (run.wakes_at, run.data, run.steps[0].state, run.steps[0].messages) == (None, {}, "snoozed", [])
    sent = decoded(notifications.notify("alice", title="Hello"), {"schedule": {"key": "s1", "next_at": "soon"}})
    assert (sent.ids, sent.schedule.next_at) == ([], "soon")
    page = decoded(topics.topic_events("news"), {"events": [{"id": "1", "name": "x"}], "recovered": True})
    assert (page.next, page.epoch, page.events[0].data) == (None, None, None)


@pytest.mark.parametrize("document", [{}, {"error": "x"}, [], "x", None])
def test_document_without_known_fields_is_unreadable(document):
    with pytest.raises(Unreadable, match="is this the address of a Bellcast server"):
        decoded(messages.get("m1"), document)


def test_page_of_another_server_is_unreadable():
    with pytest.raises(Unreadable) as error:
        messages.get("m1").decode(HttpResponse(200, b"<html>Welcome to nginx</html>"))
    assert str(error.value) == (
        "the response with status 200 is not a valid Message; is this the address of a Bellcast server?"
    )


def test_earlier_name_of_a_type_stays():
    assert responses.Run is responses.RunDetails
    assert responses.Delivered is responses.CreatedNotification
    assert responses.Moment is responses.TimelineEntry
    assert responses.TopicEvent is responses.PastEvent
    assert responses.TopicEventPage is responses.EventPage


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda token: pickle.loads(pickle.dumps(token))])
def test_session_token_can_be_copied_and_cached(duplicate):
    token = responses.SessionToken("a.b.c", datetime(2030, 1, 1, tzinfo=UTC))
    other = duplicate(token)
    assert (type(other), other, other.expires_at) == (responses.SessionToken, token, token.expires_at)
