"""Settings that one of three nodes changes apply on the others within 2 s, without a restart. A node that cannot use a
value logs a warning and keeps the old value."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests import engines
from tests.faults.nodes import cluster, send
from tests.faults.raw_sockets import eventually
from tests.faults.test_nodes_together import known_nodes
from tests.servers import ServerProcess
from tests.wire.app_server import AppRequest, AppServer, running_app
from tests.wire.clients import websocket
from tests.wire.pusher_clients import bare
from tests.wire.test_sessions import cookie

MAX_SECONDS = 2.0
OLDER_VERSION = """
from bellcast.cli import main
from bellcast.settings import database as database_settings

def parse(text):
    if int(text) > 100:
        raise ValueError
    return int(text)

known = database_settings.SETTINGS
known["limit_title"] = type(known["limit_title"])(**{
    name: getattr(known["limit_title"], name) for name in ("name", "place", "description")
}, parse=parse)
main()
"""
Nodes = tuple[ServerProcess, ServerProcess, ServerProcess]


def respond(request: AppRequest) -> tuple[int, bytes]:
    """The app: its session, its handler, and its webhooks."""
    if request.path == "/app/session":
        return 200, json.dumps({"recipient": "alice"}).encode()
    return 200, json.dumps({"reply": "pong"} if request.path == "/app/calls" else {}).encode()


@pytest.fixture(scope="module")
def app() -> Iterator[AppServer]:
    with running_app(respond) as app:
        yield app


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Two nodes, and one of an older version, whose titles have at most 100 characters."""
    folder = tmp_path_factory.mktemp("settings")
    with cluster(folder, engines.redis().url, engines.postgres(), "settings") as started:
        one, other = started.start(), started.start()
        older = ServerProcess(folder / "older", started.environ)
        older.program = [sys.executable, "-c", OLDER_VERSION]
        started.nodes.append(older)
        older.start()
        assert eventually(lambda: [known_nodes(node) for node in (one, other, older)] == [3, 3, 3])
        yield one, other, older


def change(node: ServerProcess, **body: Any) -> None:
    url, headers = f"{node.url}/v1/settings", node.as_app()
    revision = httpx.get(url, headers=headers, timeout=30).json()["revision"]
    changed = httpx.patch(url, headers=headers, json={"revision": revision, **body}, timeout=30)
    assert changed.status_code == 200, changed.text


def applies(condition: Callable[[], bool]) -> bool:
    started = time.monotonic()
    return eventually(condition) and time.monotonic() - started < MAX_SECONDS


def session_of(node: ServerProcess) -> int:
    return httpx.get(f"{node.url}/v1/inbox", headers=cookie("of-alice"), timeout=30).status_code


def reply_of(node: ServerProcess) -> Any:
    with websocket(node, "alice") as bell:
        bell.until("ready")
        return bell.ask("call", name="ping").get("data")


def present(node: ServerProcess) -> list[str]:
    response = httpx.get(f"{node.url}/v1/topics/room/presence", headers=node.as_app(), timeout=30)
    return [member["recipient"] for member in response.json()["members"]]


def lines_of(node: ServerProcess) -> int:
    return node.log.read_text().count("request_served")


def kept_events(node: ServerProcess) -> int:
    """Publish an event, and count the stored events of its topic. Redis stores the events of other tests too."""
    event = {"topic": "settings-news", "name": "moved", "data": {}}
    httpx.post(f"{node.url}/v1/events", headers=node.as_app(), json=event)
    return len(
        httpx.get(f"{node.url}/v1/topics/settings-news/events", headers=node.as_app(), timeout=30).json()["events"]
    )


def revisions(node: ServerProcess) -> set[int]:
    listed = httpx.get(f"{node.url}/v1/nodes", headers=node.as_app(), timeout=30).json()["nodes"]
    return {one["settings_revision"] for one in listed}


@pytest.mark.thorough
def test_node_that_cannot_use_a_value_warns_and_keeps_the_old(nodes: Nodes) -> None:
    one, other, older = nodes
    change(one, set={"limit_title": "20", "limit_type": "5"})
    assert applies(lambda: [send(node, "bob", "x" * 21).status_code for node in (other, older)] == [422, 422])
    change(other, set={"limit_title": "200", "limit_type": "9"})
    assert applies(lambda: [send(node, "bob", "x" * 21).status_code for node in (one, older)] == [201, 422])
    # The other settings of the revision apply there too.
    assert applies(lambda: [send(node, "bob", "Hi", type="x" * 9).status_code for node in nodes] == [201] * 3)
    assert eventually(lambda: "setting_not_applied" in older.log.read_text())
    feed, query = f"{one.url}/v1/feed", {"kind": "warning", "last": 50}
    with httpx.stream("GET", feed, params=query, headers=one.as_app(), timeout=30) as warnings:
        assert any(
            "BELLCAST_LIMIT_TITLE has a value that this node cannot use" in line for line in warnings.iter_lines()
        )
    assert eventually(lambda: len(revisions(one)) == 1)
    change(one, reset=["limit_title", "limit_type"])
    assert applies(lambda: [send(node, "bob", "x" * 99).status_code for node in nodes] == [201] * 3)


@pytest.mark.thorough
def test_settings_of_one_node_apply_on_the_other(nodes: Nodes, app: AppServer) -> None:
    one, other, _ = nodes
    assert (session_of(other), lines_of(other)) == (401, 0)
    change(
        one,
        set={
            "session_url": f"{app.url}/session",
            "log_requests": "on",
            "limit_title": "4",
            "presence_topics": "room",
            "topic_history": "*=off",
        },
    )
    assert applies(lambda: session_of(other) == 200)
    assert eventually(lambda: lines_of(other) > 0)  # the line follows the response
    assert kept_events(other) == 0
    assert send(other, "bob", "Hello").status_code == 422
    with websocket(other, "alice", topics="room", claims={"topics": ["room"]}) as bell:
        bell.until("ready")
        assert eventually(lambda: present(one) == ["alice"])
    change(other, set={"handler_url": f"{app.url}/calls", "pusher_webhook_url": f"{app.url}/hooks"})
    assert applies(lambda: reply_of(one) == "pong")
    with bare(one) as client:
        client.subscribe("presence-settings", '{"user_id":"u"}')
        assert eventually(lambda: any(request.path == "/app/hooks" for request in app.requests))
    change(
        one,
        reset=[
            "session_url",
            "handler_url",
            "pusher_webhook_url",
            "log_requests",
            "limit_title",
            "presence_topics",
            "topic_history",
        ],
    )
    assert applies(lambda: session_of(other) == 401)
    assert reply_of(other) != "pong"
    assert kept_events(other) == 1
