"""Connecting with the Pusher dialect: the first frame, refusals by code, pings, bad input, and ends that pusher-js obeys."""

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
    """A client that never says anything, what it was told and for how long, and one beside it that answers pings."""

    told: Future[tuple[bytes, float]]
    lively: Bare


@pytest.fixture(scope="module", autouse=True)
def silence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Silence]:
    """Pusher's protocol gives half a minute to answer, which passes during the other tests."""
    environ = {"BELLCAST_PUSHER_ACTIVITY_TIMEOUT": "1", "BELLCAST_HEARTBEAT": "5"}
    data = tmp_path_factory.mktemp("silence") / "data"
    with ThreadPoolExecutor(1) as threads, ServerProcess(data, environ) as server, bare(server) as lively:
        yield Silence(threads.submit(_stay_silent, server), lively)


def _stay_silent(server: ServerProcess) -> tuple[bytes, float]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as silent:
        head = f"GET /app/{KEY}?protocol=7 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        silent.sendall((head + key).encode())
        received, began = b"", time.monotonic()
        while chunk := silent.recv(4096):
            received += chunk
        return received, time.monotonic() - began


def test_the_first_frame_is_the_one_every_client_reads(bellcast_server: ServerProcess) -> None:
    with bare(bellcast_server, f"/app/{KEY}?protocol=7&client=js&version=8.6.0&flash=false&unknown=1") as client:
        frame = client.next()
        assert frame["event"] == "pusher:connection_established"
        said = json.loads(frame["data"])
        assert re.fullmatch(r"\d+\.\d+", said["socket_id"])
        assert said["activity_timeout"] == 120


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
def test_what_cannot_be_is_accepted_told_and_closed_with_its_code(
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
def test_protocols_four_to_seven_are_spoken(bellcast_server: ServerProcess, version: int) -> None:
    with bare(bellcast_server, f"/app/{KEY}?protocol={version}") as client:
        assert client.next()["event"] == "pusher:connection_established"


def test_pusher_js_gives_up_where_it_is_told_to(bellcast_server: ServerProcess) -> None:
    with node(bellcast_server) as page:
        page.start("a", key="no-such-app")
        assert page.until("error", name="a")["error"]["code"] == 4001
        assert page.until("state", state="disconnected")
        time.sleep(1.5)  # a client that comes back does so within a second
        assert page.heard("state", state="connecting") == page.heard("state", state="connecting")[:1]


@pytest.mark.parametrize("data", [{}, [], "", "{}", None])
def test_a_ping_is_answered_whatever_it_carries(bellcast_server: ServerProcess, data: object) -> None:
    with bare(bellcast_server) as client:
        client.say("pusher:ping", data)
        assert client.next() == {"event": "pusher:pong", "data": "{}"}


def test_a_ping_without_data_and_a_pong_are_fine(bellcast_server: ServerProcess) -> None:
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
def test_bad_input_is_an_error_without_a_code_and_the_connection_stays(
    bellcast_server: ServerProcess, frame: str
) -> None:
    with bare(bellcast_server) as client:
        client.raw.send(frame)
        error = client.next()
        assert (error["event"], error["data"]["code"]) == ("pusher:error", None)
        assert isinstance(error["data"]["message"], str)
        client.say("pusher:ping", {})
        assert client.next()["event"] == "pusher:pong"


def test_a_binary_frame_is_an_error_and_one_too_large_an_end(bellcast_server: ServerProcess) -> None:
    with bare(bellcast_server) as client:
        client.raw.send(b'{"event":"pusher:ping"}')
        assert client.next()["event"] == "pusher:error"
        client.raw.send("x" * 70_000)
        with pytest.raises(ConnectionClosed) as closed:
            client.next()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


def test_the_data_of_a_subscription_may_be_json_in_a_string(bellcast_server: ServerProcess) -> None:
    with bare(bellcast_server) as client:
        text = json.dumps({"channel": "private-s", "auth": sign(bellcast_server, f"{client.socket_id}:private-s")})
        client.say("pusher:subscribe", text)
        assert client.next()["event"] == "pusher_internal:subscription_succeeded"


def test_a_members_info_that_no_broker_carries_is_refused(bellcast_server: ServerProcess) -> None:
    info = json.dumps({"user_id": "u", "user_info": {"number": 2**64}})
    with bare(bellcast_server) as client:
        auth = sign(bellcast_server, f"{client.socket_id}:presence-wide:{info}")
        client.say("pusher:subscribe", {"channel": "presence-wide", "auth": auth, "channel_data": info})
        assert "user_info.number" in client.until("pusher:subscription_error")["data"]
        client.sign_in(id="u", user_info={"number": 2**64})
        assert "user_info.number" in client.until("pusher:error")["data"]["message"]


def test_a_frame_cut_at_every_byte_does_no_harm(bellcast_server: ServerProcess) -> None:
    frame = '{"event":"pusher:subscribe","data":{"channel":"presence-x","auth":"a:b","channel_data":"{}"}}'
    with bare(bellcast_server) as client:
        for end in range(len(frame)):
            client.raw.send(frame[:end])
            assert client.next()["event"] == "pusher:error"
            if end % 40 == 39:
                time.sleep(0.3)  # within its frames a second


def test_a_drain_sends_pusher_js_away_to_come_back_and_it_does(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(BELLCAST_PUBLIC_TOPICS="admin", BELLCAST_DRAIN="300ms")
    with node(server) as page:
        first = page.connect("a")
        page.subscribe("a", "admin")
        server.stop()
        assert page.until("state", state="connecting")
        server.start()
        assert page.until("state", state="connected")["socket_id"] != first
        assert page.until("subscribed", channel="admin")


def test_a_drain_closes_with_4200(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(BELLCAST_DRAIN="0")
    with bare(server) as client:
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            client.next()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4200


def test_neither_signed_in_nor_authorized_in_time_is_let_go_where_that_is_asked(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(BELLCAST_PUSHER_AUTHORIZED_WITHIN="500ms", BELLCAST_PUBLIC_TOPICS="admin")
    with bare(server) as nobody, bare(server) as follower, bare(server) as user:
        nobody.say("pusher:subscribe", {"channel": "admin", "auth": ""})
        follower.subscribe("private-a")
        user.sign_in(id="somebody")
        user.until("pusher:signin_success")
        assert nobody.until("pusher:error")["data"]["code"] == 4009
        with pytest.raises(ConnectionClosed) as closed:
            nobody.next()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4009
        for client in (follower, user):
            assert client.settled() is not None


def test_a_foreign_page_is_told_so_and_stays_away(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(BELLCAST_ORIGINS="https://app.example")
    with bare(server, f"/app/{KEY}?protocol=7", Origin="https://evil.example") as client:
        assert client.next()["data"]["code"] == 4009
    with bare(server, f"/app/{KEY}?protocol=7", Origin="https://app.example") as client:
        assert client.next()["event"] == "pusher:connection_established"


@pytest.mark.parametrize("broadcaster", ["pusher", "reverb"])
def test_laravel_echo_listens_whispers_and_joins(start_server: Callable[..., ServerProcess], broadcaster: str) -> None:
    server = start_server(BELLCAST_PUBLIC_TOPICS="admin")
    endpoint = AppEndpoint(server)
    try:
        with node(server, endpoint.url) as page:
            for name in ("a", "b"):
                page.tell("echo", name, {"broadcaster": broadcaster, "key": server.key, **page.options()})
                page.until("state", name=name, state="connected")
            page.tell("listen", "a", "public", "admin", "LeadAssigned")
            page.until("subscribed", name="a", channel="admin")
            event = {"topic": "admin", "name": "App\\Events\\LeadAssigned", "data": {"lead": 7}}
            httpx.post(f"{server.url}/v1/events", headers=server.as_app(), json=event).raise_for_status()
            assert page.until("heard", name="a")["data"] == {"lead": 7}
            for name in ("a", "b"):
                page.tell("listen", name, "private", "chat", ".client-typing")
                page.until("subscribed", name=name, channel="chat")
            page.tell("whisper", "a", "chat", "typing", {"on": True})
            assert page.until("heard", name="b", channel="chat")["data"] == {"on": True}
            endpoint.member = {"user_id": 1, "user_info": {"id": 1, "name": "A"}}
            page.tell("join", "a", "room")
            assert page.until("here", name="a")["here"] == [{"id": 1, "name": "A"}]
            endpoint.member = {"user_id": 2, "user_info": {"id": 2, "name": "B"}}
            page.tell("join", "b", "room")
            assert page.until("joining", name="a")["who"] == {"id": 2, "name": "B"}
            page.tell("disconnect", "b")
            assert page.until("leaving", name="a")["who"] == {"id": 2, "name": "B"}
    finally:
        endpoint.close()


def test_a_silent_client_is_asked_and_let_go_with_4201(silence: Silence) -> None:
    received, lasted = silence.told.result(timeout=120)
    assert b"\x89\x00" in received  # it was pinged
    assert b"\x88" in received
    assert (4201).to_bytes(2) in received
    assert lasted > 29
    assert silence.lively.settled() is not None  # who answers pings stays
