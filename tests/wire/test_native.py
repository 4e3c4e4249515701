"""The native dialect on real sockets: the contract of `/v1/stream` and `/v1/ws`."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.servers import ServerProcess
from tests.wire.clients import names, stream, websocket


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
        ready = bell.block()
        assert (ready["event"], next(iter(ready))) == ("ready", "retry")
        assert 1_500 <= int(ready["retry"]) <= 4_500
        assert ready["id"]


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
    # Rows created since then are replayed in the order of creation, even one that has been seen since.
    with websocket(bellcast_server, alice, position=position) as bell:
        assert bell.next()["type"] == "ready"
        interrupted = bell.next()
        assert (interrupted["type"], interrupted["notification"]["id"]) == ("notification", first)
    with websocket(bellcast_server, alice, position=interrupted["position"]) as bell:
        assert bell.next()["resumed"] is True
        rest = bell.next()
        assert (rest["type"], rest["notification"]["id"]) == ("notification", second)


BEYOND_64_BITS = "f" * 20
# The previous release wrote `1-3-2` within a replay.
UNKNOWN = ["nonsense", "ffffffffffff-1", "", "1-3-2", "0-0-0-0", f"{BEYOND_64_BITS}-1", f"1-{BEYOND_64_BITS}"]


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
            notify(http, alice)
            assert bell.next()["type"] == "notification"


@pytest.mark.parametrize("follow", FOLLOWING, ids=["sse", "websocket"])
def test_ready_counts_a_newcomers_announcements_which_are_no_events(
    bellcast_server: ServerProcess, http: httpx.Client, alice: str, follow: Callable[..., Any]
) -> None:
    tenant, since = f"of-{alice}", time.time()  # announcements of earlier tests to all tenants are older
    announcement = {"to": {"tenant": tenant}, "tenant": tenant}
    http.post("/v1/notifications", json={**announcement, "title": "before"}).raise_for_status()
    with follow(bellcast_server, alice, claims={"tenant": tenant, "since": since}) as bell:
        assert bell.next()["unread"] == 1
        http.post("/v1/notifications", json={**announcement, "title": "live"}).raise_for_status()
        assert bell.next()["notification"]["title"] == "live"


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


@pytest.mark.parametrize(
    "name", ["notification", "preferences", "reset", "disconnect", "connect_error", "pusher:error"]
)
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
