"""`GET /v1/stream`: the native dialect as an event stream.

EventSource stops permanently on any status but 200, and does not expose the status to scripts. So only permanent errors
are sent as a status; the response to a temporary one is a stream with a `retry` delay (WHATWG HTML, 9.2). `wire` creates the
dialect."""

import random
from functools import partial

from msgspec import Struct

from bellcast.auth import origins
from bellcast.inbox.types.inboxes import SessionRevoked
from bellcast.kernel.errors import BellcastError, MethodNotAllowed
from bellcast.kernel.http import Receive, Scope, Send
from bellcast.live.admission import close_reason_for, close_refused, guarded_start
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import Connection
from bellcast.live.framing import sse
from bellcast.live.http import asgi, handshake_request
from bellcast.live.http.handshake_request import Headers
from bellcast.live.http.websocket_endpoint import WebSocketEndpoint
from bellcast.live.native import protocol
from bellcast.live.native.app_callbacks import DisconnectCalls
from bellcast.live.native.commands import Commands
from bellcast.live.native.handshake import NativeHandshake
from bellcast.live.wiring import LiveContext, WiredDialect

STREAM_PATH, WEBSOCKET_PATH = "/v1/stream", "/v1/ws"
# Delay before browsers reconnect an event stream, randomized to avoid a reconnect storm after a server failure.
RETRY_MS = (1_500, 4_500)


class SseConnection(Connection):
    """An event stream on a raw socket: chunked for HTTP/1.1; for HTTP/1.0, closing the connection ends the body."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Ignore received data: an event stream is one-way."""

    def send_close(self, end: CloseReason) -> None:
        last = sse.LAST_CHUNK if self.dialect is protocol.SSE_CHUNKED else b""
        self.write(self.closing_frame(end) + last)
        self.transport.close()


class StreamEndpoint(Struct, eq=False):
    live: LiveContext
    handshake: NativeHandshake

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = handshake_request.read(scope)
        if request.method == "OPTIONS":
            allowed = self.live.config.access.origins
            await asgi.respond(send, 204, origins.preflight_headers(request.header(b"origin"), allowed))
            return
        try:
            if request.method != "GET":
                raise MethodNotAllowed("Open an event stream with GET.")
            self.live.admission.check_address(request.address)
            principal = await self.live.authenticator.recipient(request, "stream")
            dialect = protocol.SSE_PLAIN if request.http_version == "1.0" else protocol.SSE_CHUNKED
            connection = self.live.admission.create_connection(
                SseConnection, dialect, principal, request.address, request.header(b"origin")
            )
        except BellcastError as error:
            await _respond_error(error, request.cors_headers(self.live.config.access.origins, error.status), send)
            return
        opened = await guarded_start(connection, self.handshake.open_inbox(connection, request), lambda error: error)
        if isinstance(opened, BellcastError):
            await _respond_error(opened, request.cors_headers(self.live.config.access.origins, opened.status), send)
        elif (taken := asgi.take_over(scope, connection)) is not None:
            connection.attach(taken[0], self.live.config.limits.unsent)
            head = sse.response_head(
                request.http_version, request.cors_headers(self.live.config.access.origins), request.id_line
            )
            retry = sse.retry(int(random.uniform(*RETRY_MS)))
            connection.write(head + (sse.chunk(retry) if dialect is protocol.SSE_CHUNKED else retry))
            start = self.handshake.send_ready(connection, opened, request)
            await guarded_start(connection, start, partial(close_refused, connection))


def wire(live: LiveContext) -> WiredDialect:
    """Wire event streams and WebSockets, and the app's `disconnect` handler for all dialects."""
    handshake = NativeHandshake(live, Commands(live))
    disconnects = DisconnectCalls(live)
    return WiredDialect(
        paths={
            STREAM_PATH: StreamEndpoint(live, handshake),
            WEBSOCKET_PATH: WebSocketEndpoint(live.config, live.admission, handshake),
        },
        stream_paths=frozenset((STREAM_PATH,)),
        connected=disconnects.connected,
        disconnected=disconnects.disconnected,
        close=disconnects.close,
    )


async def _respond_error(error: BellcastError, cors: Headers, send: Send) -> None:
    end = close_reason_for(error)
    if isinstance(error, SessionRevoked):
        await asgi.respond(send, 204, cors)  # EventSource does not reconnect after 204
    elif end.reconnect:
        kind = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store, no-transform")]
        await asgi.respond(
            send, 200, [*kind, *cors], sse.retry(end.after or RETRY_MS[1]) + protocol.SSE_PLAIN.close(end)
        )
    else:
        allowed = [(b"allow", b"GET, OPTIONS")] if isinstance(error, MethodNotAllowed) else []
        await asgi.respond_error(send, error, [*cors, *allowed])
