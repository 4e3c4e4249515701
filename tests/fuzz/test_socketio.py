"""Fuzzing of what Engine.IO and Socket.IO clients send: the parsers, and a whole session without sockets."""

import asyncio
import base64
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
from hypothesis import strategies as st

from bellcast.live.config import SocketIOConfig
from bellcast.live.http.handshake_request import HandshakeRequest
from bellcast.live.socketio.engine_session import UNREADABLE, EngineSession, EngineSessions
from bellcast.live.socketio.long_polling import PollingTransport
from bellcast.live.socketio.protocol import engineio, packets
from bellcast.live.socketio.protocol.engineio import InvalidPacket
from bellcast.live.socketio.protocol.packets import MAX_ATTACHMENTS, Packet, PacketReader
from tests.clock import FakeClock
from tests.fuzz.runner import fuzz

MAX_PAYLOAD = 4_096
# What an encoded value may add to the bytes that came: base64, and short numbers such as 1e15 that are written out.
MAX_GROWTH = 6

PLACEHOLDER = '{"_placeholder":true,"num":%s}'
HEADS = [
    "", "0", "0null", '0{"token":"x"}', "0/a,", "0/" + "n" * 300, "1", "1null", '2["a",1]', '2["notification"]', "2[1e15,1e308]",
    '212["a",{"b":[null]}]', '2["half \\ud83d"]', '2["\\ud800",NaN]', "2[NaN]", "2[" * 50, '2["a",' + "9" * 5_000 + "]", "3[]",
    "399[]", "3" + "9" * 17 + "[]", '4{"message":"x"}', "45", "5", "50-[]", "51-null", "511-[]", "61-0[]", "²[]",
    '51-["a",' + PLACEHOLDER % 0 + "]", '52-["a",' + PLACEHOLDER % 1 + "," + PLACEHOLDER % 0 + "]",
    '51-["a",[' + ",".join([PLACEHOLDER % 0] * 50) + "]]", '51-["a",' + PLACEHOLDER % -1 + "]", '51-["a",' + PLACEHOLDER % "true" + "]",
    '51-7["publish",{"topic":"x","name":"n","data":[' + ",".join([PLACEHOLDER % 0] * 50) + "]}]",
]  # fmt: skip
PIECES = st.sampled_from([*HEADS, '"', "[", "]", "{", "}", ",", "-", "/", ":", "\\ud800", "1e15", PLACEHOLDER % 0])
TEXTS = st.sampled_from(HEADS) | st.lists(PIECES, max_size=4).map("".join) | st.text(max_size=40)
MESSAGES = st.lists(TEXTS | st.binary(max_size=64), min_size=1, max_size=6)
MESSAGE_SEEDS: list[list[str | bytes]] = [[head, b"x" * 1_000, b"y" * 64] for head in HEADS]


def sizes(packet: Packet) -> int:
    """Bytes of a packet's data once it is encoded, as handlers and other dialects have it."""
    return len(msgspec.json.encode(packet.data))


def check_messages(messages: Sequence[str | bytes]) -> None:
    """A reader gives packets no larger than what came, or raises Broken."""
    reader, received = PacketReader(MAX_PAYLOAD), 0
    for message in messages:
        received += len(message.encode(errors="surrogatepass") if isinstance(message, str) else message)
        try:
            packet = reader.read(message)
        except InvalidPacket:
            return
        if packet is None:
            continue
        assert packet.type in (packets.CONNECT, packets.DISCONNECT, packets.EVENT, packets.ACK)
        assert packet.attachments <= MAX_ATTACHMENTS
        assert len(packet.namespace) <= packets.MAX_NAMESPACE_LENGTH
        if packet.type == packets.CONNECT:
            assert packet.data is None or isinstance(packet.data, dict)
        assert sizes(packet) <= MAX_GROWTH * received + 16
        packets.encode(packet)


def test_socketio_packets_are_read_within_bounds_or_refused() -> None:
    fuzz("Socket.IO packets", MESSAGES, check_messages, MESSAGE_SEEDS)


BODY_SEEDS = [
    b"", b"\x1e" * 500, b"3\x1e3", b"b", b"bAQID", b"b!!!!", b"b\x1e4", b"2", b"0", b"5", b"6", b"7", b"\xff", b"4\xed\xa0\x80", b"4" + b"x" * 5_000,
    b"40\x1e" + b'42["message",1]\x1e' * 40, b'451-["a",{"_placeholder":true,"num":0}]\x1ebAQID\x1e41',
]  # fmt: skip
BODY_PIECES = st.sampled_from(
    [*BODY_SEEDS, b"\x1e", *[b"4" + head.encode() for head in HEADS], b"b" + base64.b64encode(b"x" * 9)]
)
BODIES = st.lists(BODY_PIECES | st.binary(max_size=20), max_size=6).map(b"\x1e".join) | st.binary(max_size=80)


def check_body(body: bytes) -> None:
    """A body gives its packets in order up to the first unreadable one, and no more bytes than it has."""
    read = []
    with suppress(InvalidPacket):
        for packet in engineio.read_body(body):
            read.append(packet)
    assert all(packet.type in engineio.TYPES for packet in read)
    assert sum(len(packet.data.encode() if isinstance(packet.data, str) else packet.data) for packet in read) <= len(
        body
    )


def test_engineio_payloads_are_read_within_bounds_or_refused() -> None:
    fuzz("Engine.IO payloads", BODIES, check_body, BODY_SEEDS)


class Recorder:
    """The layer above a pipe: reads Socket.IO as the real one does, and counts what it is told."""

    def __init__(self) -> None:
        self.reader = PacketReader(MAX_PAYLOAD)
        self.opened_count = self.closed_count = 0

    def on_open(self, pipe: EngineSession) -> None:
        self.opened_count += 1

    def on_message(self, pipe: EngineSession, message: str | bytes) -> None:
        assert not pipe.is_closed
        try:
            packet = self.reader.read(message)
        except InvalidPacket:
            pipe.close(UNREADABLE)
            return
        if packet is not None and packet.type == packets.EVENT:
            pipe.send(*packets.encode(packet._replace(type=packets.ACK, id=0)))

    def on_transport_changed(self, pipe: EngineSession) -> None: ...
    def on_buffer_full(self, pipe: EngineSession) -> None: ...
    def on_buffer_drained(self, pipe: EngineSession) -> None: ...
    def on_close(self, pipe: EngineSession) -> None:
        self.closed_count += 1


REQUEST = HandshakeRequest(
    method="GET", path="/", http_version="1.1", scheme="http", headers=[], query=b"", address="127.0.0.1", parameters=[]
)
STEPS = st.lists(BODIES | st.sampled_from(["take", "look", "end", "joined"]), min_size=1, max_size=8)
STEP_SEEDS: list[list[bytes | str]] = [
    [b"40", "joined", "take", b"42[1]", "take", b"41", b"1", "take"],
    ["look", b"3", "look", "look", "take"],
    [b"2", b"40"],
    [
        b'451-["a",' + b",".join([b'{"_placeholder":true,"num":0}'] * 50) + b"]\x1eb" + base64.b64encode(b"x" * 900),
        "take",
    ],
    [b"\x1e", "take"],
    ["end", "end", b"40", "look"],
]


async def run_session(steps: Sequence[bytes | str]) -> None:
    upper: Any = Recorder()
    pipes = EngineSessions(upper, SocketIOConfig(max_payload=MAX_PAYLOAD), FakeClock(), None)
    pipe = EngineSession(pipes, REQUEST)
    link = PollingTransport(pipe)
    pipe.begin(link)
    assert json.loads(link.take_pending()[1:])["sid"] == pipe.sid
    assert (len(pipes), pipes.unjoined) == (1, 1)
    for step in steps:
        match step:
            case bytes():
                try:
                    for packet in engineio.read_body(step):
                        pipe.receive(packet)
                except InvalidPacket:
                    pipe.close(UNREADABLE)
                assert link.get_write_buffer_size() <= MAX_GROWTH * len(step) + 1_000 or not pipe.is_closed
            case "take":
                link.take_pending()
                assert link.get_write_buffer_size() == 0
            case "look":
                pipe.check_timeout(pipe.deadline)
            case "joined":
                pipe.set_joined()
            case _:
                pipe.close(UNREADABLE)
        assert len(pipes) == (0 if pipe.is_closed else 1)
        assert pipes.unjoined == int(pipe.is_unjoined)
        assert upper.closed_count == int(pipe.is_closed)
    pipe.close(UNREADABLE)
    assert (len(pipes), pipes.unjoined, pipes.unjoined_from("127.0.0.1")) == (0, 0, 0)


def test_engineio_sessions_leave_nothing_behind_whatever_is_sent() -> None:
    with asyncio.Runner() as runner:
        fuzz("Engine.IO sessions", STEPS, lambda steps: runner.run(run_session(steps)), STEP_SEEDS)
