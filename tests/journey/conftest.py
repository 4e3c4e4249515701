"""Fixtures of the journeys, in addition to a running server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journey import rest as rests
from tests.journey.rest import Rest


@pytest.fixture
async def rest(tmp_path: Path) -> AsyncIterator[Rest]:
    """The API in this process, with its own store."""
    async with rests.opened(tmp_path) as opened:
        yield opened
