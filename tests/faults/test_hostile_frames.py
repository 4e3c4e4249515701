"""WebSocket clients that violate the protocol, flood, or disconnect abnormally do not affect other connections."""

import json
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.faults.raw_sockets import (
    HANDSHAKE,
    Raw,
    RawSocket,
    cpu_seconds,
    eventually,
    files,
    live,
    memory,
    raw_stream,
    raw_websocket,
    request,
    unharmed,
    upgrade,
)
from tests.servers import ServerProcess
from tests.unit.live.framing.client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close,
    fragments,
    frame,
    header,
)
from tests.wire.clients import websocket

NO_MASK = b"\0\0\0\0"
CLOSE_TIMEOUT_SECONDS = 5
SLOW_APP = """
import asyncio
import bellcast

handlers = bellcast.Handlers()

@handlers.on("slow")
async def slow(call):
    await asyncio.sleep(call.data["for"])

@handlers.on("connect")
async def connect(call):
    if call.recipient.startswith("slow"):
        await asyncio.sleep(1)
"""


@pytest.fixture(scope="module")
def slow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with a slow app, without a rate limit, and with a limit of connections per address."""
    folder = tmp_path_factory.mktemp("slow")
    (folder / "slow_app.py").write_text(SLOW_APP)
    environ = {"PYTHONPATH": str(folder), "BELLCAST_LIMIT_FRAMES_PER_SECOND": "0"}
    environ["BELLCAST_LIMIT_CONNECTIONS_PER_ADDRESS"] = "5"
    with ServerProcess(folder / "data", environ, "--handlers", "slow_app:handlers") as server:
        yield server


@pytest.fixture
def slow_app(slow_server: ServerProcess) -> Iterator[ServerProcess]:
    """The shared server. After the test it has logged no error and has no connection left."""
    yield slow_server
    assert unharmed(slow_server)
    assert eventually(lambda: live(slow_server) == 0)


# --- RFC 6455

BROKEN = {
    "not masked": (b"\x81\x02hi", 1002),
    "a reserved bit": (frame(TEXT, b"{}", reserved=4), 1002),
    "an unknown opcode": (frame(3, b"x"), 1002),
    "an unknown control opcode": (frame(0xB, b"x"), 1002),
    "a fragmented ping": (frame(PING, b"x", final=False), 1002),
    "a ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "a continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "a text within a text": (frame(TEXT, b"{", final=False) + frame(TEXT, b"}"), 1002),
    "a length the long way": (b"\x81\xfe\x00\x05" + NO_MASK + b"hello", 1002),
    "a length with its top bit set": (b"\x81\xff" + b"\xff" * 8 + NO_MASK, 1002),
    "not UTF-8": (frame(TEXT, b'"\xff"'), 1007),
    "a surrogate": (frame(TEXT, b'"\xed\xa0\x80"'), 1007),
    "not UTF-8, in fragments": (b"".join(fragments(TEXT, b'"\xc3', b'"')), 1007),
    "too large": (header(TEXT, 1 << 40) + NO_MASK, 4413),
    "too large, in fragments": (b"".join(fragments(TEXT, b"x" * 40_000, b"x" * 40_000)), 4413),
    "too many fragments": (frame(TEXT, final=False) + frame(CONTINUATION, final=False) * 1_100, 4429),
    "a close code of one byte": (frame(CLOSE, b"x"), 1002),
    "a reserved close code": (close(1005), 1002),
    "a close code out of range": (close(999), 1002),
    "a close reason that is not UTF-8": (close(1000, b"\xff"), 1007),
}


@pytest.mark.parametrize(("sent", "code"), BROKEN.values(), ids=BROKEN.keys())
def test_protocol_violation_is_reported_with_its_code_and_closed(target: ServerProcess, sent: bytes, code: int) -> None:
    with raw_websocket(target, "peer") as peer, raw_websocket(target, "rude") as violating:
        violating.send(sent)
        close_frame = violating.until("close")
        assert close_frame["code"] == code
        assert violating.finish_close() == code
        peer.send_frame("ping")
        assert peer.next() == {"type": "pong"}


def test_ping_within_a_fragmented_message_is_answered_immediately(target: ServerProcess) -> None:
    with raw_websocket(target, "careful") as bell:
        first, second, third = fragments(TEXT, b'{"type":', b'"ping",', b'"ref":1}')
        bell.send(first, frame(PING, b"still there?"))
        assert bell.frame() == (PONG, b"still there?")
        bell.send(second, frame(PONG, b"unasked"), frame(PING), third)
        assert bell.frame() == (PONG, b"")
        assert bell.next() == {"type": "pong", "ref": 1}


def test_message_in_single_bytes_is_one_message(target: ServerProcess) -> None:
    with raw_websocket(target, "patient") as bell:
        for byte in frame(TEXT, json.dumps({"type": "ping", "ref": "é" * 80}, ensure_ascii=False).encode()):
            bell.send(bytes([byte]))
        assert bell.next() == {"type": "pong", "ref": "é" * 80}


def test_binary_and_empty_messages_are_refused_and_keep_the_connection(target: ServerProcess) -> None:
    with raw_websocket(target, "odd") as bell:
        for message in (frame(BINARY, b'{"type":"ping"}'), frame(TEXT), frame(BINARY)):
            bell.send(message)
            assert bell.next()["code"] == "bad_request"
        bell.send_frame("ping")
        assert bell.next() == {"type": "pong"}


# --- handshake


def test_frames_right_behind_the_handshake_belong_to_the_websocket(target: ServerProcess) -> None:
    commands = b"".join(frame(TEXT, json.dumps({"type": "ping", "ref": ref}).encode()) for ref in range(150))
    for split in (0, 1, 700):
        behind, later = commands[: len(commands) - split], commands[len(commands) - split :]
        with RawSocket(target) as bell:
            bell.send(upgrade(target, "hasty"), behind)
            bell.send(later)
            assert bell.read_head()[0] == 101
            assert bell.next()["type"] == "ready"
            assert [bell.next()["ref"] for _ in range(150)] == list(range(150))


def test_broken_frame_behind_the_handshake_is_reported_after_ready(target: ServerProcess) -> None:
    with RawSocket(target) as violating:
        violating.send(upgrade(target, "hasty"), b"\x81\x02hi")
        assert violating.read_head()[0] == 101
        assert violating.next()["type"] == "ready"
        assert violating.finish_close() == 1002


# --- closing


@pytest.mark.parametrize(("last_frame", "code"), [(close(1000, b"bye"), 1000), (close(4999), 4999), (frame(CLOSE), 0)])
def test_close_frame_of_a_client_is_answered_with_its_code(target: ServerProcess, last_frame: bytes, code: int) -> None:
    with raw_websocket(target, "leaving") as bell:
        bell.send(last_frame, frame(TEXT, b'{"type":"ping"}'))
        opcode, payload = bell.frame()
        assert (opcode, int.from_bytes(payload)) == (CLOSE, code)
        assert bell.read_to_end() == b""


@pytest.mark.thorough
def test_unfinished_closing_handshake_is_cut_off_after_five_seconds(start_server: Callable[..., ServerProcess]) -> None:
    """For a client that sends no close frame, and for readers that do not read, closed by either side."""
    server = start_server(BELLCAST_LIMIT_UNSENT="0", BELLCAST_PUBLIC_TOPICS="news")
    before = files(server)
    with (
        raw_websocket(server, "mute") as silent,
        raw_websocket(server, "deaf", "&topics=news", window=4_096) as unread,
        raw_stream(server, "deaf", "&topics=news", window=4_096) as page,
        raw_websocket(server, "leaving", "&topics=news", window=4_096) as closing,
        httpx.Client(base_url=server.url, headers=server.as_app()) as http,
    ):
        for _ in range(600):  # 6 MB: more than the kernel buffers
            assert http.post("/v1/events", json={"topic": "news", "name": "n", "data": "x" * 10_000}).is_success
        started = time.monotonic()
        for recipient in ("mute", "deaf"):
            http.delete(f"/v1/recipients/{recipient}/sessions")
        closing.send(close(1000))
        assert silent.closed() == 4401
        assert silent.read_to_end() == b""
        assert time.monotonic() - started > CLOSE_TIMEOUT_SECONDS - 1
        http.close()
        assert eventually(lambda: files(server) <= before), "sockets of readers who never read are still held"
        assert all(one.socket.fileno() > 0 for one in (unread, page, closing))
    assert live(server) == 0
    assert unharmed(server)


# --- floods


def test_frames_are_handled_in_order_at_any_rate(slow_app: ServerProcess) -> None:
    times = [0.03 if ref % 50 == 0 else 0 for ref in range(400)]
    calls = [{"type": "call", "name": "slow", "data": {"for": time}, "ref": ref} for ref, time in enumerate(times)]
    with raw_websocket(slow_app, "hasty") as bell:
        bell.send(*(frame(TEXT, json.dumps(call).encode()) for call in calls))
        assert [bell.next()["ref"] for _ in calls] == list(range(400))


@pytest.mark.thorough
def test_client_that_sends_faster_than_frames_are_handled_is_not_read(slow_app: ServerProcess) -> None:
    """While one call takes three seconds, later frames wait in the buffers of the sender's machine."""
    before = memory(slow_app)
    body = json.dumps({"type": "call", "name": "slow", "data": {"for": 0, "more": "x" * 60_000}}).encode()
    large = header(TEXT, len(body)) + NO_MASK + body
    with raw_websocket(slow_app, "hasty") as bell:
        bell.send_frame("call", name="slow", data={"for": 3})
        bell.socket.settimeout(1)
        assert bell.flood(large, most=90_000_000) < 60_000_000  # the kernel buffers, and 64 frames
        assert memory(slow_app) < before + 40
        with websocket(slow_app, "calm") as regular:
            assert regular.next()["type"] == "ready"
            started = cpu_seconds(slow_app)
            assert regular.ask("ping")["type"] == "pong"
            assert cpu_seconds(slow_app) - started < 2


SOCKETS = {
    "native": "/v1/ws?token={token}",
    "pusher": "/app/{key}?protocol=7",
    "socketio": "/socket.io/?EIO=4&transport=websocket",
    "refused": "/v1/ws?token=wrong",
}


@pytest.mark.parametrize("opcode", [PING, TEXT], ids=["pings", "texts"])
@pytest.mark.parametrize("path", SOCKETS.values(), ids=SOCKETS.keys())
def test_input_after_a_flood_of_frames_is_not_parsed(target: ServerProcess, path: str, opcode: int) -> None:
    """Parsing it took 0.4 s per MB, until the connection was cut off five seconds after its close."""
    with Raw(target) as flooding:
        url = path.format(token=target.token("flooding"), key=target.key)
        flooding.send(request(url, **HANDSHAKE))
        assert flooding.read_head()[0] == 101
        before = cpu_seconds(target)
        flooding.flood(frame(opcode) * 10_000, 12_000_000)
        assert cpu_seconds(target) - before < 1


@pytest.mark.parametrize(
    ("path", "control"),
    [
        (SOCKETS["native"], frame(PING, b"x")),
        (SOCKETS["socketio"], frame(PONG, b"x")),
        (SOCKETS["socketio"], frame(TEXT, b"6")),
    ],
    ids=["native", "socketio", "engineio"],
)
def test_pings_and_pongs_have_a_lower_limit_than_messages(target: ServerProcess, path: str, control: bytes) -> None:
    """They are answered at once: the connections of one recipient could have 20,000 of them handled in a second."""
    with RawSocket(target) as flooding:
        flooding.send(request(path.format(token=target.token("flooding")), **HANDSHAKE))
        assert flooding.read_head()[0] == 101
        flooding.send(control * 100, close(1000))
        assert flooding.closed() == 4429


@pytest.mark.parametrize("dialect", ["native", "socketio"])
def test_heartbeat_passes_beside_messages_whatever_their_limit(
    start_server: Callable[..., ServerProcess], dialect: str
) -> None:
    server = start_server(BELLCAST_LIMIT_FRAMES_PER_SECOND="5")
    with RawSocket(server) as client:
        client.send(request(SOCKETS[dialect].format(token=server.token("active")), **HANDSHAKE))
        assert client.read_head()[0] == 101
        client.send(frame(PONG, b"x") * 5, close(1000))
        assert client.closed() == 1000


def test_flood_of_subscribes_and_publishes_does_not_delay_others(slow_app: ServerProcess) -> None:
    claims = {"topics": ["*"], "publish": ["*"]}
    with raw_websocket(slow_app, "flood", claims=claims) as flood, websocket(slow_app, "calm") as regular:
        regular.next()
        commands = [
            {"type": "subscribe", "topics": ["presence-a", "b"]},
            {"type": "publish", "topic": "b", "name": "n", "data": 1},
            {"type": "typing", "topic": "b", "on": True},
            {"type": "unsubscribe", "topics": ["presence-a", "b"]},
        ]
        flood.send(b"".join(frame(TEXT, json.dumps(one).encode()) for one in commands) * 1_000)
        slowest = 0.0
        for _ in range(20):
            started = cpu_seconds(slow_app)
            assert regular.ask("ping")["type"] == "pong"
            slowest = max(slowest, cpu_seconds(slow_app) - started)
        assert slowest < 2
        replies = [flood.next()["type"] for _ in range(4_000)]
        assert set(replies) == {"ack"}


@pytest.mark.thorough
def test_refusal_of_thousands_of_topics_is_bounded_in_size(target: ServerProcess) -> None:
    names = [f"t{number}" for number in range(6_000)]
    with websocket(target, "greedy", claims={"topics": ["t*"]}, topics=",".join(names[:5_000])) as bell:
        ready = bell.next()
        assert ready["topics"] == names[:100]
        assert {one["code"] for one in ready["refused"]} == {"too_many"}
        assert bell.ask("unsubscribe", topics=names)["type"] == "ack"
        ack = bell.ask("subscribe", topics=names)
        assert (len(ack["topics"]), len(ack["refused"])) == (100, 1)
        assert "the 5899 after it" in ack["refused"][-1]["message"]
        assert len(ready["refused"]) == 1
        assert bell.ask("subscribe", topics=["t" * 165])["code"] == "invalid"


# --- early disconnects


def test_client_that_vanishes_during_the_connect_handler_leaves_nothing_behind(slow_app: ServerProcess) -> None:
    for number in range(3):
        with RawSocket(slow_app) as aborted:
            aborted.send(upgrade(slow_app, f"slow{number}"))
            assert aborted.read_head()[0] == 101
            aborted.reset()
    with raw_websocket(slow_app, "slow-but-there"):
        assert eventually(lambda: live(slow_app) == 1)
    assert eventually(lambda: live(slow_app) == 0)


def test_concurrent_handshakes_count_towards_the_limit(slow_app: ServerProcess) -> None:
    """Twelve concurrent handshakes from one address, with a limit of five."""
    connections = [RawSocket(slow_app) for _ in range(12)]
    for number, connection in enumerate(connections):
        connection.send(upgrade(slow_app, f"slow{number}"))
    first_frames = [connection.next()["type"] for connection in connections if connection.read_head()[0] == 101]
    assert (first_frames.count("ready"), live(slow_app)) == (5, 5)
    for connection in connections:
        connection.socket.close()
    assert eventually(lambda: live(slow_app) == 0)


@pytest.mark.parametrize(("last_frame", "unread"), [(close(1000), 0), (b"", 0), (b"\x81\x02hi", 1)])
def test_frames_before_a_disconnect_are_handled_unless_the_server_closes(
    slow_app: ServerProcess, last_frame: bytes, unread: int
) -> None:
    """A page marks a notification as read and then closes, or violates the protocol first."""
    recipient = f"leaving{len(last_frame)}"
    commands = [{"type": "call", "name": "slow", "data": {"for": 0.2}}, {"type": "read", "all": True}]
    with httpx.Client(base_url=slow_app.url, headers=slow_app.as_app()) as app:
        app.post("/v1/notifications", json={"to": recipient, "title": "Hello"})
    with raw_websocket(slow_app, recipient) as bell:
        bell.send(*(frame(TEXT, json.dumps(one).encode()) for one in commands), last_frame)
    with raw_websocket(slow_app, "slow-down"):  # a second later, all pending work is done
        assert eventually(lambda: _unread(slow_app, recipient) == unread)


def test_frames_pending_at_a_revocation_are_discarded(slow_app: ServerProcess) -> None:
    with httpx.Client(base_url=slow_app.url, headers=slow_app.as_app()) as app:
        app.post("/v1/notifications", json={"to": "revoked", "title": "Hello"})
        with raw_websocket(slow_app, "revoked") as bell:
            bell.send_frame("call", name="slow", data={"for": 2})  # longer than the revocation takes
            bell.send_frame("read", all=True)
            bell.send_frame("ping")
            assert app.delete("/v1/recipients/revoked/sessions").status_code == 204
            assert bell.until("close")["reason"] == "revoked"
            bell.send(close(1000))
            assert bell.hangs_up()
        for _ in range(3):  # a second each, after which all pending work is done
            with raw_websocket(slow_app, "slow-down"):
                assert _unread(slow_app, "revoked") == 1


def _unread(server: ServerProcess, recipient: str) -> int:
    headers = server.as_recipient(recipient)
    unread: int = httpx.get(f"{server.url}/v1/inbox/counts", headers=headers).json()["unread"]
    return unread
