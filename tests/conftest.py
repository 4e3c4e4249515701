"""Fixtures of every test: a shared running server, and servers with custom settings."""

import gc
import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import structlog
from hypothesis import HealthCheck, settings
from websockets.asyncio.client import connect as connect_async
from websockets.sync.client import connect

from bellcast.templates.budget import budget_of
from tests import thoroughness
from tests.servers import ServerProcess

MEMORY_DISK = "/dev/shm"
REQUIRED_BYTES = 3 * 1024**3  # a run uses a quarter; Linux allots half of the memory, a container often 64 MB
CERTIFICATES = "/etc/ssl/certs"
TESTS = Path(__file__).parent
# Seconds. The clients' defaults, 5 and 10 s, are too short for a loaded machine that starts a server and three browsers;
# pytest's timeout ends a test that hangs.
CLIENT_TIMEOUT = 60
PLAIN_LOG = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
EXAMPLES, THOROUGH_EXAMPLES = 40, 100  # of a property of Hypothesis, whose default is 100
WAITING_FOLDERS = ("faults", "browser", "docs", "outbox", "wire", "deploy", "migration", "package")
WORKING_FOLDERS = ("contract", "journey", "law")


@pytest.fixture(autouse=True)
def new_template_budgets() -> None:
    """Forget the CPU time and the slow texts of the test before, which may have had the same tenant."""
    budget_of.cache_clear()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Measured figures are always recorded, and compared with their limits only on request: on a busy machine they are
    meaningless."""
    parser.addoption("--measure", action="store_true", help="hold measured figures to their bounds")
    parser.addoption(
        "--two-workers",
        action="store_true",
        help="run the example apps' servers with two workers, PostgreSQL and Redis",
    )
    parser.addoption("--thorough", action="store_true", help="also run the tests that are marked as thorough")
    parser.addoption("--packages", type=Path, help="test the packages in this folder instead of building them")


def pytest_configure(config: pytest.Config) -> None:
    """Set the thoroughness, the limits of Hypothesis, the folder for temporary files, the certificates and timeouts of clients, and the
    signal that ends commands."""
    thoroughness.is_thorough = config.getoption("--thorough")
    # The deadline of an example, 0.2 s, and the limit for its data are those of an idle machine.
    examples = THOROUGH_EXAMPLES if thoroughness.is_thorough else EXAMPLES
    settings.register_profile(
        "loaded", max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("loaded")
    # A shell starts its background jobs with SIGINT ignored, and the commands under test would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A commit waits 3 ms for a good disk, and no test cuts the power, so temporary files are in memory.
    if "TMPDIR" not in os.environ and _has_space(MEMORY_DISK):
        os.environ["TMPDIR"], tempfile.tempdir = MEMORY_DISK, MEMORY_DISK
    # A client reads the whole default bundle, which takes 25 ms, but reads a directory only on demand.
    os.environ.pop("SSL_CERT_FILE", None)
    os.environ["SSL_CERT_DIR"] = CERTIFICATES
    _raise_client_timeouts()
    # The default draws tracebacks with the values of all variables, which takes a second each.
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], PLAIN_LOG])
    # The collection creates 12,000 tests that stay; looking for garbage among them would take half of its time.
    gc.disable()


def pytest_collection_finish() -> None:
    """Exclude the collected tests and the imported modules from the search for garbage."""
    gc.freeze()
    gc.enable()


def _raise_client_timeouts() -> None:
    default = httpx._config.DEFAULT_TIMEOUT_CONFIG  # shared by all functions of httpx as their default
    default.connect = default.read = default.write = default.pool = CLIENT_TIMEOUT
    for opener in (connect, connect_async.__init__):
        opener.__kwdefaults__["open_timeout"] = CLIENT_TIMEOUT


def _has_space(folder: str) -> bool:
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > REQUIRED_BYTES


@pytest.hookimpl(trylast=True)  # after the folders' own hooks, which mark tests
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the thorough tests to runs that ask for them.

    Alternate test files that mostly wait with those that mostly compute, so that the processor is neither idle nor
    overloaded. Short files are last, so that no worker is left with a long one at the end."""
    if not config.getoption("--thorough"):
        left_out = {item for item in items if item.get_closest_marker("thorough")}
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=list(left_out))
    repeated = [id for id, count in Counter(item.nodeid for item in items).items() if count > 1]
    if repeated:
        raise pytest.UsageError(f"xdist would run only one of the tests with the id {repeated[0]}")
    files = list(dict.fromkeys(item.path for item in items))
    rank = dict.fromkeys(files, 1.0)
    for folders in (WAITING_FOLDERS, WORKING_FOLDERS):
        group = [file for file in files if file.relative_to(TESTS).parts[0] in folders]
        rank |= {file: number / len(group) for number, file in enumerate(group)}
    items.sort(key=lambda item: rank[item.path])


@pytest.fixture(scope="session")
def bellcast_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server shared by tests, which use distinct recipients."""
    with ServerProcess(tmp_path_factory.mktemp("shared") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def two_workers(request: pytest.FixtureRequest) -> bool:
    """True if the servers of the example apps have two workers, PostgreSQL and Redis."""
    return bool(request.config.getoption("--two-workers"))


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Start servers with custom settings; the fixture kills them after the test."""
    started: list[ServerProcess] = []

    def start(*flags: str, **environ: str) -> ServerProcess:
        server = ServerProcess(tmp_path / f"data{len(started)}", environ, *flags)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.kill()
