"""What journeys may ask for besides a running server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journey import rest as rests
from tests.journey.rest import Rest


@pytest.fixture
async def rest(tmp_path: Path) -> AsyncIterator[Rest]:
    """The API in this process, on a store of its own."""
    async with rests.opened(tmp_path) as opened:
        yield opened
