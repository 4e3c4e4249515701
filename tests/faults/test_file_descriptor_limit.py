"""A server that runs out of file descriptors reports it to clients and to its log, and recovers."""

import contextlib
import socket
from pathlib import Path

import httpx
import pytest

from tests.faults.raw_sockets import eventually
from tests.servers import ServerProcess
from tests.wire.clients import websocket

FILES = 200


@pytest.mark.thorough
def test_connection_without_a_free_file_descriptor_is_closed_for_a_retry(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "few")
    server.prefix = ["prlimit", f"--nofile={FILES}:{FILES}"]
    server.start()
    try:
        with contextlib.ExitStack() as connections:
            for number in range(FILES // 2):
                assert connections.enter_context(websocket(server, f"r{number}")).next()["type"] == "ready"
            with websocket(server, "late") as refused:
                close = refused.next()
                assert (close["type"], close["reconnect"]) == ("close", True)
            sent = httpx.post(
                f"{server.url}/v1/notifications",
                json={"to": "r1", "title": "Hello"},
                headers=server.as_app(),
                timeout=60,
            )
            assert sent.status_code == 201
        assert "LimitNOFILE" in server.log.read_text()
        assert eventually(lambda: is_admitted(server, "late"))
    finally:
        server.stop()


def test_sockets_without_requests_give_way_below_the_limit(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "few")
    server.prefix = ["prlimit", f"--nofile={FILES}:{FILES}"]
    server.start()
    try:
        with contextlib.ExitStack() as idle:
            for _ in range(FILES + 50):
                idle.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            assert httpx.get(f"{server.url}/healthz", timeout=60).status_code == 200
        assert "open_files_limit_reached" in server.log.read_text()
    finally:
        server.stop()


def is_admitted(server: ServerProcess, recipient: str) -> bool:
    with websocket(server, recipient) as bell:
        return bool(bell.next()["type"] == "ready")
