"""SIGHUP to a single process, as `systemctl reload` sends it; for several workers see
tests/faults/test_postgres_workers.py.
"""

import signal
from collections.abc import Iterator

import pytest

from tests.servers import ServerProcess
from tests.wire.clients import websocket


@pytest.fixture
def server(tmp_path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data", {"BELLCAST_DRAIN": "1"}) as server:
        yield server


def test_single_process_closes_connections_for_a_reconnect_and_exits_with_0(server):
    with websocket(server, "alice") as bell:
        bell.until("ready")
        server.process.send_signal(signal.SIGHUP)
        close = bell.until("close")
        assert (close["code"], close["reconnect"]) == (1012, True)
    assert server.process.wait(timeout=90) == 0
