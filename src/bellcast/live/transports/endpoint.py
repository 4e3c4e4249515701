"""The doors of the live edge: `GET /v1/stream` (SSE) and `GET /v1/ws` (WebSocket).

Authenticate, know the connection, look into its inbox, say what it missed: in this order, so that nothing falls
between the snapshot and the first live event. What is refused before the stream begins is an HTTP answer; a WebSocket
is accepted first and told in a `close` frame, because a script cannot see a refused handshake.
"""

import asyncio
import random
import secrets
from collections.abc import Callable
from typing import Any

from bellcast.auth import origins
from bellcast.auth.doors import Doors
from bellcast.auth.origins import WrongOrigin
from bellcast.errors import BellcastError, Forbidden, MethodNotAllowed, TooMany, Unauthenticated, Unavailable
from bellcast.inbox import views
from bellcast.live import reasons, requests, resume, topics
from bellcast.live.answering import Answering, NativePort
from bellcast.live.commands import Commands
from bellcast.live.connection import Connection, Phase
from bellcast.live.framing import sse, websocket
from bellcast.live.hub import Hub
from bellcast.live.protocols import native
from bellcast.live.reasons import Close
from bellcast.live.requests import Request
from bellcast.live.rules import Rules, Spawn
from bellcast.live.transports import foreign
from bellcast.live.transports.foreign import ForeignConnection, SendOutlet
from bellcast.live.transports.sse import SseConnection
from bellcast.live.transports.takeover import EXTENSION
from bellcast.live.transports.websocket import WebSocketConnection
from bellcast.model import problems
from bellcast.model.inboxes import Inbox, Position, parse_position
from bellcast.model.people import Principal
from bellcast.ports import Changes, Engines

Scope = dict[str, Any]
# Browsers wait this long before they reconnect an event stream; spread, so that a server's death is no storm.
RETRY_MS = (1_500, 4_500)
# A process at its bound of connections asks newcomers to wait this long.
FULL_MS = 5_000


class Endpoint:
    """An ASGI application for the two paths."""

    def __init__(
        self,
        engines: Engines,
        hub: Hub,
        rules: Rules,
        doors: Doors,
        commands: Commands,
        answering: Answering,
        spawn: Spawn,
    ) -> None:
        self._engines = engines
        self._hub = hub
        self._rules = rules
        self._doors = doors
        self._commands = commands
        self._answering = answering
        self._spawn = spawn

    # --- SSE

    async def stream(self, scope: Scope, receive: foreign.Receive, send: foreign.Send) -> None:
        """`GET /v1/stream`."""
        request = requests.read(scope)
        connection: Connection | None = None
        try:
            if request.method != "GET":
                raise MethodNotAllowed("An event stream is opened with GET.")
            self._check_address(request.address)
            principal = await self._doors.recipient(request, "stream")
            take_over = scope.get("extensions", {}).get(EXTENSION)
            connection = self._stream_connection(request, principal, ours=take_over is not None)
            port = await self._answering.connected(connection, None)
            inbox = await self._enter(connection)
        except BellcastError as refusal:
            await self._refuse_stream(connection, request, refusal, send)
            return
        cors = tuple(origins.cors_headers(request.header(b"origin"), self._rules.access.origins))
        if take_over is None:
            await self._foreign_stream(connection, inbox, request, cors, receive, send, self._started(connection, port))
            return
        if (taken := _taken(take_over, self._hub, connection)) is None:
            return
        connection.own(taken[0], self._rules.limits.unsent)
        connection.write(sse.response_head(request.http_version, cors) + self._retry(connection))
        await self._welcome(connection, inbox, request, self._started(connection, port))

    def _stream_connection(self, request: Request, principal: Principal, *, ours: bool) -> Connection:
        kind = SseConnection if ours else ForeignConnection
        chunked = ours and request.http_version != "1.0"
        connection: Connection = self._connection(
            kind, native.SSE_CHUNKED if chunked else native.SSE_PLAIN, request, principal
        )
        return connection

    def _retry(self, connection: Connection) -> bytes:
        said = sse.retry(random.randint(*RETRY_MS))
        return sse.chunk(said) if connection.dialect is native.SSE_CHUNKED else said

    async def _refuse_stream(
        self, connection: Connection | None, request: Request, refusal: BellcastError, send: foreign.Send
    ) -> None:
        """EventSource ends for good on any status but 200, so only what will not get better is a status."""
        if connection is not None:
            self._hub.lost(connection)
        cors = origins.cors_headers(request.header(b"origin"), self._rules.access.origins)
        end = _end_of(refusal)
        if refusal.__class__ is Revoked:
            await _answer(send, 204, cors, b"")
        elif end.reconnect:
            await self._come_back(request, end, cors, send)
        else:
            told = [(name.encode(), value.encode()) for name, value in problems.headers(refusal).items()]
            await _answer(send, refusal.status, [*cors, *told], problems.body(refusal))

    async def _come_back(self, request: Request, end: Close, cors: requests.Headers, send: foreign.Send) -> None:
        body = sse.retry(end.after or RETRY_MS[1]) + native.SSE_PLAIN.close(end)
        kind = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store, no-transform")]
        await _answer(send, 200, [*kind, *cors], body)

    async def _foreign_stream(
        self,
        connection: Connection,
        inbox: Inbox | None,
        request: Request,
        cors: tuple[tuple[bytes, bytes], ...],
        receive: foreign.Receive,
        send: foreign.Send,
        at_ready: Callable[[], None],
    ) -> None:
        outlet = SendOutlet(connection, foreign.body_message)
        connection.own(outlet, self._rules.limits.unsent)
        headers = [
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-store, no-transform"),
            (b"x-accel-buffering", b"no"),
            *cors,
        ]
        connection.write(self._retry(connection))
        self._spawn(self._welcome(connection, inbox, request, at_ready))
        start = {"type": "http.response.start", "status": 200, "headers": headers}
        speaking = outlet.run(send, start, foreign.end_of_body)
        await foreign.serve(connection, outlet, speaking, foreign.hear_stream(receive))

    # --- WebSocket

    async def websocket(self, scope: Scope, receive: foreign.Receive, send: foreign.Send) -> None:
        """`GET /v1/ws`, on a socket of ours or through another server."""
        request = requests.read(scope)
        if scope["type"] == "websocket":
            await self._foreign_websocket(request, receive, send)
            return
        upgrade = websocket.check_upgrade(request.method, request.http_version, request.headers)
        take_over = scope.get("extensions", {}).get(EXTENSION)
        if isinstance(upgrade, websocket.Refusal) or take_over is None:
            await _decline(send, upgrade)
            return
        try:
            self._check_address(request.address)
            principal, refusal = await self._visitor(request)
        except BellcastError as forbidden:
            told = [(name.encode(), value.encode()) for name, value in problems.headers(forbidden).items()]
            await _answer(send, forbidden.status, told, problems.body(forbidden))
            return
        connection = self._connection(
            WebSocketConnection, native.WEBSOCKET, request, principal, commands=self._commands
        )
        if (taken := _taken(take_over, self._hub, connection)) is None:
            return
        transport, early = taken
        connection.own(transport, self._rules.limits.unsent)
        transport.pause_reading()  # what came behind the handshake comes before what is still to come
        connection.write(websocket.response(upgrade))

        def listen() -> None:
            if not transport.is_closing():
                transport.resume_reading()
            if early:  # last, since many frames at once pause the reading again
                connection.data_received(early)

        await self._begin(connection, request, refusal, at_ready=listen)

    async def _foreign_websocket(self, request: Request, receive: foreign.Receive, send: foreign.Send) -> None:
        await receive()  # websocket.connect
        try:
            self._check_address(request.address)
            principal, refusal = await self._visitor(request)
        except BellcastError:
            await send({"type": "websocket.close", "code": reasons.FORBIDDEN.code})  # before accepting: an HTTP 403
            return
        connection = self._connection(ForeignConnection, native.MESSAGE, request, principal)
        outlet = SendOutlet(connection, foreign.websocket_message)
        connection.own(outlet, self._rules.limits.unsent)
        self._spawn(self._begin(connection, request, refusal, at_ready=outlet.resume_reading))
        hearing = foreign.hear_websocket(connection, outlet, receive, self._commands)
        speaking = outlet.run(send, {"type": "websocket.accept"}, connection.closing)
        await foreign.serve(connection, outlet, speaking, hearing)

    async def _visitor(self, request: Request) -> tuple[Principal, BellcastError | None]:
        """Who comes, or a nameless principal with the reason it will be turned away for once it can be told."""
        try:
            return await self._doors.recipient(request, "websocket"), None
        except WrongOrigin:
            raise
        except BellcastError as refusal:
            return Principal(), refusal

    async def _begin(
        self, connection: Connection, request: Request, refusal: BellcastError | None, at_ready: Callable[[], None]
    ) -> None:
        """From the accepted WebSocket to a live one, or to its end."""
        try:
            if refusal is not None:
                raise refusal
            port = await self._answering.connected(connection, None)
            inbox = await self._enter(connection)
        except BellcastError as turned_away:
            self._hub.end(connection, _end_of(turned_away))
            at_ready()  # its close frame is still to be heard
            return
        started = self._started(connection, port)

        def ready() -> None:
            started()
            at_ready()

        await self._welcome(connection, inbox, request, ready)

    # --- both

    def _connection(
        self,
        kind: Callable[..., Connection],
        dialect: native.Dialect,
        request: Request,
        principal: Principal,
        **more: Any,
    ) -> Any:
        id = secrets.token_urlsafe(12)
        address = request.address if self._rules.limits.connections_per_address else None
        return kind(id, dialect, principal, self._hub, self._engines.clock.now(), address, **more)

    def _check_address(self, address: str | None) -> None:
        limit = self._rules.limits.connections_per_address
        if limit and address is not None and self._hub.at_address(address) >= limit:
            raise TooMany(f"There are {limit} connections from this address already.", retry_after=FULL_MS // 1000)

    async def _enter(self, connection: Connection) -> Inbox | None:
        """Know the connection before its inbox is read; None for a nameless one."""
        self._check_room(connection)
        self._hub.add(connection)
        inbox = None if connection.principal.recipient is None else await self._inbox(connection)
        if connection.phase is Phase.ENDED:
            raise Unavailable("This connection ended while it began.")
        return inbox

    def _check_room(self, connection: Connection) -> None:
        limits, principal = self._rules.limits, connection.principal
        self._check_address(connection.address)  # again: others came while this one was looked at
        if limits.connections and len(self._hub) >= limits.connections:
            raise Unavailable("This server is at its bound of connections.", retry_after=FULL_MS // 1000)
        if principal.recipient is None:
            return
        here = self._hub.of_recipient(principal.tenant, principal.recipient)
        if limits.connections_per_recipient and here >= limits.connections_per_recipient:
            raise TooMany(f"This recipient has {here} connections already.", retry_after=60)

    async def _inbox(self, connection: Connection) -> Inbox:
        inbox = await views.open(self._engines, connection.principal)
        if self._doors.revoked(connection.principal, inbox):
            raise Revoked("This session was ended: sign in again.")
        connection.inbox, connection.epoch = inbox.number, inbox.state.epoch
        return inbox

    async def _welcome(
        self, connection: Connection, inbox: Inbox | None, request: Request, at_ready: Callable[[], None]
    ) -> None:
        """Say `ready`, then what was missed, then go live; or why not."""
        try:
            missed, base = await self._greet(connection, inbox, request)
        except BellcastError as turned_away:
            self._hub.end(connection, _end_of(turned_away))
            at_ready()
            return
        at_ready()
        if connection.phase is Phase.HOLDING:
            await resume.replay(self._engines.store, connection, missed, base, self._rules.limits)

    async def _greet(self, connection: Connection, inbox: Inbox | None, request: Request) -> tuple[Changes | None, int]:
        """Say `ready`. What is to be replayed and the revision where that began; nothing when it is live already."""
        store, limits = self._engines.store, self._rules.limits
        given, refused = await topics.admitted(store, connection.principal, request.topics, 0, self._rules)
        asked = request.position if inbox is not None else None
        position = None if asked is None else parse_position(asked)
        missed = None
        if inbox is not None and position is not None:
            missed = await resume.missed(store, inbox, position, limits)
        if connection.phase is Phase.ENDED:
            return None, 0
        self._hub.follow(connection, given)
        resumed = position if missed is not None else None
        connection.told(connection.dialect.wrap(self._ready(connection, inbox, resumed, given, refused)))
        if resumed is not None:
            connection.revision = resumed.revision
            return missed, resumed.revision if resumed.base is None else resumed.base
        self._start(connection, inbox, lost=asked is not None)
        return None, connection.revision

    def _started(self, connection: Connection, port: NativePort | None) -> Callable[[], None]:
        """What the app's `connect` handler did happens right after `ready`."""

        def started() -> None:
            if port is None or port.held is None or connection.phase is Phase.ENDED:
                return
            self._hub.follow(connection, port.joined)
            for frame in port.held:
                connection.told(connection.dialect.wrap(frame))
            port.held = None

        return started

    def _ready(
        self,
        connection: Connection,
        inbox: Inbox | None,
        resumed: Position | None,
        given: tuple[str, ...],
        refused: tuple[native.TopicRefused, ...],
    ) -> native.Frame:
        state = None if inbox is None else inbox.state
        here = None if state is None else state.position
        return native.ready(
            native.Greeting(
                connection=connection.id,
                recipient=connection.principal.recipient,
                state=state,
                position=here if resumed is None else resumed.text,
                heartbeat=self._rules.heartbeat,
                resumed=resumed is not None,
                topics=given,
                refused=refused,
                presence=self._commands.members(connection.principal, given),
            )
        )

    def _start(self, connection: Connection, inbox: Inbox | None, *, lost: bool) -> None:
        """Live from the state that `ready` told, unless something went by; a position that was lost is a `reset`."""
        if inbox is not None:
            connection.revision = inbox.state.revision
            if lost:
                connection.told(connection.dialect.reset(inbox.state))
        if not connection.behind:
            connection.phase = Phase.LIVE


class Revoked(Unauthenticated):
    """This session was ended."""


def _taken(take_over: Any, hub: Hub, connection: Connection) -> tuple[asyncio.Transport, bytes] | None:
    """The socket and what is behind the request; None if the client left while it was looked at."""
    try:
        taken: tuple[asyncio.Transport, bytes] = take_over(connection)
    except ConnectionResetError:
        hub.lost(connection)
        return None
    return taken


def _end_of(refusal: BellcastError) -> Close:
    """How a live client is told of a refusal."""
    match refusal:
        case Revoked():
            return reasons.REVOKED
        case Unauthenticated():
            return reasons.UNAUTHENTICATED
        case TooMany():
            return reasons.TOO_MANY.delayed((refusal.retry_after or 60) * 1000)
        case Unavailable():
            return reasons.UNAVAILABLE.delayed((refusal.retry_after or 1) * 1000)
        case Forbidden():
            return reasons.FORBIDDEN
        case _ if refusal.status >= 500:
            return reasons.UNAVAILABLE
        case _:
            return reasons.BAD_REQUEST


async def _decline(send: foreign.Send, upgrade: websocket.Upgrade | websocket.Refusal) -> None:
    refusal = upgrade if isinstance(upgrade, websocket.Refusal) else websocket.Refusal(426, (), "Use WebSocket here.")
    await _answer(send, refusal.status, [*refusal.headers, (b"content-type", b"text/plain")], refusal.detail.encode())


async def _answer(send: foreign.Send, status: int, headers: requests.Headers, body: bytes) -> None:
    sized = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *sized]})
    await send({"type": "http.response.body", "body": body})
