"""The live edge of a server: the hub, the dialects, and the reconciliation of connections with the store."""

import resource
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from functools import partial
from typing import Any

from bellcast.auth.authenticator import Authenticator
from bellcast.calls import CallBackend
from bellcast.console.watchers import ClusterFeed
from bellcast.inbox.types.inboxes import AnnouncementChanged
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.concurrency import Loop
from bellcast.kernel.events import Event, Stream
from bellcast.kernel.http import ASGIApp
from bellcast.live import dialects, resume
from bellcast.live.admission import Admission
from bellcast.live.connection import Connection
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
from bellcast.server.parts import ServerParts
from bellcast.server.request_log import RequestLog

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
