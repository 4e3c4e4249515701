"""The request log: one line per request, and one for the start and the end of each live connection. The same requests and
connections are events of the feed and its list of requests.

A line has the path without its query, because queries contain tokens (`token=`), session ids (`sid=`) and signatures
(`auth_signature=`), and without a token that is a part of the path. Events are not logged."""

import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Collection
from contextvars import ContextVar
from functools import partial
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from bellcast.api.middleware import REQUEST_ID, path_as_sent, request_id
from bellcast.auth import origins
from bellcast.errors import FieldError
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import Connection
from bellcast.live.socketio.engine_session import EngineSession
from bellcast.live.socketio.namespace_connection import NamespaceConnection
from bellcast.model.asgi import AsgiMessage, Receive, Scope, Send
from bellcast.model.live_feed import FeedEvent, FeedKind, cut, network_of
from bellcast.model.requests import STATE, ServedRequest, is_refusal, problem_fields
from bellcast.ports import Clock
from bellcast.server.live_feed import LiveFeed

log = structlog.get_logger("bellcast.requests")

# The longest valid path has two percent-encoded keys of 200 characters; a request head may be a hundred times as long.
MAX_PATH = 2_000
# The reason in an error body: `"code"` of a problem, `"reason"` of a rejected stream, `"message"` of Engine.IO, where
# `"code"` is a number.
REASON = re.compile(rb'"(?:code|reason|message)":"([^"]{1,100})"')
# A digest identifies sessions in the log; with the session id itself, a reader of the log could hijack the session.
SESSION_DIGEST_CHARACTERS = 12
# Larger bodies are in the app's own log. A refused body explains the refusal, so it may be larger.
MAX_BODY, MAX_REFUSED_BODY = 300, 1_000
# Their bodies have passwords or codes, or URLs whose paths and queries have the credentials of other services.
SECRET_ROUTES = (
    *("/v1/session", "/v1/setup", "/v1/me", "/v1/operators"),
    *("/v1/providers", "/v1/webhooks", "/v1/settings", "/v1/pusher-apps"),
)
# Static files, the lists themselves, and probes of load balancers.
UNLISTED_ROUTES = ("/console", "/v1/feed", "/v1/requests", "/healthz", "/readyz", "/metrics")
# Characters, characters of recipients, and wrong fields of a listed request: 2,500 requests take less than 9 MiB.
MAX_LISTED, MAX_LISTED_KEY, MAX_LISTED_ERRORS = 200, 100, 5
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
SWITCHING_PROTOCOLS, OK, FORBIDDEN = 101, 200, 403
BY_PROJECT = "project secret"  # the key in the lists of a request with the secret
CONNECTION_LOST = CloseReason(1006, "connection lost", reconnect=True)  # RFC 6455, 7.1.5: closed without a close frame


class EndedRequest(Struct, frozen=True):
    """What is kept of a request that has a response. Its entry in the list and its event are made when they are read: most
    never are. `at` is UTC milliseconds."""

    id: str
    at: int
    seconds: float
    method: str
    path: str
    route: str | None
    status: int
    reason: str | None
    problem: bytes | None
    tenant: str | None
    recipient: str | None
    key: str | None
    operator: str | None
    origin: str | None
    address: str | None
    body: bytes | None

    @property
    def is_refused(self) -> bool:
        return is_refusal(self.status, self.reason)


class LoggedRequest:
    """The fields of one request's log line, collected while it is served."""

    __slots__ = (
        "adds_id",
        "body",
        "has_connection",
        "method",
        "path",
        "problem",
        "reason",
        "scope",
        "started",
        "state",
        "status",
    )

    def __init__(self, scope: Scope, *, adds_id: bool) -> None:
        self.adds_id = adds_id
        self.started = time.perf_counter()
        self.method = scope.get("method", "GET")
        self.path = path_as_sent(scope)[:MAX_PATH]
        self.state: dict[str, Any] = {"request_id": request_id(scope)}
        self.status: int | None = None
        self.reason: str | None = None
        self.has_connection = False
        self.scope = scope
        self.body: bytes | None = None
        self.problem: bytes | None = None

    def read_body(self, message: AsgiMessage) -> None:
        """Keep a small body that arrived in one piece."""
        body = message.get("body", b"")
        if body and not message.get("more_body") and len(body) <= MAX_REFUSED_BODY:
            self.body = body

    def read(self, message: AsgiMessage) -> None:
        """Record the status and the reason from an ASGI message, and add the request's id to the head of its response."""
        match message["type"]:
            case "http.response.start":
                self.status = message["status"]
                self._add_id(message)
            case "http.response.body" if not self.has_connection:
                self._read_reason(message.get("body", b""))
            case "websocket.accept":
                self.status = SWITCHING_PROTOCOLS
                self._add_id(message)
            case "websocket.close" if self.status is None:
                self.status = FORBIDDEN  # the server's response if a WebSocket is closed before it is accepted

    def _add_id(self, message: AsgiMessage) -> None:
        if self.adds_id:
            message["headers"] = [*message.get("headers", ()), (REQUEST_ID, self.state["request_id"].encode())]

    def _read_reason(self, body: bytes) -> None:
        is_refusal = self.status is not None and (self.status >= 400 or body.startswith(b"retry:"))
        if is_refusal and self.reason is None and (found := REASON.search(body)) is not None:
            self.reason = found[1].decode(errors="replace")
            self.problem = body

    @property
    def origin(self) -> str | None:
        """The origin of the page that sent the request."""
        for name, value in self.scope["headers"]:
            if name == b"origin":
                return cut(value.decode("latin-1"), MAX_LISTED)
        return None

    def end(self, now: int) -> EndedRequest:
        """Return what is kept of the request, without its head."""
        state, client = self.state, self.scope.get("client")
        principal, caller = state.get("principal"), state.get("caller")
        return EndedRequest(
            state["request_id"],
            now,
            time.perf_counter() - self.started,
            self.method,
            state.get("logged_path", self.path)[:MAX_PATH],
            state.get("route"),
            self.status or 0,
            self.reason or state.get("reason"),
            self.problem,
            (state.get("tenant") if principal is None else principal.tenant) or None,
            None if principal is None else principal.recipient,
            None if caller is None or caller.operator else caller.key or BY_PROJECT,
            None if caller is None else caller.operator,
            self.origin,
            None if client is None else client[0],
            self.body,
        )

    @property
    def fields(self) -> dict[str, Any]:
        """The common fields of the request's line and of its connection's lines."""
        ended = self.end(0)
        return {
            "method": ended.method,
            "path": ended.path,
            "status": self.status,
            "reason": ended.reason,
            "recipient": ended.recipient,
            "tenant": ended.tenant,
            "key": ended.key,
            "operator": ended.operator,
            "ms": _milliseconds(ended.seconds),
            "request_id": ended.id,
        }


_current: ContextVar[LoggedRequest | None] = ContextVar("bellcast_logged_request", default=None)


class RequestFeed:
    """Requests and connections as events of the feed."""

    def __init__(self, feed: LiveFeed, clock: Clock) -> None:
        self._feed = feed
        self._clock = clock

    def served(self, request: LoggedRequest) -> None:
        """Keep a request that has a response, and emit it."""
        ended = request.end(self._clock.now())
        by_operator, is_safe = ended.operator is not None, ended.method in origins.SAFE_METHODS
        # The pages of the console read all the time, and would fill the lists that they show.
        is_reading = by_operator and is_safe and not ended.is_refused
        if not (ended.route or ended.path).startswith(UNLISTED_ROUTES) and not is_reading:
            self._keep(ended)
        if by_operator and not is_safe:
            self._feed.emit(_operator_event(_served(ended)))

    def _keep(self, ended: EndedRequest) -> None:
        if ended.is_refused or len(ended.path) > MAX_LISTED:
            served = _served(ended)  # now: the body of a refusal and a long path would take more memory than the entry
            self._feed.add_request(served, is_refused=ended.is_refused)
            self._feed.emit(_request_event(served))
        else:
            self._feed.add_request(partial(_served, ended), is_refused=False)
            self._feed.emit_later("request", ended.tenant or "", partial(_later_event, ended))

    def opened(self, connection: Connection, request: dict[str, Any]) -> None:
        self._emit("connect", connection, f"connected by {_transport(connection)}", _of_request(request))

    def followed(self, connection: Connection, topics: Collection[str]) -> None:
        for topic in topics:
            self._emit("subscribe", connection, f"follows {topic}", {}, topic)

    def closed(self, connection: Connection, end: CloseReason) -> None:
        lasted = {"ms": self._clock.now() - connection.connected_at}
        self._emit("disconnect", connection, f"disconnected: {end.reason}", _why(end) | lasted)

    def refused(self, connection: Connection, end: CloseReason, request: dict[str, Any]) -> None:
        self._emit("refused", connection, f"connection refused: {end.reason}", _why(end) | _of_request(request))

    def _emit(
        self, kind: FeedKind, connection: Connection, text: str, fields: dict[str, Any], topic: str | None = None
    ) -> None:
        principal, dialect = connection.principal, connection.dialect
        event = FeedEvent(
            kind=kind,
            at=self._clock.now(),
            text=text,
            tenant=principal.tenant,
            recipient=principal.recipient,
            topic=topic,
            connection=connection.id,
            trace=fields.get("request_id"),
            fields={"protocol": dialect.protocol, "transport": dialect.transport, **fields},
        )
        self._feed.emit(event)


def _transport(connection: Connection) -> str:
    return f"{connection.dialect.protocol} over {connection.dialect.transport}"


def _of_request(request: dict[str, Any]) -> dict[str, Any]:
    return {name: request[name] for name in ("path", "origin", "request_id") if request.get(name) is not None}


def _served(ended: EndedRequest) -> ServedRequest:
    path, body = cut(ended.path, MAX_LISTED), ended.body
    detail, errors = (None, ()) if ended.problem is None else _explanation(ended.problem)
    return ServedRequest(
        id=ended.id,
        at=ended.at,
        ms=_milliseconds(ended.seconds),
        method=ended.method,
        path=path,
        route=ended.route or path,
        status=ended.status,
        code=ended.reason,
        detail=detail,
        errors=errors,
        tenant=_whole(ended.tenant),
        recipient=None if ended.recipient is None else cut(ended.recipient, MAX_LISTED_KEY),
        key=ended.key,
        operator=ended.operator,
        origin=ended.origin,
        address=network_of(ended.address),
        body=body if body is not None and _is_listed_body(ended, body) else None,
    )


def _is_listed_body(ended: EndedRequest, body: bytes) -> bool:
    is_app = ended.key is not None or ended.operator is not None
    is_secret = (ended.route or "").startswith(SECRET_ROUTES)
    return is_app and not is_secret and (len(body) <= MAX_BODY or ended.is_refused)


def _explanation(body: bytes) -> tuple[str | None, tuple[FieldError, ...]]:
    """The detail and the wrong fields of a problem document."""
    try:
        problem = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None, ()  # a refusal of another dialect
    detail = problem.get("detail") if isinstance(problem, dict) else None
    errors = problem_fields(problem)[:MAX_LISTED_ERRORS]
    shortened = [FieldError(cut(one.field, MAX_LISTED), cut(one.message, MAX_LISTED)) for one in errors]
    return None if detail is None else cut(str(detail), MAX_LISTED), tuple(shortened)


def _whole(tenant: str | None) -> str | None:
    """Return a tenant's key, or None if it is too long: the part could be the key of another tenant, whose callers would see
    the request."""
    return None if tenant is None or len(tenant) > MAX_LISTED else tenant


def _later_event(ended: EndedRequest) -> FeedEvent:
    return _request_event(_served(ended))


def _request_event(served: ServedRequest) -> FeedEvent:
    fields: dict[str, Any] = {
        "method": served.method,
        "path": served.path,
        "route": served.route,
        "status": served.status,
        "ms": served.ms,
        "code": served.code,
        "detail": served.detail,
        "errors": [{"field": one.field, "message": one.message} for one in served.errors] or None,
        "key": served.key,
        "operator": served.operator,
        "origin": served.origin,
        "address": served.address,
    }
    return FeedEvent(
        kind="refused" if served.is_refused else "request",
        at=served.at,
        text=f"{served.method} {served.path} {served.status}",
        tenant=served.tenant or "",
        recipient=served.recipient,
        trace=served.id,
        fields={name: value for name, value in fields.items() if value is not None},
    )


def _operator_event(served: ServedRequest) -> FeedEvent:
    return FeedEvent(
        kind="operator",
        at=served.at,
        text=f"{served.operator}: {served.method} {served.path}",
        tenant=served.tenant or "",
        trace=served.id,
        fields={"operator": served.operator, "status": served.status, "address": served.address},
    )


class RequestLog:
    """Writes the log lines while it `writes`, and feeds the feed. Not thread-safe: call it on the event loop's thread."""

    def __init__(self, clock: Clock, feed: LiveFeed, *, writes: Callable[[], bool]) -> None:
        self._clock = clock
        self._writes = writes
        self._feed = RequestFeed(feed, clock)

    async def serve(
        self,
        app: Callable[[Scope, Receive, Send], Awaitable[None]],
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        adds_id: bool,
    ) -> None:
        """Serve a request and log it, unless it became a live connection, which is logged separately. `adds_id` adds
        X-Request-Id to the response, for applications that do not."""
        request = LoggedRequest(scope, adds_id=adds_id)

        async def read_and_send(message: AsgiMessage) -> None:
            request.read(message)
            await send(message)

        async def receive_and_keep() -> AsgiMessage:
            message = await receive()
            if message["type"] == "http.request":
                request.read_body(message)
            return message

        token = _current.set(request)
        try:
            await app({**scope, STATE: request.state}, receive_and_keep, read_and_send)
        finally:
            _current.reset(token)
            if request.status is None and _is_upgrade(scope):
                request.status = SWITCHING_PROTOCOLS  # the live edge writes to the socket directly
            if request.status is not None and not _is_connection(request):
                self._feed.served(request)
                if self._writes():
                    self._write("request_served", request.fields)

    def head_refused(self, status: int, address: str | None) -> None:
        """Log a request with an unreadable or too large head."""
        self._write("request_refused", {"status": status, "reason": "unreadable request head", "address": address})

    # --- live connections

    def opened(self, connection: Connection) -> None:
        """Log the start of a connection."""
        if isinstance(
            connection, NamespaceConnection
        ):  # opened by a packet, independent of the request that carried it
            request = {"path": connection.session.request.path, "session": _session(connection.session)}
        else:
            request = _of_current(is_websocket=connection.dialect.transport == "websocket")
        self._feed.opened(connection, request)
        self._write("connection_opened", request | _who(connection))

    def closed(self, connection: Connection) -> None:
        """Log the end of a connection."""
        end = connection.close_reason or CONNECTION_LOST
        session = {"session": _session(connection.session)} if isinstance(connection, NamespaceConnection) else {}
        lasted = {"ms": self._clock.now() - connection.connected_at}
        self._feed.closed(connection, end)
        self._write("connection_closed", session | _who(connection) | _why(end) | lasted)

    def followed(self, connection: Connection, topics: Collection[str]) -> None:
        """Feed the topics that a connection begins to follow. They are not logged."""
        self._feed.followed(connection, topics)

    def refused(self, connection: Connection, end: CloseReason) -> None:
        """Log a WebSocket that was accepted only to send the reason of its rejection."""
        request = _of_current(is_websocket=True)
        translated = connection.dialect.close_event(end)
        self._feed.refused(connection, end, request)
        self._write("connection_refused", request | _who(connection) | _why(translated))

    # --- Engine.IO sessions, on which Socket.IO's namespaces are connections

    def session_opened(self, session: EngineSession) -> None:
        """Log the start of a session."""
        request = _of_current(is_websocket=session.transport_name == "websocket")
        self._write("session_opened", request | _session_of(session))

    def session_closed(self, session: EngineSession) -> None:
        """Log the end of a session."""
        self._write("session_closed", _session_of(session) | _why(session.close_reason or CONNECTION_LOST))

    def namespace_refused(self, session: EngineSession, namespace: str, reason: str) -> None:
        """Log a rejected connection to a namespace."""
        who = {
            "protocol": "socketio",
            "transport": session.transport_name,
            "namespace": namespace,
            "session": _session(session),
        }
        self._write("connection_refused", who | {"reason": reason})

    def _write(self, event: str, fields: dict[str, Any]) -> None:
        if self._writes():
            log.info(event, **{name: _printable(value) for name, value in fields.items() if value is not None})


def _of_current(*, is_websocket: bool) -> dict[str, Any]:
    """Return the fields of the current request, which becomes a connection."""
    request = _current.get()
    if request is None:
        return {}
    request.has_connection = True
    return (
        request.fields
        | {"origin": request.origin}
        | {"status": SWITCHING_PROTOCOLS if is_websocket else OK, "ms": None}
    )


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


def _printable(value: Any) -> Any:
    """Replace control characters, which would affect the terminal on which the log is read."""
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(one if one.isprintable() else REPLACEMENT for one in value)
