"""A locked or damaged database: writers wait and are then refused, readers are unaffected, a second server does not
start.
"""

import itertools
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import httpx
import pytest

from tests.servers import ServerProcess, free_port
from tests.wire.clients import stream, websocket
from tests.wire.socketio_raw import Raw

LOCK_TIMEOUT = 5  # seconds that writers wait for the lock
names = (f"waiting{number}" for number in itertools.count())


@contextmanager
def locked(server: ServerProcess) -> Iterator[sqlite3.Connection]:
    """Lock the database as another writing program does."""
    (database,) = server.data.glob("*.db")
    with closing(sqlite3.connect(database, isolation_level=None)) as database_lock:
        database_lock.execute("BEGIN IMMEDIATE")
        yield database_lock
        if database_lock.in_transaction:
            database_lock.execute("ROLLBACK")


@pytest.fixture
def recipient(http: httpx.Client) -> str:
    """A recipient with one notification that no other test uses."""
    name = next(names)
    http.timeout = 60
    http.post("/v1/notifications", json=draft(name)).raise_for_status()
    return name


def draft(to: str) -> dict[str, str]:
    return {"to": to, "title": "Hello"}


def test_writers_wait_for_a_short_lock(target: ServerProcess, http: httpx.Client, recipient: str) -> None:
    with ThreadPoolExecutor(4) as threads, locked(target) as database_lock:
        waiting = [threads.submit(http.post, "/v1/notifications", json=draft(recipient)) for _ in range(4)]
        inbox = httpx.get(f"{target.url}/v1/inbox", headers=target.as_recipient(recipient)).json()
        assert inbox["unread"] == 1
        assert not any(future.done() for future in waiting)
        database_lock.execute("ROLLBACK")
        assert [future.result().status_code for future in waiting] == [201] * 4


@pytest.mark.thorough
def test_writers_behind_a_long_lock_are_refused_without_partial_writes(
    target: ServerProcess, http: httpx.Client, recipient: str
) -> None:
    with websocket(target, recipient) as bell, ThreadPoolExecutor(8) as threads:
        position = bell.next()["position"]
        with locked(target):
            started = time.monotonic()
            refused = [threads.submit(http.post, "/v1/notifications", json=draft(recipient)) for _ in range(3)]
            bulk = threads.submit(http.post, "/v1/notifications/bulk", json=[draft(recipient)] * 3)
            marked = threads.submit(bell.ask, "read", all=True)
            new_client = threads.submit(_first_event, target, "newcomer")
            assert httpx.get(f"{target.url}/healthz").status_code == 200
            with websocket(target, recipient, position=position) as reader:
                ready = reader.next()
                assert ready.get("resumed") is True, ready  # a client that only reads does not wait
            for response in (future.result() for future in refused):
                assert (response.status_code, response.json()["code"]) == (503, "unavailable")
                assert int(response.headers["retry-after"]) >= 1
                assert "locked" in response.json()["detail"]
            assert [future["error"]["code"] for future in bulk.result().json()["results"]] == ["unavailable"] * 3
            assert marked.result()["code"] == "unavailable"
            assert new_client.result()["reconnect"] is True
            assert time.monotonic() - started > LOCK_TIMEOUT - 1
        assert http.post("/v1/notifications", json=draft(recipient)).status_code == 201
        assert bell.next()["unread"] == 2


def test_client_returns_before_its_first_opening_is_recorded(
    target: ServerProcess, http: httpx.Client, recipient: str
) -> None:
    with locked(target):
        with websocket(target, recipient) as first:
            position = first.next()["position"]
        with websocket(target, recipient, position=position) as again:
            ready = again.next()
            assert ready.get("resumed") is True, ready


@pytest.mark.thorough
def test_socketio_client_whose_topics_could_not_be_saved_is_not_recovered(
    target: ServerProcess, http: httpx.Client, recipient: str
) -> None:
    """It would treat them as followed, and miss their events."""
    auth = {"token": target.token(recipient, topics=["wished-*"])}
    with closing(Raw(target, auth, keep_open=True)) as session:
        with locked(target):
            ((name, (error, offset)),) = session.ask("subscribe", ["wished-1"])
        assert (name, error["code"]) == ("error", "unavailable")
        late = Raw(target, {**auth, "pid": session.pid, "offset": offset}, keep_open=False)
        assert late.pid != session.pid
        assert [name for name, _ in late.after] == ["ready", "reset"]
        assert session.ask("subscribe", ["wished-2"]) == []  # saved now, with the topic from before
        http.post("/v1/notifications", json=draft(recipient)).raise_for_status()
        name, args = session.next()
    again = Raw(target, {**auth, "pid": session.pid, "offset": args[-1]}, keep_open=False)
    assert (name, again.pid) == ("notification", session.pid)
    assert {"wished-1", "wished-2"} <= set(dict(again.after)["ready"][0]["topics"])


def _first_event(server: ServerProcess, recipient: str) -> dict[str, object]:
    with stream(server, recipient) as page:
        return page.next()


@pytest.mark.thorough
def test_second_server_on_a_data_folder_exits_with_a_reason(
    target: ServerProcess, http: httpx.Client, recipient: str
) -> None:
    with websocket(target, recipient) as bell:
        bell.next()
        second = subprocess.run(
            [sys.executable, "-m", "bellcast", "serve", "--port", str(free_port()), "--data", str(target.data)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert second.returncode == 1
        assert "Another Bellcast server is using the data folder" in " ".join(second.stderr.split())
        assert str(target.data) in second.stderr.replace("\n", "")
        assert "Traceback" not in second.stderr
        assert http.post("/v1/notifications", json=draft(recipient)).status_code == 201
        assert bell.next()["unread"] == 2


@pytest.mark.thorough
def test_damaged_database_stops_the_start_without_a_crash(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server()
    server.stop()
    (database,) = server.data.glob("*.db")
    database.write_bytes(b"not a database, but sixteen bytes and more " * 100)
    command = [sys.executable, "-m", "bellcast", "serve", "--port", "0", "--data", str(server.data)]
    failed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert failed.returncode == 1
    assert "not a database" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert b"not a database" in database.read_bytes()
