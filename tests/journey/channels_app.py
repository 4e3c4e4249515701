"""The whole server in this process, for the journeys of channels."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from bellcast.auth import tokens
from bellcast.kernel.identities import Project
from bellcast.server.app import App, create_app
from bellcast.settings import load

PROJECT = Project("p", "key", "secret")
DAY_MS = 86_400_000


@asynccontextmanager
async def app(folder: Path, **settings: str) -> AsyncIterator[tuple[App, httpx.AsyncClient]]:
    """Run a server with these settings; the client has the project secret."""
    environment = {
        "BELLCAST_PROJECT": "p:key:secret",
        **{f"BELLCAST_{name}": value for name, value in settings.items()},
    }
    server = create_app(load({"data": str(folder)}, environment))
    await server.start(is_mounted=False)
    transport = httpx.ASGITransport(server)  # type: ignore[arg-type]  # a scope is a dict
    headers = {"authorization": "Bearer secret"}
    async with httpx.AsyncClient(transport=transport, base_url="http://bell", headers=headers) as client:
        try:
            yield server, client
        finally:
            await server.stop()


def session_of(server: App, recipient: str, tenant: str = "") -> dict[str, str]:
    """Return the headers of a recipient's own requests."""
    now = server.engines.clock.now()
    token = tokens.sign(PROJECT, recipient, now=now, expires_at=now + DAY_MS, tenant=tenant)
    return {"authorization": f"Bearer {token}"}


async def eventually(read: Callable[[], Awaitable[Any]], is_right: Callable[[Any], bool]) -> Any:
    """Call `read` until its result is as expected; the server works in the background."""
    async with asyncio.timeout(60):
        while not is_right(found := await read()):  # noqa: ASYNC110  another component changes it
            await asyncio.sleep(0.01)
    return found


async def ended(client: httpx.AsyncClient, count: int = 1, **filters: str) -> list[dict[str, Any]]:
    """Return the messages once there are this many and none is pending."""

    async def read() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await client.get("/v1/messages", params=filters)).json()["messages"]
        return found

    open_states = ("queued", "sending")
    return await eventually(read, lambda f: len(f) == count and all(m["state"] not in open_states for m in f))
