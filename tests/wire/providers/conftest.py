"""Fixtures: a vendor's server and an HTTP client."""

from collections.abc import AsyncIterator

import pytest

from bellcast.kernel.outbound.http import HttpClient
from tests.vendor_server import VendorServer, vendor_server


@pytest.fixture
async def vendor() -> AsyncIterator[VendorServer]:
    async with vendor_server() as vendor:
        yield vendor


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.close()
