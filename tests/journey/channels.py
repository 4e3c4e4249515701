"""A server in this process with a clock that tests advance, running the due jobs."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from msgspec.structs import replace

from bellcast.kernel import times
from bellcast.kernel.clock import TestClock
from bellcast.server.app import App, create_app
from bellcast.settings import load
from tests.store import Store


class World:
    """A server with a test clock: `client` has the project's secret."""

    def __init__(self, client: httpx.AsyncClient, clock: TestClock, app: App) -> None:
        self.client = client
        self.clock = clock
        self.app = app
        self.store = Store(app.db)
        self.secrets = app._parts.channels.secrets

    async def request(self, method: str, path: str, body: Any = None, **params: str) -> Any:
        """Return the decoded response of a successful request."""
        response = await self.client.request(method, path, json=body, params=params or None)
        assert response.is_success, f"{method} {path}: {response.text}"
        return response.json() if response.content else None

    async def get(self, path: str, **params: str) -> Any:
        return await self.request("GET", path, **params)

    async def put(self, path: str, body: Any) -> Any:
        return await self.request("PUT", path, body)

    async def send(self, to: str = "alice", **fields: Any) -> str:
        """Send a notification and return its id."""
        response = await self.request("POST", "/v1/notifications", {"to": to, "title": "Hi", **fields})
        id: str = response["notifications"][0]["id"]
        return id

    async def messages(self, **params: str) -> list[dict[str, Any]]:
        """Return the messages, oldest first."""
        found: list[dict[str, Any]] = (await self.get("/v1/messages", **params))["messages"]
        return found[::-1]

    async def run_due(self) -> None:
        """Run jobs until none is due."""
        await self.advance("1ms")

    async def advance(self, duration: str) -> None:
        """Advance the clock, running jobs as they become due."""
        await self.request("POST", "/v1/test-clock", {"advance": duration})

    async def advance_to(self, moment: str) -> None:
        """Advance the clock to this time."""
        await self.advance(f"{times.milliseconds(datetime.fromisoformat(moment)) - self.clock.now()}ms")


@asynccontextmanager
async def opened(
    folder: Path, now: str = "2026-06-10T12:00:00Z", environment: Mapping[str, str] = {}, **channels: Any
) -> AsyncIterator[World]:
    """Start a server at this time (a Wednesday) with these variables and settings of the channels."""
    clock = TestClock(times.milliseconds(datetime.fromisoformat(now)))
    settings = load({"data": str(folder)}, {"BELLCAST_PROJECT": "p:key:secret", **environment})
    changed = replace(settings.channels, **{"public_url": "https://bell.example", **channels})
    app = create_app(replace(settings, channels=changed), test_clock=clock)
    await app.start(is_mounted=False)
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # a scope is a dict
    headers = {"authorization": "Bearer secret"}
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://bell.test", headers=headers) as client:
            yield World(client, clock, app)
    finally:
        await app.stop()
