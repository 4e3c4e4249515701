"""Converts requests and connections to events of the feed and entries of its request list."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import Struct

from bellcast.auth import origins
from bellcast.calls import Call, CallBackend, Refused
from bellcast.console.live_feed import LiveFeed
from bellcast.console.types.live_feed import Feed, FeedEvent, FeedKind, cut, network_of, redact
from bellcast.console.types.requests import ServedRequest, problem_fields
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import BellcastError, FieldError
from bellcast.kernel.identities import Principal
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import Connection
from bellcast.live.connection.dialect import Dialect
from bellcast.live.dialects import DIALECTS
from bellcast.live.topic_access import TopicRefused
from bellcast.server.logged_request import EndedRequest, LoggedRequest, milliseconds

# Larger bodies are not kept, unless they explain a refusal.
MAX_BODY = 300
# Paths whose bodies contain passwords, codes or secrets, or URLs with credentials of other services in path or query.
SECRET_ROUTES = (
    *("/v1/session", "/v1/setup", "/v1/me", "/v1/operators"),
    *("/v1/providers", "/v1/webhooks", "/v1/settings"),
    *(f"/v1/{kind}" for one in DIALECTS for kind in one.encrypted_fields),
)
# Not listed: static files, the lists themselves, and probes of load balancers.
UNLISTED_ROUTES = ("/console", "/v1/feed", "/v1/requests", "/healthz", "/readyz", "/metrics")
# Maximum characters, characters of recipients, and wrong fields of a listed request: 2,500 requests take less than 9
# MiB.
MAX_LISTED, MAX_LISTED_KEY, MAX_LISTED_ERRORS = 200, 100, 5
# Events of one request with refused topics: it may name 1,000, which would take the places of other refusals.
MAX_REFUSED_TOPICS = 10


class RequestFeed:
    """Requests and connections as events of the feed."""

    def __init__(self, feed: LiveFeed, clock: Clock) -> None:
        self._feed = feed
        self._clock = clock

    def served(self, request: LoggedRequest) -> None:
        """Keep a completed request, and emit its event."""
        ended = request.end(self._clock.now())
        by_operator, is_safe = ended.operator is not None, ended.method in origins.SAFE_METHODS
        # Pages of the console poll constantly, and would fill the lists that they show.
        is_reading = by_operator and is_safe and not ended.is_refused
        # The page asks whether there is a session, and shows the sign-in form if not.
        is_question = is_safe and ended.route == "/v1/me" and ended.status == HTTPStatus.UNAUTHORIZED
        if not (ended.route or ended.path).startswith(UNLISTED_ROUTES) and not is_reading and not is_question:
            if ended.is_refused or len(ended.path) > MAX_LISTED:
                # created now, because the body of a refusal and a long path would take more memory than the entry
                served = _served(ended)
                self._feed.add_request(served, is_refused=ended.is_refused)
                self._feed.emit(_request_event(served))
            else:
                self._feed.add_request(partial(_served, ended), is_refused=False)
                self._feed.emit_later("request", ended.tenant or "", partial(_later_event, ended))
        if by_operator and not is_safe:
            self._feed.emit(_operator_event(_served(ended)))

    def opened(self, connection: Connection, path: str | None, request_id: str | None) -> None:
        """Emit the start of a connection, with the path and the id of its request, if known."""
        principal, at = connection.principal, connection.connected_at
        context = _ConnectionContext(at, principal.tenant, principal.recipient, connection.id)
        make = partial(_connect_event, context, connection.dialect, path, request_id, connection.origin)
        self._feed.emit_later("connect", principal.tenant, make)

    def followed(self, connection: Connection, topics: Collection[str]) -> None:
        context = self._context_of(connection)
        for topic in topics:
            make = partial(_subscribe_event, context, connection.dialect, topic)
            self._feed.emit_later("subscribe", context.tenant, make)

    def topics_refused(self, connection: Connection, refused: Sequence[TopicRefused]) -> None:
        context = self._context_of(connection)
        for one in refused[:MAX_REFUSED_TOPICS]:
            text, fields = f"may not follow {one.topic}", {"code": one.code, "detail": one.message}
            self._feed.emit(_connection_event("refused", context, connection.dialect, text, fields, one.topic))

    def closed(self, connection: Connection, end: CloseReason) -> None:
        context = self._context_of(connection)
        make = partial(_disconnect_event, context, connection.dialect, end, connection.connected_at)
        self._feed.emit_later("disconnect", context.tenant, make)

    def refused(self, connection: Connection, end: CloseReason, source: Mapping[str, str]) -> None:
        fields = why(end) | _from(source, connection.origin)
        text = f"connection refused: {end.reason}"
        self._feed.emit(_connection_event("refused", self._context_of(connection), connection.dialect, text, fields))

    def namespace_refused(self, principal: Principal, fields: Mapping[str, str], origin: str | None) -> None:
        """Emit the refusal of a connection to a namespace, which has no id."""
        at = self._clock.now()
        reason = cut(fields["reason"], MAX_LISTED)
        shown = _from({**fields, "reason": reason}, None if origin is None else cut(origin, MAX_LISTED))
        event = FeedEvent(
            kind="refused",
            at=at,
            text=f"connection to {fields['namespace']} refused: {reason}",
            tenant=principal.tenant,
            recipient=principal.recipient,
            fields=shown,
        )
        self._feed.emit(event)

    def _context_of(self, connection: Connection) -> "_ConnectionContext":
        principal = connection.principal
        return _ConnectionContext(self._clock.now(), principal.tenant, principal.recipient, connection.id)


class _ConnectionContext(Struct, frozen=True):
    """The time of an event, and the id, tenant and recipient of its connection. Stored events refer to these values
    instead of the connection, so that a closed connection can be freed."""

    at: int
    tenant: str
    recipient: str | None
    connection: str


def _connect_event(
    context: _ConnectionContext, dialect: Dialect, path: str | None, request_id: str | None, origin: str | None
) -> FeedEvent:
    given = {"path": path, "request_id": request_id}
    source = {name: value for name, value in given.items() if value is not None}
    text = f"connected by {dialect.protocol} over {dialect.transport}"
    return _connection_event("connect", context, dialect, text, _from(source, origin))


def _subscribe_event(context: _ConnectionContext, dialect: Dialect, topic: str) -> FeedEvent:
    return _connection_event("subscribe", context, dialect, f"follows {topic}", {}, topic)


def _disconnect_event(context: _ConnectionContext, dialect: Dialect, end: CloseReason, connected_at: int) -> FeedEvent:
    fields = why(end) | {"ms": context.at - connected_at}
    return _connection_event("disconnect", context, dialect, f"disconnected: {end.reason}", fields)


def _connection_event(
    kind: FeedKind,
    context: _ConnectionContext,
    dialect: Dialect,
    text: str,
    fields: Mapping[str, Any],
    topic: str | None = None,
) -> FeedEvent:
    return FeedEvent(
        kind=kind,
        at=context.at,
        text=text,
        tenant=context.tenant,
        recipient=context.recipient,
        topic=topic,
        connection=context.connection,
        trace=fields.get("request_id"),
        fields={"protocol": dialect.protocol, "transport": dialect.transport, **fields},
    )


def _from(source: Mapping[str, str], origin: str | None) -> dict[str, str]:
    """Return the fields about the origin of a connection."""
    return {**source} if origin is None else {**source, "origin": origin}


def _served(ended: EndedRequest) -> ServedRequest:
    path, body = cut(ended.path, MAX_LISTED), ended.body
    detail, errors = (None, ()) if ended.problem is None else _explanation(ended.problem)
    return ServedRequest(
        id=ended.id,
        at=ended.at,
        ms=milliseconds(ended.seconds),
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
    """Return the detail and the wrong fields of a problem document."""
    try:
        problem = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None, ()  # an error body of another dialect
    detail = problem.get("detail") if isinstance(problem, dict) else None
    errors = problem_fields(problem)[:MAX_LISTED_ERRORS]
    shortened = [FieldError(cut(one.field, MAX_LISTED), cut(one.message, MAX_LISTED)) for one in errors]
    return None if detail is None else cut(str(detail), MAX_LISTED), tuple(shortened)


def _whole(tenant: str | None) -> str | None:
    """Return a tenant's key, or None if it is too long: a truncated key could be another tenant's key, whose callers
    would see the request."""
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


def why(end: CloseReason) -> dict[str, Any]:
    """Return the code and the reason of a close as fields."""
    return {"code": end.code, "reason": end.reason}


class ObservedCalls:
    """A call backend that emits a feed event for each call, with its outcome and duration."""

    def __init__(self, backend: CallBackend, feed: Feed, clock: Clock) -> None:
        self._backend = backend
        self._feed = feed
        self._clock = clock
        self.has, self.has_namespace = backend.has, backend.has_namespace  # called for every connection

    async def dispatch(self, call: Call) -> Any:
        started, outcome = self._clock.now(), "failed"
        try:
            reply = await self._backend.dispatch(call)
            outcome = "ok"
        except BellcastError as error:
            outcome = error.code
            raise
        except Refused:
            outcome = "refused"
            raise
        finally:
            self._emit(call, outcome, self._clock.now() - started)
        return reply

    def _emit(self, call: Call, outcome: str, milliseconds: int) -> None:
        fields: dict[str, Any] = {"name": call.name, "outcome": outcome, "ms": milliseconds, "protocol": call.dialect}
        if self._feed.is_watched:
            fields["data"] = redact(call.args)
        self._feed.emit(
            FeedEvent(
                kind="call",
                at=self._clock.now(),
                text=f"{call.name}: {outcome}",
                tenant=call.tenant or "",
                recipient=call.recipient,
                connection=call.connection,
                fields=fields,
            )
        )
