"""Backup of a PostgreSQL store under load, and its restore: a consistent copy of one point in time."""

import asyncio
import json
import subprocess
import sys
import threading
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
def databases() -> Iterator[list[str]]:
    server = engines.postgres()
    yield [asyncio.run(server.make(f"copied{number}")) for number in range(2)]
    for number in range(2):
        asyncio.run(server.drop(f"copied{number}"))


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bellcast", *words, "--json"], capture_output=True, text=True, timeout=60
    )


def snapshot(server: ServerProcess, recipient: str) -> Any:
    query = {"limit": "100", "view": "all"}
    page = httpx.get(f"{server.url}/v1/inbox", params=query, headers=server.as_recipient(recipient)).json()
    return {name: page[name] for name in ("notifications", "unread", "unseen")}


def fill(node: ServerProcess) -> None:
    for number in range(40):
        send(node, ["alice", "bob"], f"{number}", tags=["a", "b"], data={"number": number})
    send(node, {"all": True}, "To all")
    httpx.put(f"{node.url}/v1/topics/room/subscriptions/alice", headers=node.as_app())
    with websocket(node, "alice") as bell:
        bell.until("ready")
        ids = [one["id"] for one in snapshot(node, "alice")["notifications"][:5]]
        bell.ask("read", ids=ids[:3])
        bell.ask("delete", ids=ids[3:])


@pytest.mark.thorough
def test_backup_under_load_restores_a_consistent_copy(tmp_path: Path, databases: list[str]) -> None:
    first, second = databases
    with ServerProcess(tmp_path / "node", {"BELLCAST_STORE": first}) as node:
        fill(node)
        over = threading.Event()
        writer = threading.Thread(target=write, args=(node, over))
        writer.start()
        backup = run("backup", str(tmp_path / "copy.db"), "--store", first)
        over.set()
        writer.join()
        assert backup.returncode == 0, backup.stderr
        before = {who: snapshot(node, who) for who in ("alice", "bob")}
        restore_while_running = run("restore", str(tmp_path / "copy.db"), "--store", first, "--force")
        assert "stop them first" in restore_while_running.stderr
    restored = run("restore", str(tmp_path / "copy.db"), "--store", second)
    assert restored.returncode == 0, restored.stderr
    assert json.loads(restored.stdout)["rows"]["notifications"] >= 80
    with ServerProcess(tmp_path / "other", {"BELLCAST_STORE": second}) as other:
        assert {who: snapshot(other, who) for who in ("alice", "bob")} == before
        chatter = titles(other, "chatter")
        assert chatter == [
            f"{number}" for number in reversed(range(len(chatter)))
        ]  # no gap: the copy is of one point in time
        assert send(other, "dave", "after").status_code == 201
        assert titles(other, "dave") == ["after"]


def write(node: ServerProcess, over: threading.Event) -> None:
    """Send to one recipient continuously, but fewer notifications than fit on a page."""
    for number in range(90):
        if over.is_set():
            return
        assert send(node, "chatter", f"{number}").status_code == 201


@pytest.mark.thorough
def test_restore_replaces_rows_only_with_force(tmp_path: Path, databases: list[str]) -> None:
    store, _ = databases
    with ServerProcess(tmp_path / "node", {"BELLCAST_STORE": store}) as node:
        send(node, "alice", "kept")
        with websocket(node, "alice") as bell:
            position = bell.until("ready")["position"]
        assert run("backup", str(tmp_path / "copy.db"), "--store", store).returncode == 0
        send(node, "alice", "after the copy")
        assert run("backup", str(tmp_path / "copy.db"), "--store", store).returncode != 0  # a backup is not overwritten
    refused = run("restore", str(tmp_path / "copy.db"), "--store", store)
    assert refused.returncode != 0
    assert "already contains rows" in refused.stderr
    assert run("restore", str(tmp_path / "copy.db"), "--store", store, "--force").returncode == 0
    with ServerProcess(tmp_path / "again", {"BELLCAST_STORE": store}) as node:
        assert titles(node, "alice") == ["kept"]
        with websocket(node, "alice", position=position) as bell:
            assert (
                bell.until("ready")["resumed"] is False
            )  # the client may have seen changes that the restored store does not have
            assert bell.next()["type"] == "reset"


@pytest.mark.thorough
def test_backup_of_postgresql_can_be_restored_to_sqlite(tmp_path: Path, databases: list[str]) -> None:
    store, _ = databases
    with ServerProcess(tmp_path / "node", {"BELLCAST_STORE": store}) as node:
        fill(node)
        before = snapshot(node, "alice")
        assert run("backup", str(tmp_path / "copy.db"), "--store", store).returncode == 0
    assert run("restore", str(tmp_path / "copy.db"), "--data", str(tmp_path / "small")).returncode == 0
    with ServerProcess(tmp_path / "small") as small:
        assert snapshot(small, "alice") == before
        assert send(small, "new", "Hello").status_code == 201
        assert titles(small, "new") == ["Hello"]
