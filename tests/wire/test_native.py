"""The native dialect on real sockets: the contract of `/v1/stream` and `/v1/ws`."""

import contextlib
import itertools
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.servers import ServerProcess
from tests.wire.clients import stream, websocket

names = (f"person{number}" for number in itertools.count())


@pytest.fixture
def alice() -> str:
    """A recipient that no other test uses."""
    return next(names)


@pytest.fixture
def http(bellcast_server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=bellcast_server.url, headers=bellcast_server.as_app()) as client:
        yield client


def notify(http: httpx.Client, to: Any, title: str = "Hello", **fields: Any) -> str:
    response = http.post("/v1/notifications", json={"to": to, "title": title, **fields})
    assert response.status_code == 201, response.text
    body = response.json()
    return body["announcement"]["id"] if "announcement" in body else body["notifications"][0]["id"]


FOLLOWING = [stream, websocket]


@pytest.mark.parametrize("follow", FOLLOWING, ids=["sse", "websocket"])
def test_notification_arrives_with_counters_and_position(
    bellcast_server: ServerProcess, http: httpx.Client, alice: str, follow: Callable[..., Any]
) -> None:
    with follow(bellcast_server, alice) as bell:
        ready = bell.next()
        assert ready["type"] == "ready"
        assert (ready["recipient"], ready["unread"], ready["unseen"]) == (alice, 0, 0)
        assert (ready["resumed"], ready["heartbeat"]) == (False, 25)
        id = notify(http, alice, "New booking", data={"booking": 7})
        received = bell.next()
        assert (received["type"], received["notification"]["id"], received["unread"], received["unseen"]) == (
            "notification",
            id,
            1,
            1,
        )
        assert received["notification"]["data"] == {"booking": 7}
        assert received["position"] != ready["position"]


def test_trailing_slash_is_the_same_path(bellcast_server: ServerProcess, alice: str) -> None:
    token = bellcast_server.token(alice)
    with connect(f"{bellcast_server.url.replace('http', 'ws')}/v1/ws/?token={token}") as bell:
        assert '"ready"' in str(bell.recv(timeout=60))
    with httpx.stream("GET", f"{bellcast_server.url}/v1/stream/?token={token}") as page:
        assert page.status_code == 200
    for path in ("/socket.io", "/socket.io/"):
        assert httpx.get(f"{bellcast_server.url}{path}?EIO=4&transport=polling").text.startswith("0{")


def test_invalid_field_is_named_in_the_error(bellcast_server: ServerProcess, alice: str) -> None:
    with websocket(bellcast_server, alice) as bell:
        bell.until("ready")
        for frame, message in (
            ({"type": "subscribe", "topics": "a"}, "topics: must be a list, got text"),
            ({"type": "subscribe"}, "topics: is required"),
            ({"type": "seen", "all": True, "of": {"kind": "x"}}, "of.kind: is not a known field"),
            ({"type": "dance"}, "type: is an unknown value: 'dance'"),
        ):
            error = bell.ask(**frame)
            assert (error["type"], error["code"], error["message"]) == ("error", "invalid", message)


def test_event_stream_has_the_headers_for_proxies_and_browsers(bellcast_server: ServerProcess, alice: str) -> None:
    with stream(bellcast_server, alice) as bell:
        assert bell.status == 200
        assert bell.headers["content-type"].startswith("text/event-stream")
        assert bell.headers["x-accel-buffering"] == "no"
        assert "no-store" in bell.headers["cache-control"]
        assert 1_500 <= int(bell.block()["retry"]) <= 4_500
        assert bell.next()["sse_id"] is not None


def test_http_1_0_stream_is_not_chunked(bellcast_server: ServerProcess, http: httpx.Client, alice: str) -> None:
    with stream(bellcast_server, alice, version="1.0") as bell:
        assert "transfer-encoding" not in bell.headers
        assert bell.next()["type"] == "ready"
        notify(http, alice)
        assert bell.next()["type"] == "notification"


@pytest.mark.parametrize("follow", FOLLOWING, ids=["sse", "websocket"])
def test_resumed_connection_receives_each_missed_change_once_oldest_first(
    bellcast_server: ServerProcess, http: httpx.Client, alice: str, follow: Callable[..., Any]
) -> None:
    read, deleted = notify(http, alice, "read"), notify(http, alice, "gone")
    with follow(bellcast_server, alice) as bell:
        position = bell.next()["position"]
    new = notify(http, alice, "new")
    browser = bellcast_server.as_recipient(alice)
    http.patch(f"/v1/inbox/{read}", json={"read": True}, headers=browser)
    http.delete(f"/v1/inbox/{deleted}", headers=browser)
    with follow(bellcast_server, alice, position=position) as bell:
        ready = bell.next()
        assert (ready["resumed"], ready["position"], ready["unread"]) == (True, position, 1)
        assert ready.get("sse_id") is None
        events = [bell.next() for _ in range(3)]
        assert [event["type"] for event in events] == ["notification", "notification-update", "notification-delete"]
        assert [events[0]["notification"]["id"], events[1]["notification"]["id"], events[2]["id"]][:2] == [new, read]
        assert {event["unread"] for event in events} == {1}
        live = notify(http, alice, "live")
        assert bell.next()["notification"]["id"] == live


def test_replay_cut_a_second_time_keeps_new_notifications_new(
    bellcast_server: ServerProcess, http: httpx.Client, alice: str
) -> None:
    with websocket(bellcast_server, alice) as bell:
        position = bell.next()["position"]
    first = notify(http, alice, "first")
    second = notify(http, alice, "second")
    http.patch(f"/v1/inbox/{first}", json={"seen": True}, headers=bellcast_server.as_recipient(alice))
    # Rows created since are replayed in the order of creation, also one that was seen since.
    with websocket(bellcast_server, alice, position=position) as bell:
        assert bell.next()["type"] == "ready"
        interrupted = bell.next()
        assert (interrupted["type"], interrupted["notification"]["id"]) == ("notification", first)
    with websocket(bellcast_server, alice, position=interrupted["position"]) as bell:
        assert bell.next()["resumed"] is True
        rest = bell.next()
        assert (rest["type"], rest["notification"]["id"]) == ("notification", second)


BEYOND_64_BITS = "f" * 20
UNKNOWN = ["nonsense", "ffffffffffff-1", "", "0-0-0-0", f"{BEYOND_64_BITS}-1", f"1-{BEYOND_64_BITS}"]


@pytest.mark.parametrize("position", UNKNOWN)
@pytest.mark.parametrize("follow", FOLLOWING, ids=["sse", "websocket"])
def test_unknown_position_leads_to_one_reset(
    bellcast_server: ServerProcess, http: httpx.Client, alice: str, follow: Callable[..., Any], position: str
) -> None:
    notify(http, alice)
    with follow(bellcast_server, alice, position=position) as bell:
        ready = bell.next()
        assert ready["resumed"] is False
        if position:
            reset = bell.next()
            assert (reset["type"], reset["unread"], reset["position"]) == ("reset", 1, ready["position"])


def test_position_of_another_recipient_leads_to_a_reset(bellcast_server: ServerProcess, alice: str) -> None:
    bob = next(names)
    with websocket(bellcast_server, alice) as bell:
        position = bell.next()["position"]
    with websocket(bellcast_server, bob, position=position) as bell:
        assert bell.next()["resumed"] is False
        assert bell.next()["type"] == "reset"


def test_last_event_id_overrides_the_position_in_the_url(
    bellcast_server: ServerProcess, http: httpx.Client, alice: str
) -> None:
    with stream(bellcast_server, alice) as bell:
        old = bell.next()["sse_id"]
        notify(http, alice)
        newest = bell.next()["sse_id"]
    with stream(bellcast_server, alice, last=newest, position=old) as bell:
        assert bell.next()["position"] == newest.partition("~")[0]


def test_devices_of_a_recipient_stay_in_sync(bellcast_server: ServerProcess, http: httpx.Client, alice: str) -> None:
    with stream(bellcast_server, alice) as phone, websocket(bellcast_server, alice) as laptop:
        phone.next()
        laptop.next()
        id = notify(http, alice)
        assert phone.next()["unread"] == laptop.next()["unread"] == 1
        assert laptop.ask("read", ids=[id])["changed"] == 1
        update = phone.next()
        assert (update["type"], update["unread"], update["unseen"]) == ("notification-update", 0, 0)
        assert update["notification"]["read_at"] is not None


def test_actor_receives_the_event_before_its_ack(
    bellcast_server: ServerProcess, http: httpx.Client, alice: str
) -> None:
    ids = [notify(http, alice) for _ in range(3)]
    with websocket(bellcast_server, alice) as bell:
        bell.next()
        bell.send("read", all=True, ref="r1")
        counts, ack = bell.next(), bell.next()
        assert (counts["type"], counts["changed"], sorted(counts["ids"])) == ("counts", "read", sorted(ids))
        assert ack == {"type": "ack", "ref": "r1", "changed": 3, "unread": 0, "unseen": 0}


def test_delete_of_a_type_leaves_other_types(bellcast_server: ServerProcess, http: httpx.Client, alice: str) -> None:
    notify(http, alice, type="booking")
    remaining = notify(http, alice, type="payment")
    with websocket(bellcast_server, alice) as bell:
        bell.next()
        assert bell.ask("delete", all=True, of={"type": "booking"})["changed"] == 1
        for invalid in ({}, {"type": None}, {"kind": "payment"}):
            assert bell.ask("delete", all=True, of=invalid)["code"] == "invalid"
    headers = bellcast_server.as_recipient(alice)
    for invalid in ({}, {"type": None}):
        response = httpx.post(
            f"{bellcast_server.url}/v1/inbox/archive", json={"all": True, "of": invalid}, headers=headers
        )
        assert response.status_code == 422
    inbox = httpx.get(f"{bellcast_server.url}/v1/inbox", headers=headers).json()
    assert [one["id"] for one in inbox["notifications"]] == [remaining]


def test_counts_event_beyond_200_rows_names_no_ids(
    bellcast_server: ServerProcess, http: httpx.Client, alice: str
) -> None:
    sends = [{"to": alice, "title": str(number), "type": "tick"} for number in range(201)]
    http.post("/v1/notifications/bulk", json=sends)
    with websocket(bellcast_server, alice) as bell:
        bell.next()
        assert bell.ask("read", all=True, of={"type": "none"})["changed"] == 0
        bell.send("read", all=True, of={"type": "tick"})
        counts = bell.next()
        assert (counts["ids"], counts["of"], counts["unread"]) == ("all", {"type": "tick"}, 0)


def test_announcement_arrives_with_the_counters_of_each_recipient(
    bellcast_server: ServerProcess, http: httpx.Client
) -> None:
    alice, bob, tenant = next(names), next(names), next(names)
    params = {"tenant": tenant}
    http.post("/v1/notifications", json={"to": bob, "title": "before"}, params=params)
    claims = {"tenant": tenant}
    with websocket(bellcast_server, alice, claims=claims) as a, stream(bellcast_server, bob, claims=claims) as b:
        a.next(), b.next()
        id = notify(http, {"tenant": tenant}, "To everyone")
        received = a.next(), b.next()
        assert [event["notification"]["id"] for event in received] == [id, id]
        assert [event["unread"] for event in received] == [1, 2]
        http.delete(f"/v1/notifications/{id}", params=params)
        deleted = a.next(), b.next()
        assert {event["type"] for event in deleted} == {"notification-delete"}
        assert [event["unread"] for event in deleted] == [0, 1]


def test_topics_need_a_grant_and_refusals_name_the_topic(
    bellcast_server: ServerProcess, http: httpx.Client, alice: str
) -> None:
    with websocket(bellcast_server, alice, topics="room-1,room-2", claims={"topics": ["room-1"]}) as bell:
        ready = bell.next()
        assert ready["topics"] == ["room-1"]
        assert [(one["topic"], one["code"]) for one in ready["refused"]] == [("room-2", "forbidden")]
        assert bell.ask("subscribe", topics=["room-2"])["type"] == "error"
        http.put(f"/v1/topics/room-2/subscriptions/{alice}")
        assert bell.ask("subscribe", topics=["room-2"])["topics"] == ["room-2"]
        http.post("/v1/events", json={"topic": "room-2", "name": "moved", "data": {"by": 1}})
        moved = bell.next()
        assert moved == {"type": "event", "topic": "room-2", "name": "moved", "data": {"by": 1}, "id": moved["id"]}
        http.delete(f"/v1/topics/room-2/subscriptions/{alice}")
        http.post("/v1/events", json={"topic": "room-2", "name": "unheard"})
        http.post("/v1/events", json={"topic": "room-1", "name": "heard"})
        assert bell.next()["name"] == "heard"


def test_role_from_the_token_or_the_record_grants_its_topic(
    bellcast_server: ServerProcess, http: httpx.Client, alice: str
) -> None:
    with websocket(bellcast_server, alice, topics="role.admin", claims={"roles": ["admin"]}) as bell:
        assert bell.next()["topics"] == ["role.admin"]
    bob = next(names)
    http.put(f"/v1/recipients/{bob}", json={"roles": ["admin"]})
    with websocket(bellcast_server, bob, topics="role.admin,role.owner") as bell:
        assert bell.next()["topics"] == ["role.admin"]


@pytest.mark.parametrize("name", ["notification", "reset", "disconnect", "connect_error", "pusher:error"])
def test_publish_refuses_reserved_names(bellcast_server: ServerProcess, name: str) -> None:
    with websocket(bellcast_server, next(names), claims={"publish": ["*"]}) as ann:
        ann.next()
        refusal = ann.ask("publish", topic="chat", name=name, data={})
        assert (refusal["type"], refusal["code"]) == ("error", "invalid")
        assert "only the server sends" in refusal["message"]


def test_publish_needs_a_claim_and_skips_the_sender(bellcast_server: ServerProcess) -> None:
    claims = {"topics": ["chat-*"], "publish": ["chat-*"]}
    room = f"chat-{next(names)}"
    with (
        websocket(bellcast_server, next(names), topics=room, claims=claims) as ann,
        websocket(bellcast_server, next(names), topics=room, claims={"topics": ["*"]}) as ben,
    ):
        ann.next(), ben.next()
        assert ann.ask("publish", topic=room, name="said", data="hi")["type"] == "ack"
        assert ben.next()["data"] == "hi"
        assert ben.ask("publish", topic=room, name="said", data="hi")["code"] == "forbidden"
        ann.send("typing", topic=room, on=True)
        typing = ben.until("typing")
        assert typing["on"] is True
        assert ann.ask("ping")["type"] == "pong"


def test_presence_reports_joins_and_leaves(bellcast_server: ServerProcess) -> None:
    room, ann, ben = f"presence-{next(names)}", next(names), next(names)
    claims = {"topics": ["presence-*"]}
    with websocket(bellcast_server, ann, claims=claims) as first:
        first.next()
        ack = first.ask("subscribe", topics=[room])
        assert [member["recipient"] for member in ack["presence"][room]] == [ann]
        with websocket(bellcast_server, ben, topics=room, claims={**claims, "name": "Ben"}) as second:
            second.next()
            joined = first.next()
            assert (joined["type"], joined["joined"][0]["recipient"]) == ("presence", ben)
            assert joined["joined"][0]["name"] == "Ben"
        assert first.next()["left"][0]["recipient"] == ben


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
