"""A standby that becomes the primary: a running server that knows both continues."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import engines
from tests.faults.nodes import Cluster, send, titles
from tests.faults.raw_sockets import eventually
from tests.faults.three_nodes import check_under_load
from tests.servers import ServerProcess
from tests.wire.clients import Socket, websocket


@pytest.fixture
def primary() -> Iterator[engines.PostgresServer]:
    server = engines.PostgresServer()
    server.start()
    yield server
    server.end()


@pytest.fixture
def standby(primary: engines.PostgresServer) -> Iterator[engines.PostgresServer]:
    server = engines.PostgresServer(primary=primary)
    server.start()
    yield server
    server.end()


async def commit_on_standby(primary: engines.PostgresServer) -> None:
    """With the primary's answer a commit is on the standby."""
    await primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    await primary.execute("SELECT pg_reload_conf()")


def is_reset(client: Socket) -> bool:
    """Wait for the reset of a client. Return False if it is closed before, because events that it follows were lost."""
    while (frame := client.receive())["type"] not in ("reset", "close"):
        pass
    if frame["type"] == "reset":
        return True
    assert (frame["code"], frame["reason"], frame["reconnect"]) == (1012, "events_lost", True)
    return False


def is_reset_after(server: ServerProcess, position: int) -> bool:
    with websocket(server, "alice", position=position) as returning:
        return is_reset(returning)


def publishes(server: ServerProcess) -> bool:
    event = {"topic": "news", "name": "new", "data": 1}
    sent = httpx.post(f"{server.url}/v1/events", json=event, headers=server.as_app(), timeout=30)
    return sent.status_code == 202


@pytest.mark.thorough
async def test_server_continues_on_a_promoted_standby(
    tmp_path: Path, primary: engines.PostgresServer, standby: engines.PostgresServer
) -> None:
    # The standby comes first: a server that does not ask for read-write would take it.
    hosts = f"127.0.0.1:{standby.port},127.0.0.1:{primary.port}"
    url = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"
    await commit_on_standby(primary)
    with (
        ServerProcess(tmp_path / "data", {"BELLCAST_STORE": url, "BELLCAST_BROKER": url}) as server,
        websocket(server, "alice") as alice,
    ):
        assert send(server, "alice", "before").status_code == 201
        position = alice.until("notification")["position"]
        primary.kill()
        assert send(server, "alice", "refused").status_code == 503
        await standby.execute("SELECT pg_promote()")
        assert eventually(lambda: send(server, "alice", "after").status_code == 201, within=15)
        assert {"before", "after"} <= set(titles(server, "alice"))
        # The standby may lack commits that clients have seen: they are reset, or closed and reset when they return.
        assert is_reset(alice) or eventually(lambda: is_reset_after(server, position))
        assert eventually(lambda: is_reset_after(server, position))

        assert eventually(lambda: publishes(server))
    # Lines say what is delayed; asyncpg's tracebacks of each attempt to connect say nothing more.
    assert "Traceback" not in server.log.read_text()


@pytest.mark.thorough
async def test_server_leaves_a_primary_that_becomes_read_only(
    tmp_path: Path, primary: engines.PostgresServer, standby: engines.PostgresServer
) -> None:
    """A planned change of the primary keeps its connections open."""
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    url = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"
    with ServerProcess(tmp_path / "data", {"BELLCAST_STORE": url, "BELLCAST_BROKER": url}) as server:
        assert send(server, "alice", "before").status_code == 201
        assert publishes(server)
        await primary.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await primary.execute("SELECT pg_reload_conf()")
        assert eventually(lambda: send(server, "alice", "refused").status_code == 503)
        await standby.execute("SELECT pg_promote()")
        assert eventually(lambda: send(server, "alice", "after").status_code == 201, within=15)
        assert eventually(lambda: publishes(server))
        await primary.execute("SELECT 1")  # it still accepts connections


@pytest.mark.thorough
async def test_three_nodes_under_load_lose_nothing_when_a_standby_is_promoted(
    tmp_path: Path, primary: engines.PostgresServer, standby: engines.PostgresServer
) -> None:
    hosts = f"127.0.0.1:{standby.port},127.0.0.1:{primary.port}"
    url = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"
    await commit_on_standby(primary)

    def fault() -> None:
        primary.kill()
        time.sleep(2)  # until an operator or a manager of the servers promotes it
        asyncio.run(standby.execute("SELECT pg_promote()"))

    nodes = Cluster(tmp_path, url, url)
    try:
        for _ in range(3):
            nodes.start(BELLCAST_DRAIN="1")
        await check_under_load(nodes.nodes, fault)
    finally:
        nodes.end()
