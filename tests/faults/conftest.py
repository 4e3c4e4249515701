"""A server for each file of fault tests, checked after every test for errors and leftover connections."""

from collections.abc import Iterator

import httpx
import pytest

from tests.faults.raw import eventually, live, unharmed
from tests.servers import ServerProcess


@pytest.fixture(scope="module")
def sturdy_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with the default limits, shared by the tests in a file."""
    with ServerProcess(tmp_path_factory.mktemp("sturdy") / "data") as server:
        yield server


@pytest.fixture
def sturdy(sturdy_server: ServerProcess) -> Iterator[ServerProcess]:
    """The shared server. After the test it has logged no error and has no connection left."""
    logged = len(sturdy_server.log.read_text())
    yield sturdy_server
    assert unharmed(sturdy_server, since=logged)
    assert eventually(lambda: live(sturdy_server) == 0)


@pytest.fixture
def http(sturdy: ServerProcess) -> Iterator[httpx.Client]:
    """A client with the credentials of the app."""
    with httpx.Client(base_url=sturdy.url, headers=sturdy.as_app()) as client:
        yield client
