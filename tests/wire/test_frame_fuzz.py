"""Arbitrary bytes over a WebSocket: each command gets a response, each violation closes its connection, others are
unaffected.
"""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import thoroughness
from tests.faults.raw_sockets import RawSocket, eventually, live, raw_websocket, unharmed
from tests.servers import ServerProcess
from tests.unit.live.framing.client import CLOSE, CONTINUATION, PING, TEXT, frame

COMMANDS = ["subscribe", "unsubscribe", "publish", "typing", "call", "auth", "ping"]
MARKS = ["seen", "read", "unread", "archive", "unarchive", "delete"]
FIELDS = ["topics", "topic", "name", "data", "ids", "all", "of", "on", "token", "ref", "type", "more"]
CLAIMS = {"topics": ["*"], "publish": ["*"]}
LAST = "the last one"  # a ref that no other command has
REPLIES = {"ack", "error", "pong"}
fuzzed = settings(
    max_examples=250 if thoroughness.is_thorough else 50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
number = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
scalar = st.none() | st.booleans() | number | text
anything = st.recursive(
    scalar, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=12
)
topic = st.sampled_from(["a", "presence-a", "a,b", "role.admin", "", "x" * 165]) | text
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "topics": st.lists(topic, max_size=5),
    "topic": topic,
    "name": text,
    "ids": st.lists(text | st.uuids().map(str), max_size=5),
    "all": st.booleans(),
    "of": st.fixed_dictionaries({}, optional={"type": text}),
    "on": st.booleans(),
    "token": text,
    "type": st.sampled_from(COMMANDS + MARKS),
}
field = st.sampled_from(FIELDS).flatmap(lambda name: st.tuples(st.just(name), LIKELY.get(name, anything) | anything))
command = st.tuples(st.sampled_from(COMMANDS + MARKS), st.lists(field, max_size=5)).map(
    lambda parts: {"type": parts[0], **dict(parts[1])}
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Without a rate limit, so that no test has to wait."""
    environ = {"BELLCAST_LIMIT_FRAMES_PER_SECOND": "0"}
    with ServerProcess(tmp_path_factory.mktemp("fuzzed") / "data", environ) as server:
        yield server
        assert eventually(lambda: live(server) == 0)
        assert unharmed(server)


@pytest.fixture(scope="module")
def bystander(server: ServerProcess) -> Iterator[RawSocket]:
    """A connection that the others must not affect."""
    with raw_websocket(server, "bystander") as bell:
        yield bell


def is_unaffected(bystander: RawSocket) -> None:
    bystander.send_frame("ping")
    bystander.until("pong")


def replies_of(bell: RawSocket) -> list[dict[str, Any]]:
    """Return the responses up to the last command's; skip events."""
    replies = []
    bell.send_frame("ping", ref=LAST)
    while (reply := bell.next()).get("ref") != LAST:
        if reply["type"] in REPLIES:
            replies.append(reply)
    return replies


@fuzzed
@given(commands=st.lists(command | anything, min_size=1, max_size=8))
def test_json_frame_gets_a_response_whatever_it_contains(
    server: ServerProcess, bystander: RawSocket, commands: list[Any]
) -> None:
    with raw_websocket(server, "fuzz", claims=CLAIMS) as bell:
        for one in commands:
            bell.text(json.dumps(one))
        assert len(replies_of(bell)) == len(commands)
    is_unaffected(bystander)


@fuzzed
@given(texts=st.lists(text | st.text(alphabet='{}[]":,\\utype 0e', max_size=60), min_size=1, max_size=8))
def test_text_frame_that_is_not_json_gets_an_error(server: ServerProcess, texts: list[str]) -> None:
    with raw_websocket(server, "fuzz") as bell:
        for one in texts:
            bell.text(one)
        replies = replies_of(bell)
        assert [one["type"] for one in replies] == ["error"] * len(texts)
        assert {one["code"] for one in replies} <= {"bad_request", "invalid"}


@pytest.mark.parametrize(
    "nested",
    [
        "[" * 30_000,
        '{"a":' * 10_000,
        '{"type":"publish","topic":"a","name":"n","data":' + "[" * 5_000 + "]" * 5_000 + "}",
    ],
)
def test_deeply_nested_frame_gets_a_response(server: ServerProcess, nested: str) -> None:
    with raw_websocket(server, "fuzz", claims=CLAIMS) as bell:
        bell.text(nested)
        assert len(replies_of(bell)) == 1


@pytest.mark.parametrize("ref", [0, -1, 1.5, "", "ü", "x" * 60_000, True, None, [], {}, 2**53, 2**70, -(2**70)])
def test_ref_is_returned_unchanged_or_its_frame_is_refused(server: ServerProcess, ref: Any) -> None:
    with raw_websocket(server, "fuzz") as bell:
        bell.send_frame("ping", ref=ref)
        (reply,) = replies_of(bell)
        assert reply["type"] == "error" or reply.get("ref") == ref


@fuzzed
@given(seed=st.integers(0, 2**32), size=st.integers(1, 3_000))
def test_random_bytes_end_in_a_close_frame_or_in_waiting_for_more(
    server: ServerProcess, bystander: RawSocket, seed: int, size: int
) -> None:
    with raw_websocket(server, "fuzz") as bell:
        bell.send(random.Random(seed).randbytes(size))
        _ends_in_whole_frames(bell)
    is_unaffected(bystander)


VALID = [
    frame(TEXT, b'{"type":"ping","ref":1}'),
    frame(TEXT, '{"type":"call","name":"é"}'.encode(), final=False) + frame(CONTINUATION, b""),
    frame(TEXT, b'{"type":"seen",', final=False) + frame(PING, b"!") + frame(CONTINUATION, b'"all":true}'),
    frame(TEXT, json.dumps({"type": "subscribe", "topics": ["t" * 40] * 20}).encode()),
    frame(PING, b"x" * 125),
]


@fuzzed
@given(data=st.data())
def test_valid_frames_with_changed_bytes_end_in_whole_frames(
    server: ServerProcess, bystander: RawSocket, data: st.DataObject
) -> None:
    sent = bytearray(b"".join(data.draw(st.lists(st.sampled_from(VALID), min_size=1, max_size=4))))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(sent) - 1))
        match data.draw(st.sampled_from(["change", "cut", "insert"])):
            case "change":
                sent[at] = data.draw(st.integers(0, 255))
            case "cut":
                del sent[at : at + data.draw(st.integers(1, 10))]
            case _:
                sent[at:at] = data.draw(st.binary(min_size=1, max_size=4))
        if not sent:
            break
    pieces = data.draw(st.integers(1, 3))
    with raw_websocket(server, "fuzz") as bell:
        for piece in range(pieces):
            bell.send(bytes(sent[piece * len(sent) // pieces : (piece + 1) * len(sent) // pieces]))
        _ends_in_whole_frames(bell)
    is_unaffected(bystander)


def _ends_in_whole_frames(bell: RawSocket) -> None:
    """Close the client's side, and check that the server closes after whole frames."""
    bell.half_close()
    received = bell.read_to_end()
    closes = [payload for opcode, payload in _frames(received) if opcode == CLOSE]
    assert len(closes) <= 1
    assert all(int.from_bytes(one[:2]) in (0, *range(1000, 1015), *range(3000, 5000)) for one in closes)


def _frames(received: bytes) -> Iterator[tuple[int, bytes]]:
    """Parse the frames sent by the server; each frame must be complete."""
    at = 0
    while at < len(received):
        assert received[at] & 0x70 == 0
        size, start = received[at + 1], at + 2
        if size > 125:
            width = 2 if size == 126 else 8
            size, start = int.from_bytes(received[start : start + width]), start + width
        assert start + size <= len(received)
        yield received[at] & 0x0F, received[start : start + size]
        at = start + size
