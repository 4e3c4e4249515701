"""Live events that a client missed: recovery over WebSocket and event streams, rewind, own events, and pages over REST."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.servers import ServerProcess
from tests.wire.clients import Event, stream, websocket

names = (f"recovered{number}" for number in itertools.count())
CLAIMS = {"topics": ["*"], "publish": ["*"]}


@pytest.fixture
def http(bellcast_server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=bellcast_server.url, headers=bellcast_server.as_app()) as client:
        yield client


def publish(http: httpx.Client, topic: str, data: Any, **fields: Any) -> None:
    assert http.post("/v1/events", json={"topic": topic, "name": "n", "data": data, **fields}).status_code == 202


def events(connection: Any, count: int) -> list[Event]:
    return [connection.next() for _ in range(count)]


def test_websocket_recovers_the_events_of_its_topics_in_order(
    bellcast_server: ServerProcess, http: httpx.Client
) -> None:
    name, quiet = next(names), next(names)
    follow = {"topics": f"{name},{quiet}", "claims": CLAIMS}
    with websocket(bellcast_server, name, **follow) as bell:
        ready = bell.next()
        assert (ready["recovered"], ready["resumed"]) == (False, False)
        publish(http, name, 1)
        first = bell.next()
    publish(http, name, 2)
    publish(http, quiet, 3)
    http.post("/v1/events", json={"recipient": name, "name": "own", "data": 4})
    http.post("/v1/notifications", json={"to": name, "title": "missed too"})
    position = f"{ready['position']}~{first['id']}"
    for _ in range(2):
        with websocket(bellcast_server, name, position=position, **follow) as bell:
            again = bell.next()
            assert (again["recovered"], again["resumed"], again["id"]) == (True, True, first["id"])
            missed = events(bell, 3)
            assert [event["data"] for event in missed] == [2, 3, 4]
            assert missed[2] == {"type": "event", "name": "own", "data": 4, "id": missed[2]["id"]}
            assert bell.next()["type"] == "notification"
    with websocket(bellcast_server, name, position=f"~{missed[2]['id']}", **follow) as bell:
        assert bell.next()["recovered"] is True
        publish(http, name, "live")
        assert bell.next()["data"] == "live"


def test_event_stream_resumes_its_topics_by_the_last_event_id_alone(
    bellcast_server: ServerProcess, http: httpx.Client
) -> None:
    name = next(names)
    follow = {"topics": name, "claims": CLAIMS}
    with stream(bellcast_server, name, **follow) as bell:
        assert bell.next()["sse_id"] is not None
        publish(http, name, 1)
        assert bell.next()["data"] == 1
        last = bell.last_id
    for number in range(2, 5):
        publish(http, name, number)
    http.post("/v1/notifications", json={"to": name, "title": "missed"})
    received: list[Any] = []
    while len(received) < 4:  # the stream is cut after every event
        with stream(bellcast_server, name, last=last, **follow) as bell:
            ready = bell.next()
            assert (ready["recovered"], ready["resumed"], ready["sse_id"]) == (True, True, None)
            event = bell.next()
            received.append(event.get("data", event["type"]))
            last = bell.last_id
    assert received == [2, 3, 4, "notification"]
    with stream(bellcast_server, name, last=last, **follow) as bell:
        assert bell.next()["recovered"] is True
        publish(http, name, 5)
        assert bell.next()["data"] == 5


@pytest.mark.parametrize("rewind", [0, 2], ids=["recovered", "rewound"])
def test_event_stream_that_lost_its_inbox_is_reset_before_missed_events(
    bellcast_server: ServerProcess, http: httpx.Client, rewind: int
) -> None:
    name = next(names)
    follow = {"topics": name, "claims": CLAIMS, "rewind": rewind}
    with stream(bellcast_server, name, **follow) as bell:
        event_id = bell.next()["id"]
    publish(http, name, 1)
    publish(http, name, 2)
    with stream(bellcast_server, name, last="1-1" if rewind else f"1-1~{event_id}", **follow) as bell:
        assert [bell.next()["sse_id"] is None, bell.next()["type"]] == [True, "reset"]
        last = bell.last_id
    for missed in 1, 2:  # the stream was cut after the reset, then after the first event
        with stream(bellcast_server, name, last=last, **follow) as bell:
            assert (bell.next()["resumed"], bell.next()["data"]) == (True, missed)
            last = bell.last_id


def test_frames_of_a_stored_event_are_equal_for_live_replayed_and_rest_readers(
    bellcast_server: ServerProcess, http: httpx.Client
) -> None:
    name = next(names)
    with websocket(bellcast_server, name, topics=name, claims=CLAIMS) as bell:
        start = bell.next()["id"]
        publish(http, name, {"a": 1})
        live = bell.next()
    with websocket(bellcast_server, next(names), topics=name, position=f"~{start}", claims=CLAIMS) as bell:
        assert bell.next()["recovered"] is True
        assert bell.next() == live
    (stored,) = http.get(f"/v1/topics/{name}/events").json()["events"]
    assert (stored["id"], stored["name"], stored["data"]) == (live["id"], live["name"], live["data"])


def test_own_event_is_not_received_by_a_client_that_resumes_from_its_ack(
    bellcast_server: ServerProcess, http: httpx.Client
) -> None:
    name = next(names)
    with websocket(bellcast_server, name, topics=name, claims=CLAIMS) as bell:
        bell.next()
        ack = bell.ask("publish", topic=name, name="n", data="own")
        assert "id" not in bell.ask("publish", topic=name, name="n", data="own", keep=False)
    publish(http, name, "other")
    publish(http, name, "not kept", keep=False)
    with websocket(bellcast_server, name, topics=name, position=f"~{ack['id']}", claims=CLAIMS) as bell:
        assert bell.next()["recovered"] is True
        assert bell.next()["data"] == "other"
        assert bell.ask("ping")["type"] == "pong"


@pytest.mark.parametrize("position", ["~", "~nonsense", "~1.1", "1-1"])
def test_unknown_event_id_is_not_recovered(bellcast_server: ServerProcess, http: httpx.Client, position: str) -> None:
    name = next(names)
    publish(http, name, 1)
    with websocket(bellcast_server, name, topics=name, position=position, claims=CLAIMS) as bell:
        assert bell.next()["recovered"] is False


def test_subscribe_replays_before_its_ack(bellcast_server: ServerProcess, http: httpx.Client) -> None:
    name, quiet = next(names), next(names)
    with websocket(bellcast_server, name, claims=CLAIMS) as bell:
        start = bell.next()["id"]
        publish(http, name, 1)
        publish(http, name, 2)
        bell.send("subscribe", topics=[name], position=start, ref=1)
        assert [event["data"] for event in events(bell, 2)] == [1, 2]
        ack = bell.next()
        assert (ack["type"], ack["recovered"], ack["topics"]) == ("ack", True, [name])
        bell.ask("unsubscribe", topics=[name])
        publish(http, name, 3)
        plain = bell.ask("subscribe", topics=[name])
        assert "recovered" not in plain
        bell.ask("unsubscribe", topics=[name])
        bell.send("subscribe", topics=[name], position=f"x~{ack['id']}", ref=2)
        assert bell.next()["data"] == 3
        assert bell.next()["recovered"] is True
        bell.ask("unsubscribe", topics=[name])
        bell.send("subscribe", topics=[name], position="nonsense", ref=3)
        assert bell.next()["recovered"] is False
        bell.ask("unsubscribe", topics=[name])
        publish(http, quiet, 4)
        publish(http, name, 5)
        bell.send("subscribe", topics=[name, quiet], position=start, ref=4)
        assert [event["data"] for event in events(bell, 5)] == [1, 2, 3, 4, 5]  # in log order
        assert bell.next()["recovered"] is True


@pytest.mark.parametrize(("field", "value"), [("position", "1.1"), ("rewind", 1)])
def test_topic_that_the_connection_follows_cannot_be_replayed(
    bellcast_server: ServerProcess, http: httpx.Client, field: str, value: Any
) -> None:
    name, other = next(names), next(names)
    publish(http, name, 1)
    with websocket(bellcast_server, name, topics=name, claims=CLAIMS) as bell:
        bell.next()
        bell.send("subscribe", topics=[other, name], **{field: value}, ref=1)
        refusal = bell.next()
        assert (refusal["type"], refusal["code"]) == ("error", "invalid")
        assert refusal["message"].startswith(f"{field}: cannot replay {name}, which this connection already follows")
        publish(http, other, 2)
        assert bell.ask("subscribe", topics=[name])["topics"] == [name]


@pytest.mark.parametrize("rewind", ["ten", "-1", "1.5", "", "9" * 5_000])
def test_unreadable_rewind_is_refused(bellcast_server: ServerProcess, rewind: str) -> None:
    name = next(names)
    token = bellcast_server.token(name, **CLAIMS)
    reply = httpx.get(f"{bellcast_server.url}/v1/stream", params={"token": token, "topics": name, "rewind": rewind})
    assert (reply.status_code, reply.json()["errors"][0]["field"]) == (422, "rewind")
    with websocket(bellcast_server, name, topics=name, claims=CLAIMS, rewind=rewind) as bell:
        end = bell.next()
    assert (end["type"], end["message"]) == ("close", "rewind: must be a whole number, 0 or more")


def test_rewind_sends_the_last_events_of_each_topic_and_continues(
    bellcast_server: ServerProcess, http: httpx.Client
) -> None:
    name, other = next(names), next(names)
    for number in range(4):
        publish(http, name, number)
        publish(http, other, 10 + number)
    follow = {"topics": f"{name},{other}", "claims": CLAIMS, "rewind": 2}
    with stream(bellcast_server, name, **follow) as bell:
        ready = bell.next()
        assert (ready["recovered"], ready["sse_id"]) == (False, None)
        past = events(bell, 4)
        assert [(event["data"], event["replayed"]) for event in past] == [(n, True) for n in (2, 12, 3, 13)]
        publish(http, name, "live")
        live = bell.next()
        assert (live["data"], "replayed" in live) == ("live", False)
        last = bell.last_id
    with stream(bellcast_server, name, last=last, **follow) as bell:
        assert bell.next()["recovered"] is True
        publish(http, name, "after")
        assert bell.next()["data"] == "after"
    with websocket(bellcast_server, name, claims=CLAIMS) as socket:
        socket.next()
        socket.send("subscribe", topics=[name], rewind=1, ref=1)
        assert (socket.next()["data"], socket.next()["type"]) == ("after", "ack")
    for number in range(101):
        publish(http, other, number)
    with websocket(bellcast_server, name, topics=other, rewind=1_000, claims=CLAIMS) as socket:
        assert socket.next()["recovered"] is False
        assert [event["data"] for event in events(socket, 100)] == list(range(1, 101))


def test_rest_pages_continue_and_a_deleted_history_is_not_recovered(
    bellcast_server: ServerProcess, http: httpx.Client
) -> None:
    name, quiet = next(names), next(names)
    for number in range(3):
        publish(http, name, number)
    first = http.get(f"/v1/topics/{name}/events", params={"limit": 2}).json()
    assert [event["data"] for event in first["events"]] == [0, 1]
    assert (first["next"], first["recovered"]) == (first["events"][1]["id"], True)
    rest = http.get(f"/v1/topics/{name}/events", params={"after": first["next"]}).json()
    assert ([event["data"] for event in rest["events"]], rest["next"]) == ([2], None)
    assert http.get(f"/v1/topics/{name}/events", params={"after": "nonsense"}).status_code == 400
    assert http.get(f"/v1/topics/{name}/events", params={"limit": 0}).status_code == 422
    assert http.delete(f"/v1/topics/{name}/events").status_code == 204
    gone = http.get(f"/v1/topics/{name}/events", params={"after": first["next"]}).json()
    assert (gone["events"], gone["recovered"], gone["epoch"]) == ([], False, first["epoch"])
    for topic, recovered in ((name, False), (quiet, True)):
        position = f"~{first['next']}"
        with websocket(bellcast_server, name, topics=topic, position=position, claims=CLAIMS) as bell:
            assert bell.next()["recovered"] is recovered


def test_long_history_is_replayed_at_the_readers_pace_before_live_events(
    bellcast_server: ServerProcess, http: httpx.Client
) -> None:
    name = next(names)
    with websocket(bellcast_server, name, topics=name, claims=CLAIMS) as bell:
        start = bell.next()["id"]
    for number in range(300):
        publish(http, name, [number, "x" * 9_000])  # in all more than the limit of unsent bytes
    with stream(bellcast_server, name, topics=name, position=f"~{start}", claims=CLAIMS) as bell:
        assert bell.next()["recovered"] is True
        publish(http, name, [300])
        http.post("/v1/notifications", json={"to": name, "title": "during the replay"})
        received = events(bell, 302)
        assert [event["data"][0] for event in received if event["type"] == "event"] == list(range(301))
        assert [event["type"] for event in received].count("notification") == 1


def test_tenants_have_separate_histories(bellcast_server: ServerProcess, http: httpx.Client) -> None:
    name = next(names)
    publish(http, name, 1, tenant="acme")
    assert http.get(f"/v1/topics/{name}/events").json()["events"] == []
    acme = http.get(f"/v1/topics/{name}/events", params={"tenant": "acme"}).json()
    assert [event["data"] for event in acme["events"]] == [1]
    position = f"~{acme['events'][0]['id']}"
    with websocket(bellcast_server, name, topics=name, position=position, claims=CLAIMS) as bell:
        assert bell.next()["recovered"] is False


def test_events_that_left_the_history_are_never_recovered(start_server: Callable[..., ServerProcess]) -> None:
    rules = {"BELLCAST_TOPIC_HISTORY": "few=1h/3,*=1h", "BELLCAST_LIMIT_HISTORY": "20000"}
    server = start_server("--test-clock", **rules)

    def missed(topic: str, id: str, count: int) -> list[Any] | None:
        """Resume after an event; return the data of the next `count` events, or None if `ready` has `recovered: false`."""
        with websocket(server, "alice", topics=topic, position=f"~{id}", claims=CLAIMS) as bell:
            return [event["data"] for event in events(bell, count)] if bell.next()["recovered"] else None

    with httpx.Client(base_url=server.url, headers=server.as_app()) as http:

        def kept(topic: str) -> list[dict[str, Any]]:
            page = http.get(f"/v1/topics/{topic}/events").json()["events"]
            return list(page)

        for number in range(4):
            publish(http, "few", number)
        one, _, three = [event["id"] for event in kept("few")]
        assert missed("few", one, 2) == [2, 3]
        publish(http, "few", 4)
        publish(http, "few", 5)  # the topic keeps three events: 2 has left, which came after 1
        assert missed("few", one, 4) is None
        assert missed("few", three, 2) == [4, 5]
        publish(http, "large", 0)
        (zero,) = [event["id"] for event in kept("large")]
        for _ in range(30):
            publish(http, "other", "x" * 1_000)  # beyond the tenant's limit of bytes
        publish(http, "large", 1)
        assert missed("few", three, 2) is None
        assert missed("large", zero, 1) == [1]
        http.post("/v1/test-clock", json={"advance": "61m"})
        assert missed("large", zero, 1) is None
        publish(http, "large", 2)
        assert [event["data"] for event in kept("large")] == [2]
