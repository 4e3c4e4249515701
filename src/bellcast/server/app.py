"""The wired server as one ASGI application: the live paths go to the live edge, everything else to the API."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping
from copy import deepcopy
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import structlog
from msgspec.structs import replace

from bellcast import calls
from bellcast.agents.tool_calls import Agents
from bellcast.auth.authenticator import Authenticator
from bellcast.auth.store import Keys
from bellcast.calls import CallBackend
from bellcast.channels.catalog import Catalog
from bellcast.channels.receipts import Receipts
from bellcast.channels.routing import Router
from bellcast.channels.types import ChannelConfig
from bellcast.console.http.monitoring import LARGE_COUNT_SECONDS, LargeCounts
from bellcast.console.stats import FAILED, StatsRecorder
from bellcast.console.store import StatsPoints
from bellcast.console.types import StatsPoint
from bellcast.console.watchers import ClusterFeed
from bellcast.documents.store import Documents
from bellcast.documents.stored_secrets import StoredSecrets
from bellcast.kernel.clock import TestClock
from bellcast.kernel.concurrency import BackgroundTasks, Loop
from bellcast.kernel.errors import BellcastError, Conflict, SettingsError
from bellcast.kernel.http import ASGIApp, Receive, Scope, Send
from bellcast.kernel.identities import Project
from bellcast.kernel.jobs.runner import LEASE_MS, STEP_MS, TimeTravel
from bellcast.kernel.jobs.store import Jobs
from bellcast.live.http import websockets
from bellcast.live.http.asgi import can_take_over, serve_as_socket
from bellcast.live.http.socket_handoff import SocketHandoff
from bellcast.live.hub.survey import ConnectionSurvey
from bellcast.live.types import NodeLeft, SettingsChanged
from bellcast.operators.sign_in import ConsoleSessions
from bellcast.providers.directory import ProviderDirectory
from bellcast.rest.context import ApiContext
from bellcast.rest.resource import RECENT_CACHE_SIZE, RECENT_SECONDS, RecentCache
from bellcast.server import adapters, health, maintenance, mounted
from bellcast.server import api_app as api
from bellcast.server.api_app import path_as_sent
from bellcast.server.doctor import Doctor
from bellcast.server.live_edge import LiveEdge
from bellcast.server.metrics import WorkerMetrics, exporter
from bellcast.server.nodes import NodeReporter, NodeSettings
from bellcast.server.parts import ServerParts, operator_services
from bellcast.server.request_log import RequestLog
from bellcast.settings import Settings, load, project
from bellcast.settings.credentials import EncryptionKeys, encryption_keys
from bellcast.settings.database import GROUPS, DatabaseSettings
from bellcast.settings.table import StoreSettings
from bellcast.webhooks.webhooks import Webhooks
from bellcast.workflows import flows
from bellcast.workflows.event_sources import EventReactions
from bellcast.workflows.flows import Workflows
from bellcast.workflows.run_stats import RunStats
from bellcast.workflows.schedules import Schedules
from bellcast.workflows.triggers import Triggers
from bellcast.workflows.workflow_catalog import WorkflowCatalog

if TYPE_CHECKING:  # imported with the first client of this app
    import httpx

    from bellcast.client import AsyncBellcast, Bellcast
    from bellcast.client.http_senders import LoopTransport

log = structlog.get_logger(__name__)

# Scheme and host of in-process requests; no connection is made.
IN_PROCESS_URL = "http://127.0.0.1"
# The only API operation that also accepts a WebSocket.
FEED_PATH = "/v1/feed"

# For running jobs (5 s) and what is saved after them. With the drain and the closing of the engines, at most 15 s longer than the
# drain, after which Kubernetes kills with the chart's settings, also if the store or the broker does not respond.
STOP_SECONDS = 7.0


class App:
    """An ASGI 3 application. If the server sends lifespan events, the app starts and stops with it. Where none arrive,
    as in a mount, it starts with its first request, and the caller must call `stop`."""

    def __init__(
        self,
        settings: Settings,
        project: Project,
        keys: EncryptionKeys,
        handlers: calls.Handlers | None = None,
        handoff: SocketHandoff | None = None,
        test_clock: TestClock | None = None,
        workflows: Workflows | None = None,
    ) -> None:
        # Copies, because settings in the database change them; the defaults and other apps must not change.
        settings = deepcopy(settings)
        self.settings = settings
        self.project = project
        self.handoff = handoff
        self._worker_metrics = None if handoff is None else WorkerMetrics(handoff.folder)
        self.tasks = BackgroundTasks()
        self._parts = parts = ServerParts(
            settings,
            project,
            keys,
            workflows or Workflows(),
            test_clock,
            lambda stream: self.hub.subscriptions.total(stream),  # noqa: PLW0108  the hub is built below
        )
        self.db, self.broker, self.feed, self.engines = parts.db, parts.broker, parts.feed, parts.engines
        self._node_settings = NodeSettings(Documents(self.db), parts.real_clock, settings, project, keys)
        # Code for the first set-up of the console; None if it is set up or turned off.
        self.setup_code: str | None = None
        self._operators = operator_services(parts) if settings.server.console else {}
        self._event_loop: asyncio.AbstractEventLoop | None = None
        self.request_log = RequestLog(parts.real_clock, self.feed, lambda: settings.server.logged_requests)
        self.time_travel = (
            None
            if test_clock is None
            else TimeTravel(test_clock, parts.jobs, partial(maintenance.expire, self.engines))
        )
        self._starting = asyncio.Lock()
        self._started = False
        authenticator = Authenticator(
            self.project,
            settings.access,
            settings.limits,
            keys=Keys(self.db),
            http=parts.http,
            clock=parts.real_clock,
        )
        # What operators change while the server runs: the settings in the database
        targets: dict[str, list[object]] = {name: [settings.group(name)] for name in GROUPS}
        targets["channels"].append(parts.channel_config)
        self._database_settings = DatabaseSettings(
            Documents(self.db),
            parts.real_clock,
            self.feed,
            _unchanged(settings, handlers),
            targets,
            lambda revision: self.broker.publish(SettingsChanged(revision)),
        )
        self.node_reporter = NodeReporter(
            parts.real_clock.now(),
            lambda: len(self.hub),
            lambda: None if self._stats is None else self._stats.queue_age(),
            lambda: self._database_settings.revision,
            runs_jobs=not settings.server.no_jobs,
            schema_version=self.db.schema.version,
        )
        callback = calls.HttpCallback(lambda: settings.server.handler_url, self.project, parts.http, parts.real_clock)
        app = calls.ObservedCalls(handlers or callback, self.feed, parts.real_clock)
        self._live = LiveEdge(
            parts,
            authenticator,
            app,
            lambda: self.broker.publish(SettingsChanged(self._database_settings.revision)),
            self.request_log,
            self.node_reporter.report,
            self._database_settings.reload,
            self.tasks.spawn,
            self.handoff,
        )
        self.hub = self._live.hub
        node = self.hub.members.id
        recorder = StatsRecorder(StatsPoints(self.db), parts.real_clock, node, self._measure, self.feed.tenants)
        self._stats = recorder if settings.server.stats else None
        self._outbox = adapters.outbox(settings.store, self.engines, settings.limits, parts.workflows.schedules.trigger)
        context = ApiContext(
            engines=self.engines,
            services={**self._services(app), **self._live.services},
            limits=settings.limits,
            project=self.project,
            authenticator=authenticator,
            access=settings.access,
            nodes=self._live.survey.nodes,
            findings=Doctor(
                settings,
                self.project,
                parts.http,
                (self.db.ping, partial(self.broker.ping, writes=True)),
                self._live.survey.nodes,
                parts.channels.providers.stored_mail_servers,
                self._node_settings.differences,
                parts.channels.secrets.unreadable,
            ).findings,
            url_problem=parts.clients.guard.problem,
            push_key=lambda: parts.channels.vapid_key.public,
            refresh_dialects=self._live.refresh,
            numbers=lambda: {**self._live.numbers(), **({} if self._outbox is None else self._outbox.numbers())},
            process_counts=self._counts,
            queue_age=parts.jobs.queue_age,
            token_clock=parts.real_clock,
            is_ready_strict=settings.server.ready_strict,
            data_folder=None if settings.store.data == StoreSettings().data else str(settings.store.data.absolute()),
            landing=settings.server.landing,
            has_trial=not settings.server.trusted_proxies,
        )
        self._api = api.build(context)
        self._serve_api = self._api if parts.tracing is None else partial(parts.tracing.serve, self._api)

    def _services(self, app: CallBackend) -> Mapping[type[Any], Any]:
        """Return the services of the rooms by their types."""
        parts, channels, workflows = self._parts, self._parts.channels, self._parts.workflows
        services: dict[type[Any], Any] = {
            CallBackend: app,
            Catalog: channels.catalog,
            ChannelConfig: parts.channel_config,
            ClusterFeed: self._live.feed,
            ConnectionSurvey: self._live.survey,
            DatabaseSettings: self._database_settings,
            LargeCounts: LargeCounts(parts.real_clock, 1, LARGE_COUNT_SECONDS),
            Router: channels.router,
            ProviderDirectory: channels.providers,
            Receipts: channels.receipts,
            RecentCache: RecentCache(parts.real_clock, RECENT_CACHE_SIZE, RECENT_SECONDS),
            RunStats: RunStats(self.db, parts.real_clock, workflows.workflow_catalog),
            Schedules: workflows.schedules,
            EventReactions: workflows.sources,
            StoredSecrets: channels.secrets,
            Triggers: workflows.triggers,
            Webhooks: channels.webhooks,
            WorkflowCatalog: workflows.workflow_catalog,
        }
        # Absent: without several workers, with BELLCAST_STATS=off, without a test clock.
        others = {
            WorkerMetrics: self._worker_metrics,
            StatsRecorder: self._stats,
            TimeTravel: self.time_travel,
        }
        services |= {kind: service for kind, service in others.items() if service is not None}
        server = self.settings.server
        if server.mcp:  # the calls of agents are requests to this app
            adapters.need("BELLCAST_MCP", "mcp", "mcp", "the package mcp")
            services[Agents] = Agents(
                lambda: self._transport, self.db, parts.real_clock, self.project, lambda: server.mcp_calls_per_minute
            )
        return services | self._operators

    def _counts(self) -> Mapping[str, Mapping[Any, float]]:
        """Return the counters of this process for the metrics, by name and labels."""
        channels, events = self._parts.channels, self.feed.emitted["publish"]
        return {
            "accepted": {**channels.reports.accepted, "event": events},
            "messages": channels.reports.ended,
            "attempts": channels.reports.attempts,
            "webhook_attempts": channels.webhooks.attempts,
            **self.broker.counts(),
        }

    async def _measure(self) -> StatsPoint:
        """Read the counters since the start, and the current connections and queue age."""
        requests, refusals, failures, durations = self._api.requests.totals()
        ended = self._parts.channels.reports.ended
        point = StatsPoint(
            connections=len(self.hub),
            requests=requests,
            refusals=refusals,
            failures=failures
            + self.feed.failed_runs
            + sum(count for (_, state), count in ended.items() if state in FAILED),
            sends=self.feed.emitted["send"],
            runs=self.feed.emitted["start"],
            publishes=self.feed.emitted["publish"],
            deliveries=sum(count for (_, state), count in ended.items() if state == "sent"),
            durations=durations,
        )
        # A store that does not respond could not store the sample either.
        with contextlib.suppress(BellcastError):
            point = replace(point, queue_age=await self._parts.jobs.queue_age())
        return point

    @cached_property
    def _transport(self) -> "httpx.ASGITransport":
        import httpx

        return httpx.ASGITransport(self, raise_app_exceptions=False)  # type: ignore[arg-type]  # a scope is a dict

    @cached_property
    def loop_transport(self) -> "LoopTransport":
        """The transport of clients in other threads."""
        from bellcast.client.http_senders import LoopTransport

        return LoopTransport(self._transport, lambda: self._event_loop)

    @cached_property
    def client(self) -> "AsyncBellcast":
        """A client of this app for code in its event loop. Requests stay in the process, so it needs no URL, secret or
        socket."""
        from bellcast.client import AsyncBellcast, Credentials

        credentials = Credentials(self.project.secret, self.project.key)
        return AsyncBellcast(IN_PROCESS_URL, credentials, transport=self._transport)

    @cached_property
    def sync_client(self) -> "Bellcast":
        """A blocking client for code in threads: a Django view, a `def` endpoint of FastAPI. In the app's own event loop it
        raises BlockingInEventLoop."""
        from bellcast.client import Bellcast, Credentials

        credentials = Credentials(self.project.secret, self.project.key)
        return Bellcast(IN_PROCESS_URL, credentials, transport=self.loop_transport)

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: object = None) -> AsyncIterator[None]:
        """Lifespan context for an app that mounts this one: `FastAPI(lifespan=bell.lifespan)`."""
        await self.start()
        try:
            yield
        finally:
            await self.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            try:
                await self.start()
            except Exception as failure:
                await send({"type": "lifespan.startup.failed", "message": str(failure)})
                raise
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
        if not self._started:
            if (migration := self.db.schema.migration) is not None:
                answer = health.during_migration(scope["path"], migration, self.project.key)
                await answer(scope, receive, send)
                return
            await self.start()
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        live = self._live.endpoint(path)
        if not can_take_over(scope):
            scope = mounted.hide_credentials(scope, self._api.token_paths.hide)
            if scope["type"] == "websocket" or (live is not None and not websockets.is_handshake(scope)):
                await serve_as_socket(self, scope, receive, send)
                return
        if live is not None:
            # The paths of nearly all connections have no place for credentials
            logged = path if path in self._live.fixed_paths else self._hidden_path(scope)
            await self.request_log.serve(live, scope, receive, send, logged, adds_id=True)
            return
        endpoint: ASGIApp = self._serve_api
        if path.rstrip("/") == FEED_PATH and websockets.is_handshake(scope):
            endpoint = partial(websockets.serve, self._serve_api)
        await self.request_log.serve(endpoint, scope, receive, send, self._hidden_path(scope), adds_id=False)

    def _hidden_path(self, scope: Scope) -> str:
        """Return the path for the log, without credentials in it."""
        return self._api.token_paths.hide(path_as_sent(scope) or "/")

    def begins_live(self, path: str, *, upgrade: bool) -> bool:
        """True if a GET of this path, with or without a WebSocket upgrade, always yields a live connection or an
        error."""
        return self._live.endpoint(path) is not None if upgrade else path in self._live.stream_paths

    async def start(self, *, is_mounted: bool = True) -> None:
        """Open the store, run overdue expiry, and start the background tasks. Safe to call twice. If uvicorn serves the
        process, connections are drained when uvicorn stops."""
        async with self._starting:
            if self._started:
                return
            try:
                await self._open()
            except BaseException:
                await self._close()  # the next attempt opens them again
                raise
            loops: dict[str, Loop] = {
                "quotas": self._parts.quotas.run,
                "topic_history": self.engines.history.run,
                "webhook attempts": self._parts.channels.webhooks.recorder.run,
                "source uses": self._parts.workflows.sources.recorder.run,
                "database polling": partial(
                    maintenance.poll,
                    self._parts.real_clock,
                    {
                        "settings": self._database_settings.reload,
                        "dialects": self._live.reload,
                        "node settings": self._node_settings.refresh,
                    },
                ),
                **self._live.loops(),
            }
            if self._stats is not None:
                loops["stats"] = self._stats.run
            external = adapters.external_writes(
                self.settings.store, self.engines.clock, self._live.reconciler.mark_suspect
            )
            if external is not None:
                loops["external writes"] = external.run
            if self._outbox is not None:
                loops["outbox"] = self._outbox.run
            for name, loop in loops.items():
                self.tasks.spawn_loop(name, loop)
            if is_mounted:
                self.tasks.spawn(mounted.drain_with_host(self.drain))
            if not self.settings.server.no_jobs:
                sweeps = partial(maintenance.run, self.engines, self.settings.store, self.settings.channels)
                self.tasks.spawn_loop("maintenance", sweeps)
                self.tasks.spawn_loop("expiry", partial(maintenance.run_expiry, self.engines))
                self.tasks.spawn_loop("jobs", self._parts.jobs.run)
                self.tasks.spawn(self._parts.channels.reencrypt())
            self._event_loop = asyncio.get_running_loop()
            self._started = True

    async def _open(self) -> None:
        """Perform the parts of a start that can fail. Safe to repeat after `_close`."""
        await self.db.open()
        dispatch, tracing = self.hub.dispatch, self._parts.tracing
        if tracing is not None:
            dispatch = partial(tracing.deliver, dispatch=dispatch, connections=self.hub.subscriptions.count)
        self.broker.listen(dispatch, self._live.on_gap)
        self.engines.history.listen(self._live.on_events_lost)
        await self.broker.open()
        await self._database_settings.reload()
        await self._live.reload()
        await self._parts.channels.open()
        await maintenance.expire(self.engines)
        await self._parts.workflows.define()
        if self._worker_metrics is not None:
            api = self._api
            await self._worker_metrics.open(lambda: exporter(api.context, api.requests).report())
        await self._parts.quotas.load()
        await self._node_settings.refresh()
        if self.settings.store.is_file:
            now = self.engines.clock.now()
            await Jobs(self.db).release(now, now + LEASE_MS + STEP_MS)  # later ones are planned again

    async def _close(self) -> None:
        """Undo `_open`, which may have failed at any step."""
        if self._worker_metrics is not None:
            self._worker_metrics.close()
        await self.broker.close()
        await self.db.close()

    async def offer_setup(self) -> None:
        """Create a code for the first set-up of the console, unless it has an owner."""
        sessions = self._operators.get(ConsoleSessions)
        if sessions is not None and await sessions.is_setup_needed():
            with contextlib.suppress(Conflict):  # set up in the meantime, on another node
                self.setup_code = await sessions.make_setup_code()

    async def drain(self) -> None:
        """Close every live connection with a reconnect delay, spread over the drain window."""
        self.feed.close()
        await self._live.close_connections(self.settings.server.drain)

    async def stop(self) -> None:
        """Finish pending work and release all resources."""
        if self._started:
            self._started = False
            if self._worker_metrics is not None:
                self._worker_metrics.close()  # no statistics while connections are closing
            self.feed.close()
            await self._live.close_connections(0)
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    # End the background work, and inform the store and the other nodes.
                    await self.tasks.close()
                    await self._live.close()
                    with contextlib.suppress(BellcastError):
                        await self._parts.quotas.save()
                    with contextlib.suppress(BellcastError):
                        await self._node_settings.remove()
                    await self.hub.members.send()
                    await self.broker.publish(NodeLeft(self.hub.members.id))
                    # Last, because what is lost here was only for lists.
                    await self._parts.channels.webhooks.recorder.flush()
                    await self._parts.workflows.sources.recorder.flush()
            except TimeoutError:
                reason = f"the store or the broker did not respond within {STOP_SECONDS:.0f} s"
                log.warning("work_not_finished", reason=reason)
            await self._parts.channels.providers.close()
            await self._parts.clients.close()
            await self._close()
            if self._parts.tracing is not None:
                await self._parts.tracing.close()


def _unchanged(settings: Settings, handlers: calls.Handlers | None) -> Settings:
    """Return a copy of the settings that changes in the database do not affect. Handlers in Python lock the handler
    URL, and each of the two names of the access log setting locks the other."""
    sources = dict(settings.sources)
    if handlers is not None:
        sources["BELLCAST_HANDLER_URL"] = "BELLCAST_HANDLERS"
    for name, other in itertools.permutations(("BELLCAST_ACCESS_LOG", "BELLCAST_LOG_REQUESTS")):
        if name in settings.sources:
            sources.setdefault(other, settings.sources[name])
    return replace(deepcopy(settings), sources=sources)


def create_app(
    settings: Settings,
    handlers: calls.Handlers | None = None,
    handoff: SocketHandoff | None = None,
    test_clock: TestClock | None = None,
    workflows: Workflows | None = None,
) -> App:
    """Create the app. `handlers` handle client calls (default: BELLCAST_HANDLERS or BELLCAST_HANDLER_URL). `handoff`
    passes sockets to the sibling processes on its port. With a `test_clock`, all timed work follows this clock. `workflows` are
    defined in code (default: BELLCAST_WORKFLOWS)."""
    if handlers is None and settings.server.handlers is not None:
        handlers = calls.load(settings.server.handlers)
    elif handlers is not None and settings.server.handler_url is not None:
        raise SettingsError("BELLCAST_HANDLER_URL: handlers were also passed in Python; set only one of the two.")
    if workflows is None and settings.server.workflows is not None:
        workflows = flows.load(settings.server.workflows)
    default = project(settings)[0]
    return App(settings, default, encryption_keys(settings, default), handlers, handoff, test_clock, workflows)


def asgi(
    handlers: calls.Handlers | None = None, *, workflows: Workflows | None = None, **settings: object | None
) -> App:
    """Create the app with settings named like the flags of `bellcast serve`: `asgi(data="bellcast-data")`. Other
    settings come from the environment."""
    mounted.hide_locals()
    return create_app(load(settings), handlers, workflows=workflows)
