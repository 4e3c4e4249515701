"""A server for each file of fault tests, checked after every test for errors and leftover connections."""

from collections.abc import Iterator

import httpx
import pytest

from tests.faults.raw_sockets import eventually, live, unharmed
from tests.servers import ServerProcess


@pytest.fixture(scope="module")
def target_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with the default limits, shared by the tests in a file."""
    with ServerProcess(tmp_path_factory.mktemp("target") / "data") as server:
        yield server


@pytest.fixture
def target(target_server: ServerProcess) -> Iterator[ServerProcess]:
    """The shared server. After the test it has logged no error and has no connection left."""
    logged = len(target_server.log.read_text())
    yield target_server
    assert unharmed(target_server, since=logged)
    assert eventually(lambda: live(target_server) == 0)


@pytest.fixture
def http(target: ServerProcess) -> Iterator[httpx.Client]:
    """A client with the credentials of the app."""
    with httpx.Client(base_url=target.url, headers=target.as_app()) as client:
        yield client
