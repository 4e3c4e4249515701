"""Fixtures of the journeys, in addition to a running server."""

import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bellcast.kernel.yaml_text import YamlText
from tests.journey import rest as rests
from tests.journey.rest import Rest


@pytest.fixture
async def rest(tmp_path: Path) -> AsyncIterator[Rest]:
    """The API in this process, with its own store."""
    async with rests.opened(tmp_path) as opened:
        yield opened


@pytest.fixture
def yaml_threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads in which YAML is parsed from now on."""
    threads: list[int] = []

    def parse(text: bytes) -> YamlText:
        threads.append(threading.get_ident())
        return YamlText(text)

    monkeypatch.setattr("bellcast.kernel.yaml_text.YamlText", parse)
    return threads


def hashed(password: str) -> str:
    return f"hash of {password}"


@pytest.fixture
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2id takes 0.1 s per password; tests/unit/operators/test_passwords.py tests it."""
    monkeypatch.setattr("bellcast.operators.factors.hash_password", hashed)
    monkeypatch.setattr(
        "bellcast.operators.factors.matches_password", lambda password, stored: hashed(password) == stored
    )
