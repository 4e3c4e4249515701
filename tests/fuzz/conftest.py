"""The REST API for targets that use a store: synchronous requests in this process."""

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from tests.journey import rest as rests
from tests.journey.rest import Rest

T = TypeVar("T")


class Api:
    """A server with its own store, called from synchronous code."""

    def __init__(self, runner: asyncio.Runner, rest: Rest) -> None:
        self._runner = runner
        self.rest = rest

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def request(self, method: str, path: str, *, as_recipient: bool = False, **more: Any) -> httpx.Response:
        """Return the response; a status of 500 or more fails the test."""
        client = self.rest.recipient("alice") if as_recipient else self.rest.app
        response = self.run(client.request(method, path, **more))
        assert response.status_code < 500, (method, path, more, response.text)
        return response

    def post(self, path: str, text: str) -> httpx.Response:
        return self.request("POST", path, content=text.encode(), headers={"content-type": "application/json"})


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with asyncio.Runner() as runner:
        opened = rests.opened(tmp_path)
        rest = runner.run(opened.__aenter__())
        yield Api(runner, rest)
        runner.run(opened.__aexit__(None, None, None))
