"""Hostile Socket.IO clients harm only themselves."""

import contextlib
import json
import random
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from bellcast.live.socketio.endpoint import MAX_UNJOINED_SESSIONS_PER_ADDRESS
from bellcast.live.socketio.engine_session import MAX_NAMESPACES
from tests.faults.fuzzing import ALLOWED, TIMEOUT, growth_of, mangled, resident
from tests.faults.raw_sockets import cpu_seconds, eventually, unharmed
from tests.servers import ServerProcess
from tests.thoroughness import sampled
from tests.wire.clients import websocket

WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
POLLING = "/socket.io/?EIO=4&transport=polling"
SETTINGS = {
    "BELLCAST_HANDLERS": "tests.wire.echoes:handlers",
    "BELLCAST_ANONYMOUS": "allow",
    "BELLCAST_SOCKETIO_PING_INTERVAL": "500ms",
    "BELLCAST_SOCKETIO_PING_TIMEOUT": "2s",
}
# For clients that do not respond to pings: on a loaded machine a step may take seconds.
PATIENT = SETTINGS | {"BELLCAST_SOCKETIO_PING_INTERVAL": "5m"}
SEEDS = [
    "2", "3", "40", '40{"token":"x"}', "40/custom,", "41", '42["message",1]', '427["message-with-ack",{"a":[1,2]}]', "430[]",
    '451-["message",{"_placeholder":true,"num":0}]', '461-0[{"_placeholder":true,"num":0}]', "5", "6", "1", '42["subscribe",["x"]]',
    '42["read",{"all":true}]', '42/room-1,["message"]', "40/room-1,", '42["ping"]', '40{"pid":"AAAA","offset":"1-1"}',
]  # fmt: skip


@pytest.fixture
def server(start_server: Callable[..., ServerProcess]) -> ServerProcess:
    return start_server(**SETTINGS)


@pytest.fixture
def patient(start_server: Callable[..., ServerProcess]) -> ServerProcess:
    return start_server(**PATIENT)


def fuzz_websocket(server: ServerProcess, rng: random.Random) -> None:
    try:
        with connect(server.url.replace("http", "ws") + WEBSOCKET, close_timeout=1) as connection:
            for _ in range(rng.randrange(1, 12)):
                connection.send(mangled(rng, SEEDS))
            connection.recv(timeout=0.01)
    except (ConnectionClosed, TimeoutError):
        pass


def fuzz_polling(http: httpx.Client, rng: random.Random) -> None:
    sid = json.loads(http.get(POLLING).text[1:])["sid"]
    parts = [mangled(rng, SEEDS) for _ in range(rng.randrange(1, 12))]
    body = b"\x1e".join(connection if isinstance(connection, bytes) else connection.encode() for connection in parts)
    assert http.post(f"{POLLING}&sid={sid}", content=body).status_code in (200, 400)


@pytest.mark.timeout(TIMEOUT)
@pytest.mark.thorough
def test_fuzzed_message_harms_neither_the_server_nor_other_clients(server: ServerProcess) -> None:
    rng = random.Random(4)
    with httpx.Client(base_url=server.url) as http:

        def attack() -> None:
            fuzz_websocket(server, rng)
            fuzz_polling(http, rng)

        assert growth_of(server, attack) < ALLOWED
        assert http.get("/healthz").status_code == 200
    assert unharmed(server)
    assert echoes(server)


def test_frames_in_single_bytes_are_handled(patient: ServerProcess) -> None:
    head = (
        f"GET {WEBSOCKET} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", patient.port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        send_in_single_bytes(connection, head.encode() + masked(b"40"), response=b'"auth"')
        send_in_single_bytes(connection, masked(b'42["message","slowly"]'), response=b'["message-back","slowly"]')


def send_in_single_bytes(connection: socket.socket, payload: bytes, response: bytes) -> None:
    for byte in range(len(payload)):
        connection.sendall(payload[byte : byte + 1])
    received = b""
    while response not in received:
        data = connection.recv(4096)
        assert data, received
        received += data


@pytest.mark.parametrize("cut", [1, 7, 2 + 4, 9])
def test_frames_split_and_joined_anywhere_are_handled_the_same(patient: ServerProcess, cut: int) -> None:
    whole = b"".join(masked(f'42["message",{number}]'.encode()) for number in range(20))
    with connect(patient.url.replace("http", "ws") + WEBSOCKET) as connection:
        connection.recv()
        connection.send("40")
        connection.recv(), connection.recv()
        for start in range(0, len(whole), cut):
            connection.socket.sendall(whole[start : start + cut])
        received = [connection.recv(timeout=60) for _ in range(20)]
    assert received == [f'42["message-back",{number}]' for number in range(20)]


BODY = '40\x1e42["message","é"]\x1e451-["message",{"_placeholder":true,"num":0}]\x1ebAQID\x1e41'.encode()


def test_truncated_body_is_handled_or_refused(server: ServerProcess) -> None:
    with httpx.Client(base_url=server.url) as http:
        for end in range(len(BODY) + 1):
            sid = json.loads(http.get(POLLING).text[1:])["sid"]
            assert http.post(f"{POLLING}&sid={sid}", content=BODY[:end]).status_code in (200, 400)
    assert unharmed(server)
    assert echoes(server)


def test_aborted_body_ends_only_its_session(server: ServerProcess) -> None:
    head = f"POST {POLLING}&sid=%s HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n"
    with httpx.Client(base_url=server.url) as http:
        for end in range(len(BODY)):
            sid = json.loads(http.get(POLLING).text[1:])["sid"]
            with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
                connection.sendall(head.replace("%s", sid).encode() + BODY[:end])
            assert eventually(lambda sid=sid: http.post(f"{POLLING}&sid={sid}", content="3").status_code == 400)
    assert unharmed(server)
    assert echoes(server)


def test_flood_of_topics_and_namespaces_stops_at_the_limits(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(**PATIENT, BELLCAST_LIMIT_FRAMES_PER_SECOND="0")
    with connect(server.url.replace("http", "ws") + WEBSOCKET) as connection:
        connection.recv()
        connection.send("40" + json.dumps({"token": server.token("greedy", topics=["t*"])}))
        until(connection, "40")
        connection.send("420" + json.dumps(["subscribe", [f"t{number}" for number in range(10_000)]]))
        reply = ack(connection, "430")
        assert (len(reply["topics"]), {connection["code"] for connection in reply["refused"]}) == (99, {"too_many"})
        connection.send("421" + json.dumps(["subscribe", "t10000"]))
        assert ack(connection, "431")["error"]["code"] == "too_many"
        for number in range(10_000):
            connection.send(f"40/room-{number},")
        connection.send('422["ping"]')
        received = until(connection, "432")
        assert sum(packet.startswith("40/room-") for packet in received) == 99
        assert sum(packet.startswith("44/room-") and "Too many namespaces" in packet for packet in received) == 9_901
        assert echoes(server)
    assert unharmed(server)


@pytest.mark.thorough
@pytest.mark.parametrize("packet", sampled([b'42["unhandled event"]', b"3", b"6", b"430[]"]))
def test_body_with_the_maximum_of_packets_does_not_delay_others(
    start_server: Callable[..., ServerProcess], packet: bytes
) -> None:
    server = start_server(**PATIENT, BELLCAST_LIMIT_FRAMES_PER_SECOND="0")
    body = b"\x1e".join([packet] * (1_000_000 // (len(packet) + 1)))
    with httpx.Client(base_url=server.url, timeout=60) as http, websocket(server, "calm") as calm:
        sid = json.loads(http.get(POLLING).text[1:])["sid"]
        assert http.post(f"{POLLING}&sid={sid}", content="40").status_code == 200
        http.get(f"{POLLING}&sid={sid}")
        with ThreadPoolExecutor(1) as other:
            flood = other.submit(http.post, f"{POLLING}&sid={sid}", content=body)
            slowest = 0.0
            while not flood.done():
                started = cpu_seconds(server)
                assert calm.ask("ping")["type"] == "pong"
                slowest = max(slowest, cpu_seconds(server) - started)
        assert flood.result().status_code == 200
        assert slowest < 1.5


def until(connection: ClientConnection, start: str) -> list[str]:
    """Return the packets up to the first with that start."""
    received = [next_packet(connection)]
    while not received[-1].startswith(start):
        received.append(next_packet(connection))
    return received


def next_packet(connection: ClientConnection) -> str:
    """Respond to pings, and return the next packet."""
    while (packet := str(connection.recv(timeout=60))) == "2":
        connection.send("3")
    return packet


def ack(connection: ClientConnection, start: str) -> dict[str, Any]:
    """Return the first argument of an ack."""
    argument: dict[str, Any] = json.loads(until(connection, start)[-1].removeprefix(start))[0]
    return argument


@pytest.mark.thorough
def test_large_packets_wait_for_a_slow_handler_outside_of_the_server(patient: ServerProcess) -> None:
    large = ",".join(["[]"] * 320_000)
    with (
        connect(patient.url.replace("http", "ws") + WEBSOCKET, max_queue=None) as connection,
        ThreadPoolExecutor(1) as other,
    ):
        connection.recv()
        connection.send("40")
        until(connection, '42["auth"')
        before = resident(patient)
        sending = other.submit(lambda: [connection.send(f'42{number}["slowly",{large}]') for number in range(12)])
        peak = 0
        for number in range(12):
            assert until(connection, "43")[-1] == f"43{number}[320000]"
            peak = max(peak, resident(patient))
        sending.result()
    assert peak - before < 150_000  # KiB: each has 22 MB
    assert echoes(patient)


def test_packets_of_namespaces_that_were_left_wait_outside_of_the_server(patient: ServerProcess) -> None:
    url, large = patient.url.replace("http", "ws") + WEBSOCKET, "x" * 900_000
    with connect(url, max_queue=None) as connection, connect(url) as other:
        connection.recv()
        for _ in range(12):
            connection.send("40")
            until(connection, '42["auth"')
            connection.send(f'42["count","{large}"]')
            connection.send("41")
        other.recv()
        other.send("40")
        until(other, '42["auth"')
        other.send('421["most"]')
        # None, if each packet was dropped with its namespace before its handler began.
        assert until(other, "431")[-1] in ("431[0]", "431[1]", "431[2]", "431[3]")
    assert echoes(patient)


@pytest.mark.parametrize("packet", ['40{"a":%s}', '42["message",%s]', '4210["message-with-ack",%s]', "430[%s]"])
def test_deep_nesting_closes_the_connection(server: ServerProcess, packet: str) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    with connect(server.url.replace("http", "ws") + WEBSOCKET) as connection:
        connection.recv()
        if not packet.startswith("40"):
            connection.send("40")
            connection.recv(), connection.recv()
        connection.send(packet.replace("%s", deep))
        with pytest.raises(ConnectionClosed):
            until(connection, "never")
    assert unharmed(server)
    assert echoes(server)


def test_reply_that_is_nested_too_deeply_loses_no_other_event(patient: ServerProcess) -> None:
    with connect(patient.url.replace("http", "ws") + WEBSOCKET) as connection:
        connection.recv()
        connection.send("40")
        until(connection, '42["auth"')
        connection.send(f'421["message-with-ack",{"[" * 700}{"]" * 700}]')
        connection.send('422["message-with-ack",2]')
        assert until(connection, "432")[-1] == "432[2]"
    assert unharmed(patient)


@pytest.mark.parametrize("event", ['"publish",{"topic":"x","name":"n","data":[%s]}', '"message",[%s]'])
def test_attachment_named_by_many_placeholders_closes_the_connection(server: ServerProcess, event: str) -> None:
    before = resident(server)
    with connect(server.url.replace("http", "ws") + WEBSOCKET) as connection:
        connection.recv()
        connection.send("40")
        connection.recv(), connection.recv()
        connection.send("451-7[" + event.replace("%s", ",".join(['{"_placeholder":true,"num":0}'] * 300)) + "]")
        connection.send(b"x" * 990_000)
        with pytest.raises(ConnectionClosed):
            until(connection, "never")
    assert resident(server) - before < 20_000  # KiB: 300 copies in base64 were 396 MB
    assert echoes(server)


def test_publish_refuses_binary_values_and_checks_permission_first(server: ServerProcess) -> None:
    with connect(server.url.replace("http", "ws") + WEBSOCKET) as connection:
        connection.recv()
        connection.send("40" + json.dumps({"token": server.token("greedy", publish=["mine"])}))
        until(connection, "40")
        connection.send('451-1["publish",{"topic":"mine","name":"n","data":{"_placeholder":true,"num":0}}]')
        connection.send(b"x")
        assert "binary" in ack(connection, "431")["error"]["message"]
        connection.send("422" + json.dumps(["publish", {"topic": "theirs", "name": "n", "data": "x" * 500_000}]))
        assert ack(connection, "432")["error"]["code"] == "forbidden"
        connection.send("424" + json.dumps(["publish", {"topic": "mine", "name": "notification", "data": {}}]))
        assert "only the server sends" in ack(connection, "434")["error"]["message"]
        connection.send("423" + json.dumps(["publish", {"topic": "mine", "name": "n", "data": "x" * 500_000}]))
        assert ack(connection, "433")["error"]["code"] == "invalid"


@pytest.mark.thorough
def test_reader_that_does_not_read_is_closed_and_others_still_receive(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(BELLCAST_LIMIT_UNSENT="100000", BELLCAST_LIMIT_EVENT_DATA="60000")
    with (
        connect(server.url.replace("http", "ws") + WEBSOCKET, max_queue=1, close_timeout=1) as unread,
        connect(server.url.replace("http", "ws") + WEBSOCKET) as reading,
        httpx.Client(base_url=server.url, headers=server.as_app()) as http,
    ):
        for connection in (unread, reading):
            connection.recv()
            connection.send("40" + json.dumps({"token": server.token("alice")}))
            assert str(connection.recv()).startswith("40")
        sid = json.loads(httpx.get(server.url + POLLING).text[1:])["sid"]
        http.post(f"{POLLING}&sid={sid}", content="40" + json.dumps({"token": server.token("alice")}))
        assert eventually(lambda: len(http.get("/v1/connections").json()["connections"]) == 3)
        for _ in range(300):
            http.post("/v1/events", json={"recipient": "alice", "name": "big", "data": "x" * 50_000})
            while not str(reading.recv(timeout=60)).startswith('42["big"'):
                pass
            if len(http.get("/v1/connections").json()["connections"]) == 1:
                break
        else:
            raise AssertionError("the deaf are still held")


@pytest.mark.thorough
def test_unjoined_sessions_are_limited_per_address(patient: ServerProcess) -> None:
    with httpx.Client(base_url=patient.url) as http:
        sids = []
        while (response := http.get(POLLING)).status_code == 200:
            sids.append(json.loads(response.text[1:])["sid"])
        assert len(sids) == MAX_UNJOINED_SESSIONS_PER_ADDRESS
        assert (response.status_code, response.json()["code"]) == (429, 4)
        with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")) as elsewhere:
            assert elsewhere.get(patient.url + POLLING).status_code == 200
        assert http.post(f"{POLLING}&sid={sids[0]}", content="40").status_code == 200
        assert http.get(f"{POLLING}&sid={sids[0]}").text.startswith("40")
        assert http.post(f"{POLLING}&sid={sids[1]}", content="1").status_code == 200
        assert [http.get(POLLING).status_code for _ in range(3)] == [200, 200, 429]
        assert http.post(f"{POLLING}&sid={sids[0]}", content="41").status_code == 200  # it has left its namespace
        assert http.post(f"{POLLING}&sid={sids[2]}", content="1").status_code == 200
        assert http.get(POLLING).status_code == 429


def test_websockets_without_a_namespace_count_into_the_limit_of_their_address(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(**PATIENT, BELLCAST_LIMIT_CONNECTIONS_PER_ADDRESS="3")
    with contextlib.ExitStack() as opened, httpx.Client(base_url=server.url) as http:
        sockets = [opened.enter_context(connect(server.url.replace("http", "ws") + WEBSOCKET)) for _ in range(2)]
        session = open_session(http)
        with pytest.raises(InvalidStatus) as refused, connect(server.url.replace("http", "ws") + WEBSOCKET):
            pass
        assert refused.value.response.status_code == 429
        for connection in sockets:  # all of them may join
            connection.recv()
            connection.send("40")
            assert str(connection.recv()).startswith("40")
        assert http.post(session, content="40").status_code == 200
        assert http.get(session).text.startswith("40")
        assert http.get(POLLING).status_code == 429
        sockets[0].close()
        assert eventually(lambda: http.get(POLLING).status_code == 200)


def open_session(http: httpx.Client) -> str:
    """Open a polling session that has no namespace, and return its address."""
    sid = json.loads(http.get(POLLING).text[1:])["sid"]
    return f"{POLLING}&sid={sid}"


def test_unread_output_of_an_unjoined_session_is_limited(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(**PATIENT, BELLCAST_LIMIT_UNSENT="5000")
    refused = "\x1e".join(f"40/{number}{'x' * 150}," for number in range(50))
    with httpx.Client(base_url=server.url) as http:
        session = open_session(http)
        assert http.post(session, content=refused).status_code == 200
        assert http.get(session).status_code == 400


def test_unjoined_session_is_closed_after_many_refused_namespaces(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(**PATIENT, BELLCAST_ACCESS_LOG="errors")
    with httpx.Client(base_url=server.url) as http:
        session = open_session(http)
        before = cpu_seconds(server)
        assert http.post(session, content="\x1e".join(["40/no,"] * 140_000)).status_code == 200
        assert cpu_seconds(server) - before < 0.5
        assert http.get(session).status_code == 400
    assert server.log.read_text().count("Invalid namespace") <= MAX_NAMESPACES
    assert echoes(server)


@pytest.mark.parametrize("packet", ['451-["x",%s]', '42["x",%s]', '40{"a":[%s]}'])
def test_unjoined_session_holds_no_large_packet(patient: ServerProcess, packet: str) -> None:
    large = packet.replace("%s", ",".join(["[]"] * 320_000))
    with httpx.Client(base_url=patient.url, timeout=60) as http:
        assert http.post(open_session(http), content="40/no,").status_code == 200
        before = resident(patient)
        sessions = [open_session(http) for _ in range(5)]
        for session in sessions:
            assert http.post(session, content=large).status_code == 200
        assert resident(patient) - before < 20_000  # KiB: each was 22 MB
        assert [http.get(session).status_code for session in sessions] == [400] * 5
    assert echoes(patient)


def test_websocket_without_a_namespace_holds_no_large_packet(patient: ServerProcess) -> None:
    """Each held 1 MB for 45 s, without credentials. Once it has joined a namespace, it may send as much."""
    large = json.dumps(["message", "x" * 500_000])
    with connect(patient.url.replace("http", "ws") + WEBSOCKET) as connection:
        connection.recv()
        connection.send("42" + large)
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=TIMEOUT)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1009, "a message may have 65536 bytes")
    with connect(patient.url.replace("http", "ws") + WEBSOCKET) as connection:
        connection.recv()
        connection.send("40")
        until(connection, '42["auth"')
        connection.send("42" + large)
        assert until(connection, '42["message-back"')[-1].endswith('xx"]')


def test_handshake_with_large_cookies_is_refused(server: ServerProcess) -> None:
    with httpx.Client(base_url=server.url) as http:
        refused = http.get(POLLING, headers={"cookie": "a=" + "x" * 10_000})
        assert (refused.status_code, refused.json()["code"]) == (431, 3)
        assert "8192 bytes" in refused.json()["message"]
        assert http.get(POLLING, headers={"cookie": "a=" + "x" * 7_000, "x-other": "x" * 10_000}).status_code == 200


@pytest.mark.thorough
def test_incomplete_body_times_out(server: ServerProcess) -> None:
    sid = json.loads(httpx.get(server.url + POLLING).text[1:])["sid"]
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(f"POST {POLLING}&sid={sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n4x".encode())
        assert b" 400 " in connection.recv(4096)
    assert echoes(server)


def echoes(server: ServerProcess) -> bool:
    """Return True if a well-behaved client is served."""
    with connect(server.url.replace("http", "ws") + WEBSOCKET) as connection:
        connection.recv()
        connection.send("40")
        until(connection, '42["auth"')
        connection.send('42["message","fine"]')
        return until(connection, '42["message-back"')[-1] == '42["message-back","fine"]'


def masked(payload: bytes) -> bytes:
    return bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload
