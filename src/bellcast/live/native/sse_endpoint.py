"""`GET /v1/stream`: the native dialect as an event stream.

EventSource stops permanently on any status but 200 and hides the status from its script. Only permanent errors are
therefore sent as a status; temporary ones are a stream with a `retry` delay (WHATWG HTML, 9.2)."""

import random
from collections.abc import Coroutine
from typing import Any

import structlog

from bellcast.auth import origins
from bellcast.auth.authenticator import Authenticator
from bellcast.errors import BellcastError, MethodNotAllowed, Unavailable
from bellcast.live.admission import Admission, close_reason_for, guard_start
from bellcast.live.config import LiveConfig, Spawn
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import Connection, OnReady
from bellcast.live.framing import sse
from bellcast.live.http import asgi, handshake_request, responses
from bellcast.live.http.asgi import AsgiConnection, AsgiTransport
from bellcast.live.http.handshake_request import HandshakeRequest, Headers
from bellcast.live.native import protocol
from bellcast.live.native.handshake import NativeHandshake, OpenedInbox
from bellcast.live.native.sse_connection import SseConnection
from bellcast.ports import SessionRevoked

log = structlog.get_logger(__name__)

# Delay before browsers reconnect an event stream, randomized to avoid a reconnect storm after a server failure.
RETRY_MS = (1_500, 4_500)


class StreamEndpoint:
    """An ASGI application for event streams."""

    def __init__(
        self, doors: Authenticator, rules: LiveConfig, arrivals: Admission, sessions: NativeHandshake, spawn: Spawn
    ) -> None:
        self._authenticator = doors
        self._rules = rules
        self._admission = arrivals
        self._handshake = sessions
        self._spawn = spawn

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        request = handshake_request.read(scope)
        if request.method == "OPTIONS":
            allowed = self._rules.access.origins
            await responses.respond(send, 204, origins.preflight_headers(request.header(b"origin"), allowed))
            return
        cors = self._cors(request, 200)
        try:
            connection = await self._authenticate(request, ours=responses.can_take_over(scope))
            arrived, started = await self._enter(connection, request)
        except BellcastError as refusal:
            await _respond_error(refusal, self._cors(request, refusal.status), send)
            return
        if not responses.can_take_over(scope):
            welcome = self._handshake.send_ready(connection, arrived, request, started)
            await self._carry(connection, welcome, cors, receive, send)
        elif (taken := responses.take_over(scope, connection)) is not None:
            connection.attach(taken[0], self._rules.limits.unsent)
            connection.write(sse.response_head(request.http_version, cors) + _retry(connection))
            await guard_start(connection, self._handshake.send_ready(connection, arrived, request, started))

    async def _enter(self, connection: Connection, request: HandshakeRequest) -> tuple[OpenedInbox, OnReady]:
        """Admit the connection and open its inbox. On failure or cancellation, unregister it from all counters."""
        try:
            return await self._handshake.open_inbox(connection, request)
        except BaseException as failure:
            connection.owner.on_disconnected(connection)
            if isinstance(failure, Exception) and not isinstance(failure, BellcastError):
                log.exception("connection start failed", connection=connection.id)
                raise Unavailable from failure
            raise

    def _cors(self, request: HandshakeRequest, status: int) -> Headers:
        return origins.cors_headers(request.header(b"origin"), self._rules.access.origins, status)

    async def _authenticate(self, request: HandshakeRequest, *, ours: bool) -> Connection:
        if request.method != "GET":
            raise MethodNotAllowed("An event stream is opened with GET.")
        self._admission.check_address(request.address)
        principal = await self._authenticator.recipient(request, "stream")
        chunked = ours and request.http_version != "1.0"
        dialect = protocol.SSE_CHUNKED if chunked else protocol.SSE_PLAIN
        kind = SseConnection if ours else AsgiConnection
        return self._admission.create_connection(kind, dialect, principal, request.address)

    async def _carry(
        self,
        connection: Connection,
        welcome: Coroutine[Any, Any, None],
        cors: Headers,
        receive: asgi.Receive,
        send: asgi.Send,
    ) -> None:
        """Serve the stream through ASGI `send`."""
        outlet = AsgiTransport(connection, asgi.body_message)
        connection.attach(outlet, self._rules.limits.unsent)
        headers = [
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-store, no-transform"),
            (b"x-accel-buffering", b"no"),
            *cors,
        ]
        connection.write(_retry(connection))
        self._spawn(guard_start(connection, welcome))
        start = {"type": "http.response.start", "status": 200, "headers": headers}
        speaking = outlet.run(send, start, asgi.end_of_body)
        await asgi.serve(connection, outlet, speaking, asgi.receive_stream(receive))


def _retry(connection: Connection) -> bytes:
    said = sse.retry(int(random.uniform(*RETRY_MS)))
    return sse.chunk(said) if connection.dialect is protocol.SSE_CHUNKED else said


async def _respond_error(refusal: BellcastError, cors: Headers, send: asgi.Send) -> None:
    end = close_reason_for(refusal)
    if isinstance(refusal, SessionRevoked):
        await responses.respond(send, 204, cors)  # EventSource does not reconnect after 204
    elif end.reconnect:
        await _respond_retry(end, cors, send)
    else:
        allowed = [(b"allow", b"GET, OPTIONS")] if isinstance(refusal, MethodNotAllowed) else []
        await responses.respond_error(send, refusal, [*cors, *allowed])


async def _respond_retry(end: CloseReason, cors: Headers, send: asgi.Send) -> None:
    kind = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store, no-transform")]
    await responses.respond(
        send, 200, [*kind, *cors], sse.retry(end.after or RETRY_MS[1]) + protocol.SSE_PLAIN.close(end)
    )
