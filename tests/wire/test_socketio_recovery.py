"""Recovery of a Socket.IO connection: `recovered` is true if and only if no event is missing."""

import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.servers import ServerProcess
from tests.wire.socketio_client import Agent, Client, agent, open_client
from tests.wire.socketio_raw import WAIT, Raw, event

recipients = (f"traveller{number}" for number in itertools.count())
SETTINGS = {"BELLCAST_LIMIT_REPLAY": "50", "BELLCAST_HANDLERS": "tests.wire.socketio_app:handlers"}
TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]


@pytest.fixture(scope="module")
def node() -> Iterator[Agent]:
    with agent() as one:
        yield one


@pytest.fixture
def alice() -> str:
    """A recipient that no other test uses."""
    return next(recipients)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    # Without a history of live events, which a restart would end: only the inbox counts.
    settings = SETTINGS | {"BELLCAST_TOPIC_HISTORY": "*=off"}
    with ServerProcess(tmp_path_factory.mktemp("recovery") / "data", settings) as server:
        yield server


@pytest.fixture
def connect_client(node: Agent, server: ServerProcess) -> Iterator[Callable[..., Client]]:
    opened: list[Client] = []

    def connect_client(recipient: str | None, **options: Any) -> Client:
        opened.append(open_client(node, server, recipient, **options))
        return opened[-1]

    yield connect_client
    for client in opened:
        client.do("disconnect")


def notify(server: ServerProcess, to: str, count: int = 1) -> list[str]:
    ids = []
    with httpx.Client(base_url=server.url, headers=server.as_app()) as http:
        for number in range(count):
            response = http.post("/v1/notifications", json={"to": to, "title": f"{number}"})
            ids.append(response.json()["notifications"][0]["id"])
    return ids


def until_connected(client: Client) -> tuple[dict[str, Any], list[str]]:
    """Return the client's next `connect`, and the notifications that precede it."""
    report, missed = client.next(), []
    while report["what"] != "connect":
        if report["what"] == "event" and report["name"] == "notification":
            missed.append(report["args"][0]["notification"]["id"])
        report = client.next()
    return report, missed


@pytest.mark.parametrize("transports", TRANSPORTS, ids="+".join)
def test_restarted_server_sends_missed_events_before_connect_under_the_same_id(
    connect_client: Callable[..., Client], server: ServerProcess, alice: str, transports: list[str]
) -> None:
    client = connect_client(alice, transports=transports)
    first = client.until("connect")
    assert not first["recovered"]
    # The first offset, received with ready, is enough.
    server.kill()
    assert client.until("disconnect")["active"]
    server.start()
    second, missed = until_connected(client)
    assert (second["recovered"], second["id"], missed) == (True, first["id"], [])
    (live,) = notify(server, alice)
    assert client.event("notification")[0]["notification"]["id"] == live
    client.do("drop")
    ids = notify(server, alice, 3)
    third, missed = until_connected(client)
    assert (third["recovered"], third["id"]) == (True, first["id"])
    assert client.event("ready")[0]["resumed"]
    remaining = [client.event("notification")[0]["notification"]["id"] for _ in range(3 - len(missed))]
    assert missed + remaining == ids


def test_pid_alone_recovers(server: ServerProcess, alice: str) -> None:
    session = raw(server, alice)
    (id,) = notify(server, alice)
    recovered = raw(server, alice, pid=session.pid)
    assert (recovered.sid, recovered.pid) == (session.sid, session.pid)
    assert [name for name, _ in recovered.before] == ["notification"]
    assert recovered.before[0][1][0]["notification"]["id"] == id


def test_interrupted_replay_continues_where_it_stopped(server: ServerProcess, alice: str) -> None:
    session = raw(server, alice)
    ids = notify(server, alice, 3)
    recovered = raw(server, alice, pid=session.pid)
    offset = recovered.before[0][1][-1]
    rest = raw(server, alice, pid=session.pid, offset=offset)
    assert [args[0]["notification"]["id"] for _, args in rest.before] == ids[1:]


def test_offset_that_is_a_text_of_the_app_repeats_instead_of_losing(server: ServerProcess, alice: str) -> None:
    session = raw(server, alice)
    (id,) = notify(server, alice)
    recovered = raw(server, alice, pid=session.pid, offset="see you")
    assert [args[0]["notification"]["id"] for _, args in recovered.before] == [id]


def test_gap_beyond_the_replay_limit_leads_to_one_reset(server: ServerProcess, alice: str) -> None:
    session = raw(server, alice)
    notify(server, alice, 51)
    recovered = raw(server, alice, pid=session.pid)
    assert recovered.pid != session.pid
    assert (recovered.before, [name for name, _ in recovered.after]) == ([], ["ready", "reset"])
    assert recovered.after[1][1][0]["unread"] == 51


def test_stolen_pid_recovers_nothing_of_its_owner(server: ServerProcess, alice: str) -> None:
    session = raw(server, alice)
    notify(server, alice)
    thief = raw(server, "mallory", pid=session.pid)
    assert thief.pid != session.pid
    assert thief.sid != session.sid
    assert thief.before == []
    assert thief.after[0][1][0]["recipient"] == "mallory"


@pytest.mark.parametrize("pid", ["", "x", "A" * 4000, 7, None, {}, "é", "AAAA" * 20])
def test_forged_pid_starts_a_new_session(server: ServerProcess, alice: str, pid: Any) -> None:
    session = raw(server, alice, pid=pid, offset="0-0")
    assert session.before == []
    assert [name for name, _ in session.after][:1] == ["ready"]


@pytest.mark.parametrize(
    "offset",
    ["f" * 20 + "-1", "1-" + "f" * 20, "8000000000000000-1", "1-1-8000000000000000", "1-8000000000000000", "f" * 5_000],
)
def test_connect_with_an_impossible_offset_recovers(server: ServerProcess, alice: str, offset: str) -> None:
    session = raw(server, alice)
    (id,) = notify(server, alice)
    recovered = raw(server, alice, pid=session.pid, offset=offset)
    assert [args[0]["notification"]["id"] for _, args in recovered.before] == [id]


def test_recovered_client_replaces_its_half_open_connection(server: ServerProcess, alice: str) -> None:
    first = raw(server, alice, keep_open=True)
    recovered = raw(server, alice, pid=first.pid, keep_open=True)
    assert recovered.sid == first.sid
    assert first.closed()
    notify(server, alice)
    assert recovered.next()[0] == "notification"
    recovered.close()


def test_disabled_recovery_sends_no_pid_and_no_offset(start_server: Callable[..., ServerProcess], alice: str) -> None:
    server = start_server(BELLCAST_SOCKETIO_RECOVERY="off")
    session = raw(server, alice, keep_open=True)
    assert session.pid is None
    assert len(session.after[0][1]) == 1
    notify(server, alice)
    name, args = session.next()
    assert (name, len(args)) == ("notification", 1)
    session.close()


def raw(server: ServerProcess, recipient: str, *, keep_open: bool = False, **auth: Any) -> Raw:
    return Raw(server, {"token": server.token(recipient), **auth}, keep_open=keep_open)


def publish(server: ServerProcess, topic: str) -> None:
    event_data = {"topic": topic, "name": "rung in", "data": {"topic": topic}}
    assert httpx.post(f"{server.url}/v1/events", json=event_data, headers=server.as_app()).status_code == 202


def test_joined_topics_are_restored_after_a_restart(
    connect_client: Callable[..., Client], server: ServerProcess, alice: str
) -> None:
    client = connect_client(alice, claims={"topics": ["wished-*"]}, transports=["websocket"])
    client.until("connect")
    for topic in ("hall", "kitchen"):
        client.ask("enter", topic)
    client.ask("exit", "kitchen")
    client.ask("subscribe", ["wished-1", "wished-2"])
    client.ask("unsubscribe", ["wished-2"])
    server.restart()
    client.until("disconnect")
    assert until_connected(client)[0]["recovered"]
    assert {"hall", "wished-1"} <= set(client.event("ready")[0]["topics"])
    for topic in ("kitchen", "wished-2", "wished-1", "hall"):
        publish(server, topic)
    assert client.event("rung in")[0] == {"topic": "wished-1"}
    assert client.event("rung in")[0] == {"topic": "hall"}


def test_topics_without_a_grant_are_not_restored(server: ServerProcess, alice: str) -> None:
    auth = {"token": server.token(alice, topics=["wished-*"])}
    with closing(Raw(server, auth, keep_open=True)) as session:
        session.ask("subscribe", ["wished-1"])
        session.ask("enter", "hall")
    recovered = raw(server, alice, pid=session.pid)
    assert recovered.pid == session.pid
    assert {"hall", "wished-1"} & set(dict(recovered.after)["ready"][0]["topics"]) == {"hall"}


def test_client_whose_joined_topics_have_expired_is_not_recovered(
    start_server: Callable[..., ServerProcess], alice: str
) -> None:
    """It would treat them as followed, and miss their events. The second time, nothing else has changed."""
    server = start_server("--test-clock", **SETTINGS, BELLCAST_TOPIC_HISTORY="*=off")

    def come_back(pid: str | None, *, keep_open: bool = False) -> Raw:
        return Raw(server, {"token": server.token(alice, topics=["wished-*"]), "pid": pid}, keep_open=keep_open)

    pid = None
    for _ in range(2):
        with closing(come_back(pid, keep_open=True)) as session:
            session.ask("subscribe", ["wished-1"])
        assert come_back(session.pid).pid == session.pid
        advanced = httpx.post(f"{server.url}/v1/test-clock", json={"advance": "31m"}, headers=server.as_app())
        assert advanced.status_code == 200
        late = come_back(session.pid)
        assert late.pid != session.pid
        assert [name for name, _ in late.after] == ["ready", "reset"]
        assert "wished-1" not in dict(late.after)["ready"][0]["topics"]
        assert come_back(late.pid).pid == late.pid  # it has joined nothing since
        pid = late.pid


def test_client_whose_joined_topics_are_no_longer_stored_is_not_recovered(server: ServerProcess, alice: str) -> None:
    """Only the topics of a recipient's latest 100 connections are stored."""
    with closing(Raw(server, {"token": server.token(alice)}, keep_open=True)) as session:
        session.ask("enter", "hall")
        notify(server, alice)
        offset = session.next()[1][-1]
    recovered = raw(server, alice, pid=session.pid, offset=offset)
    assert recovered.pid == session.pid
    assert "hall" in dict(recovered.after)["ready"][0]["topics"]
    with closing(sqlite3.connect(server.data / "bellcast.db", timeout=60)) as store, store:
        store.execute("DELETE FROM joined_topics")
    assert raw(server, alice, pid=session.pid, offset=offset).pid != session.pid


def test_new_client_has_joined_nothing(server: ServerProcess, alice: str) -> None:
    with closing(Raw(server, {"token": server.token(alice)}, keep_open=True)) as session:
        session.ask("enter", "hall")
    recovered = raw(server, alice)
    assert "hall" not in dict(recovered.after)["ready"][0]["topics"]


def test_recovery_paused_by_polling_continues_after_the_upgrade(
    start_server: Callable[..., ServerProcess], alice: str
) -> None:
    server = start_server()
    pid = raw(server, alice).pid
    notify_all(server, alice, 200)
    polling = f"{server.url}/socket.io/?EIO=4&transport=polling"
    with httpx.Client() as http:
        polling += "&sid=" + json.loads(http.get(polling).text[1:])["sid"]
        connect_packet = "40" + json.dumps({"token": server.token(alice), "pid": pid})
        assert http.post(polling, content=connect_packet).status_code == 200
        with connect(polling.replace("http", "ws").replace("=polling", "=websocket")) as socket:
            socket.send("2probe")
            assert socket.recv(timeout=WAIT) == "3probe"
            socket.send("5")
            missed = []
            while not str(packet := socket.recv(timeout=WAIT)).startswith("40"):
                missed.append(event(str(packet))[1][0]["notification"]["id"])
            assert missed == ids_of(server, alice)
            assert json.loads(str(packet)[2:])["pid"] == pid


@pytest.mark.parametrize("count", [200, 1_000])
def test_recovery_larger_than_the_polling_buffer_is_complete_during_the_upgrade(
    node: Agent, start_server: Callable[..., ServerProcess], alice: str, count: int
) -> None:
    server = start_server()
    client = open_client(node, server, alice, reconnection=False)
    first = client.until("connect")
    client.do("drop")
    client.until("disconnect")
    notify_all(server, alice, count)
    stored = ids_of(server, alice)
    assert len(stored) == count
    client.do("connect")
    second, missed = until_connected(client)
    assert (second["recovered"], second["id"]) == (True, first["id"])
    assert missed == stored
    assert client.travels_by("websocket")
    (live,) = notify(server, alice)
    assert client.event("notification")[0]["notification"]["id"] == live
    client.do("disconnect")


def notify_all(server: ServerProcess, recipient: str, count: int) -> None:
    """Send this many notifications of half a kilobyte."""
    body = (json.dumps({"to": recipient, "title": "x" * 400}) + "\n") * count
    headers = {**server.as_app(), "content-type": "application/x-ndjson"}
    assert httpx.post(f"{server.url}/v1/notifications/bulk", content=body, headers=headers).status_code == 200


def ids_of(server: ServerProcess, recipient: str) -> list[str]:
    """Return the ids of a recipient's notifications, oldest first."""
    ids: list[str] = []
    headers = {"authorization": f"Bearer {server.token(recipient)}"}
    with httpx.Client(base_url=server.url, headers=headers) as http:
        page = http.get("/v1/inbox", params={"limit": 100}).json()
        ids += [one["id"] for one in page["notifications"]]
        while page.get("next"):
            page = http.get("/v1/inbox", params={"limit": 100, "before": page["next"]}).json()
            ids += [one["id"] for one in page["notifications"]]
    return ids[::-1]
