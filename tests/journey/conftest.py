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


def hashed(password: str) -> str:
    return f"hash of {password}"


@pytest.fixture
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2id takes 0.1 s per password; tests/unit/operators/test_passwords.py tests it."""
    monkeypatch.setattr("bellcast.operators.passwords.hash_password", hashed)
    monkeypatch.setattr("bellcast.operators.passwords.matches", lambda password, stored: hashed(password) == stored)
