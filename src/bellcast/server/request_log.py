"""The request log: one line per request, and one for the start and the end of each live connection. The same requests
and connections go to the live feed and its list of requests, whose size `live_feed` limits.

A line has the path without its query and without tokens in the path, because queries contain tokens (`token=`), session
ids (`sid=`) and signatures (`auth_signature=`). Events are not logged."""

import contextlib
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any, Literal

import msgspec
import structlog
from msgspec import Struct

from bellcast.auth import origins
from bellcast.console.watchers import LiveFeed
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import FieldError
from bellcast.kernel.http import CURRENT_ID, HEADER_VALUES, AsgiMessage, Receive, Scope, Send
from bellcast.kernel.identities import Principal
from bellcast.live.connection import Connection
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.dialects import DIALECTS
from bellcast.live.http.websockets import is_handshake
from bellcast.live.types import TopicRefused
from bellcast.live.wiring import LiveSession
from bellcast.live_feed import STATE, AccessLog, FeedEvent, ServedRequest, cut, is_refusal
from bellcast.rest.audit import IS_CHECK, SECRET_ACTOR
from bellcast.server.api_app import REQUEST_ID, request_id
from bellcast.server.openapi import Problem

log = structlog.get_logger("bellcast.requests")

# --- one request

# Truncates the logged path. The longest valid path has two percent-encoded keys of 200 characters; a request head may
# be a hundred times as long.
MAX_PATH = 2_000
# Names of the reason in an error body: `"code"` of a problem, `"reason"` of a rejected stream, `"message"` of
# Engine.IO, where `"code"` is a number.
REASON = re.compile(rb'"(?:code|reason|message)":"([^"]{1,100})"')
# Scheme, host and port.
MAX_ORIGIN = 200
# Kept for refused requests, because it explains the refusal.
MAX_REFUSED_BODY = 1_000
SWITCHING_PROTOCOLS = 101
# Larger bodies are not kept, unless they explain a refusal.
MAX_BODY = 300
# Paths whose bodies contain passwords, codes or secrets, or URLs with credentials of other services in path or query.
SECRET_ROUTES = (
    *("/v1/session", "/v1/setup", "/v1/me", "/v1/operators"),
    *("/v1/providers", "/v1/bundle", "/v1/webhooks", "/v1/settings"),
    *(f"/v1/{kind}" for one in DIALECTS for kind in one.encrypted_fields),
)
# Not listed: static files, the lists themselves, and probes of load balancers.
UNLISTED_ROUTES = (
    *("/console", "/docs", "/favicon", "/apple-touch-icon", "/bellcast", "/v1/feed", "/v1/requests"),
    *("/healthz", "/readyz", "/metrics"),
)
# Maximum characters, characters of recipients, and wrong fields of a listed request: 2,500 requests take less than 9
# MiB.
MAX_LISTED, MAX_LISTED_KEY, MAX_LISTED_ERRORS = 200, 100, 5
# Events of one request with refused topics: it may name 1,000, which would take the places of other refusals.
MAX_REFUSED_TOPICS = 10


class LoggedRequest(Struct, eq=False):
    """The fields of one request's log line, collected while it is served."""

    scope: Scope
    receive: Receive
    send: Send
    adds_id: bool
    started: int  # nanoseconds of the performance counter
    state: dict[str, Any]
    status: int | None = None
    reason: str | None = None
    has_connection: bool = False
    body: bytes | None = None
    problem: bytes | None = None

    async def receive_and_keep(self) -> AsgiMessage:
        """Receive a message, and keep a body that it contains."""
        message = await self.receive()
        if message["type"] == "http.request":
            # Only a small body that arrived in one piece is kept.
            body = message.get("body", b"")
            if body and not message.get("more_body") and len(body) <= MAX_REFUSED_BODY:
                self.body = body
        return message

    async def read_and_send(self, message: AsgiMessage) -> None:
        """Record the status and the reason in a message, add the request's id to the head of its response, and send
        it."""
        match message["type"]:
            case "http.response.start":
                self.status = message["status"]
                if self.adds_id:
                    id = self.state["request_id"].encode()
                    message["headers"] = [*message.get("headers", ()), (REQUEST_ID, id)]
            case "http.response.body" if self.reason is None and not self.has_connection:
                body = message.get("body", b"")
                is_refusal = self.status is not None and (self.status >= 400 or body.startswith(b"retry:"))
                if is_refusal and (found := REASON.search(body)) is not None:
                    self.reason = found[1].decode(errors="replace")
                    self.problem = body
        await self.send(message)

    @property
    def origin(self) -> str | None:
        """The origin of the page that sent the request."""
        value: bytes | None = self.state[HEADER_VALUES].get(b"origin")
        return None if value is None else cut(value.decode("latin-1"), MAX_ORIGIN)

    @property
    def code(self) -> str | None:
        """The reason of a refusal."""
        reason: str | None = self.reason or self.state.get("reason")
        return reason

    @property
    def ms(self) -> float:
        """The milliseconds since the request began."""
        return (time.perf_counter_ns() - self.started) // 100_000 / 10

    @property
    def caller(self) -> dict[str, str | None]:
        """Who sent the request, in the fields of the log and of the list of requests."""
        principal, caller = self.state.get("principal"), self.state.get("caller")
        return {
            "recipient": None if principal is None else principal.recipient,
            "tenant": (self.state.get("tenant") if principal is None else principal.tenant) or None,
            "key": None if caller is None or caller.operator else caller.key or SECRET_ACTOR,
            "operator": None if caller is None else caller.operator,
        }

    @property
    def fields(self) -> dict[str, Any]:
        """The fields that the log lines of the request and of its connection have in common."""
        return {
            "method": self.scope.get("method", "GET"),
            "path": self.state["logged_path"],
            "status": self.status,
            "reason": self.code,
            **self.caller,
            "ms": self.ms,
            "request_id": self.state["request_id"],
        }

    def served(self, now: int) -> ServedRequest:
        """Return what the list keeps of a completed request. Its texts are cut, and its network is read only when it is shown."""
        scope, state, status, code = self.scope, self.state, self.status or 0, self.code
        path, caller, client = cut(state["logged_path"], MAX_LISTED), self.caller, scope.get("client")
        route, body, recipient, tenant = state.get("route") or path, self.body, caller["recipient"], caller["tenant"]
        is_app, is_small = caller["key"] or caller["operator"], body is not None and len(body) <= MAX_BODY
        kind = "/".join(route.split("/", 3)[:3])  # such as /v1/providers
        shows_body = is_app and (is_small or is_refusal(status, code)) and kind not in SECRET_ROUTES
        detail, errors = None, tuple[FieldError, ...]()
        if self.problem is not None:
            with contextlib.suppress(msgspec.DecodeError):  # the form of another dialect has neither
                problem = msgspec.json.decode(self.problem, type=Problem)
                detail = cut(problem.detail, MAX_LISTED)
                errors = tuple(
                    FieldError(cut(one.field, MAX_LISTED), cut(one.message, MAX_LISTED))
                    for one in problem.errors[:MAX_LISTED_ERRORS]
                )
        return ServedRequest(
            id=state["request_id"],
            at=now,
            ms=self.ms,
            method=scope.get("method", "GET"),
            path=path,
            route=route,
            status=status,
            code=code,
            detail=detail,
            errors=errors,
            # A cut key could be the key of another tenant, whose callers would see the request.
            tenant=tenant if tenant is None or len(tenant) <= MAX_LISTED else None,
            recipient=None if recipient is None else cut(recipient, MAX_LISTED_KEY),
            key=caller["key"],
            operator=caller["operator"],
            origin=self.origin,
            client=None if client is None else client[0],
            body=body if shows_body else None,
        )


# --- the log

# A digest identifies sessions in the log; with the session id itself, a reader of the log could hijack the session.
SESSION_DIGEST_CHARACTERS = 12
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
OK = 200
CONNECTION_LOST = CloseReason(1006, "connection lost", reconnect=True)  # RFC 6455, 7.1.5: closed without a close frame

_current: ContextVar[LoggedRequest | None] = ContextVar("bellcast_logged_request", default=None)


class RequestLog:
    """Writes log lines for the requests selected by `logged`, and passes requests and connections to the feed. Not
    thread-safe: call it on the event loop's thread."""

    def __init__(self, clock: Clock, feed: LiveFeed, logged: Callable[[], AccessLog]) -> None:
        self._clock = clock
        self._feed = feed
        self._logged = logged

    async def serve(
        self,
        app: Callable[[Scope, Receive, Send], Awaitable[None]],
        scope: Scope,
        receive: Receive,
        send: Send,
        path: str,
        *,
        adds_id: bool,
    ) -> None:
        """Serve a request and log it with this path, unless it became a live connection, which is logged separately. `adds_id`
        adds X-Request-Id to the response, for applications that do not."""
        values = dict(scope["headers"])
        state: dict[str, Any] = {
            "request_id": request_id(values),
            "logged_path": path[:MAX_PATH],
            HEADER_VALUES: values,
        }
        request = LoggedRequest(scope, receive, send, adds_id, time.perf_counter_ns(), state)
        token, id_token = _current.set(request), CURRENT_ID.set(state["request_id"])
        try:
            await app({**scope, STATE: state}, request.receive_and_keep, request.read_and_send)
        finally:
            _current.reset(token)
            CURRENT_ID.reset(id_token)
            if request.status is None and not request.has_connection and is_handshake(scope):
                request.status = SWITCHING_PROTOCOLS  # the live edge writes to the socket directly
            if request.status is not None and not (
                request.has_connection and request.status in (OK, SWITCHING_PROTOCOLS)
            ):
                self._list(request)
                if self._logged() != "off":
                    is_error = is_refusal(request.status, request.reason)
                    self._write("request_served", lambda: request.fields, is_error=is_error)

    def head_refused(self, status: int, address: str | None) -> None:
        """Log a request with an unreadable or too large head."""
        self._write(
            "request_refused",
            lambda: {"status": status, "reason": "unreadable request head", "address": address},
            is_error=True,
        )

    def _list(self, request: LoggedRequest) -> None:
        """Keep a completed request, and emit its event."""
        served = request.served(self._clock.now())
        by_operator, is_safe = served.operator is not None, served.method in origins.SAFE_METHODS
        # Pages of the console poll constantly, and would fill the lists that they show.
        is_reading = by_operator and is_safe and not served.is_refused
        # The page asks whether there is a session, and shows the sign-in form if not.
        is_question = is_safe and served.route == "/v1/me" and served.status == HTTPStatus.UNAUTHORIZED
        if not served.route.startswith(UNLISTED_ROUTES) and not is_reading and not is_question:
            self._feed.add_request(served)
        if by_operator and not is_safe and IS_CHECK not in request.state:
            event = FeedEvent(
                kind="operator",
                at=served.at,
                text=f"{served.operator}: {served.method} {served.path}",
                tenant=served.tenant or "",
                trace=served.id,
                fields={"operator": served.operator, "status": served.status, "address": served.address},
            )
            self._feed.emit(event)

    # --- live connections

    def opened(self, connection: Connection) -> None:
        """Log the start of a connection."""
        session, dialect, request, carrier = connection.session, connection.dialect, None, {}
        if session is not None:  # opened by a packet, so independent of the request that transported it
            source = {"path": session.request.path}
            carrier = source | {"session": _session(session)}
        else:
            request = _becoming_connection()
            source = _source(request)
        source |= {"origin": connection.origin}
        self._emit("connect", connection, f"connected by {dialect.protocol} over {dialect.transport}", source)
        if self._logged() == "all":
            fields = carrier | _fields(request, dialect.transport) | _client_fields(connection)
            self._write("connection_opened", lambda: fields)

    def closed(self, connection: Connection) -> None:
        """Log the end of a connection."""
        end = connection.close_reason or CONNECTION_LOST
        ended = why(end) | {"ms": self._clock.now() - connection.connected_at}
        self._emit("disconnect", connection, f"disconnected: {end.reason}", ended)

        def fields() -> dict[str, Any]:
            session = None if connection.session is None else _session(connection.session)
            return {"session": session} | _client_fields(connection) | ended

        self._write("connection_closed", fields)

    def refused(self, connection: Connection, end: CloseReason) -> None:
        """Log a WebSocket that was accepted only to send the reason of its rejection."""
        request = _becoming_connection()
        source = why(end) | _source(request) | {"origin": connection.origin}
        self._emit("refused", connection, f"connection refused: {end.reason}", source)

        def fields() -> dict[str, Any]:
            return _fields(request, "websocket") | _client_fields(connection) | why(connection.dialect.close_event(end))

        self._write("connection_refused", fields, is_error=True)

    def followed(self, connection: Connection, topics: Collection[str]) -> None:
        """Feed the topics that a connection begins to follow. They are not logged."""
        for topic in topics:
            self._emit("subscribe", connection, f"follows {topic}", {}, topic)

    def topics_refused(self, connection: Connection, refused: Sequence[TopicRefused]) -> None:
        """Feed the topics that a connection may not follow. They are not logged."""
        for one in refused[:MAX_REFUSED_TOPICS]:
            fields = {"code": one.code, "detail": one.message}
            self._emit("refused", connection, f"may not follow {one.topic}", fields, one.topic)

    def _emit(
        self,
        kind: Literal["connect", "disconnect", "subscribe", "refused"],
        connection: Connection,
        text: str,
        fields: Mapping[str, Any],
        topic: str | None = None,
    ) -> None:
        """Emit an event of a connection."""
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

    # --- sessions that carry several connections

    def session_opened(self, session: LiveSession) -> None:
        """Log the start of a session."""
        request = _becoming_connection()
        self._write("session_opened", lambda: _fields(request, session.transport_name) | _session_of(session))

    def session_closed(self, session: LiveSession) -> None:
        """Log the end of a session."""
        self._write("session_closed", lambda: _session_of(session) | why(session.close_reason or CONNECTION_LOST))

    def namespace_refused(
        self, session: LiveSession, namespace: str, reason: str, principal: Principal, *, is_fed: bool
    ) -> None:
        """Log a rejected connection to a namespace, and with `is_fed` feed it."""
        fields = {
            "protocol": session.dialect,
            "transport": session.transport_name,
            # without a query, which may have a token: no namespace of an app has one
            "namespace": namespace.partition("?")[0],
            "reason": reason,
        }
        if is_fed:
            origin, short = session.request.origin, cut(reason, MAX_LISTED)
            source = {"path": session.request.path, "origin": origin and cut(origin, MAX_LISTED)}
            event = FeedEvent(
                kind="refused",
                at=self._clock.now(),
                text=f"connection to {fields['namespace']} refused: {short}",
                tenant=principal.tenant,
                recipient=principal.recipient,
                fields={**fields, "reason": short, **source},
            )
            self._feed.emit(event)
        self._write("connection_refused", lambda: fields | {"session": _session(session)}, is_error=True)

    def _write(self, event: str, fields: Callable[[], dict[str, Any]], *, is_error: bool = False) -> None:
        if self._logged() == "all" or (is_error and self._logged() == "errors"):
            shown = {name: value for name, value in fields().items() if value is not None}
            for name, value in shown.items():
                if isinstance(value, str) and not value.isprintable():  # control characters would affect a terminal
                    shown[name] = "".join(one if one.isprintable() else REPLACEMENT for one in value)
            log.info(event, **shown)


def _becoming_connection() -> LoggedRequest | None:
    """Return the current request, which is becoming a connection."""
    request = _current.get()
    if request is not None:
        request.has_connection = True
    return request


def why(end: CloseReason) -> dict[str, Any]:
    """Return the code and the reason of a close as fields."""
    return {"code": end.code, "reason": end.reason}


def _source(request: LoggedRequest | None) -> dict[str, str | None]:
    """Return the path and the id of a request, if it is known."""
    return {} if request is None else {"path": request.state["logged_path"], "request_id": request.state["request_id"]}


def _fields(request: LoggedRequest | None, transport: str) -> dict[str, Any]:
    if request is None:
        return {}
    status = SWITCHING_PROTOCOLS if transport == "websocket" else OK
    return request.fields | {"origin": request.origin, "status": status, "ms": None}


def _client_fields(connection: Connection) -> dict[str, Any]:
    principal, dialect = connection.principal, connection.dialect
    return {
        "recipient": principal.recipient,
        "tenant": principal.tenant or None,
        "protocol": dialect.protocol,
        "transport": dialect.transport,
        "namespace": connection.namespace if connection.session is not None else None,
        "connection": connection.id,
    }


def _session_of(session: LiveSession) -> dict[str, Any]:
    return {"protocol": session.protocol, "transport": session.transport_name, "session": _session(session)}


def _session(session: LiveSession) -> str:
    return hashlib.sha256(session.sid.encode()).hexdigest()[:SESSION_DIGEST_CHARACTERS]
