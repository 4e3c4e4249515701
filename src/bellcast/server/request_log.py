"""The request log: one line per request, and one for the start and the end of each live connection.

A line has the path without its query, because queries contain tokens (`token=`), session ids (`sid=`) and signatures
(`auth_signature=`), and without a token that is a part of the path. Events are not logged."""

import hashlib
import re
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import structlog

from bellcast.api.middleware import STATE, path_as_sent, request_id
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import Connection
from bellcast.live.http.asgi import AsgiMessage, Receive, Scope, Send
from bellcast.live.socketio.engine_session import EngineSession
from bellcast.live.socketio.namespace_connection import NamespaceConnection
from bellcast.ports import Clock

log = structlog.get_logger("bellcast.requests")

# The longest valid path has two percent-encoded keys of 200 characters; a request head may be a hundred times as long.
MAX_PATH = 2_000
# The reason in an error body: `"code"` of a problem, `"reason"` of a rejected stream, `"message"` of Engine.IO, where
# `"code"` is a number.
REASON = re.compile(rb'"(?:code|reason|message)":"([^"]{1,100})"')
# A digest identifies sessions in the log; with the session id itself, a reader of the log could hijack the session.
SESSION_DIGEST_CHARACTERS = 12
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
SWITCHING_PROTOCOLS, OK, FORBIDDEN = 101, 200, 403
CONNECTION_LOST = CloseReason(1006, "connection lost", reconnect=True)  # RFC 6455, 7.1.5: closed without a close frame


class LoggedRequest:
    """The fields of one request's log line, collected while it is served."""

    __slots__ = ("has_connection", "method", "path", "reason", "started", "state", "status")

    def __init__(self, scope: Scope) -> None:
        self.started = time.perf_counter()
        self.method = scope.get("method", "GET")
        self.path = path_as_sent(scope)[:MAX_PATH]
        self.state: dict[str, Any] = {"request_id": request_id(scope)}
        self.status: int | None = None
        self.reason: str | None = None
        self.has_connection = False

    def read(self, message: AsgiMessage) -> None:
        """Record the status and the reason from an ASGI message."""
        match message["type"]:
            case "http.response.start":
                self.status = message["status"]
            case "http.response.body" if not self.has_connection:
                self._read_reason(message.get("body", b""))
            case "websocket.accept":
                self.status = SWITCHING_PROTOCOLS
            case "websocket.close" if self.status is None:
                self.status = FORBIDDEN  # the server's response if a WebSocket is closed before it is accepted

    def _read_reason(self, body: bytes) -> None:
        is_refusal = self.status is not None and (self.status >= 400 or body.startswith(b"retry:"))
        if is_refusal and self.reason is None and (found := REASON.search(body)) is not None:
            self.reason = found[1].decode(errors="replace")

    @property
    def fields(self) -> dict[str, Any]:
        """The common fields of the request's line and of its connection's lines."""
        state = self.state
        principal, caller = state.get("principal"), state.get("caller")
        return {
            "method": self.method,
            "path": state.get("logged_path", self.path)[:MAX_PATH],
            "status": self.status,
            "reason": self.reason or state.get("reason"),
            "recipient": None if principal is None else principal.recipient,
            "tenant": (state.get("tenant") if principal is None else principal.tenant) or None,
            "key": None if caller is None or caller.operator else caller.key or "project secret",
            "operator": None if caller is None else caller.operator,
            "ms": _milliseconds(time.perf_counter() - self.started),
            "request_id": state["request_id"],
        }


_current: ContextVar[LoggedRequest | None] = ContextVar("bellcast_logged_request", default=None)


class RequestLog:
    """Writes the log lines. Not thread-safe: call it on the event loop's thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def serve(
        self, app: Callable[[Scope, Receive, Send], Awaitable[None]], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve a request and log it, unless it became a live connection, which is logged separately."""
        request = LoggedRequest(scope)

        async def read_and_send(message: AsgiMessage) -> None:
            request.read(message)
            await send(message)

        token = _current.set(request)
        try:
            await app({**scope, STATE: request.state}, receive, read_and_send)
        finally:
            _current.reset(token)
            if request.status is None and _is_upgrade(scope):
                request.status = SWITCHING_PROTOCOLS  # the live edge writes to the socket directly
            if request.status is not None and not _is_connection(request):
                _write("request_served", request.fields)

    def head_refused(self, status: int, address: str | None) -> None:
        """Log a request with an unreadable or too large head."""
        _write("request_refused", {"status": status, "reason": "unreadable request head", "address": address})

    # --- live connections

    def opened(self, connection: Connection) -> None:
        """Log the start of a connection."""
        if isinstance(
            connection, NamespaceConnection
        ):  # opened by a packet, independent of the request that carried it
            request = {"path": connection.session.request.path, "session": _session(connection.session)}
        else:
            request = _of_current(is_websocket=connection.dialect.transport == "websocket")
        _write("connection_opened", request | _who(connection))

    def closed(self, connection: Connection) -> None:
        """Log the end of a connection."""
        end = connection.close_reason or CONNECTION_LOST
        session = {"session": _session(connection.session)} if isinstance(connection, NamespaceConnection) else {}
        lasted = {"ms": self._clock.now() - connection.connected_at}
        _write("connection_closed", session | _who(connection) | _why(end) | lasted)

    def refused(self, connection: Connection, end: CloseReason) -> None:
        """Log a WebSocket that was accepted only to send the reason of its rejection."""
        request = _of_current(is_websocket=True)
        _write("connection_refused", request | _who(connection) | _why(connection.dialect.close_event(end)))

    # --- Engine.IO sessions, on which Socket.IO's namespaces are connections

    def session_opened(self, session: EngineSession) -> None:
        """Log the start of a session."""
        request = _of_current(is_websocket=session.transport_name == "websocket")
        _write("session_opened", request | _session_of(session))

    def session_closed(self, session: EngineSession) -> None:
        """Log the end of a session."""
        _write("session_closed", _session_of(session) | _why(session.close_reason or CONNECTION_LOST))

    def namespace_refused(self, session: EngineSession, namespace: str, reason: str) -> None:
        """Log a rejected connection to a namespace."""
        who = {
            "protocol": "socketio",
            "transport": session.transport_name,
            "namespace": namespace,
            "session": _session(session),
        }
        _write("connection_refused", who | {"reason": reason})


def _of_current(*, is_websocket: bool) -> dict[str, Any]:
    """Return the fields of the current request, which becomes a connection."""
    request = _current.get()
    if request is None:
        return {}
    request.has_connection = True
    return request.fields | {"status": SWITCHING_PROTOCOLS if is_websocket else OK, "ms": None}


def _who(connection: Connection) -> dict[str, Any]:
    principal, dialect = connection.principal, connection.dialect
    return {
        "recipient": principal.recipient,
        "tenant": principal.tenant or None,
        "protocol": dialect.protocol,
        "transport": dialect.transport,
        "namespace": connection.namespace if isinstance(connection, NamespaceConnection) else None,
        "connection": connection.id,
    }


def _why(end: CloseReason) -> dict[str, Any]:
    return {"code": end.code, "reason": end.reason}


def _session_of(session: EngineSession) -> dict[str, Any]:
    return {"protocol": "engineio", "transport": session.transport_name, "session": _session(session)}


def _session(session: EngineSession) -> str:
    return hashlib.sha256(session.sid.encode()).hexdigest()[:SESSION_DIGEST_CHARACTERS]


def _is_upgrade(scope: Scope) -> bool:
    return scope["type"] == "http" and any(
        name == b"upgrade" and value.lower() == b"websocket" for name, value in scope["headers"]
    )


def _is_connection(request: LoggedRequest) -> bool:
    return request.has_connection and request.status in (OK, SWITCHING_PROTOCOLS)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _write(event: str, fields: dict[str, Any]) -> None:
    log.info(event, **{name: _printable(value) for name, value in fields.items() if value is not None})


def _printable(value: Any) -> Any:
    """Replace control characters, which would affect the terminal on which the log is read."""
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(one if one.isprintable() else REPLACEMENT for one in value)
