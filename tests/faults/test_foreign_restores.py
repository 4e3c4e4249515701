"""A PostgreSQL store that other tools restored: no client resumes from a position that the store does not have."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest
from structlog.testing import capture_logs

from bellcast.kernel.db.postgres import PostgresEngine
from tests import engines
from tests.clock import FakeClock
from tests.contract.app import App
from tests.engines import PostgresServer, tool
from tests.faults.nodes import send, titles
from tests.servers import ServerProcess
from tests.store import Store
from tests.wire.clients import websocket


@pytest.fixture
def primary() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.start()
    yield server
    server.end()


def as_engine(*command: str | Path) -> None:
    """Run a command as the user that runs the engines."""
    user = engines.owner()
    ids = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    subprocess.run(list(map(str, command)), check=True, capture_output=True, cwd="/", **ids)  # type: ignore[call-overload]  # the ids depend on the user


class Client:
    """Alice's browser: a position of the stream, and the ETag of a poll."""

    def __init__(self, node: ServerProcess) -> None:
        with websocket(node, "alice") as bell:
            self.position = bell.until("ready")["position"]
        self.etag = self.poll(node, "").headers["etag"]

    def poll(self, node: ServerProcess, etag: str) -> httpx.Response:
        headers = node.as_recipient("alice") | {"if-none-match": etag}
        return httpx.get(f"{node.url}/v1/inbox", headers=headers)

    def is_reset(self, node: ServerProcess) -> bool:
        """True if the node knows neither the position nor the ETag."""
        with websocket(node, "alice", position=self.position) as bell:
            resumed = bell.until("ready")["resumed"]
        assert resumed is (self.poll(node, self.etag).status_code == 304)
        return not resumed


def all_ids(node: ServerProcess) -> set[str]:
    shown = httpx.get(f"{node.url}/v1/inbox", headers=node.as_recipient("alice")).json()
    return {one["id"] for one in shown["notifications"]}


def send_some(node: ServerProcess, *names: str) -> None:
    for name in names:
        assert send(node, "alice", name).status_code == 201


@pytest.mark.thorough
def test_positions_are_unknown_in_a_loaded_dump(tmp_path: Path, primary: PostgresServer) -> None:
    first = primary.create("first")
    with ServerProcess(tmp_path / "node", {"BELLCAST_STORE": first}) as node:
        send_some(node, "1", "2")
        as_engine(tool("pg_dump"), "-Fc", "-f", primary.folder / "dump", first)
        send_some(node, "lost")
        client = Client(node)
    with ServerProcess(tmp_path / "node", {"BELLCAST_STORE": first}) as node:
        assert not client.is_reset(node)
    second = primary.create("second")
    as_engine(tool("pg_restore"), "-d", second, primary.folder / "dump")
    with ServerProcess(tmp_path / "node", {"BELLCAST_STORE": second}) as node:
        send_some(node, "after")
        assert client.is_reset(node)
        assert titles(node, "alice") == ["after", "2", "1"]
        client = Client(node)
    as_engine(tool("pg_restore"), "--clean", "-d", second, primary.folder / "dump")
    with ServerProcess(tmp_path / "node", {"BELLCAST_STORE": second}) as node:
        send_some(node, "after")
        assert client.is_reset(node)
        client = Client(node)
    asyncio.run(primary.execute('CREATE DATABASE "third" TEMPLATE "second"'))
    nodes = [ServerProcess(tmp_path / f"node{at}", {"BELLCAST_STORE": primary.url("third")}) for at in range(2)]
    with nodes[0], nodes[1]:
        assert client.is_reset(nodes[0])
        client = Client(nodes[0])
        assert not client.is_reset(nodes[1])


@pytest.mark.thorough
def test_positions_are_unknown_after_a_failover_to_a_standby_that_lagged(
    tmp_path: Path, primary: PostgresServer
) -> None:
    url = primary.create("store")
    standby = primary.folder / "standby"
    with ServerProcess(tmp_path / "node", {"BELLCAST_STORE": url}) as node:
        send_some(node, "1", "2")
        as_engine(tool("pg_basebackup"), "-D", standby, "-R", "-c", "fast", "-d", primary.url("postgres"))
        send_some(node, "3", "4")
        client = Client(node)
        with websocket(node, "alice") as bell:
            bell.until("ready")
            primary.kill()
            shutil.rmtree(primary.folder / "data")
            standby.rename(primary.folder / "data")
            primary.start()  # without the WAL of the two last sends
            as_engine(tool("psql"), "-qd", primary.url("postgres"), "-c", "SELECT pg_promote(true, 60)")
            while send(node, "alice", "new 3").status_code != 201:
                pass
            send_some(node, "new 4", "new 5")
            assert bell.until("reset")
        assert client.is_reset(node)
        assert titles(node, "alice") == ["new 5", "new 4", "new 3", "2", "1"]


@pytest.mark.thorough
def test_positions_are_unknown_after_a_recovery_to_a_point_in_time(tmp_path: Path, primary: PostgresServer) -> None:
    archive, data, base = primary.folder / "archive", primary.folder / "data", primary.folder / "base"
    archive.mkdir(mode=0o777)
    archive.chmod(0o777)
    primary.stop()
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write(f"archive_mode = on\narchive_command = 'cp %p {archive}/%f'\n")
    primary.start()
    url = primary.create("store")
    as_engine(tool("pg_basebackup"), "-D", base, "-c", "fast", "-d", primary.url("postgres"))
    sql = tool("psql"), "-qAtd", primary.url("postgres"), "-c"
    with ServerProcess(tmp_path / "node", {"BELLCAST_STORE": url}) as node:
        send_some(node, "1", "2")
        until = subprocess.run([*sql, "SELECT clock_timestamp()"], check=True, capture_output=True, text=True).stdout
        send_some(node, "3", "4")
        client, ids = Client(node), all_ids(node)
    as_engine(*sql, "SELECT pg_switch_wal()")
    primary.stop()  # the archiver copies all files before it ends
    shutil.rmtree(data)
    base.rename(data)
    (data / "recovery.signal").touch(mode=0o600)
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write(f"restore_command = 'cp {archive}/%f %p'\nrecovery_target_action = promote\n")
        settings.write(f"recovery_target_time = '{until.strip()}'\n")
    primary.start()
    as_engine(*sql, "DO $$ BEGIN WHILE pg_is_in_recovery() LOOP PERFORM pg_sleep(0.01); END LOOP; END $$")
    with ServerProcess(tmp_path / "node", {"BELLCAST_STORE": url}) as node:
        send_some(node, "new 3", "new 4", "new 5")
        assert client.is_reset(node)
        assert titles(node, "alice") == ["new 5", "new 4", "new 3", "2", "1"]
        assert len(all_ids(node) | ids) == 7  # none of the lost ids was used again


@pytest.mark.thorough
def test_positions_are_unknown_on_request_after_a_disk_snapshot(tmp_path: Path, primary: PostgresServer) -> None:
    url = primary.create("store")
    with ServerProcess(tmp_path / "node", {"BELLCAST_STORE": url}) as node:
        send_some(node, "1", "2")
        primary.stop()
        shutil.copytree(primary.folder / "data", tmp_path / "snapshot")
        primary.start()
        while send(node, "alice", "3").status_code != 201:
            pass
        client = Client(node)
    primary.stop()
    shutil.copytree(tmp_path / "snapshot", primary.folder / "data", dirs_exist_ok=True)
    primary.start()
    command = [sys.executable, "-m", "bellcast", "restore", "--positions", "--store", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    with ServerProcess(tmp_path / "node", {"BELLCAST_STORE": url}) as node:
        send_some(node, "after")
        assert client.is_reset(node)


async def test_positions_on_request_need_a_store(tmp_path: Path) -> None:
    url = await engines.postgres().make("nothing")
    command = [sys.executable, "-m", "bellcast", "restore", "--positions", "--store", url]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "no Bellcast store" in done.stderr
    await engines.postgres().drop("nothing")


async def test_server_starts_without_the_right_to_read_the_identity(tmp_path: Path) -> None:
    server = engines.postgres()
    url = await server.make("unprivileged")
    raw = await asyncpg.connect(url)
    try:
        await raw.execute("CREATE ROLE app LOGIN; GRANT CREATE ON DATABASE unprivileged TO app")
        await raw.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        own = url.replace("postgres@", "app@")
        node = ServerProcess(tmp_path / "node", {"BELLCAST_STORE": own})
        await asyncio.to_thread(node.start)
        sent = await asyncio.to_thread(send, node, "alice", "1")
        await asyncio.to_thread(node.kill)
        assert sent.status_code == 201
        assert node.log.read_text().count("store_identity_unknown") == 1
    finally:
        await raw.close()
        await server.drop("unprivileged")
        await server.execute("DROP ROLE app")


async def test_nodes_that_start_together_on_a_restored_store_renew_positions_once() -> None:
    server = engines.postgres()
    url = await server.make("together")
    stores = [Store(PostgresEngine(url, FakeClock())) for _ in range(4)]
    app = App(stores[0], FakeClock())
    await stores[0].open()
    await app.send("alice")
    before = (await app.inbox("alice")).state.epoch
    await stores[0].close()
    await server.execute("UPDATE bellcast.schema_version SET identity = 'elsewhere'", "together")
    with capture_logs() as logs:
        await asyncio.gather(*(store.open() for store in stores))
    assert [entry["event"] for entry in logs] == ["store_replaced"]
    assert (await app.inbox("alice")).state.epoch != before
    for store in stores:
        await store.close()
    await server.drop("together")
