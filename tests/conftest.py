"""What every test may ask for: a running server, and servers of one's own."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.sync.client import connect

from tests.servers import ServerProcess

MEMORY = "/dev/shm"
ROOM = 3 * 1024**3  # a run fills a fourth of that; Linux gives half a machine's memory, a container often 64 MB
AUTHORITIES = "/etc/ssl/certs"
HERE = Path(__file__).parent
# Seconds that HTTP and WebSocket clients of tests wait. Their defaults, 5 and 10 s, are too short for a loaded machine, on
# which a server is started beside three browsers; a test that hangs still ends at pytest's own limit.
CLIENT_TIMEOUT = 60
WAITING = ("faults", "browser", "docs", "outbox", "wire", "deploy", "migration", "package")
WORKING = ("contract", "journey", "law")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Figures are kept always, and held to their bounds only where a machine is quiet enough to mean something."""
    parser.addoption("--measure", action="store_true", help="hold measured figures to their bounds")
    parser.addoption("--packages", type=Path, help="test the packages in this folder instead of building them")


def pytest_configure() -> None:
    """Where this run keeps its files, and whom its HTTP clients trust."""
    # A commit waits for the disk, 3 ms on a good one; no test cuts the power.
    if "TMPDIR" not in os.environ and _is_roomy(MEMORY):
        os.environ["TMPDIR"], tempfile.tempdir = MEMORY, MEMORY
    # Each client reads all authorities of the world, 25 ms, if they are in one file; of a folder it reads those it is
    # shown, and here it is shown none.
    os.environ.pop("SSL_CERT_FILE", None)
    os.environ["SSL_CERT_DIR"] = AUTHORITIES
    _raise_client_timeouts()


def _raise_client_timeouts() -> None:
    default = httpx._config.DEFAULT_TIMEOUT_CONFIG  # the object that all functions of httpx have as their default
    default.connect = default.read = default.write = default.pool = CLIENT_TIMEOUT
    for opener in (connect, connect_async.__init__):
        opener.__kwdefaults__["open_timeout"] = CLIENT_TIMEOUT


def _is_roomy(folder: str) -> bool:
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > ROOM


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of tests that mostly wait come evenly among those that mostly work, so that the processor is never idle nor
    asked for everything; short ones come last, so that no worker is left alone with a long one."""
    files = list(dict.fromkeys(item.path for item in items))
    place = dict.fromkeys(files, 1.0)
    for folders in (WAITING, WORKING):
        those = [file for file in files if file.relative_to(HERE).parts[0] in folders]
        place |= {file: number / len(those) for number, file in enumerate(those)}
    items.sort(key=lambda item: place[item.path])


@pytest.fixture(scope="session")
def bellcast_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server shared by tests that keep to recipients of their own."""
    with ServerProcess(tmp_path_factory.mktemp("shared") / "data") as server:
        yield server


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers with settings of their own; all are ended with the test."""
    started: list[ServerProcess] = []

    def start(*flags: str, **environ: str) -> ServerProcess:
        server = ServerProcess(tmp_path / f"data{len(started)}", environ, *flags)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.kill()
