"""A server for each file of fault tests, looked at after every test: whatever was done to it, it is unharmed."""

from collections.abc import Iterator

import httpx
import pytest

from tests.faults.raw import eventually, live, unharmed
from tests.servers import ServerProcess


@pytest.fixture(scope="module")
def sturdy_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for a file's tests, with the default limits."""
    with ServerProcess(tmp_path_factory.mktemp("sturdy") / "data") as server:
        yield server


@pytest.fixture
def sturdy(sturdy_server: ServerProcess) -> Iterator[ServerProcess]:
    """That server; after the test it must be whole, and have forgotten every connection."""
    logged = len(sturdy_server.log.read_text())
    yield sturdy_server
    assert unharmed(sturdy_server, since=logged)
    assert eventually(lambda: live(sturdy_server) == 0)


@pytest.fixture
def http(sturdy: ServerProcess) -> Iterator[httpx.Client]:
    """The app's own server, asking."""
    with httpx.Client(base_url=sturdy.url, headers=sturdy.as_app()) as client:
        yield client
