"""The REST API in this process over a real store, with clients for the app and its recipients and a fake clock."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from bellcast.auth import tokens
from bellcast.auth.authenticator import Authenticator
from bellcast.auth.permissions import AccessConfig
from bellcast.calls import CallBackend, Handlers
from bellcast.channels.catalog import Catalog
from bellcast.channels.delivery import MessageReports
from bellcast.channels.receipts import Receipts
from bellcast.channels.routing import Router
from bellcast.channels.types import ChannelConfig
from bellcast.console.http.monitoring import LARGE_COUNT_SECONDS, LargeCounts
from bellcast.console.stats import StatsRecorder
from bellcast.console.types import StatsPoint
from bellcast.console.watchers import ClusterFeed, LiveFeed
from bellcast.documents.http import StoredSecrets
from bellcast.documents.recorder import Recorder
from bellcast.documents.store import Documents
from bellcast.documents.types import SOURCES
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.concurrency import BackgroundTasks
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.events import Event
from bellcast.kernel.identities import Project
from bellcast.kernel.ids import Ids
from bellcast.kernel.jobs.runner import JobRunner
from bellcast.kernel.jobs.slots import Destinations
from bellcast.kernel.limits import Limits
from bellcast.kernel.outbound.http import HttpClient, HttpClients
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.live.hub import Hub
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.hub.presence import PresenceTracker
from bellcast.live.hub.survey import ConnectionSurvey
from bellcast.live.pusher.apps import PusherAppDirectory
from bellcast.live.pusher.connection_test import ConnectionTests
from bellcast.live.pusher.plugin import PusherConfig
from bellcast.operators.oidc import OidcProvider, OidcSignIn
from bellcast.operators.passkeys import Passkeys
from bellcast.operators.sign_in import ConsoleSessions
from bellcast.operators.types import OidcConfig
from bellcast.preferences.types import Channel
from bellcast.providers.directory import ProviderDirectory
from bellcast.rest.context import ApiContext
from bellcast.rest.resource import RECENT_CACHE_SIZE, RECENT_SECONDS, RecentCache
from bellcast.server import api_app as api
from bellcast.server.doctor import Doctor
from bellcast.server.nodes import NodeReporter
from bellcast.server.parts import ENCRYPTED_FIELDS
from bellcast.settings import Settings
from bellcast.settings.database import GROUPS, DatabaseSettings
from bellcast.settings.table import StoreSettings
from bellcast.webhooks.webhooks import Webhooks
from bellcast.workflows.event_sources import USES, EventReactions, SourceUse
from bellcast.workflows.run_stats import RunStats
from bellcast.workflows.schedules import Schedules
from bellcast.workflows.triggers import Triggers
from bellcast.workflows.workflow_catalog import WorkflowCatalog
from tests.clock import FakeClock
from tests.contexts import NO_FEED, idle_context
from tests.store import FreshSqliteEngine, Store

DATA_FOLDER = "/srv/bell data"
PROJECT = Project("42", "public-key", "the secret of the project, forty characters")
HOUR = 3_600_000


async def no_differences(live: object) -> dict[str, str]:
    """There is one node."""
    return {}


async def no_objects() -> list[str]:
    """Every stored secret can be decrypted."""
    return []


async def no_numbers() -> StatsPoint:
    """Tests write statistics over time to the store."""
    return StatsPoint()


class Caller:
    """A client with credentials."""

    def __init__(self, client: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self._client = client
        self.headers = headers

    async def request(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        return await self._client.request(method, path, headers=self.headers | (headers or {}), **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("POST", path, **options)

    async def put(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("PUT", path, **options)

    async def patch(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("DELETE", path, **options)


class Rest:
    """An API. `app` is the client of the app's server, `published` lists all published events."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        clock: FakeClock,
        store: Store,
        published: list[Event],
        file: Path,
        pusher_apps: PusherAppDirectory,
        feed: LiveFeed,
    ) -> None:
        self.feed = feed
        self.pusher_apps = pusher_apps
        self.file = file
        self.client = client
        self.clock = clock
        self.store = store
        self.published = published
        self.anonymous = Caller(client, {})
        self.app = Caller(client, {"authorization": f"Bearer {PROJECT.secret}"})

    def recipient(self, key: str, tenant: str = "", **claims: Any) -> Caller:
        """Return the client of a recipient, with a session of one hour."""
        now = self.clock.now()
        token = tokens.sign(PROJECT, key, now=now, expires_at=now + HOUR, tenant=tenant, **claims)
        return Caller(self.client, {"authorization": f"Bearer {token}"})

    async def send(self, to: Any, title: str = "Hello", **options: Any) -> str:
        """Send, and return the id of the (first) notification or of the announcement."""
        response = await self.app.post("/v1/notifications", json={"to": to, "title": title, **options})
        assert response.status_code == 201, response.text
        result = response.json()
        created_id: str = result["announcement"]["id"] if "announcement" in result else result["notifications"][0]["id"]
        return created_id


async def nothing_simulated(tenant: str, channels: Iterable[Channel]) -> frozenset[Channel]:
    """No process delivers messages: due messages stay queued."""
    return frozenset()


@contextlib.asynccontextmanager
async def opened(
    folder: Path,
    *,
    limits: Limits | None = None,
    access: AccessConfig | None = None,
    handlers: CallBackend | None = None,
    console: Mapping[str, Any] | None = None,
    oidc: OidcConfig | None = None,
    engine: Callable[[FakeClock], Engine] | None = None,
) -> AsyncIterator[Rest]:
    """Build the API on a new store: of an engine, by default SQLite in the folder."""
    clock, broker, published = FakeClock(), MemoryBroker(), list[Event]()
    limits, access = limits or Limits(), access or AccessConfig()
    store, http = (
        Store(FreshSqliteEngine(folder / "bellcast.sqlite3", clock) if engine is None else engine(clock)),
        HttpClient(),
    )
    clients = HttpClients()
    broker.listen(published.append)
    reporter = NodeReporter(
        clock.now(), lambda: len(hub), lambda: None, lambda: settings.revision, runs_jobs=False, schema_version=1
    )
    hub = Hub(
        PresenceTracker(lambda: access.presence_topics), broker, clock, clock, HubCallbacks(report=reporter.report)
    )
    survey = ConnectionSurvey(hub, broker, BackgroundTasks().spawn)
    ids, feed = Ids(), LiveFeed()
    catalog = Catalog(store, clock, ChannelConfig(), feed)
    jobs = JobRunner(store.jobs, clock, ids.new)
    webhooks = Webhooks(store, clock, clock, clients.guarded, Encryption(b"key"), ids.new, jobs, NO_FEED)
    workflow_catalog = WorkflowCatalog(store, clock)
    router = Router(
        store,
        clock,
        catalog,
        ChannelConfig(),
        PROJECT,
        ids.new,
        lambda: None,
        webhooks,
        nothing_simulated,
        MessageReports(clock, NO_FEED),
    )
    triggers = Triggers(router, workflow_catalog, clock)
    schedules = Schedules(lambda: engines, triggers, limits)
    sources = EventReactions(lambda: engines, triggers, limits, Recorder(store, clock, USES, SOURCES, SourceUse))
    engines = idle_context(
        db=store, broker=broker, clock=clock, new_id=ids.new, scheduler=schedules, reactions=sources, feed=feed
    )
    cipher = Encryption(PROJECT.secret.encode())
    sessions = ConsoleSessions(store.operators, clock, ids.new, cipher, **(console or {}))
    own_network = HttpClients(["127.0.0.1"])
    targets: dict[str, list[object]] = {name: [Settings().group(name)] for name in GROUPS}
    pusher = PusherConfig()
    targets |= {"access": [access], "limits": [limits], "pusher": [pusher]}
    settings = DatabaseSettings(Documents(store), clock, feed, Settings(), targets, lambda revision: broker.publish())
    pusher_apps = PusherAppDirectory(store, clock, Encryption(b"key"), PROJECT, broker.publish)
    providers = ProviderDirectory(
        store, clock, clock, clients, ChannelConfig(), Encryption(b"key"), TokenBuckets(), Destinations(clock)
    )
    services: dict[type[Any], Any] = {
        CallBackend: handlers or Handlers(),
        Catalog: catalog,
        ChannelConfig: ChannelConfig(),
        ConsoleSessions: sessions,
        Passkeys: Passkeys(sessions, store.operators, cipher, clock, ids.new),
        Router: router,
        Receipts: Receipts(store, providers.find, clock, webhooks, jobs),
        ProviderDirectory: providers,
        LargeCounts: LargeCounts(clock, 1, LARGE_COUNT_SECONDS),
        RecentCache: RecentCache(clock, RECENT_CACHE_SIZE, RECENT_SECONDS),
        Schedules: schedules,
        EventReactions: sources,
        StoredSecrets: StoredSecrets(store.documents, clock, Encryption(b"key"), ["key"], ENCRYPTED_FIELDS),
        Webhooks: webhooks,
        RunStats: RunStats(store, clock, workflow_catalog),
        WorkflowCatalog: workflow_catalog,
    }
    if oidc is not None:
        own = OidcProvider(oidc, own_network.guarded, clock)
        services[OidcSignIn] = OidcSignIn(own, sessions, store.operators, cipher, clock)
    services |= {
        ClusterFeed: ClusterFeed(feed, broker, clock, hub.members, BackgroundTasks().spawn),
        ConnectionSurvey: survey,
        DatabaseSettings: settings,
        StatsRecorder: StatsRecorder(store.stats, clock, "node", no_numbers, feed.tenants),
        PusherConfig: pusher,
        PusherAppDirectory: pusher_apps,
        # the API in this process has no public URL
        ConnectionTests: ConnectionTests(pusher_apps, pusher, http, clients, clock, lambda: ""),
    }
    context = ApiContext(
        engines=engines,
        token_clock=clock,
        services=services,
        limits=limits,
        project=PROJECT,
        authenticator=Authenticator(PROJECT, access, limits, keys=store.keys, http=http, clock=clock),
        access=access,
        nodes=survey.nodes,
        findings=Doctor(
            Settings(store=StoreSettings(data=folder)),
            PROJECT,
            http,
            (store.ping, broker.ping),
            survey.nodes,
            partial(providers.providers, "", "email"),
            no_differences,
            no_objects,
        ).findings,
        url_problem=clients.guard.problem,
        queue_age=jobs.queue_age,
        push_key=lambda: "",
        data_folder=DATA_FOLDER,
        refresh_dialects=pusher_apps.reload,
        numbers=lambda: {"unreadable_pusher_apps": sum(one.state == "unreadable" for one in pusher_apps.all)},
    )
    await store.open()
    transport = httpx.ASGITransport(api.build(context), raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://bell.test") as client:
            yield Rest(client, clock, store, published, folder / "bellcast.sqlite3", pusher_apps, feed)
    finally:
        await http.close()
        await clients.close()
        await own_network.close()
        await store.close()


def fields(response: httpx.Response) -> dict[str, str]:
    """Return the invalid fields that a problem names, with their messages."""
    return {error["field"]: error["message"] for error in response.json().get("errors", [])}


def refused(response: httpx.Response, status: int, code: str) -> bool:
    """Check that the response is a problem document, and return True if it has this status and code."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    problem = response.json()
    assert problem["type"] == f"/errors/{problem['code']}"
    assert {"title", "detail"} <= problem.keys()
    assert problem["status"] == response.status_code
    return (response.status_code, problem["code"]) == (status, code)
