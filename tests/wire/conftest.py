"""Fixtures of tests that share a server."""

from collections.abc import Iterator

import httpx
import pytest

from tests.servers import ServerProcess
from tests.wire.clients import names


@pytest.fixture
def alice() -> str:
    """A recipient that no other test uses."""
    return next(names)


@pytest.fixture
def http(bellcast_server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=bellcast_server.url, headers=bellcast_server.as_app()) as client:
        yield client
