"""A server with a store thread that hangs or has failed ends in time, so that its supervisor starts it again."""

import contextlib
import time
from pathlib import Path

import httpx
import pytest

from tests.servers import ServerProcess


@pytest.mark.parametrize(
    ("fault", "status", "line"), [("hangs", 0, "process_end_forced"), ("fails", 1, "thread_failed")]
)
def test_server_with_a_broken_store_thread_ends(tmp_path: Path, fault: str, status: int, line: str) -> None:
    file = tmp_path / "fault"
    file.write_text("")
    settings = {"BELLCAST_HANDLERS": "tests.faults.broken_store:handlers", "BELLCAST_DRAIN": "0", "FAULT": str(file)}
    with ServerProcess(tmp_path / "data", settings) as server:
        file.write_text(fault)
        with contextlib.suppress(httpx.TransportError):
            httpx.put(f"{server.url}/v1/recipients/alice", json={}, headers=server.as_app(), timeout=1)
        began = time.monotonic()
        assert server.stop() == status
        assert time.monotonic() - began < 20
        assert line in server.log.read_text()
