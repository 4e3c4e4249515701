"""`--workers`: several processes on one port, supervised by a parent that serves nothing."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import engines
from tests.faults.nodes import Cluster, cluster, send, titles
from tests.faults.raw_sockets import eventually
from tests.servers import ServerProcess, child_processes
from tests.wire.clients import websocket

ESTABLISHED, LISTENING = "01", "0A"


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path, engines.redis().url, engines.postgres(), "workers") as nodes:
        yield nodes


@pytest.fixture
def server(nodes: Cluster) -> ServerProcess:
    return nodes.start("--workers", "2", BELLCAST_DRAIN="1")


def parent(server: ServerProcess) -> int:
    assert server.process is not None
    return server.process.pid


def sockets(server: ServerProcess, pid: int, state: str) -> int:
    """Return the number of sockets of a process on the server's port in that state of /proc/net/tcp."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
        except OSError:
            continue
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    local_address = f":{server.port:04X}"
    return sum(line[3] == state and line[9] in inodes and line[1].endswith(local_address) for line in lines)


@pytest.mark.thorough
def test_every_worker_serves_and_delivers_what_another_one_received(server: ServerProcess) -> None:
    assert len(child_processes(parent(server))) == 2
    assert all(sockets(server, pid, LISTENING) for pid in child_processes(parent(server)))
    bells = [
        websocket(server, "alice") for _ in range(12)
    ]  # all connect to the same worker with a probability of 1 in 2,048
    opened = [bell.__enter__() for bell in bells]
    for bell in opened:
        bell.until("ready")
    assert all(sockets(server, pid, ESTABLISHED) for pid in child_processes(parent(server)))
    assert eventually(lambda: {len(connections(server)) for _ in range(10)} == {12})  # from every worker
    assert send(server, "alice", "Hello").status_code == 201
    assert [bell.until("notification")["unread"] for bell in opened] == [1] * 12
    for bell in bells:
        bell.__exit__(None, None, None)


def connections(server: ServerProcess) -> list[object]:
    listed: list[object] = httpx.get(f"{server.url}/v1/connections", headers=server.as_app()).json()["connections"]
    return listed


@pytest.mark.thorough
def test_killed_worker_is_replaced_and_its_clients_reconnect(server: ServerProcess) -> None:
    before = child_processes(parent(server))
    assert send(server, "alice", "before").status_code == 201
    os.kill(min(before), signal.SIGKILL)
    assert eventually(lambda: len(now := child_processes(parent(server))) == 2 and now != before)
    assert eventually(lambda: all(sockets(server, pid, LISTENING) for pid in child_processes(parent(server))))
    assert send(server, "alice", "after").status_code == 201
    assert titles(server, "alice") == ["after", "before"]


@pytest.mark.thorough
def test_sighup_replaces_workers_without_an_outage(server: ServerProcess) -> None:
    before = child_processes(parent(server))
    os.kill(parent(server), signal.SIGHUP)
    sent = 0

    def replaced() -> bool:
        nonlocal sent
        with httpx.Client(transport=httpx.HTTPTransport(retries=3)) as client:
            body = {"to": "alice", "title": f"{sent}"}
            headers = server.as_app() | {"Idempotency-Key": f"{sent}"}
            for _ in range(3):  # the client reopens a connection that an exiting worker had accepted
                try:
                    response = client.post(f"{server.url}/v1/notifications", json=body, headers=headers)
                    break
                except httpx.TransportError:
                    continue
            else:
                raise AssertionError("nobody served")
        assert response.status_code == 201
        sent += 1
        now = child_processes(parent(server))
        return len(now) == 2 and not now & before

    assert eventually(replaced, 90)
    assert len(titles(server, "alice")) == min(sent, 100)


@pytest.mark.thorough
def test_sigterm_ends_all_workers_with_status_0(server: ServerProcess) -> None:
    pids = child_processes(parent(server))
    assert server.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.thorough
def test_workers_exit_without_their_parent(server: ServerProcess) -> None:
    pids = child_processes(parent(server))
    os.kill(parent(server), signal.SIGKILL)
    assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 90)


@pytest.mark.thorough
def test_worker_that_cannot_start_is_reported_and_ends_the_start(tmp_path: Path) -> None:
    environ = {"BELLCAST_STORE": "postgresql://127.0.0.1:1/nothing", "BELLCAST_BROKER": engines.redis().url}
    server = ServerProcess(tmp_path / "data", environ, "--workers", "2")
    with pytest.raises(
        AssertionError, match=r"BELLCAST_STORE at 127.0.0.1:1: PostgreSQL cannot be used: .* Is it running"
    ):
        server.start()
    assert server.stop() == 1


@pytest.mark.thorough
def test_port_in_use_is_refused(nodes: Cluster, server: ServerProcess) -> None:
    second = ServerProcess(server.data.parent / "second", nodes.environ, "--workers", "2")
    second.port = server.port
    with pytest.raises(AssertionError, match="is in use"):
        second.start()
    assert second.stop() == 1
