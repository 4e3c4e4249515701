"""Events as Socket.IO packets, encoded once for all clients."""

import json
from typing import Any

import pytest

from bellcast.inbox.types.inboxes import InboxState
from bellcast.kernel.events import LiveEvent
from bellcast.live.connection.dialect import InboxReset
from bellcast.live.socketio import protocol
from bellcast.live.socketio.protocol import FRAMES, POLLING_BODY
from bellcast.recipients.types import SessionsRevoked

STATE = InboxState("", "alice", 1, 2, 3, 4)


def test_namespace_and_encoding_share_a_dialect_while_it_is_in_use() -> None:
    cached = protocol.dialect_for("/room-1", FRAMES, resumable=True)
    assert protocol.dialect_for("/room-1", FRAMES, resumable=True) is cached
    others = [
        protocol.dialect_for("/room-2", FRAMES, resumable=True),
        protocol.dialect_for("/room-1", POLLING_BODY, resumable=True),
        protocol.dialect_for("/room-1", FRAMES, resumable=False),
    ]
    assert cached not in others


@pytest.mark.parametrize(
    ("data", "resumable", "packet"),
    [
        ({"a": 1}, True, '42["news",{"a":1}]'),
        (None, True, '42["news",null]'),
        ("text", False, '42["news","text"]'),
        ("text", True, '42["news","text",null]'),  # a string as the last argument could be mistaken for an offset
        (["text"], True, '42["news",["text"]]'),
    ],
)
def test_live_event_keeps_its_name(data: object, resumable: bool, packet: str) -> None:
    event = LiveEvent(tenant="", name="news", data=data, topic="t")
    assert protocol.dialect_for("/", POLLING_BODY, resumable=resumable).encode(event) == packet.encode()
    named = protocol.dialect_for("/a", POLLING_BODY, resumable=resumable).encode(event)
    assert named == packet.replace("42", "42/a,", 1).encode()


def test_change_ends_with_the_position_if_the_dialect_is_resumable() -> None:
    resumable = protocol.dialect_for("/", POLLING_BODY, resumable=True)
    assert resumable.mark is not None
    name, fields, offset = json.loads(
        resumable.mark(resumable.replay(InboxReset(STATE), STATE.position), "1-2~3.4")[2:]
    )
    assert (name, fields["unread"], fields["position"], offset) == ("reset", 3, "1-2", "1-2~3.4")
    plain = protocol.dialect_for("/", POLLING_BODY, resumable=False)
    assert plain.mark is None
    assert len(json.loads(plain.replay(InboxReset(STATE), STATE.position)[2:])) == 2


@pytest.mark.parametrize("encoding", [FRAMES, POLLING_BODY], ids=["frames", "polling"])
def test_stored_event_is_completed_by_its_mark(encoding: Any) -> None:
    event = LiveEvent(tenant="", name="news", data="text", topic="t", id="3.4")
    resumable = protocol.dialect_for("/a", encoding, resumable=True)
    assert resumable.mark is not None
    packet = resumable.encode(event)
    assert packet is not None
    assert resumable.mark(packet, "1-2~3.4") == encoding.text(b'42/a,["news","text","1-2~3.4"]')
    plain = protocol.dialect_for("/a", encoding, resumable=False)
    assert plain.encode(event) == encoding.text(b'42/a,["news","text"]')


def test_internal_event_is_not_sent_to_clients() -> None:
    cached = protocol.dialect_for("/", FRAMES, resumable=True)
    assert cached.encode(SessionsRevoked("", "alice", 1)) is None
    assert cached.heartbeat(0) == b""
