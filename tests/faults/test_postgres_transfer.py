"""Moving a SQLite store into PostgreSQL: all rows are copied, positions stay valid, and a refusal changes nothing."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import engines
from tests.faults.nodes import send, titles
from tests.servers import ServerProcess
from tests.wire.clients import websocket


@pytest.fixture
def database() -> Iterator[str]:
    server = engines.postgres()
    yield asyncio.run(server.make("moved"))
    asyncio.run(server.drop("moved"))


def migrate(source: Path, database: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bellcast", "migrate", "--store", database, "--from", str(source), "--json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def inbox(server: ServerProcess, recipient: str) -> Any:
    query = {"limit": "100"}
    return httpx.get(f"{server.url}/v1/inbox", params=query, headers=server.as_recipient(recipient)).json()


@pytest.mark.thorough
def test_migration_copies_everything_and_clients_resume(tmp_path: Path, database: str) -> None:
    with ServerProcess(tmp_path / "old") as old:
        for number in range(30):
            send(old, ["alice", "bob"], f"{number}", tags=["a", "b"], data={"number": number})
        send(old, {"all": True}, "To all")
        httpx.put(f"{old.url}/v1/topics/room/subscriptions/alice", headers=old.as_app())
        with websocket(old, "alice") as bell:
            position = bell.until("ready")["position"]
            bell.ask("read", ids=[one["id"] for one in inbox(old, "alice")["notifications"][:5]])
        before = {who: inbox(old, who) for who in ("alice", "bob")}
        while_running = migrate(old.data, database)
        assert old.stop() == 0
    assert while_running.returncode != 0
    assert "stop it" in while_running.stderr

    with sqlite3.connect(tmp_path / "old" / "bellcast.db") as file:
        # As another program may have written it: PostgreSQL cannot store this character in a text.
        file.execute("UPDATE recipients SET name = 'Al' || char(0) || 'ice' WHERE key = 'alice'")
    file.close()
    moved = migrate(tmp_path / "old", database)
    assert moved.returncode == 0, moved.stderr
    assert json.loads(moved.stdout)["rows"]["notifications"] == 62

    with ServerProcess(tmp_path / "new", {"BELLCAST_STORE": database}) as new:
        after = {who: inbox(new, who) for who in ("alice", "bob")}
        assert after == before
        record = httpx.get(f"{new.url}/v1/recipients/alice", headers=new.as_app()).json()
        assert record["name"] == "Al\ufffdice"
        with websocket(new, "alice", position=position) as bell:
            assert bell.until("ready")["resumed"] is True
            assert len({bell.until("notification-update")["notification"]["id"] for _ in range(5)}) == 5
        assert send(new, ["alice", "nobody yet"], "on the new one").status_code == 201
        send(new, {"topic": "room"}, "to the room")
        assert titles(new, "alice")[:2] == ["to the room", "on the new one"]
        assert titles(new, "nobody yet") == ["on the new one"]

    repeated = migrate(tmp_path / "old", database)
    assert repeated.returncode != 0
    assert "already contains rows" in repeated.stderr


@pytest.mark.thorough
def test_unreachable_database_is_reported(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "old") as old:
        send(old, "alice", "Hello")
        old.stop()
    refused = migrate(tmp_path / "old", "postgresql://user:hidden@127.0.0.1:1/nothing")
    assert refused.returncode != 0
    assert "PostgreSQL cannot be used" in refused.stderr
    assert "hidden" not in refused.stderr
    assert "Traceback" not in refused.stderr
