"""The REST API with its channels and jobs over a real store, and a clock that tests advance through all that is due."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from bellcast.api import app as api
from bellcast.api.context import ApiContext
from bellcast.auth.access_config import AccessConfig
from bellcast.auth.authenticator import Authenticator
from bellcast.brokers.memory import MemoryBroker
from bellcast.calls import NoBackend
from bellcast.channels.config import ChannelConfig
from bellcast.jobs import JobRunner
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.hub.hub import Hub
from bellcast.live.hub.presence import Presence
from bellcast.live.hub.survey import ConnectionSurvey
from bellcast.model import times
from bellcast.model.ids import Ids
from bellcast.model.limits import Limits
from bellcast.model.token_bucket import TokenBuckets
from bellcast.outbound.clients import HttpClients
from bellcast.ports import Context
from bellcast.server.tasks import Tasks
from bellcast.server.wire_channels import Channels
from bellcast.storage.sqlite import SqliteEngine
from bellcast.storage.store import SQLStore
from bellcast.workflows.library import Library
from bellcast.workflows.schedules import Schedules
from bellcast.workflows.triggers import Triggers
from tests.clock import FakeClock
from tests.journey.rest import PROJECT


class World:
    """A server with a fake clock: `client` has the project's secret."""

    def __init__(self, client: httpx.AsyncClient, clock: FakeClock, store: SQLStore, jobs: JobRunner) -> None:
        self.client = client
        self.clock = clock
        self.store = store
        self.jobs = jobs

    async def request(self, method: str, path: str, body: Any = None, **params: str) -> Any:
        """The decoded answer of a successful request."""
        response = await self.client.request(method, path, json=body, params=params or None)
        assert response.is_success, f"{method} {path}: {response.text}"
        return response.json() if response.content else None

    async def get(self, path: str, **params: str) -> Any:
        return await self.request("GET", path, **params)

    async def put(self, path: str, body: Any) -> Any:
        return await self.request("PUT", path, body)

    async def send(self, to: str = "alice", **fields: Any) -> str:
        """Send a notification and return its id."""
        answer = await self.request("POST", "/v1/notifications", {"to": to, "title": "Hi", **fields})
        id: str = answer["notifications"][0]["id"]
        return id

    async def messages(self, **params: str) -> list[dict[str, Any]]:
        """Messages, the oldest first."""
        found: list[dict[str, Any]] = (await self.get("/v1/messages", **params))["messages"]
        return found[::-1]

    async def run_due(self) -> None:
        """Run jobs until none is due."""
        while await self.jobs.run_due():
            pass

    async def advance_to(self, moment: str) -> None:
        """Advance the clock to this time and run what is due there."""
        self.clock.advance((times.milliseconds(datetime.fromisoformat(moment)) - self.clock.now()) / 1000)
        await self.run_due()


@asynccontextmanager
async def opened(folder: Path, now: str = "2026-06-10T12:00:00Z", **config: Any) -> AsyncIterator[World]:
    """Open a world at this time (a Wednesday)."""
    clock, broker, ids = FakeClock(times.milliseconds(datetime.fromisoformat(now))), MemoryBroker(), Ids()
    store, clients = SQLStore(SqliteEngine(folder / "bellcast.sqlite3", clock)), HttpClients()
    jobs = JobRunner(store.jobs, clock, ids.new)
    settings = ChannelConfig(**{"public_url": "https://bell.example", **config})
    channels = Channels(store, clock, clients, settings, PROJECT, ids.new, jobs, TokenBuckets())
    access, limits = AccessConfig(), Limits()
    hub = Hub(Presence(access.presence_topics), broker, clock, HubCallbacks())
    engines = Context(store=store, broker=broker, clock=clock, new_id=ids.new, router=channels.router)
    library = Library(store, clock)
    context = ApiContext(
        engines=engines,
        limits=limits,
        project=PROJECT,
        authenticator=Authenticator(PROJECT, access, limits, keys=store.keys, http=clients.trusted(), clock=clock),
        access=access,
        connections=ConnectionSurvey(hub, broker, Tasks().spawn),
        catalog=channels.catalog,
        previews=channels.previews,
        channels=settings,
        url_problem=clients.guard.problem,
        push_key=channels.vapid_key.public,
        providers=channels.providers,
        receipts=channels.receipts,
        webhooks=channels.webhooks,
        app=NoBackend(),
        library=library,
        schedules=Schedules(lambda: engines, library, Triggers(store, clock, library, engines.new_id), limits),
    )
    await store.open()
    transport = httpx.ASGITransport(api.build(context))
    headers = {"authorization": f"Bearer {PROJECT.secret}"}
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://bell.test", headers=headers) as client:
            yield World(client, clock, store, jobs)
    finally:
        await channels.close()
        await clients.close()
        await store.close()
