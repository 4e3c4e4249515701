"""Fuzzing of the native dialect's commands: each is parsed or refused, and its response can be encoded."""

import json
from typing import Any

import msgspec
from hypothesis import strategies as st

from bellcast.live.native import protocol
from tests.fuzz.runner import fuzz
from tests.unit.live import fakes

TYPES = ["subscribe", "unsubscribe", "publish", "seen", "read", "delete", "typing", "call", "auth", "ping", "nope"]
FIELDS = ["type", "ref", "topics", "topic", "name", "data", "ids", "all", "of", "on", "token"]
NUMBERS = st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from([2**63, 2**64, -(2**63) - 1, 10**400])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), inner),
    max_leaves=6,
)
OBJECTS = st.builds(
    lambda type, fields: json.dumps({"type": type, **fields}),
    st.sampled_from(TYPES),
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4),
)
MANGLED = st.builds(
    lambda text, at, junk: text[:at] + junk + text[at:], OBJECTS, st.integers(0, 60), st.text(max_size=3)
)
SEEDS = [
    '{"type":"ping","ref":123456789012345678901234567890}',
    '{"type":"ping","ref":1' + "0" * 5_000 + "}",
    '{"type":"ping","ref":1e400}',
    '{"type":"ping","ref":"\\ud800"}',
    '{"type":"subscribe","topics":["\\ud800"]}',
    '{"type":"delete","all":true,"of":{}}',
    '{"type":"publish","topic":"a","name":"n","data":' + "[" * 5_000 + "]" * 5_000 + "}",
    "[" * 100_000,
    "\ud800",
    "",
]


def test_native_frames_are_commands_or_refused_in_a_response() -> None:
    def check(text: str) -> None:
        command = protocol.receive(text)
        if isinstance(command, protocol.Payload):
            response: Any = command
        else:
            response = protocol.ack(command.ref)
            if isinstance(command, protocol.MarkCommand):
                sent = msgspec.json.decode(text).get("of")
                assert (command.of is None) is (sent is None)  # a filter is never dropped
        for dialect in (protocol.SSE_PLAIN, protocol.SSE_CHUNKED):
            assert dialect.encode_frame(response)
        assert len(fakes.messages(protocol.WEBSOCKET.encode_frame(response))) == 1

    fuzz("native commands", OBJECTS | MANGLED | st.text(max_size=40), check, SEEDS)
