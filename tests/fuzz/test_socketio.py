"""Fuzzing of input from Engine.IO and Socket.IO clients: the parsers, and a whole session without sockets."""

import asyncio
import base64
import json
from collections.abc import Sequence
from contextlib import suppress

import msgspec
from hypothesis import strategies as st

from bellcast.live.http import asgi
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.socketio import SocketIOConfig, protocol
from bellcast.live.socketio.engine_session import UNREADABLE, EngineSession, EngineSessions
from bellcast.live.socketio.protocol import MAX_ATTACHMENTS, InvalidPacket, Packet, PacketReader
from bellcast.live.socketio.transports import PollingTransport
from tests.clock import FakeClock
from tests.fuzz.runner import fuzz

MAX_PAYLOAD = 4_096
# Bytes that encoding may add to a received value: base64, and numbers such as 1e15 written in full.
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


def encoded_size(packet: Packet) -> int:
    """Return the bytes of a packet's data once it is encoded for callbacks and other dialects."""
    return len(msgspec.json.encode(packet.data))


def check_messages(messages: Sequence[str | bytes]) -> None:
    """Packets are no larger than the received bytes, or InvalidPacket is raised."""
    reader, received = PacketReader(MAX_PAYLOAD), 0
    for message in messages:
        received += len(message.encode(errors="surrogatepass") if isinstance(message, str) else message)
        try:
            packet = reader.read(message)
        except InvalidPacket:
            return
        if packet is None:
            continue
        assert packet.type in (protocol.CONNECT, protocol.DISCONNECT, protocol.EVENT, protocol.ACK)
        assert packet.attachments <= MAX_ATTACHMENTS
        assert len(packet.namespace) <= protocol.MAX_NAMESPACE_LENGTH
        if packet.type == protocol.CONNECT:
            assert packet.data is None or isinstance(packet.data, dict)
        assert encoded_size(packet) <= MAX_GROWTH * received + 16
        protocol.encode(packet)


def test_socketio_packets_are_parsed_within_bounds_or_refused() -> None:
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
    """A body yields its packets in order up to the first unreadable one, and no more bytes than it has."""
    parsed = []
    with suppress(InvalidPacket):
        for packet in protocol.read_body(body):
            parsed.append(packet)
    assert all(packet.type in protocol.TYPES for packet in parsed)
    assert sum(len(packet.data.encode() if isinstance(packet.data, str) else packet.data) for packet in parsed) <= len(
        body
    )


def test_engineio_payloads_are_parsed_within_bounds_or_refused() -> None:
    fuzz("Engine.IO payloads", BODIES, check_body, BODY_SEEDS)


class Recorder:
    """A listener of Engine.IO sessions that parses Socket.IO packets and counts opened and closed sessions."""

    def __init__(self) -> None:
        self.reader = PacketReader(MAX_PAYLOAD)
        self.opened_count = self.closed_count = 0

    def receive(self, session: EngineSession, message: str | bytes) -> None:
        assert not session.is_closed
        try:
            packet = self.reader.read(message)
        except InvalidPacket:
            session.close(UNREADABLE)
            return
        if packet is not None and packet.type == protocol.EVENT:
            session.send_packet(protocol.encode(packet._replace(type=protocol.ACK, id=0))[0])

    def opened(self, session: EngineSession) -> None:
        self.opened_count += 1

    def closed(self, session: EngineSession) -> None:
        self.closed_count += 1


REQUEST = asgi.read_handshake({"scheme": "http", "path": "/", "headers": [], "client": ("127.0.0.1", 1)})
STEPS = st.lists(BODIES | st.sampled_from(["take", "timeout", "end", "joined"]), min_size=1, max_size=8)
STEP_SEEDS: list[list[bytes | str]] = [
    [b"40", "joined", "take", b"42[1]", "take", b"41", b"1", "take"],
    ["timeout", b"3", "timeout", "timeout", "take"],
    [b"2", b"40"],
    [
        b'451-["a",' + b",".join([b'{"_placeholder":true,"num":0}'] * 50) + b"]\x1eb" + base64.b64encode(b"x" * 900),
        "take",
    ],
    [b"\x1e", "take"],
    ["end", "end", b"40", "timeout"],
]


async def run_session(steps: Sequence[bytes | str]) -> None:
    listener = Recorder()
    callbacks = HubCallbacks(session_opened=listener.opened, session_closed=listener.closed)
    sessions = EngineSessions(listener.receive, SocketIOConfig(max_payload=MAX_PAYLOAD), FakeClock(), callbacks)
    session = sessions.create(REQUEST)
    transport = PollingTransport(session)
    sessions.begin(session, transport)
    assert json.loads(transport.take_pending()[1:])["sid"] == session.sid
    assert (len(sessions), sessions.unjoined) == (1, 1)
    for step in steps:
        match step:
            case bytes():
                try:
                    for packet in protocol.read_body(step):
                        session.receive(packet)
                except InvalidPacket:
                    session.close(UNREADABLE)
                assert transport.get_write_buffer_size() <= MAX_GROWTH * len(step) + 1_000 or not session.is_closed
            case "take":
                transport.take_pending()
                assert transport.get_write_buffer_size() == 0
            case "timeout":
                session.check_timeout(session.deadline)
            case "joined":
                session.set_joined()
            case _:
                session.close(UNREADABLE)
        assert len(sessions) == (0 if session.is_closed else 1)
        assert sessions.unjoined == int(session.unjoined_as is not None)
        assert listener.closed_count == int(session.is_closed)
    session.close(UNREADABLE)
    assert (len(sessions), sessions.unjoined, sessions.unjoined_from("127.0.0.1", "polling")) == (0, 0, 0)


def test_engineio_sessions_are_released_after_any_input() -> None:
    with asyncio.Runner() as runner:
        fuzz("Engine.IO sessions", STEPS, lambda steps: runner.run(run_session(steps)), STEP_SEEDS)
