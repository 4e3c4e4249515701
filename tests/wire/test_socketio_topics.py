"""Live events that a Socket.IO client missed: they arrive before `connect`, once and in order, or it is not recovered."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.servers import ServerProcess
from tests.wire.socketio_client import Agent, Client, agent, open_client
from tests.wire.socketio_raw import Raw

TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]
names = (f"hall{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def node() -> Iterator[Agent]:
    with agent() as one:
        yield one


def publish(server: ServerProcess, topic: str, data: Any, **fields: Any) -> None:
    body = {"topic": topic, "name": "rung in", "data": data, **fields}
    assert httpx.post(f"{server.url}/v1/events", json=body, headers=server.as_app()).status_code == 202


def raw(server: ServerProcess, recipient: str, topic: str, **auth: Any) -> Raw:
    return Raw(server, {"token": server.token(recipient, topics=[topic]), **auth}, keep_open=False)


def until_connected(client: Client) -> tuple[dict[str, Any], list[Any]]:
    """Return the client's next `connect`, and the data of the live events before it."""
    report, missed = client.next(), []
    while report["what"] != "connect":
        if report["what"] == "event" and report["name"] == "rung in":
            missed.append(report["args"][0])
        report = client.next()
    return report, missed


@pytest.mark.parametrize("transports", TRANSPORTS, ids="+".join)
def test_stock_client_receives_what_was_published_while_it_was_away_before_connect(
    node: Agent, bellcast_server: ServerProcess, transports: list[str]
) -> None:
    name = next(names)
    client = open_client(node, bellcast_server, name, claims={"topics": [name]}, transports=transports)
    try:
        first = client.until("connect")
        client.event("ready")
        for round in range(3):
            client.do("drop")
            client.until("disconnect")
            sent = [f"{round}.{number}" for number in range(3)]
            for data in sent:
                publish(bellcast_server, name, data)
            again, missed = until_connected(client)
            assert (again["recovered"], again["id"]) == (True, first["id"])
            remaining = [client.event("rung in")[0] for _ in range(3 - len(missed))]
            assert missed + remaining == sent
        publish(bellcast_server, name, "live")
        assert client.event("rung in")[0] == "live"
    finally:
        client.do("disconnect")


def test_missed_events_of_topics_and_inbox_precede_the_reply(bellcast_server: ServerProcess) -> None:
    name = next(names)
    session = raw(bellcast_server, name, name)
    publish(bellcast_server, name, 1)
    body = {"to": name, "title": "missed"}
    httpx.post(f"{bellcast_server.url}/v1/notifications", json=body, headers=bellcast_server.as_app())
    publish(bellcast_server, name, 2, **{"except": session.sid})
    publish(bellcast_server, name, 3)
    recovered = raw(bellcast_server, name, name, pid=session.pid)
    assert (recovered.sid, recovered.pid) == (session.sid, session.pid)
    assert [event for event, _ in recovered.before] == ["rung in", "rung in", "notification"]
    assert [args[0] for event, args in recovered.before if event == "rung in"] == [1, 3]
    for cut, (_, args) in enumerate(recovered.before, 1):
        rest = raw(bellcast_server, name, name, pid=session.pid, offset=args[-1])
        assert (rest.pid, len(rest.before)) == (session.pid, 3 - cut)


def test_client_whose_events_have_left_is_not_recovered(bellcast_server: ServerProcess) -> None:
    name = next(names)
    session = raw(bellcast_server, name, name)
    publish(bellcast_server, name, 1)
    httpx.delete(f"{bellcast_server.url}/v1/topics/{name}/events", headers=bellcast_server.as_app())
    returned = raw(bellcast_server, name, name, pid=session.pid)
    assert returned.pid != session.pid
    assert (returned.before, [event for event, _ in returned.after]) == ([], ["ready", "reset"])


def test_restart_with_the_memory_broker_ends_the_history(start_server: Callable[..., ServerProcess]) -> None:
    server, name = start_server(), next(names)
    session = raw(server, name, name)
    server.restart()
    returned = raw(server, name, name, pid=session.pid)
    assert returned.pid != session.pid
