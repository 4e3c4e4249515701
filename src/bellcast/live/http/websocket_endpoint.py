"""WebSocket endpoint, from the handshake to the start of the dialect.

Most errors are sent in a close frame after the handshake, because a script cannot see why a handshake failed. The
handshake itself fails only for a wrong Origin, version or path, or an address at its limit."""

from typing import Protocol

from bellcast.auth import origins
from bellcast.kernel.errors import BadRequest, BellcastError, UpgradeRequired
from bellcast.kernel.http.asgi import Receive, Scope, Send
from bellcast.kernel.identities import Principal
from bellcast.live.admission import Admission, close_refused, guarded_start
from bellcast.live.config import LiveConfig, Spawn
from bellcast.live.connection import close_reasons
from bellcast.live.connection.connection import Connection, Listener, OnReady
from bellcast.live.connection.dialect import Dialect
from bellcast.live.framing import websocket
from bellcast.live.http import asgi, handshake_request, responses
from bellcast.live.http.asgi import AsgiConnection, AsgiTransport
from bellcast.live.http.handshake_request import HandshakeRequest, Headers
from bellcast.live.http.websocket_connection import WebSocketConnection


class DialectHandshake(Protocol):
    """Session start of a dialect. `direct` writes whole WebSocket frames, `foreign` their payloads."""

    @property
    def direct(self) -> Dialect: ...
    @property
    def foreign(self) -> Dialect: ...
    @property
    def listener(self) -> Listener: ...

    async def authenticate(self, request: HandshakeRequest) -> tuple[Principal, BellcastError | None]:
        """Return the principal, and an error to send after the handshake. Raises errors for which the handshake must
        fail."""
        ...

    async def start(
        self,
        connection: Connection,
        request: HandshakeRequest,
        authentication_error: BellcastError | None,
        at_ready: OnReady,
    ) -> None:
        """Start the session on an accepted WebSocket, or raise. Calls `at_ready` once client messages may be processed."""
        ...


class WebSocketEndpoint:
    def __init__(self, config: LiveConfig, admission: Admission, handshake: DialectHandshake, spawn: Spawn) -> None:
        self._limits = config.limits
        self._access = config.access
        self._admission = admission
        self._handshake = handshake
        self._spawn = spawn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = handshake_request.read(scope)
        if scope["type"] == "websocket":
            await self._serve_asgi(request, receive, send)
            return
        upgrade = websocket.check_upgrade(request.method, request.http_version, request.headers)
        if isinstance(upgrade, websocket.HandshakeRejected) or not responses.can_take_over(scope):
            await self._respond_refusal(request, send, upgrade)
            return
        try:
            self._admission.check_address(request.address)
            principal, authentication_error = await self._handshake.authenticate(request)
        except BellcastError as error:
            await responses.respond_error(send, error, self._cors(request, error.status))
            return
        connection = self._admission.create_connection(
            WebSocketConnection,
            self._handshake.direct,
            principal,
            request.address,
            request.header(b"origin"),
            listener=self._handshake.listener,
        )
        if (taken := responses.take_over(scope, connection)) is None:
            return
        transport, early = taken
        connection.attach(transport, self._limits.unsent)
        if early:
            connection.data_received(early)
        connection.write(websocket.response(upgrade, own_line=request.id_line))
        await self._start(connection, request, authentication_error, connection.start_reading)

    async def _serve_asgi(self, request: HandshakeRequest, receive: Receive, send: Send) -> None:
        """Serve through another server's `send`."""
        await receive()  # websocket.connect
        try:
            self._admission.check_address(request.address)
            principal, authentication_error = await self._handshake.authenticate(request)
        except BellcastError:
            await send(
                {"type": "websocket.close", "code": close_reasons.FORBIDDEN.code}
            )  # before accepting: an HTTP 403
            return
        connection = self._admission.create_connection(
            AsgiConnection, self._handshake.foreign, principal, request.address, request.header(b"origin")
        )
        transport = AsgiTransport(connection, asgi.websocket_message)
        connection.attach(transport, self._limits.unsent)
        self._spawn(self._start(connection, request, authentication_error, transport.resume_reading))
        receiving = asgi.receive_websocket(connection, transport, receive, self._handshake.listener)
        sending = transport.run(send, {"type": "websocket.accept"}, connection.closing)
        await asgi.serve(connection, transport, sending, receiving)

    async def _start(
        self,
        connection: Connection,
        request: HandshakeRequest,
        authentication_error: BellcastError | None,
        start_reading: OnReady,
    ) -> None:
        def refuse(error: BellcastError) -> None:
            close_refused(connection, error)
            start_reading()  # so that the client's close frame is read

        start = self._handshake.start(connection, request, authentication_error, start_reading)
        await guarded_start(connection, start, refuse)

    async def _respond_refusal(
        self, request: HandshakeRequest, send: Send, upgrade: websocket.Upgrade | websocket.HandshakeRejected
    ) -> None:
        headers, detail = (
            (upgrade.headers, upgrade.detail) if isinstance(upgrade, websocket.HandshakeRejected) else ((), None)
        )
        is_bad = isinstance(upgrade, websocket.HandshakeRejected) and upgrade.status == BadRequest.status
        authentication_error = BadRequest(detail) if is_bad else UpgradeRequired(detail)
        await responses.respond_error(
            send, authentication_error, [*headers, *self._cors(request, authentication_error.status)]
        )

    def _cors(self, request: HandshakeRequest, status: int) -> Headers:
        return origins.cors_headers(request.header(b"origin"), self._access.origins, status)
