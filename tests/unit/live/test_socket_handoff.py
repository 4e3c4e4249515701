"""Requests passed to the process that owns their session: one that does not respond, and one without free descriptors."""

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from bellcast.live.http import socket_handoff
from bellcast.live.http.socket_handoff import SocketHandoff
from bellcast.live.http.takeover import EXTENSION

REQUEST = {"method": "POST", "raw_path": b"/socket.io/", "query_string": b"", "http_version": "1.1", "headers": []}
BODY = b"4" * 4_000_000  # more than the buffer of a Unix socket


async def test_request_is_not_passed_to_a_process_that_does_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_handoff, "HANDOFF_TIMEOUT", 0.01)
    calls: list[str] = []
    client, own = socket.socketpair()
    transport = SimpleNamespace(
        pause_reading=lambda: calls.append("pause_reading"),
        get_extra_info=lambda _: own,
        abort=lambda: calls.append("abort"),
    )
    scope = {**REQUEST, "extensions": {EXTENSION: lambda _: (transport, b"")}}
    with client, own, socket.socket(socket.AF_UNIX) as stopped, capture_logs() as logs:
        stopped.bind(str(tmp_path / "1"))
        stopped.listen()
        assert await asyncio.wait_for(socket_handoff.hand_off(tmp_path / "1", scope, BODY), 5)
    assert (calls, [entry["event"] for entry in logs]) == (["pause_reading", "abort"], ["socket_handoff_failed"])


@contextlib.contextmanager
def no_free_descriptors() -> Iterator[None]:
    """Use up the descriptors of this process."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        os.close(lowest)


async def test_process_without_free_descriptors_accepts_later_and_does_not_spin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_handoff, "ACCEPT_RETRY_SECONDS", 0.1)
    adopted: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    attempts = 0

    async def adopt(received: socket.socket, data: bytes) -> None:
        received.close()
        adopted.set_result(data)

    class Counted(SocketHandoff):
        def _accept(self, *args: Any) -> None:
            nonlocal attempts
            attempts += 1
            super()._accept(*args)

    handoff = Counted(tmp_path)
    handoff.open(adopt, asyncio.ensure_future)
    client, own = socket.socketpair()
    with client, own, socket.socket(socket.AF_UNIX) as sender:
        sender.connect(str(tmp_path / str(os.getpid())))
        with no_free_descriptors():
            for _ in range(50):
                await asyncio.sleep(0)
            assert attempts == 1
        socket.send_fds(sender, [b"GET"], [own.fileno()])
        sender.close()
        assert await asyncio.wait_for(adopted, 5) == b"GET"
    handoff.close()
