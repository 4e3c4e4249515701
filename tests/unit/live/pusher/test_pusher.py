"""The Pusher dialect as tables: frames in, frames out, codes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bellcast.inbox.types.inboxes import InboxBulkChanged, InboxState, NotificationDeleted
from bellcast.kernel.errors import BadRequest
from bellcast.kernel.events import LiveEvent
from bellcast.live.connection import close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.pusher import protocol
from bellcast.live.types import Member, PresenceChanged, Typing
from tests.unit.live import fakes

SUBSCRIBE = {"channel": "private-a", "auth": "key:sig"}
STATE = InboxState("", "ann", 1, 2, 3, 4)


def frame_of(event: Any) -> dict[str, Any] | None:
    """Return the frame that a client receives for an event."""
    encoded = protocol.WEBSOCKET.encode(event)
    return None if encoded is None else fakes.messages(encoded)[0]


@pytest.mark.parametrize(
    ("frame", "command"),
    [
        ({"event": "pusher:subscribe", "data": SUBSCRIBE}, protocol.PusherSubscribe("private-a", "key:sig")),
        (
            {"event": "pusher:subscribe", "data": json.dumps(SUBSCRIBE)},
            protocol.PusherSubscribe("private-a", "key:sig"),
        ),
        ({"event": "pusher:subscribe", "data": {"channel": "a", "auth": None}}, protocol.PusherSubscribe("a")),
        ({"event": "pusher:unsubscribe", "data": {"channel": "a"}}, protocol.PusherUnsubscribe("a")),
        ({"event": "pusher:signin", "data": {"auth": "k:s", "user_data": "{}"}}, protocol.Signin("k:s", "{}")),
        ({"event": "pusher:ping"}, protocol.PING_EVENT),
        ({"event": "pusher:pong", "data": []}, protocol.PONG_EVENT),
        ({"event": "client-x", "channel": "a", "data": {"b": 1}}, protocol.ClientEvent("client-x", "a", {"b": 1})),
        ({"event": "client-x", "channel": "a"}, protocol.ClientEvent("client-x", "a", None)),
    ],
)
def test_client_frame_becomes_a_command(frame: dict[str, Any], command: object) -> None:
    assert protocol.receive(json.dumps(frame)) == command


@pytest.mark.thorough
@given(st.text() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_arbitrary_text_is_an_invalid_frame(text: str) -> None:
    with pytest.raises(BadRequest):
        protocol.receive(text)


@given(
    st.sampled_from(["pusher:subscribe", "pusher:unsubscribe", "pusher:signin", "client-x", "pusher:ping", "x"]),
    st.dictionaries(
        st.sampled_from(["channel", "auth", "channel_data", "user_data"]),
        st.none() | st.text() | st.integers() | st.lists(st.text()),
    ),
)
def test_arbitrary_fields_are_a_command_or_refused(event: str, data: dict[str, Any]) -> None:
    try:
        command = protocol.receive(json.dumps({"event": event, "channel": data.get("channel"), "data": data}))
    except BadRequest:
        return
    if isinstance(command, protocol.PusherSubscribe):
        assert isinstance(command.channel, str)


@pytest.mark.parametrize(
    ("data", "expected"), [({"a": 1}, '{"a":1}'), ("text", "text"), (None, "null"), (7, "7"), ([1], "[1]")]
)
def test_data_is_always_a_string(data: object, expected: str) -> None:
    frame = frame_of(LiveEvent("", "e", data, topic="a"))
    assert frame == {"event": "e", "channel": "a", "data": expected}


def test_data_keeps_the_text_of_its_publisher() -> None:
    frame = frame_of(LiveEvent("", "e", {"a": 1}, topic="a", text='{ "a" : 1 }'))
    assert frame is not None
    assert frame["data"] == '{ "a" : 1 }'


def test_client_event_on_a_presence_channel_names_its_sender() -> None:
    frame = frame_of(LiveEvent("", "client-x", 1, topic="presence-a", member="u"))
    assert frame is not None
    assert frame["user_id"] == "u"


def test_event_to_a_recipient_is_on_its_user_channel() -> None:
    frame = frame_of(LiveEvent("", "e", 1, recipient="ann"))
    assert frame is not None
    assert frame["channel"] == "#server-to-user-ann"


@pytest.mark.parametrize("name", ["pusher:error", "pusher_internal:member_added"])
def test_event_with_a_reserved_name_is_not_sent(name: str) -> None:
    assert frame_of(LiveEvent("", name, {}, topic="a")) is None


def test_inbox_changes_keep_their_names() -> None:
    gone = frame_of(NotificationDeleted(STATE, "id"))
    assert gone is not None
    assert (gone["event"], gone["channel"]) == ("notification-delete", "#server-to-user-ann")
    assert json.loads(gone["data"]) == {"id": "id", "unread": 3, "unseen": 4, "position": "1-2"}
    counted = frame_of(InboxBulkChanged(STATE, "read", 0))
    assert counted is not None
    assert json.loads(counted["data"])["ids"] == "all"


def test_joins_and_leaves_are_member_events() -> None:
    frame = frame_of(PresenceChanged("", "presence-a", joined=(Member("u", info=True),)))
    assert frame is not None
    assert json.loads(frame["data"]) == {"user_id": "u", "user_info": True}
    went = frame_of(PresenceChanged("", "presence-a", left=(Member("u"),)))
    assert went is not None
    assert (went["event"], went["data"]) == ("pusher_internal:member_removed", '{"user_id":"u"}')


def test_events_without_a_pusher_equivalent_are_not_sent() -> None:
    assert frame_of(Typing("", "a", "u", on=True)) is None
    assert frame_of(PresenceChanged("", "lobby", joined=(Member("u"),))) is None


def test_presence_snapshot_has_the_documented_form() -> None:
    pieces = [
        protocol.presence_entry(Member('a"b', info={"n": 1})),
        protocol.presence_entry(Member("c", name="C")),
        protocol.presence_entry(Member("d")),
    ]
    ids, people = zip(*pieces, strict=True)
    assert json.loads(protocol.presence_snapshot(ids, people, 3)) == {
        "presence": {"ids": ['a"b', "c", "d"], "hash": {'a"b': {"n": 1}, "c": {"name": "C"}, "d": {}}, "count": 3}
    }
    assert json.loads(protocol.presence_snapshot((), (), 0)) == {"presence": {"ids": [], "hash": {}, "count": 0}}


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (close_reasons.NO_PONG, 4201),
        (replace(close_reasons.RESTARTING, after=100), 4200),
        (close_reasons.EXPIRED, 4200),
        (close_reasons.REVOKED, 4009),
        (close_reasons.UNAUTHENTICATED, 4009),
        (close_reasons.FORBIDDEN, 4009),
        (close_reasons.BAD_REQUEST, 4009),
        (replace(close_reasons.TOO_MANY, after=1), 4100),
        (close_reasons.TOO_FAST, 4100),
        (close_reasons.TOO_SLOW, 4100),
        (replace(close_reasons.UNAVAILABLE, after=1), 4100),
        (close_reasons.TOO_LARGE, 1009),
        (CloseReason(1002, "a broken frame", reconnect=False), 1002),
        (CloseReason(1007, "not UTF-8", reconnect=False), 1007),
        (protocol.NO_SUCH_APP, 4001),
        (protocol.UNKNOWN_VERSION, 4007),
    ],
)
def test_close_reason_has_the_documented_code(end: CloseReason, code: int) -> None:
    assert protocol.WEBSOCKET.close_event(end).code == code


def test_code_of_every_close_reason_matches_its_reconnect_rule() -> None:
    for end in (value for value in vars(close_reasons).values() if isinstance(value, CloseReason)):
        code = protocol.WEBSOCKET.close_event(end).code
        gives_up = 4000 <= code < 4100
        assert code == protocol.TOO_LARGE or gives_up is not end.reconnect


@pytest.mark.parametrize(
    ("version", "end"),
    [
        ("7", None), ("4", None), (None, protocol.NO_VERSION), ("", protocol.BAD_VERSION), ("7.0", protocol.BAD_VERSION),
        ("-7", protocol.BAD_VERSION), ("٧", protocol.BAD_VERSION), ("3", protocol.UNKNOWN_VERSION),
        ("8", protocol.UNKNOWN_VERSION), ("0000000000007", protocol.UNKNOWN_VERSION),
    ],
)  # fmt: skip
def test_unsupported_version_has_a_close_reason(version: str | None, end: CloseReason | None) -> None:
    assert protocol.unsupported_version(version) == end


@pytest.mark.parametrize(
    ("text", "member"),
    [
        ('{"user_id":10}', Member("10", info={})),
        ('{"user_id":"10","user_info":true}', Member("10", info=True)),
        ('{"user_id":"a","user_info":null,"more":1}', Member("a", info={})),
    ],
)
def test_signed_member_is_read(text: str, member: Member) -> None:
    assert protocol.read_member(text) == member


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"user_id":null}', '{"user_id":1.5}', '{"user_id":""}', "[" * 9_999])
def test_invalid_member_is_refused(text: str) -> None:
    assert isinstance(protocol.read_member(text), str)
