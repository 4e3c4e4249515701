"""The wired server as one ASGI application: the live paths go to the live edge, everything else to the API."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Coroutine, MutableMapping
from functools import cached_property
from typing import Any

import httpx

from bellcast import calls
from bellcast.api import app as api
from bellcast.api.rooms import Rooms
from bellcast.auth.doors import Doors
from bellcast.client import AsyncBellcast, Bellcast, Credentials
from bellcast.errors import BellcastError, SettingsError
from bellcast.inbox import upkeep
from bellcast.inbox.quotas import Quotas
from bellcast.jobs import Jobs
from bellcast.live.answering import Answering
from bellcast.live.arrivals import Arrivals
from bellcast.live.audit import Audit
from bellcast.live.census import Census
from bellcast.live.commands import Commands
from bellcast.live.connection import Connection
from bellcast.live.drain import drain
from bellcast.live.following import Notices
from bellcast.live.hub import Hub
from bellcast.live.presence import Presence
from bellcast.live.reactions import Reactions
from bellcast.live.roll import Roll
from bellcast.live.rules import Rules
from bellcast.live.sessions.native import NativeSessions
from bellcast.live.sweep import Sweep
from bellcast.live.transports.handover import Neighbours
from bellcast.live.transports.http import is_ours
from bellcast.live.transports.stream import StreamEndpoint
from bellcast.live.transports.upgrade import WebSocketEndpoint
from bellcast.model.events import Event, PresenceChanged, Spent, Stream
from bellcast.model.ids import Ids
from bellcast.model.people import Project
from bellcast.outbound.http import HttpxClient
from bellcast.ports import Engines
from bellcast.rates import Rates
from bellcast.server import adapters, files, host, inprocess, pusher, socketio
from bellcast.server.access_log import hide_credentials
from bellcast.server.clock import SystemClock
from bellcast.server.counting import Counting
from bellcast.server.pusher import Pusher
from bellcast.server.request_log import RequestLog
from bellcast.server.tasks import Tasks
from bellcast.settings import Settings, project

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Serving = Callable[[Scope, Receive, Send], Awaitable[None]]

STREAM = "/v1/stream"


class App:
    """An ASGI 3 application. Under a server that sends lifespan events it starts and stops with it; mounted where none
    arrive, it starts with its first request, and `stop` is the owner's to call."""

    def __init__(
        self,
        settings: Settings,
        project: Project,
        handlers: calls.Handlers | None = None,
        neighbours: Neighbours | None = None,
    ) -> None:
        self.settings = settings
        self.project = project
        self.neighbours = neighbours
        self._counting = None if neighbours is None else Counting(neighbours.folder)
        self.tasks = Tasks()
        clock = SystemClock()
        self.store = adapters.store(settings.store, clock)
        self.broker = adapters.broker(settings.store, project, clock)
        self._rates = Rates(self.broker, clock)
        self._quotas = Quotas(self.store, self._rates, settings.limits, clock)
        self.engines = Engines(
            store=self.store,
            broker=self.broker,
            clock=clock,
            new_id=Ids().new,
            quotas=self._quotas,
            rates=self._rates,
        )
        self._http = HttpxClient()
        self._transport = httpx.ASGITransport(self, raise_app_exceptions=False)  # type: ignore[arg-type]  # a scope is a dict
        self._loop_transport = inprocess.LoopTransport(self._transport)
        wants_log = settings.server.log_requests or settings.server.log_level == "debug"
        self._log = RequestLog(clock) if wants_log else None
        self._starting = asyncio.Lock()
        self._started = False
        self._wire(handlers)

    def _wire(self, handlers: calls.Handlers | None) -> None:
        settings, engines, spawn = self.settings, self.engines, self.tasks.spawn
        doors = Doors(
            self.project,
            settings.access,
            settings.limits,
            keys=self.store.keys,
            http=self._http,
            clock=engines.clock,
        )
        rules = Rules(
            limits=files.bounded(settings.limits), heartbeat=settings.native.heartbeat, access=settings.access
        )
        self._census = Census(self.broker, engines.clock)
        self.hub = Hub(Presence(settings.access.presence_topics), self._census)
        self.hub.log = self._log
        self._roll = Roll(self.hub, self.broker, spawn)
        reactions = Reactions(engines, self.hub, rules, spawn)
        answers = calls.answers(handlers, settings.server.handler_url, self.project, self._http, engines.clock)
        self._answering = answering = Answering(engines, self.hub, doors, answers)
        self.hub.notices = Notices(
            catch_up=reactions.catch_up,
            take_in=reactions.take_in,
            reconsider=reactions.reconsider,
            moved=self._tell_soon,
            roll=self._roll.hear,
            gone=self._gone,
            follow=self.broker.follow,
            unfollow=self.broker.unfollow,
        )
        self._audit = Audit(engines, self.hub, rules, spawn)
        commands = Commands(engines, self.hub, rules, answering, spawn)
        arrivals = Arrivals(engines, self.hub, rules, doors)
        sessions = NativeSessions(engines.store, self.hub, rules, doors, arrivals, commands, answering)
        self._jobs = Jobs(self.store.jobs, engines.clock, engines.new_id)
        self._pusher = Pusher(
            settings.pusher,
            rules,
            self.project,
            engines,
            self.hub,
            arrivals,
            answers,
            self._http,
            self._jobs,
            spawn,
            settings.access,
        )
        self._sweep = Sweep(self.hub, engines.clock, settings.native.heartbeat, settings.pusher.activity_timeout)
        self._outbox = adapters.outbox(settings.store, engines, settings.limits)
        rooms = Rooms(
            engines=engines,
            limits=settings.limits,
            project=self.project,
            doors=doors,
            access=settings.access,
            connections=self._roll,
            pusher=settings.pusher,
            workers=self._counting,
            has_landing=settings.server.landing,
            has_trial=not settings.server.trusted_proxies,
            outbox=dict if self._outbox is None else self._outbox.numbers,
        )
        self._api = api.build(rooms)
        self._pipes = socketio.pipes(
            settings.socketio, rules, self.project, engines, self.hub, doors, arrivals, commands, answers, spawn
        )
        self._pipes.log = self._log
        self._live: dict[str, Serving] = {
            **socketio.paths(self._pipes, arrivals, rules, self.neighbours),
            STREAM: StreamEndpoint(doors, rules, arrivals, sessions, spawn),
            "/v1/ws": WebSocketEndpoint(rules, arrivals, sessions, spawn),
        }

    @cached_property
    def client(self) -> AsyncBellcast:
        """A client of this app for code in its event loop. Requests stay in the process: no URL, no secret, no socket."""
        return AsyncBellcast(inprocess.URL, self._credentials(), transport=self._transport)

    @cached_property
    def sync_client(self) -> Bellcast:
        """The same for code in threads: a Django view, a `def` endpoint of FastAPI. It raises BlockingInEventLoop in
        an event loop."""
        return Bellcast(inprocess.URL, self._credentials(), transport=self._loop_transport)

    def _credentials(self) -> Credentials:
        return Credentials(self.project.secret, self.project.key)

    def _gone(self, connection: Connection) -> None:
        self._pusher.gone(connection)
        if self._answering.wants_farewells:
            self.tasks.spawn(self._answering.gone(connection))

    def _tell_soon(self, change: PresenceChanged) -> None:
        """After what the one who moved is told first. The other nodes find it out themselves."""
        asyncio.get_running_loop().call_soon(self.hub.dispatch, change)

    def _hear(self, event: Event) -> None:
        if type(event) is Spent:
            self._rates.hear(event)
        else:
            self.hub.dispatch(event)

    def _unsure(self, streams: Collection[Stream]) -> None:
        self._audit.unsure(streams)
        self._census.unsure(streams)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if not self._started:
            await self.start()
        if not is_ours(scope):
            scope = hide_credentials(scope)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        serve = self._live_at(path) or self._api
        if self._log is None:
            await serve(scope, receive, send)
        else:
            await self._log.serve(serve, scope, receive, send)

    def head_refused(self, status: int, address: str | None) -> None:
        """Log a request that was refused before this application saw it."""
        if self._log is not None:
            self._log.head_refused(status, address)

    def _live_at(self, path: str) -> Serving | None:
        # A slash at the end, or none, is the same path: as for REST.
        return self._pusher.endpoint if path.startswith(pusher.PATH) else self._live.get(path.rstrip("/"))

    def begins_live(self, path: str, *, upgrade: bool) -> bool:
        """Whether a GET of this path, with or without a wish for a WebSocket, begins a live connection, and is never
        answered else than by one or by a refusal."""
        return self._live_at(path) is not None if upgrade else path == STREAM

    async def start(self, *, is_mounted: bool = True) -> None:
        """Open the store, catch up with what fell due, and begin the sweeps. Safe to call twice. Mounted in an app of
        uvicorn's, it drains when that stops."""
        async with self._starting:
            if self._started:
                return
            try:
                await self._open()
            except BaseException:
                await self._close()  # the next attempt opens them again
                raise
            self._roll.begin()
            self.tasks.spawn(self._rates.run())
            self.tasks.spawn(self._quotas.run())
            self.tasks.spawn(self._census.run())
            self.tasks.spawn(self._census.beat())
            self.tasks.spawn(self._sweep.run())
            self.tasks.spawn(self._audit.run())
            self.tasks.spawn(self._pusher.run())
            self.tasks.spawn(self._pipes.run())
            for work in self._beside():
                self.tasks.spawn(work)
            if is_mounted:
                self.tasks.spawn(host.drain_with_host(self.drain))
            if not self.settings.server.no_jobs:
                self.tasks.spawn(upkeep.run(self.engines, self._retention()))
                self.tasks.spawn(self._jobs.run())
            self._loop_transport.loop = asyncio.get_running_loop()
            self._started = True

    async def _open(self) -> None:
        """Everything of a start that can fail. Safe to repeat after `_close`."""
        await self.store.open()
        self.broker.listen(self._hear, self._unsure)
        await self.broker.open()
        await upkeep.expire(self.engines)
        if self._counting is not None:
            await self._counting.open(self._api.counts)
        await self._quotas.read()

    async def _close(self) -> None:
        """Close what `_open` opened, as far as it came."""
        if self._counting is not None:
            self._counting.close()
        await self.broker.close()
        await self.store.close()

    def _beside(self) -> list[Coroutine[Any, Any, None]]:
        """What listens to databases that others write to."""
        outbox = [] if self._outbox is None else [self._outbox.run()]
        return [*outbox, *adapters.others(self.settings.store, self.engines.clock, self._audit.unsure)]

    def _retention(self) -> upkeep.Retention:
        kept = self.settings.store
        return upkeep.Retention(int(kept.retention * 1000), int(kept.tombstones * 1000))

    async def drain(self) -> None:
        """Tell every live connection to come back, spread over the drain window."""
        await drain(self.hub, self.engines.clock, self.settings.server.drain)
        self._pipes.close()  # those in no namespace

    async def stop(self) -> None:
        """Finish what is under way and let everything go."""
        if self._started:
            self._started = False
            if self._counting is not None:
                self._counting.close()  # no figures while connections are closing
            await drain(self.hub, self.engines.clock, 0)
            self._pipes.close()
            await self.tasks.close()
            await self._pusher.close()
            with contextlib.suppress(BellcastError):
                await self._quotas.write()
            await self._census.leave()
            await self._http.close()
            await self._close()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
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


def create_app(settings: Settings, handlers: calls.Handlers | None = None, neighbours: Neighbours | None = None) -> App:
    """The server of these settings; `handlers` answer what clients ask (else BELLCAST_HANDLERS or BELLCAST_HANDLER_URL).
    `neighbours` are the other processes on its port."""
    if handlers is None and settings.server.handlers is not None:
        handlers = calls.load(settings.server.handlers)
    elif handlers is not None and settings.server.handler_url is not None:
        raise SettingsError("BELLCAST_HANDLER_URL: handlers are given in Python already; give one of the two.")
    return App(settings, project(settings)[0], handlers, neighbours)
