"""The REST interface for targets that reach a store: requests by a synchronous call, in this process."""

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
    """A server on a store of its own, called from synchronous code."""

    def __init__(self, runner: asyncio.Runner, rest: Rest) -> None:
        self._runner = runner
        self.rest = rest

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def request(self, method: str, path: str, *, as_recipient: bool = False, **more: Any) -> httpx.Response:
        """An answer of the server; one of 500 or more is a failure."""
        asker = self.rest.recipient("alice") if as_recipient else self.rest.app
        answer = self.run(asker.ask(method, path, **more))
        assert answer.status_code < 500, (method, path, more, answer.text)
        return answer

    def post(self, path: str, text: str) -> httpx.Response:
        return self.request("POST", path, content=text.encode(), headers={"content-type": "application/json"})


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with asyncio.Runner() as runner:
        opened = rests.opened(tmp_path)
        rest = runner.run(opened.__aenter__())
        yield Api(runner, rest)
        runner.run(opened.__aexit__(None, None, None))
