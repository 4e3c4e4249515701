"""Connecting with the Pusher dialect: the first frame, refusals by code, pings, invalid input, and close codes that
pusher-js obeys.
"""

import json
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.servers import PROJECT, ServerProcess
from tests.wire.pusher_clients import AppEndpoint, Bare, bare, node, sign

KEY = PROJECT[1]


class Silence(NamedTuple):
    """The frames and the lifetime of a client that sends nothing, and a connection that responds to pings."""

    outcome: Future[tuple[bytes, float]]
    responsive: Bare


@pytest.fixture(scope="module", autouse=True)
def silence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Silence]:
    """The protocol gives a client half a minute to respond to a ping; it passes during the other tests."""
    environ = {"BELLCAST_PUSHER_ACTIVITY_TIMEOUT": "1", "BELLCAST_HEARTBEAT": "5"}
    data = tmp_path_factory.mktemp("silence") / "data"
    with ThreadPoolExecutor(1) as threads, ServerProcess(data, environ) as server, bare(server) as responsive:
        yield Silence(threads.submit(_stay_silent, server), responsive)


def _stay_silent(server: ServerProcess) -> tuple[bytes, float]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as silent:
        head = f"GET /app/{KEY}?protocol=7 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        silent.sendall((head + key).encode())
        received, started = b"", time.monotonic()
        while chunk := silent.recv(4096):
            received += chunk
        return received, time.monotonic() - started


def test_first_frame_has_the_socket_id_and_the_activity_timeout(bellcast_server: ServerProcess) -> None:
    with bare(bellcast_server, f"/app/{KEY}?protocol=7&client=js&version=8.6.0&flash=false&unknown=1") as client:
        frame = client.next()
        assert frame["event"] == "pusher:connection_established"
        data = json.loads(frame["data"])
        assert re.fullmatch(r"\d+\.\d+", data["socket_id"])
        assert data["activity_timeout"] == 120


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/app/another-key?protocol=7", 4001),
        (f"/app/{KEY}/more?protocol=7", 4001),
        (f"/app/{KEY}?protocol=seven", 4006),
        (f"/app/{KEY}?protocol=", 4006),
        (f"/app/{KEY}?protocol=8", 4007),
        (f"/app/{KEY}?protocol=3", 4007),
        (f"/app/{KEY}?protocol=99999999999999999999", 4007),
        (f"/app/{KEY}", 4008),
    ],
)
def test_invalid_connection_is_accepted_and_closed_with_its_code(
    bellcast_server: ServerProcess, path: str, code: int
) -> None:
    with bare(bellcast_server, path) as client:
        error = client.next()
        assert (error["event"], error["data"]["code"]) == ("pusher:error", code)
        with pytest.raises(ConnectionClosed) as closed:
            client.next()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code


@pytest.mark.parametrize("version", [4, 5, 6, 7])
def test_protocols_four_to_seven_are_supported(bellcast_server: ServerProcess, version: int) -> None:
    with bare(bellcast_server, f"/app/{KEY}?protocol={version}") as client:
        assert client.next()["event"] == "pusher:connection_established"


def test_client_beyond_the_connection_limit_is_refused_before_it_is_established(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(BELLCAST_LIMIT_CONNECTIONS="1")
    with bare(server), bare(server, f"/app/{KEY}?protocol=7") as second:
        error = second.next()
        assert (error["event"], error["data"]["code"]) == ("pusher:error", 4100)


@pytest.mark.thorough
def test_pusher_js_stops_reconnecting_after_a_fatal_code(bellcast_server: ServerProcess) -> None:
    with node(bellcast_server) as page:
        page.start("a", key="no-such-app")
        assert page.until("error", name="a")["error"]["code"] == 4001
        assert page.until("state", state="disconnected")
        time.sleep(1.5)  # pusher-js would reconnect within a second
        assert page.reports("state", state="connecting") == page.reports("state", state="connecting")[:1]


@pytest.mark.parametrize("data", [{}, [], "", "{}", None])
def test_ping_with_any_data_is_answered(bellcast_server: ServerProcess, data: object) -> None:
    with bare(bellcast_server) as client:
        client.send_frame("pusher:ping", data)
        assert client.next() == {"event": "pusher:pong", "data": "{}"}


def test_ping_without_data_is_answered_and_pong_accepted(bellcast_server: ServerProcess) -> None:
    with bare(bellcast_server) as client:
        client.raw.send('{"event":"pusher:pong","data":{}}')
        client.raw.send('{"event":"pusher:ping"}')
        assert client.next()["event"] == "pusher:pong"


@pytest.mark.parametrize(
    "frame",
    [
        "not json",
        "[]",
        "7",
        "{}",
        '{"event":7}',
        '{"event":null,"data":{}}',
        '{"event":"pusher:nonsense","data":{}}',
        '{"event":"pusher_internal:subscription_succeeded","channel":"private-a","data":"{}"}',
        '{"event":"pusher:subscribe"}',
        '{"event":"pusher:subscribe","data":7}',
        '{"event":"pusher:subscribe","data":"not json"}',
        '{"event":"pusher:subscribe","data":{"channel":7}}',
        '{"event":"pusher:subscribe","data":{"channel":"a","auth":{}}}',
        '{"event":"pusher:unsubscribe","data":{}}',
        '{"event":"pusher:signin"}',
        '{"event":"client-x","data":1}',
        '{"event":"client-x","channel":{},"data":1}',
        "[" * 30_000,
        '{"event":"client-x","channel":"private-a","data":' + "[" * 30_000,
    ],
)
def test_invalid_frame_is_an_error_without_a_code_and_keeps_the_connection(
    bellcast_server: ServerProcess, frame: str
) -> None:
    with bare(bellcast_server) as client:
        client.raw.send(frame)
        error = client.next()
        assert (error["event"], error["data"]["code"]) == ("pusher:error", None)
        assert isinstance(error["data"]["message"], str)
        client.send_frame("pusher:ping", {})
        assert client.next()["event"] == "pusher:pong"


def test_binary_frame_is_an_error_and_an_oversized_one_closes(bellcast_server: ServerProcess) -> None:
    with bare(bellcast_server) as client:
        client.raw.send(b'{"event":"pusher:ping"}')
        assert client.next()["event"] == "pusher:error"
        client.raw.send("x" * 70_000)
        with pytest.raises(ConnectionClosed) as closed:
            client.next()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


def test_subscription_data_may_be_a_json_string(bellcast_server: ServerProcess) -> None:
    with bare(bellcast_server) as client:
        text = json.dumps({"channel": "private-s", "auth": sign(bellcast_server, f"{client.socket_id}:private-s")})
        client.send_frame("pusher:subscribe", text)
        assert client.next()["event"] == "pusher_internal:subscription_succeeded"


def test_member_info_with_a_number_beyond_64_bits_is_refused(bellcast_server: ServerProcess) -> None:
    info = json.dumps({"user_id": "u", "user_info": {"number": 2**64}})
    with bare(bellcast_server) as client:
        auth = sign(bellcast_server, f"{client.socket_id}:presence-wide:{info}")
        client.send_frame("pusher:subscribe", {"channel": "presence-wide", "auth": auth, "channel_data": info})
        assert "user_info.number" in client.until("pusher:subscription_error")["data"]
        client.sign_in(id="u", user_info={"number": 2**64})
        assert "user_info.number" in client.until("pusher:error")["data"]["message"]


def test_truncated_frames_are_errors_and_keep_the_connection(bellcast_server: ServerProcess) -> None:
    frame = '{"event":"pusher:subscribe","data":{"channel":"presence-x","auth":"a:b","channel_data":"{}"}}'
    with bare(bellcast_server) as client:
        for end in range(len(frame)):
            client.raw.send(frame[:end])
            assert client.next()["event"] == "pusher:error"
            if end % 40 == 39:
                time.sleep(0.3)  # to stay within the limit of frames per second


@pytest.mark.thorough
def test_pusher_js_reconnects_after_a_drain(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(BELLCAST_PUBLIC_TOPICS="admin", BELLCAST_DRAIN="300ms")
    with node(server) as page:
        first = page.connect("a")
        page.subscribe("a", "admin")
        server.stop()
        assert page.until("state", state="connecting")
        server.start()
        assert page.until("state", state="connected")["socket_id"] != first
        assert page.until("subscribed", channel="admin")


def test_drain_closes_with_4200(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(BELLCAST_DRAIN="0")
    with bare(server) as client:
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            client.next()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4200


@pytest.mark.thorough
def test_unauthorized_connection_is_closed_after_its_time_limit(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(BELLCAST_PUSHER_AUTHORIZED_WITHIN="5s", BELLCAST_PUBLIC_TOPICS="admin")
    with bare(server) as anonymous, bare(server) as follower, bare(server) as user:
        anonymous.send_frame("pusher:subscribe", {"channel": "admin", "auth": ""})
        follower.subscribe("private-a")
        user.sign_in(id="somebody")
        user.until("pusher:signin_success")
        assert anonymous.until("pusher:error")["data"]["code"] == 4009
        with pytest.raises(ConnectionClosed) as closed:
            anonymous.next()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4009
        for client in (follower, user):
            assert client.frames_until_pong() is not None


def test_undeclared_origin_is_closed_with_4009(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(BELLCAST_ORIGINS="https://app.example")
    with bare(server, f"/app/{KEY}?protocol=7", Origin="https://evil.example") as client:
        assert client.next()["data"]["code"] == 4009
    with bare(server, f"/app/{KEY}?protocol=7", Origin="https://app.example") as client:
        assert client.next()["event"] == "pusher:connection_established"


@pytest.mark.parametrize("broadcaster", ["pusher", "reverb"])
def test_laravel_echo_can_listen_whisper_and_join(start_server: Callable[..., ServerProcess], broadcaster: str) -> None:
    server = start_server(BELLCAST_PUBLIC_TOPICS="admin")
    endpoint = AppEndpoint(server)
    try:
        with node(server, endpoint.url) as page:
            for name in ("a", "b"):
                page.run("echo", name, {"broadcaster": broadcaster, "key": server.key, **page.options()})
                page.until("state", name=name, state="connected")
            page.run("listen", "a", "public", "admin", "LeadAssigned")
            page.until("subscribed", name="a", channel="admin")
            event = {"topic": "admin", "name": "App\\Events\\LeadAssigned", "data": {"lead": 7}}
            httpx.post(f"{server.url}/v1/events", headers=server.as_app(), json=event).raise_for_status()
            assert page.until("heard", name="a")["data"] == {"lead": 7}
            for name in ("a", "b"):
                page.run("listen", name, "private", "chat", ".client-typing")
                page.until("subscribed", name=name, channel="chat")
            page.run("whisper", "a", "chat", "typing", {"on": True})
            assert page.until("heard", name="b", channel="chat")["data"] == {"on": True}
            endpoint.member = {"user_id": 1, "user_info": {"id": 1, "name": "A"}}
            page.run("join", "a", "room")
            assert page.until("here", name="a")["here"] == [{"id": 1, "name": "A"}]
            endpoint.member = {"user_id": 2, "user_info": {"id": 2, "name": "B"}}
            page.run("join", "b", "room")
            assert page.until("joining", name="a")["who"] == {"id": 2, "name": "B"}
            page.run("disconnect", "b")
            assert page.until("leaving", name="a")["who"] == {"id": 2, "name": "B"}
    finally:
        endpoint.close()


@pytest.mark.thorough
def test_silent_client_is_pinged_and_closed_with_4201(silence: Silence) -> None:
    received, lasted = silence.outcome.result(timeout=120)
    assert b"\x89\x00" in received  # a ping frame
    assert b"\x88" in received
    assert (4201).to_bytes(2) in received
    assert lasted > 29
    assert silence.responsive.frames_until_pong() is not None  # a client that responds to pings stays connected
