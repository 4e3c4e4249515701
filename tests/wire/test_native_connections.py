"""Connections of the native dialect on real sockets: credentials, limits, heartbeats and their end."""

import contextlib
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.faults.raw_sockets import eventually
from tests.servers import ServerProcess
from tests.wire.clients import stream, websocket
from tests.wire.test_native import notify


def test_bad_credentials_are_a_close_frame_on_websocket_and_a_status_on_sse(
    bellcast_server: ServerProcess, alice: str
) -> None:
    with websocket(bellcast_server, None, token="forged") as bell:
        assert bell.next() == {"type": "close", "code": 4401, "reason": "unauthenticated", "reconnect": False}
        with pytest.raises(ConnectionClosed) as closed:
            bell.next()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
    with stream(bellcast_server, None, token="forged") as refused:
        assert refused.status == 401
    with websocket(bellcast_server, None, token=bellcast_server.secret) as bell:
        assert bell.next()["code"] == 4403


def test_revocation_closes_connections_and_refuses_older_tokens(
    bellcast_server: ServerProcess, http: httpx.Client, alice: str
) -> None:
    with websocket(bellcast_server, alice) as bell, stream(bellcast_server, alice) as page:
        bell.next(), page.next()
        old = bellcast_server.token(alice)
        assert http.delete(f"/v1/recipients/{alice}/sessions").status_code == 204
        close = bell.next()
        assert (close["code"], close["reason"], close["reconnect"]) == (4401, "revoked", False)
        assert page.next()["reason"] == "revoked"
        assert page.ends()
    with stream(bellcast_server, None, token=old) as refused:
        assert refused.status == 204
    with websocket(bellcast_server, alice) as fresh:
        assert fresh.next()["type"] == "ready"


def test_timeline_shows_when_a_notification_was_written_to_connections(
    bellcast_server: ServerProcess, http: httpx.Client, alice: str
) -> None:
    def writes(id: str) -> list[str]:
        entries = http.get(f"/v1/notifications/{id}").json()["timeline"]
        return [entry["detail"].partition(" on node ")[0] for entry in entries if entry["what"] == "written"]

    with websocket(bellcast_server, alice) as bell, stream(bellcast_server, alice) as page:
        bell.until("ready"), page.until("ready")
        first = notify(http, alice)
        position = bell.until("notification")["position"]
        page.until("notification")
        assert writes(first) == ["to 2 connections"]
    assert eventually(lambda: not http.get("/v1/connections", params={"recipient": alice}).json()["connections"])
    missed = notify(http, alice)
    assert writes(missed) == []
    with websocket(bellcast_server, alice, position=position) as bell:
        bell.until("notification")
        assert writes(missed) == ["to 1 connection"]
    facts = http.get("/v1/explain", params={"recipient": alice}).json()["facts"]
    assert {fact["notification"] for fact in facts if fact["what"] == "written"} == {first, missed}


def test_session_ends_with_its_token_unless_renewed(start_server: Callable[..., ServerProcess], alice: str) -> None:
    server = start_server(BELLCAST_HEARTBEAT="5s")
    with websocket(server, alice, ttl=4) as renewed:
        renewed.next()
        assert renewed.ask("auth", token="nonsense")["code"] == "unauthenticated"
        assert renewed.ask("auth", token=server.token("somebody-else"))["code"] == "forbidden"
        assert renewed.ask("auth", token=server.token(alice))["type"] == "ack"
        with websocket(server, alice, ttl=4) as short:  # ends later than the other's first token would have
            assert short.until("close")["code"] == 4402
        assert renewed.ask("ping")["type"] == "pong"


@pytest.mark.thorough
def test_heartbeats_fill_silence_and_carry_no_id(start_server: Callable[..., ServerProcess], alice: str) -> None:
    server = start_server(BELLCAST_HEARTBEAT="1500ms")  # a missing pong closes after two of them
    with stream(server, alice) as page, websocket(server, alice) as bell:
        assert page.next()["heartbeat"] == 1.5
        beat = page.receive()
        assert (beat["type"], beat["sse_id"]) == ("heartbeat", None)
        assert "time" in beat
        bell.next()
        assert bell.receive()["type"] == "heartbeat"


def test_connection_beyond_the_limit_is_closed_with_a_retry_delay(
    start_server: Callable[..., ServerProcess], alice: str
) -> None:
    server = start_server(BELLCAST_LIMIT_CONNECTIONS_PER_RECIPIENT="1")
    with websocket(server, alice) as first:
        first.next()
        with websocket(server, alice) as second:
            assert second.next() == {
                "type": "close",
                "code": 4409,
                "reason": "too_many_connections",
                "reconnect": True,
                "after": 60_000,
            }
        with stream(server, alice) as third:
            assert third.status == 200
            assert third.next()["code"] == 4409
        with websocket(server, "another") as other:
            assert other.next()["type"] == "ready"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("nonsense", "bad_request"),
        ("[]", "invalid"),
        ('{"type":"fly","ref":1}', "invalid"),
        ('{"type":"subscribe","ref":1}', "invalid"),
        ('{"type":"subscribe","topics":"a","ref":1}', "invalid"),
        ('{"type":"read","ids":["x"],"all":true,"ref":1}', "invalid"),
        ('{"type":"read","ref":1}', "invalid"),
        ('{"type":"publish","topic":"a b","name":"x","ref":1}', "invalid"),
        ('{"type":"call","name":"nobody","ref":1}', "no_handler"),
        ('{"type":"ping","more":1,"ref":1}', "invalid"),
    ],
)
def test_bad_frame_is_an_error_and_keeps_the_connection(
    bellcast_server: ServerProcess, alice: str, frame: str, code: str
) -> None:
    with websocket(bellcast_server, alice, claims={"publish": ["*"]}) as bell:
        bell.next()
        bell.raw.send(frame)
        error = bell.next()
        assert (error["type"], error["code"]) == ("error", code)
        if '"ref"' in frame:
            assert error["ref"] == 1
        assert bell.ask("ping")["type"] == "pong"


def test_oversized_frame_closes_with_4413(bellcast_server: ServerProcess, alice: str) -> None:
    with websocket(bellcast_server, alice) as bell:
        bell.next()
        bell.raw.send("x" * 70_000)
        assert bell.until("close")["code"] == 4413


def test_flood_of_frames_closes_with_4429(start_server: Callable[..., ServerProcess], alice: str) -> None:
    server = start_server(BELLCAST_LIMIT_FRAMES_PER_SECOND="20")
    with websocket(server, alice) as bell:
        bell.next()
        with contextlib.suppress(ConnectionClosed):  # it may be closed before the last frame is sent
            for _ in range(60):
                bell.send("ping")
        assert bell.until("close")["code"] == 4429


def test_refusal_of_many_topics_is_short(bellcast_server: ServerProcess, alice: str) -> None:
    with websocket(bellcast_server, alice) as bell:
        bell.next()
        refusal = bell.ask("subscribe", topics=[f"t{number}" for number in range(6_000)])
    assert (refusal["type"], refusal["code"]) == ("error", "forbidden")
    assert refusal["message"].startswith("t0: ")
    assert refusal["message"].endswith("; and 96 more topics.")
    assert len(refusal["message"]) < 1_500


def test_small_fragments_count_as_frames(start_server: Callable[..., ServerProcess], alice: str) -> None:
    server = start_server(BELLCAST_LIMIT_FRAMES_PER_SECOND="20")
    with websocket(server, alice) as bell:
        bell.next()
        with contextlib.suppress(ConnectionClosed):
            bell.raw.send(["x"] * 60)
        assert bell.until("close")["code"] == 4429


def test_undeclared_origin_is_refused_before_the_handshake(
    start_server: Callable[..., ServerProcess], alice: str
) -> None:
    server = start_server(BELLCAST_ORIGINS="https://shop.example")
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    url = f"{server.url}/v1/ws?token={server.token(alice)}"
    assert httpx.get(url, headers={**handshake, "Origin": "https://evil.example"}).status_code == 403
    with httpx.stream("GET", url.replace("/ws", "/stream"), headers={"Origin": "https://shop.example"}) as response:
        assert response.headers["access-control-allow-origin"] == "https://shop.example"


def test_plain_request_on_the_websocket_path_is_426(bellcast_server: ServerProcess) -> None:
    response = httpx.get(f"{bellcast_server.url}/v1/ws")
    assert (response.status_code, response.headers["sec-websocket-version"]) == (426, "13")
    assert httpx.post(f"{bellcast_server.url}/v1/stream").status_code == 405


def test_sigterm_closes_connections_for_a_reconnect_and_exits_0(
    start_server: Callable[..., ServerProcess], alice: str
) -> None:
    server = start_server(BELLCAST_DRAIN="1")
    with websocket(server, alice) as bell, stream(server, alice) as page:
        bell.next(), page.next()
        assert server.stop() == 0
        close = bell.next()
        assert (close["code"], close["reconnect"]) == (1012, True)
        assert close["after"] >= 100
        assert page.next()["reason"] == "restarting"


@pytest.mark.thorough
def test_expired_notification_disappears_from_live_inboxes(
    bellcast_server: ServerProcess, http: httpx.Client, alice: str
) -> None:
    from datetime import UTC, datetime, timedelta

    with websocket(bellcast_server, alice) as bell:
        bell.next()
        soon = datetime.now(UTC) + timedelta(seconds=5)
        id = notify(http, alice, expires_at=soon.isoformat())
        assert bell.next()["unread"] == 1
        deleted = bell.next()
        assert (deleted["type"], deleted["id"], deleted["unread"]) == ("notification-delete", id, 0)


@pytest.mark.thorough
def test_silent_client_that_answers_pings_stays(start_server: Callable[..., ServerProcess], alice: str) -> None:
    server = start_server(BELLCAST_HEARTBEAT="2s")  # a missing pong closes after two of them
    with websocket(server, alice) as bell:
        bell.next()
        assert [bell.receive()["type"] for _ in range(4)] == ["heartbeat"] * 4


def test_client_that_answers_no_ping_is_closed_with_4408(
    start_server: Callable[..., ServerProcess], alice: str
) -> None:
    server = start_server(BELLCAST_HEARTBEAT="400ms")
    parts = server.url.removeprefix("http://").split(":")
    with socket.create_connection((parts[0], int(parts[1])), timeout=60) as silent:
        lines = [
            f"GET /v1/ws?token={server.token(alice)} HTTP/1.1",
            "Host: bell",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ]
        silent.sendall("\r\n".join([*lines, "", ""]).encode())
        received = b""
        while b'"code":4408' not in received:
            received += silent.recv(4096) or pytest.fail(f"closed without a word: {received!r}")
        assert b'"reconnect":true' in received


def test_stream_allows_cors_requests_with_a_token_header(bellcast_server: ServerProcess) -> None:
    headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    preflight = httpx.options(f"{bellcast_server.url}/v1/stream", headers=headers)
    assert preflight.status_code == 204
    assert "last-event-id" in preflight.headers["access-control-allow-headers"].lower()
    refused = httpx.post(f"{bellcast_server.url}/v1/stream")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, OPTIONS")


@pytest.mark.parametrize("follow", [stream, websocket])
def test_unknown_query_parameter_of_a_live_connection_is_ignored(
    bellcast_server: ServerProcess, alice: str, follow: Callable[..., Any]
) -> None:
    with follow(bellcast_server, alice, lastEventId="7") as bell:
        assert bell.next()["resumed"] is False


@pytest.mark.parametrize(("topic", "code"), [("b!d", "invalid"), ("room-9", "forbidden")])
def test_subscribe_without_any_granted_topic_is_an_error(
    bellcast_server: ServerProcess, alice: str, topic: str, code: str
) -> None:
    with websocket(bellcast_server, alice) as bell:
        bell.next()
        assert bell.ask("subscribe", topics=[topic])["code"] == code


def test_narrower_token_narrows_the_followed_topics(
    bellcast_server: ServerProcess, http: httpx.Client, alice: str
) -> None:
    with websocket(bellcast_server, alice, topics="wide-a,wide-b", claims={"topics": ["wide-*"]}) as bell:
        bell.next()
        assert bell.ask("auth", token=bellcast_server.token(alice, topics=["wide-a"]))["type"] == "ack"
        http.post("/v1/events", json={"topics": ["wide-b", "wide-a"], "name": "heard"})
        assert bell.next()["topic"] == "wide-a"
        assert bell.ask("ping")["type"] == "pong"


def test_erased_recipient_loses_its_sessions_also_when_created_again(
    bellcast_server: ServerProcess, http: httpx.Client, alice: str
) -> None:
    notify(http, alice)
    old = bellcast_server.token(alice)
    assert http.delete(f"/v1/recipients/{alice}").status_code == 204
    response = httpx.get(f"{bellcast_server.url}/v1/inbox", headers={"authorization": f"Bearer {old}"})
    assert response.status_code == 401
    with websocket(bellcast_server, alice) as fresh:
        assert fresh.next()["unread"] == 0
