"""Wires the parts of a server: store, broker, channels, workflows, jobs, their shared engines, and the sign-in of operators; then the live
edge with its hub and dialects, and the reconciliation of connections with the store."""

import resource
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec
import structlog
from msgspec import json

from bellcast.auth.authenticator import Authenticator
from bellcast.calls import CallBackend
from bellcast.channels import push
from bellcast.channels.catalog import Catalog
from bellcast.channels.delivery import MessageDelivery, MessageReports, NamedProvider
from bellcast.channels.digests import Digests
from bellcast.channels.previews import Previews
from bellcast.channels.receipts import Receipts
from bellcast.channels.releases import Release
from bellcast.channels.routing import Router
from bellcast.channels.store import messages
from bellcast.channels.types import ExternalChannel
from bellcast.console.watchers import ClusterFeed, LiveFeed
from bellcast.documents.recorder import Recorder
from bellcast.documents.store import Documents
from bellcast.documents.stored_secrets import StoredSecrets
from bellcast.documents.types import PROJECT, SOURCES
from bellcast.engines import Engines
from bellcast.inbox.quotas import Quotas
from bellcast.inbox.sending import SendFanout
from bellcast.inbox.store import sends
from bellcast.inbox.types.inboxes import AnnouncementChanged
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.clock import Clock, SteadyClock, SystemClock, TestClock
from bellcast.kernel.concurrency import Loop, Scheduler
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.errors import Invalid, SettingsError
from bellcast.kernel.events import Event, Stream
from bellcast.kernel.http import ASGIApp
from bellcast.kernel.identities import Project
from bellcast.kernel.ids import Ids
from bellcast.kernel.jobs.runner import JobKind, JobRunner
from bellcast.kernel.jobs.store import Jobs
from bellcast.kernel.outbound.http import HttpClients
from bellcast.live import dialects, resume
from bellcast.live.admission import Admission
from bellcast.live.cluster.members import SharedRates
from bellcast.live.connection import Connection
from bellcast.live.dialects import DIALECTS
from bellcast.live.http.socket_handoff import SocketHandoff
from bellcast.live.hub import HeartbeatWheel, Hub, SilenceLimit, drain
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.hub.presence import PresenceTracker
from bellcast.live.hub.survey import ConnectionSurvey
from bellcast.live.reconciler import Reconciler
from bellcast.live.types import (
    CloseRequest,
    FeedBatch,
    FeedWatches,
    LiveConfig,
    NodeReport,
    RatesUsed,
    RateUsage,
    SettingsChanged,
    Spawn,
    SurveyReply,
    SurveyRequest,
)
from bellcast.live.wiring import LiveContext
from bellcast.operators.oidc import OidcProvider, OidcSignIn
from bellcast.operators.passkeys import Passkeys
from bellcast.operators.sign_in import ConsoleSessions
from bellcast.operators.store import Operators
from bellcast.preferences.types import Channel
from bellcast.providers import directory
from bellcast.providers.chat_webhooks import ChatWebhookProvider
from bellcast.providers.directory import ProviderDirectory
from bellcast.providers.types import Provider
from bellcast.providers.webpush import VapidKey, WebPushProvider
from bellcast.replays import ReplayRunner
from bellcast.server import adapters
from bellcast.server.request_log import RequestLog
from bellcast.settings import Settings, credentials
from bellcast.settings.credentials import EncryptionKeys
from bellcast.tenants.erasure import ERASURE_JOB_KIND, continue_erasure
from bellcast.webhooks import store as webhook_events
from bellcast.webhooks import webhooks
from bellcast.webhooks.webhooks import Webhooks
from bellcast.workflows import schedule_firing, schedules
from bellcast.workflows import store as runs_store
from bellcast.workflows.event_sources import USES, EventReactions, SourceUse
from bellcast.workflows.execution import RunExecutor
from bellcast.workflows.flows import Workflows
from bellcast.workflows.run_steps import RunSteps
from bellcast.workflows.schedule_firing import ScheduledTasks
from bellcast.workflows.schedules import Schedules
from bellcast.workflows.step_calls import StepCalls
from bellcast.workflows.store import Runs
from bellcast.workflows.triggers import Triggers
from bellcast.workflows.workflow_catalog import WorkflowCatalog

log = structlog.get_logger(__name__)
IDENTITY_KIND, IDENTITY_KEY = "push-identity", "vapid"
IDENTITY_PLACE = f"{IDENTITY_KIND}/{PROJECT}/{IDENTITY_KEY}"

# Calls of one tenant at a time to the push services of browsers, and to the incoming webhooks of chats.
BUILT_IN_SLOTS = 64
# Encrypted fields by kind of object.
ENCRYPTED_FIELDS = {
    directory.KIND: ("url",),
    webhooks.KIND: ("secret", "previous"),
    **{kind: fields for one in DIALECTS for kind, fields in one.encrypted_fields.items()},
    IDENTITY_KIND: ("key",),
}


class Channels:
    """The parts of the channels outside the inbox."""

    def __init__(self, parts: "ServerParts") -> None:
        db, clock, config, new_id = parts.db, parts.clock, parts.channel_config, parts.new_id
        clients, jobs, feed, real_clock = parts.clients, parts.jobs, parts.feed, parts.real_clock
        self._parts, keys, project = parts, parts.keys, parts.project
        self.encryption = Encryption(keys.current.encode(), [key.encode() for key in keys.previous])
        self.secrets = StoredSecrets(Documents(db), clock, self.encryption, keys.ids, ENCRYPTED_FIELDS)
        # Derived from the identity key: browsers bind their subscriptions to this key, so a rotation of the encryption
        # keys must not change it.
        self.vapid_key = VapidKey(lambda: push.project_key(keys.identity.encode()))
        self.providers = ProviderDirectory(
            db, clock, real_clock, clients, config, self.encryption, parts.rates, jobs.destinations
        )
        self.webhooks = Webhooks(db, clock, real_clock, clients.guarded, self.encryption, new_id, jobs, feed)
        self.receipts = Receipts(db, self.providers.find, clock, self.webhooks, jobs)
        self._built_in: dict[str, tuple[str, Provider]] = {
            "push": ("webpush", self._web_push()),
            "chat": ("webhook", ChatWebhookProvider(clients.guarded())),
        }
        self.catalog = Catalog(db, clock, config, feed)
        self.previews = Previews(db, self.catalog, config, project)
        self.reports = reports = MessageReports(clock, feed)
        self.router = Router(
            db, clock, self.catalog, config, project, new_id, jobs.wake, self.webhooks, self._find_simulated, reports
        )
        release = Release(db, clock, self.catalog, Runs(db).workflow_of)
        delivery = MessageDelivery(db, clock, self._find, release, self.webhooks, reports, lambda: config.retries)
        digests = Digests(db, clock, self.catalog, release, config, project, new_id, self.webhooks, reports)
        jobs.register_pages(JobKind(messages.JOB_KIND, delivery.run_page))
        jobs.register(sends.FANOUT_JOB_KIND, SendFanout(db, clock, self.router, parts.pace).run)
        jobs.register(messages.DIGEST_JOB_KIND, digests.run)
        jobs.register(webhook_events.EVENT_JOB_KIND, self.webhooks.dispatch)
        jobs.register(webhooks.DELIVERY_JOB_KIND, self.webhooks.deliver)

    async def _find(self, tenant: str, channel: ExternalChannel, since: int = 0) -> Sequence[NamedProvider]:
        if channel in self._parts.channel_config.simulate:
            return ()
        found = await self.providers.providers(tenant, channel, since)
        if channel not in self._built_in:
            return found
        key, provider = self._built_in[channel]
        destination = self._parts.jobs.destinations.of(f"provider {key}", tenant, BUILT_IN_SLOTS)
        return [*found, NamedProvider(key, provider, destination)]

    async def _find_simulated(self, tenant: str, channels: Iterable[Channel]) -> frozenset[Channel]:
        """Return the channels without a provider. A process without jobs returns none, because the settings of
        delivering processes may have providers."""
        if self._parts.settings.server.no_jobs:
            return frozenset()
        return frozenset([one for one in channels if one != "inbox" and not await self._find(tenant, one)])

    async def open(self) -> None:
        """Load the key that identifies the server to push services. With a key ring, it is derived from the first key
        and stored, because the ring's keys are rotated."""
        if self._parts.keys.is_ring:
            self.vapid_key = await load_push_identity(
                Documents(self._parts.db), self._parts.clock, self.encryption, self.vapid_key
            )
            self._built_in["push"] = "webpush", self._web_push()

    async def reencrypt(self) -> None:
        """Re-encrypt the secrets in the store with the current key."""
        async for _ in self.secrets.rotate():
            pass

    def _web_push(self) -> WebPushProvider:
        url = self._parts.channel_config.public_url or ""
        # Push services contact the operator here about problems (RFC 8292 §2.1); they refuse plain http.
        contact = url if url.startswith("https://") else f"mailto:postmaster@{urlsplit(url).hostname or 'localhost'}"
        return WebPushProvider(self._parts.clients.guarded(), self._parts.real_clock, self.vapid_key, contact)


async def load_push_identity(documents: Documents, clock: Clock, encryption: Encryption, first: VapidKey) -> VapidKey:
    """Return the stored identity. If there is none, store `first` and return it; two nodes that start together both use
    the one stored first. If no key decrypts the stored identity, return `first`."""
    body = json.encode({"key": encryption.encrypt(first.to_pem().decode(), IDENTITY_PLACE)})
    document = await documents.get(IDENTITY_KIND, PROJECT, IDENTITY_KEY)
    if document is None and not await documents.change(IDENTITY_KIND, PROJECT, IDENTITY_KEY, None, body, clock.now()):
        document = await documents.get(IDENTITY_KIND, PROJECT, IDENTITY_KEY)
    if document is None:
        return first
    try:
        pem = encryption.decrypt(json.decode(document.body, type=dict[str, str])["key"], IDENTITY_PLACE)
    except ValueError as error:
        log.warning("push_identity_unreadable", reason=str(error))
        return first
    return VapidKey.from_pem(pem.encode())


class WorkflowParts:
    """The parts of workflows."""

    def __init__(self, parts: "ServerParts") -> None:
        db, clock, jobs, pace, defined = parts.db, parts.clock, parts.jobs, parts.pace, parts.defined
        router, limits, config = parts.channels.router, parts.settings.limits, parts.settings.channels

        def engines() -> Engines:
            return parts.engines

        self._defined = defined
        self.workflow_catalog = WorkflowCatalog(db, clock)
        self.triggers = Triggers(router, self.workflow_catalog, clock)
        http, functions = parts.clients.guarded(), defined.functions
        calls = StepCalls(
            http, clock, parts.real_clock, parts.project, functions, lambda: config.retries, jobs.destinations
        )
        steps = RunSteps(self.workflow_catalog.current, Runs(db).counter, self.triggers, limits)
        shares_runs = not parts.settings.store.is_file
        executor = RunExecutor(db, parts.broker, self.triggers, steps, calls, pace, parts.feed, shares_runs=shares_runs)
        jobs.register_pages(
            JobKind(
                runs_store.JOB_KIND,
                executor.run_page,
                serves=calls.serves,
                when_dead=runs_store.WHEN_DEAD,
                is_timed=True,
            )
        )
        jobs.register(runs_store.FANOUT_JOB_KIND, executor.run_fanout)
        self.schedules = Schedules(engines, self.triggers, limits)
        self.tasks = ScheduledTasks(self.schedules, defined.tasks, jobs)
        self.sources = EventReactions(engines, self.triggers, limits, Recorder(db, clock, USES, SOURCES, SourceUse))
        jobs.register(schedules.JOB_KIND, partial(schedule_firing.run, self.schedules), is_timed=True)

    async def define(self) -> None:
        """Make the workflows defined in code current. Raises SettingsError for an invalid one."""
        definitions = self._defined.definitions
        self.workflow_catalog.expected = frozenset(definitions)
        for key, definition in definitions.items():
            try:
                await self.workflow_catalog.check(PROJECT, key, definition)
            except Invalid as error:
                raise SettingsError(f"BELLCAST_WORKFLOWS: the workflow {key!r} is invalid: {error.detail}.") from error
            await self.workflow_catalog.put(PROJECT, key, definition, is_code=True)
        await self.tasks.plan()


class ServerParts:
    """The parts of a server that need no connections. `followers` returns the number of connections on a stream."""

    def __init__(
        self,
        settings: Settings,
        project: Project,
        keys: EncryptionKeys,
        workflows: Workflows,
        test_clock: TestClock | None,
        followers: Callable[[Stream], int],
    ) -> None:
        self.settings, self.project, self.keys, self.defined = settings, project, keys, workflows
        # Tokens, signatures, connections and rates use the system time even with a test clock, because other servers
        # check them by theirs.
        self.real_clock = real_clock = SystemClock()
        self.clock: Clock = test_clock or real_clock
        self.steady_clock = SteadyClock()
        self.new_id = Ids().new
        clock, new_id = self.clock, self.new_id
        self.tracing = adapters.tracing(settings.server)
        self.db = adapters.store(settings.store, clock, self.tracing)
        self.broker = adapters.broker(settings.store, project, real_clock)
        history = adapters.topic_history(settings.store, project, self.broker, clock, settings.limits)
        self.rates = SharedRates(self.steady_clock)
        self.quotas = Quotas(self.db, self.rates, settings.limits, clock)
        self.clients = HttpClients(settings.channels.http_allow)
        self.http = self.clients.trusted()
        self.feed = LiveFeed()
        publisher, history = adapters.traced(self.broker, history, self.tracing)
        self.jobs = JobRunner(Jobs(self.db), clock, new_id, self.quotas.weight_of)
        self.channel_config = settings.channels
        if settings.channels.public_url is None:  # links use the address that the server listens on
            local = credentials.listening(settings.server.host, settings.server.port)
            self.channel_config = msgspec.structs.replace(settings.channels, public_url=credentials.reachable(local))
        self.pace = Scheduler()
        self.channels = Channels(self)
        self.workflows = WorkflowParts(self)
        self.replays = ReplayRunner(self.db, clock, new_id, self.jobs)
        self.engines = Engines(
            db=self.db,
            broker=publisher,
            clock=clock,
            history=history,
            new_id=new_id,
            newcomers_ms=lambda: round(settings.store.newcomers * 1000),
            router=self.channels.router,
            webhooks=self.channels.webhooks,
            quotas=self.quotas,
            rates=self.rates,
            scheduler=self.workflows.schedules,
            reactions=self.workflows.sources,
            feed=self.feed,
            pace=self.pace,
            followers=followers,
        )
        self.jobs.register(ERASURE_JOB_KIND, partial(continue_erasure, self.engines, real_clock))


def operator_services(parts: ServerParts) -> dict[type[Any], Any]:
    """Return what operators sign in with, by its types: sessions, passkeys and the identity provider."""
    settings, project = parts.settings, parts.project
    server, db, clock, new_id = settings.server, parts.db, parts.real_clock, parts.engines.new_id
    # Uses the project secret, which does not rotate, so that an operator's authenticator app stays valid.
    current, *previous = [one.secret.encode() for one in project.accepted]
    cipher = Encryption(current, previous)
    sessions = ConsoleSessions(
        Operators(db),
        clock,
        new_id,
        cipher,
        networks=server.console_networks,
        requires_mfa=server.require_mfa,
        external_session=settings.oidc.session,
    )
    found: dict[type[Any], Any] = {
        ConsoleSessions: sessions,
        Passkeys: Passkeys(sessions, Operators(db), cipher, clock, new_id),
    }
    if settings.oidc.issuer is not None:
        provider = OidcProvider(settings.oidc, parts.clients.identity_provider(), clock)
        found[OidcSignIn] = OidcSignIn(provider, sessions, Operators(db), cipher, clock)
    return found


# --- live edge

# Open files reserved for the store, the broker, requests of the app, and new connections until they are rejected.
RESERVED_FILES = 256


class LiveEdge:
    """The live edge of a server."""

    def __init__(
        self,
        parts: ServerParts,
        authenticator: Authenticator,
        app: CallBackend,
        announce: Callable[[], Awaitable[None]],
        log: RequestLog,
        report: Callable[[], NodeReport | None],
        reload_settings: Callable[[], Coroutine[Any, Any, None]],
        spawn: Spawn,
        siblings: SocketHandoff | None,
    ) -> None:
        engines, clock, settings = parts.engines, parts.real_clock, parts.settings
        config = LiveConfig(
            limits=settings.limits,
            default_connections=default_connections(),
            heartbeat=settings.server.heartbeat,
            access=settings.access,
        )
        self._clock, self._log = clock, log
        self._rates = parts.rates
        self._spawn, self._reload_settings = spawn, reload_settings
        self._drain_window = settings.server.drain
        silence_limits: dict[str, SilenceLimit] = {}
        self._heartbeats = HeartbeatWheel(clock, settings.server.heartbeat, silence_limits)
        callbacks = HubCallbacks(
            added=self._on_added,
            disconnected=self._on_disconnected,
            refused=log.refused,
            renewed=self._on_renewed,
            followed=log.followed,
            topics_refused=log.topics_refused,
            session_opened=log.session_opened,
            session_closed=log.session_closed,
            namespace_refused=log.namespace_refused,
            fill_gap=lambda connection: spawn(resume.catch_up(engines.db, connection, settings.limits)),
            report=report,
            receive=self._receive,
        )
        presence = PresenceTracker(lambda: settings.access.presence_topics)
        self.hub = Hub(presence, parts.broker, clock, parts.steady_clock, callbacks, engines.history)
        self._has_others = not isinstance(parts.broker, MemoryBroker)  # perhaps other nodes
        if self._has_others:
            parts.rates.share(self.hub.members)
        self.survey = ConnectionSurvey(self.hub, parts.broker, spawn)
        self.feed = ClusterFeed(parts.feed, parts.broker, clock, self.hub.members, spawn)
        self.reconciler = Reconciler(engines, self.hub, spawn)
        live = LiveContext(
            engines=engines,
            hub=self.hub,
            survey=self.survey,
            config=config,
            settings=settings.dialects,
            project=parts.project,
            authenticator=authenticator,
            admission=Admission(engines, self.hub, config, authenticator),
            app=app,
            http=parts.http,
            clients=parts.clients,
            jobs=parts.jobs,
            real_clock=clock,
            encryption=parts.channels.encryption,
            public_url=lambda: parts.channel_config.public_url or "",
            announce=announce,
            spawn=spawn,
            siblings=siblings,
        )
        self._announce = announce
        wired = {one.name: one.wire(live) for one in dialects.DIALECTS}
        silence_limits |= {name: one.silence_limit for name, one in wired.items() if one.silence_limit is not None}
        self._dialects = list(wired.values())
        paths = {path: endpoint for dialect in self._dialects for path, endpoint in dialect.paths.items()}
        self._exact = {path.rstrip("/"): endpoint for path, endpoint in paths.items()}
        self._prefixes = {path[:-1]: endpoint for path, endpoint in paths.items() if path.endswith("*")}
        self._starts = tuple(self._prefixes)
        self.fixed_paths = frozenset(path for path in paths if not path.endswith("*"))
        self.stream_paths = frozenset(path for dialect in self._dialects for path in dialect.stream_paths)
        self._connect_handlers = [one.connected for one in self._dialects if one.connected is not None]
        self._disconnect_handlers = [one.disconnected for one in self._dialects if one.disconnected is not None]

    def endpoint(self, path: str) -> ASGIApp | None:
        """Return the endpoint of a live path, else None. As in REST, a trailing slash makes no difference."""
        endpoint = self._exact.get(path.rstrip("/"))
        if endpoint is None and path.startswith(self._starts):
            return next(end for prefix, end in self._prefixes.items() if path.startswith(prefix))
        return endpoint

    @property
    def services(self) -> Mapping[type[Any], Any]:
        """The services of the dialects' operations by their types."""
        return {key: service for dialect in self._dialects for key, service in dialect.services.items()}

    def numbers(self) -> Mapping[str, float]:
        """Return the numbers of the dialects and of the cluster for the metrics."""
        return {"cluster_groups": len(self.hub.groups)} | {
            name: number for dialect in self._dialects for name, number in dialect.numbers().items()
        }

    async def reload(self) -> None:
        """Reload what the dialects keep of the store."""
        for dialect in self._dialects:
            if dialect.reload is not None:
                await dialect.reload()

    async def refresh(self) -> None:
        """Reload it on all nodes."""
        await self.reload()
        await self._announce()

    def _receive(self, event: Event) -> None:
        """Handle an event that is not for connections."""
        match event:
            case AnnouncementChanged():
                self.reconciler.materialize(event)
            case RateUsage() | RatesUsed():
                self._rates.receive(event)
            case SettingsChanged():
                self._spawn(self._reload_settings())
                self._spawn(self.reload())
            case SurveyRequest() | SurveyReply() | CloseRequest():
                self.survey.receive(event)
            case FeedWatches() | FeedBatch():
                self.feed.receive(event)

    def _on_added(self, connection: Connection) -> None:
        self._heartbeats.schedule(connection)
        for handle in self._connect_handlers:
            handle(connection)
        self._log.opened(connection)

    def _on_renewed(self, connection: Connection) -> None:
        self._heartbeats.renewed(connection)
        for handle in self._connect_handlers:
            handle(connection)

    def _on_disconnected(self, connection: Connection) -> None:
        self.survey.record_closed(connection, self._clock.now())
        for handle in self._disconnect_handlers:
            handle(connection)
        self._log.closed(connection)

    def on_gap(self, streams: Collection[Stream]) -> None:
        """Compare the state of these streams' followers with the store, because the broker may have lost events."""
        self.reconciler.mark_suspect(streams)
        self.hub.mark_suspect(streams)

    def on_events_lost(self, streams: Collection[Stream]) -> None:
        """Close the connections that may have missed stored events; their clients detect the loss when they resume."""
        lost = self.hub.history_holds.hold_followers(streams)
        self._spawn(drain(self.hub, self._clock, self._drain_window, lost))

    def loops(self) -> dict[str, Loop]:
        """Return the background loops by their names in the log."""
        loops: dict[str, Loop] = {
            "cluster feed": self.feed.run,
            "heartbeats": partial(self._heartbeats.run, self.hub),
            "reconciler": self.reconciler.run,
        }
        if self._has_others:
            loops["cluster"] = self.hub.members.run
        for dialect in self._dialects:
            loops |= dialect.loops
        return loops

    async def close_connections(self, window: float) -> None:
        """Close every connection with a reconnect delay, spread over the window in seconds."""
        await drain(self.hub, self._clock, window)
        for dialect in self._dialects:
            if dialect.close_sessions is not None:
                dialect.close_sessions()

    async def close(self) -> None:
        """Release the resources of the dialects."""
        for dialect in self._dialects:
            if dialect.close is not None:
                await dialect.close()


def default_connections() -> int:
    """Return the connection limit if none is configured; 0 if the number of open files is unlimited. Without a limit, a
    server without free descriptors would close new connections without an error, and then lose its database."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 0 if files == resource.RLIM_INFINITY else max(files - RESERVED_FILES, files // 2)
