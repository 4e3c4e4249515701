"""A WebSocket, from its handshake to the dialect that greets it.

It is accepted first and turned away in a close frame, because a script cannot see a refused handshake; only a wrong
Origin, version or path, and an address at its bound, are refused before."""

from typing import Protocol

from bellcast.auth import origins
from bellcast.errors import BadRequest, BellcastError, UpgradeRequired
from bellcast.live import reasons, requests
from bellcast.live.arrivals import Arrivals, guard_start
from bellcast.live.connection import Connection, Dialect, Listener
from bellcast.live.framing import websocket
from bellcast.live.requests import Headers, Request
from bellcast.live.rules import Rules, Spawn
from bellcast.live.sessions.native import AtReady
from bellcast.live.transports import foreign, http
from bellcast.live.transports.foreign import ForeignConnection, SendOutlet
from bellcast.live.transports.websocket import WebSocketConnection
from bellcast.model.people import Principal


class Sessions(Protocol):
    """One dialect's way to greet. `direct` writes whole WebSocket frames, `foreign` their payloads."""

    @property
    def direct(self) -> Dialect: ...
    @property
    def foreign(self) -> Dialect: ...
    @property
    def listener(self) -> Listener: ...

    async def visitor(self, request: Request) -> tuple[Principal, BellcastError | None]:
        """Who comes; or why it will be turned away once it can be told. Raises what is refused before the handshake."""
        ...

    async def begin(
        self, connection: Connection, request: Request, refusal: BellcastError | None, at_ready: AtReady
    ) -> None:
        """From the accepted WebSocket to a live one; raises why not. Calls `at_ready` once the client may be heard."""
        ...


class WebSocketEndpoint:
    """An ASGI application for one WebSocket path."""

    def __init__(self, rules: Rules, arrivals: Arrivals, sessions: Sessions, spawn: Spawn) -> None:
        self._limits = rules.limits
        self._origins = rules.access.origins
        self._arrivals = arrivals
        self._sessions = sessions
        self._spawn = spawn

    async def __call__(self, scope: foreign.Scope, receive: foreign.Receive, send: foreign.Send) -> None:
        request = requests.read(scope)
        if scope["type"] == "websocket":
            await self._carry(request, receive, send)
            return
        upgrade = websocket.check_upgrade(request.method, request.http_version, request.headers)
        if isinstance(upgrade, websocket.Refusal) or not http.is_ours(scope):
            await self._decline(request, send, upgrade)
            return
        try:
            self._arrivals.check_address(request.address)
            principal, refusal = await self._sessions.visitor(request)
        except BellcastError as forbidden:
            await http.refuse(send, forbidden, self._cors(request, forbidden.status))
            return
        connection = self._arrivals.make(
            WebSocketConnection, self._sessions.direct, principal, request.address, listener=self._sessions.listener
        )
        await self._own(scope, connection, request, upgrade, refusal)

    async def _own(
        self,
        scope: foreign.Scope,
        connection: WebSocketConnection,
        request: Request,
        upgrade: websocket.Upgrade,
        refusal: BellcastError | None,
    ) -> None:
        """On a socket of our own."""
        if (taken := http.take(scope, connection)) is None:
            return
        outlet, early = taken
        connection.own(outlet, self._limits.unsent)
        if early:
            connection.data_received(early)
        connection.write(websocket.response(upgrade))
        start = self._sessions.begin(connection, request, refusal, connection.listen)
        await guard_start(connection, start, connection.listen)

    async def _carry(self, request: Request, receive: foreign.Receive, send: foreign.Send) -> None:
        """Through another server's sends."""
        await receive()  # websocket.connect
        try:
            self._arrivals.check_address(request.address)
            principal, refusal = await self._sessions.visitor(request)
        except BellcastError:
            await send({"type": "websocket.close", "code": reasons.FORBIDDEN.code})  # before accepting: an HTTP 403
            return
        connection = self._arrivals.make(ForeignConnection, self._sessions.foreign, principal, request.address)
        outlet = SendOutlet(connection, foreign.websocket_message)
        connection.own(outlet, self._limits.unsent)
        start = self._sessions.begin(connection, request, refusal, outlet.resume_reading)
        self._spawn(guard_start(connection, start, outlet.resume_reading))
        hearing = foreign.hear_websocket(connection, outlet, receive, self._sessions.listener)
        speaking = outlet.run(send, {"type": "websocket.accept"}, connection.closing)
        await foreign.serve(connection, outlet, speaking, hearing)

    async def _decline(
        self, request: Request, send: foreign.Send, upgrade: websocket.Upgrade | websocket.Refusal
    ) -> None:
        headers, detail = (upgrade.headers, upgrade.detail) if isinstance(upgrade, websocket.Refusal) else ((), None)
        is_bad = isinstance(upgrade, websocket.Refusal) and upgrade.status == BadRequest.status
        refusal = BadRequest(detail) if is_bad else UpgradeRequired(detail)
        await http.refuse(send, refusal, [*headers, *self._cors(request, refusal.status)])

    def _cors(self, request: Request, status: int) -> Headers:
        return origins.cors_headers(request.header(b"origin"), self._origins, status)
