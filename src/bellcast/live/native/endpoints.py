"""The endpoints of the native dialect, and its handshake: `ready`, then the replay of missed changes, then live events.

Of an event stream, EventSource stops permanently on any status but 200, and does not expose the status to scripts. So only
permanent errors are sent as a status; the response to a temporary one is a stream with a `retry` delay (WHATWG HTML, 9.2).
`wire` creates the dialect."""

import random
from collections.abc import Mapping
from functools import partial
from typing import Any

from msgspec import Struct

from bellcast import calls
from bellcast.auth import origins
from bellcast.auth.origins import WrongOrigin
from bellcast.auth.permissions import Grant
from bellcast.inbox.types.inboxes import Changes, Inbox, Position, SessionRevoked, parse_position
from bellcast.kernel.brokers import history
from bellcast.kernel.errors import BellcastError, MethodNotAllowed
from bellcast.kernel.http import Receive, Scope, Send
from bellcast.kernel.identities import Principal
from bellcast.live import framing, resume
from bellcast.live.admission import close_reason_for, close_refused, guarded_start
from bellcast.live.connection import Connection, OnReady, Phase
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.dialect import InboxReset, Payload
from bellcast.live.http import asgi
from bellcast.live.http.asgi import HandshakeRequest, Headers
from bellcast.live.http.websockets import WebSocketEndpoint
from bellcast.live.hub import subscriptions
from bellcast.live.native import protocol
from bellcast.live.native.app_callbacks import DisconnectCalls, NativeCallContext
from bellcast.live.native.commands import Commands
from bellcast.live.types import TopicRefused
from bellcast.live.wiring import LiveContext, WiredDialect

NOTHING: subscriptions.Authorized = ({}, ())

STREAM_PATH, WEBSOCKET_PATH = "/v1/stream", "/v1/ws"
# Delay before browsers reconnect an event stream, randomized to avoid a reconnect storm after a server failure.
RETRY_MS = (1_500, 4_500)


class SseConnection(Connection):
    """An event stream on a raw socket: chunked for HTTP/1.1; for HTTP/1.0, closing the connection ends the body. Received data is
    ignored, because it is one-way."""

    __slots__ = ()

    def send_close(self, end: CloseReason) -> None:
        last = framing.LAST_CHUNK if self.dialect is protocol.SSE_CHUNKED else b""
        self.write(self.closing_frame(end) + last)
        self.transport.close()


class OpenedInbox(Struct, frozen=True):
    """An admitted connection's inbox and its resume position."""

    inbox: Inbox | None  # None: anonymous
    missed: Changes | None
    resumed: Position | None  # None if it cannot resume
    lost: Inbox | None  # the inbox, if the client sent a position from which it cannot resume
    context: NativeCallContext | None  # of the `connect` handler, if the app has one
    event_id: str | None  # the last live event that the client received
    rewind: int  # past events requested of each topic


class NativeHandshake:
    """Starts SSE and WebSocket connections; frames received on a WebSocket go to `listener`."""

    dialect = protocol.WEBSOCKET

    def __init__(self, live: LiveContext, commands: Commands) -> None:
        self._live = live
        heartbeat = live.config.heartbeat
        self._heartbeat = int(heartbeat) if heartbeat == int(heartbeat) else heartbeat
        self.listener = commands

    async def authenticate(self, request: HandshakeRequest) -> tuple[Principal, BellcastError | None]:
        """Return the principal, or an anonymous one with the error to send after the upgrade."""
        try:
            return await self._live.authenticator.recipient(request, "websocket"), None
        except WrongOrigin:
            raise
        except BellcastError as authentication_error:
            return Principal(), authentication_error

    async def start(self, connection: Connection, request: HandshakeRequest, at_ready: OnReady) -> None:
        """Start an accepted WebSocket; raises if it is refused. `at_ready` starts the processing of received frames."""
        await self.send_ready(connection, await self.open_inbox(connection, request), request, at_ready)

    async def open_inbox(self, connection: Connection, request: HandshakeRequest) -> OpenedInbox:
        context, rewind = None, request.rewind
        if self._live.app.has(calls.CONNECT):
            context = NativeCallContext(self._live, connection)
            await context.connect(request.address, handshake=request.for_app())
        requested, event_id = history.split_position(request.position or "")
        position = parse_position(requested) if requested else None
        opened = await self._live.admission.admit(connection, position, request)
        inbox, missed = (None, None) if opened is None else (opened.inbox, opened.missed)
        resumed = None if missed is None else position
        lost = inbox if requested and missed is None else None
        return OpenedInbox(inbox, missed, resumed, lost, context, event_id, rewind)

    async def send_ready(
        self,
        connection: Connection,
        opened_inbox: OpenedInbox,
        request: HandshakeRequest,
        at_ready: OnReady = lambda: None,
    ) -> None:
        """Send `ready`, replay missed changes and go live; raises if that fails."""
        context, (granted, refused) = opened_inbox.context, NOTHING
        if requested := request.topics:
            granted, refused = await subscriptions.authorize_topics(
                self._live.engines.db, connection.principal, requested, 0, self._live.config
            )
        if refused:
            self._live.hub.callbacks.topics_refused(connection, refused)
        if granted:
            async with self.listener.knowing_members(connection.principal, granted):
                topics = await self._follow(connection, opened_inbox, granted)
        else:  # most connections name no topics, and need no members
            topics = await self._follow(connection, opened_inbox, granted)
        if connection.phase is not Phase.CLOSED:
            self._write_ready(connection, opened_inbox, topics, granted, refused)
            if opened_inbox.lost is not None:
                # Before the events of topics, as their positions contain the new one of the inbox. The position of the reset is one
                # from which these events are sent again.
                event_id = topics.start if topics.recovered else "" if topics.is_rewind else None
                state = opened_inbox.lost.state
                reset = connection.dialect.replay(InboxReset(state), state.position)
                connection.write_tracked(connection.marked(reset, event_id))
            if topics.events:
                await resume.send(self._live.hub, connection, topics, protocol.encode_rewound)
            if opened_inbox.resumed is None and not connection.is_stale:
                connection.go_live()  # nothing has changed since the state in `ready`
        if context is not None:
            context.send_pending()
        at_ready()
        if connection.phase is not Phase.LIVE:
            start = opened_inbox.resumed or Position(connection.epoch, connection.revision)
            await resume.replay(self._live.engines.db, connection, opened_inbox.missed, start, self._live.config.limits)

    async def _follow(
        self, connection: Connection, opened_inbox: OpenedInbox, granted: dict[str, Grant]
    ) -> resume.TopicReplay:
        """Read what the client missed, and follow the granted topics with those that the `connect` handler joined."""
        context, after, rewind = opened_inbox.context, opened_inbox.event_id, opened_inbox.rewind
        if context is None:
            topics = await resume.read(self._live.hub, connection, granted, after, rewind)
        else:
            topics, joined = await context.read_topics(granted, after, rewind)
            granted = {**granted, **joined}
        self._live.hub.subscriptions.follow(connection, granted)
        return topics

    def _write_ready(
        self,
        connection: Connection,
        opened_inbox: OpenedInbox,
        topics: resume.TopicReplay,
        granted: Mapping[str, Grant],
        refused: tuple[TopicRefused, ...],
    ) -> None:
        inbox, resumed = opened_inbox.inbox, opened_inbox.resumed
        if resumed is not None:
            connection.revision, connection.place = resumed.revision, resumed.text
        elif inbox is not None:
            connection.revision = inbox.state.revision
        state = None if inbox is None else inbox.state
        fields: dict[str, Any] = {
            "connection": connection.id,
            "recipient": connection.principal.recipient,
            "position": connection.place if state is None or resumed is not None else state.position,
            "unread": state.unread if state else 0,
            "unseen": state.unseen if state else 0,
            "heartbeat": self._heartbeat,
            "resumed": resumed is not None,
            "id": topics.start,
            "recovered": topics.recovered,
            "topics": tuple(granted),
            "refused": refused,
        }
        if granted and (presence := self.listener.members(connection.principal, granted)):
            fields["presence"] = presence
        # Sent before a replay or a reset without a position, so that a disconnect loses nothing.
        is_followed = resumed is not None or opened_inbox.lost is not None or topics.recovered or topics.is_rewind
        frame = connection.dialect.encode_frame(Payload("ready", fields))
        connection.write_tracked(frame if is_followed else connection.marked(frame))

    async def serve_stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request for an event stream."""
        request = asgi.read_handshake(scope)
        if request.method == "OPTIONS":
            allowed = self._live.config.access.origins
            await asgi.respond(send, 204, origins.preflight_headers(request.origin, allowed))
            return
        try:
            if request.method != "GET":
                raise MethodNotAllowed("Open an event stream with GET.")
            self._live.admission.check_address(request.address)
            principal = await self._live.authenticator.recipient(request, "stream")
            dialect = protocol.SSE_PLAIN if request.http_version == "1.0" else protocol.SSE_CHUNKED
            connection = self._live.admission.create_connection(
                SseConnection, dialect, principal, request.address, request.origin
            )
        except BellcastError as error:
            await _respond_error(error, request.cors_headers(self._live.config.access.origins, error.status), send)
            return
        opened = await guarded_start(connection, self.open_inbox(connection, request), lambda error: error)
        if isinstance(opened, BellcastError):
            await _respond_error(opened, request.cors_headers(self._live.config.access.origins, opened.status), send)
        elif (taken := asgi.take_over(scope, connection)) is not None:
            connection.attach(taken[0], self._live.config.limits.unsent)
            head = framing.sse_head(
                request.http_version, request.cors_headers(self._live.config.access.origins), request.id_line
            )
            retry = framing.sse_retry(int(random.uniform(*RETRY_MS)))
            connection.write(head + (framing.chunk(retry) if dialect is protocol.SSE_CHUNKED else retry))
            start = self.send_ready(connection, opened, request)
            await guarded_start(connection, start, partial(close_refused, connection))


def wire(live: LiveContext) -> WiredDialect:
    """Wire event streams and WebSockets, and the app's `disconnect` handler for all dialects."""
    handshake = NativeHandshake(live, Commands(live))
    disconnects = DisconnectCalls(live)
    return WiredDialect(
        paths={
            STREAM_PATH: handshake.serve_stream,
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
            send, 200, [*kind, *cors], framing.sse_retry(end.after or RETRY_MS[1]) + protocol.SSE_PLAIN.close(end)
        )
    else:
        allowed = [(b"allow", b"GET, OPTIONS")] if isinstance(error, MethodNotAllowed) else []
        await asgi.respond_error(send, error, [*cors, *allowed])
