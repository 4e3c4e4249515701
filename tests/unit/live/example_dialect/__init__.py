"""An example of a dialect in one folder: a recipient's inbox as lines of JSON at `GET /v1/lines`."""

from functools import partial

import msgspec

from bellcast.inbox.types.inboxes import InboxEvent, parse_position
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.events import Event
from bellcast.kernel.http import Receive, Scope, Send
from bellcast.live import resume
from bellcast.live.admission import close_refused, guarded_start
from bellcast.live.connection import Connection
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.dialect import InboxReset, Payload, payload_of
from bellcast.live.framing import CLOSE, head
from bellcast.live.http import asgi
from bellcast.live.http.asgi import HandshakeRequest
from bellcast.live.wiring import DialectPlugin, LiveContext, WiredDialect

HEAD = head(b"200 OK", [(b"content-type", b"application/x-ndjson"), CLOSE])


class LinesDialect(msgspec.Struct, frozen=True, eq=False):
    protocol: str = "lines"
    can_resume: bool = True
    transport: str = "http"
    mark: None = None  # clients read the position from each frame

    def encode_frame(self, payload: Payload) -> bytes:
        return msgspec.json.encode({"type": payload.name, **payload.fields}) + b"\n"

    def encode(self, event: Event) -> bytes | None:
        return self.replay(event, event.inbox.position) if isinstance(event, InboxEvent) else None

    def replay(self, event: InboxEvent | InboxReset, position: str) -> bytes:
        return self.encode_frame(payload_of(event, position))

    def heartbeat(self, now: int) -> bytes:
        return b"\n"

    def close_event(self, end: CloseReason) -> CloseReason:
        return end

    def close(self, end: CloseReason) -> bytes:
        return self.encode_frame(Payload("close", {"code": end.code, "reason": end.reason}))


LINES = LinesDialect()


class LinesConnection(Connection):
    def data_received(self, data: bytes) -> None:
        """Ignore received data."""

    def send_close(self, end: CloseReason) -> None:
        self.write(self.closing_frame(end))
        self.transport.close()


class LinesEndpoint:
    def __init__(self, live: LiveContext) -> None:
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        live, request = self._live, asgi.read_handshake(scope)
        try:
            principal = await live.authenticator.recipient(request, "stream")
        except BellcastError as error:
            await asgi.respond_error(send, error, [])
            return
        connection = live.admission.create_connection(
            LinesConnection, LINES, principal, request.address, request.header(b"origin")
        )
        if (taken := asgi.take_over(scope, connection)) is not None:
            connection.attach(taken[0], live.config.limits.unsent)
            connection.write(HEAD)
            await guarded_start(connection, self._start(connection, request), partial(close_refused, connection))

    async def _start(self, connection: Connection, request: HandshakeRequest) -> None:
        position = parse_position(request.position or "")
        opened = await self._live.admission.admit(connection, position)
        if opened is not None and opened.missed is not None and position is not None:
            connection.revision = position.revision
        elif opened is not None:
            connection.revision = opened.inbox.state.revision
            connection.write_tracked(LINES.replay(InboxReset(opened.inbox.state), opened.inbox.state.position))
        await resume.catch_up(self._live.engines.db, connection, self._live.config.limits)


def wire(live: LiveContext) -> WiredDialect:
    return WiredDialect(paths={"/v1/lines": LinesEndpoint(live)})


LINES_DIALECT = DialectPlugin(name="lines", wiring=__name__)
