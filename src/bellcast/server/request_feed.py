"""A request while it is served, as an event of the feed, and as an entry of its request list; calls of the app as events."""

import contextlib
import re
import time
from typing import Any

import msgspec
from msgspec import Struct

from bellcast.calls import Call, CallBackend, Refused
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import BellcastError, FieldError
from bellcast.kernel.http import HEADER_VALUES, AsgiMessage, Receive, Scope, Send
from bellcast.live.dialects import DIALECTS
from bellcast.live_feed import Feed, FeedEvent, ServedRequest, cut, is_refusal, redact
from bellcast.rest.audit import SECRET_ACTOR
from bellcast.server.api_app import REQUEST_ID
from bellcast.server.openapi import Problem

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


# Larger bodies are not kept, unless they explain a refusal.
MAX_BODY = 300
# Paths whose bodies contain passwords, codes or secrets, or URLs with credentials of other services in path or query.
SECRET_ROUTES = (
    *("/v1/session", "/v1/setup", "/v1/me", "/v1/operators"),
    *("/v1/providers", "/v1/webhooks", "/v1/settings"),
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


def present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def served(request: LoggedRequest, now: int) -> ServedRequest:
    """Return what the list keeps of a completed request. Its texts are cut, and its network is read only when it is shown."""
    scope, state, status, code = request.scope, request.state, request.status or 0, request.code
    path, caller, client = cut(state["logged_path"], MAX_LISTED), request.caller, scope.get("client")
    route, body, recipient, tenant = state.get("route") or path, request.body, caller["recipient"], caller["tenant"]
    is_app, is_small = caller["key"] or caller["operator"], body is not None and len(body) <= MAX_BODY
    shows_body = is_app and (is_small or is_refusal(status, code)) and not route.startswith(SECRET_ROUTES)
    detail, errors = None, tuple[FieldError, ...]()
    if request.problem is not None:
        with contextlib.suppress(msgspec.DecodeError):  # the form of another dialect has neither
            problem = msgspec.json.decode(request.problem, type=Problem)
            detail = cut(problem.detail, MAX_LISTED)
            errors = tuple(
                FieldError(cut(one.field, MAX_LISTED), cut(one.message, MAX_LISTED))
                for one in problem.errors[:MAX_LISTED_ERRORS]
            )
    return ServedRequest(
        id=state["request_id"],
        at=now,
        ms=request.ms,
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
        origin=request.origin,
        client=None if client is None else client[0],
        body=body if shows_body else None,
    )


# Fields of the event of a request, besides those of all events.
REQUEST_FIELDS = [
    "method",
    "path",
    "route",
    "status",
    "ms",
    "code",
    "detail",
    "errors",
    "key",
    "operator",
    "origin",
    "address",
]


def event(served: ServedRequest) -> FeedEvent:
    fields: dict[str, Any] = {name: getattr(served, name) for name in REQUEST_FIELDS}
    fields["errors"] = [{"field": one.field, "message": one.message} for one in served.errors] or None
    return FeedEvent(
        kind="refused" if served.is_refused else "request",
        at=served.at,
        text=f"{served.method} {served.path} {served.status}",
        tenant=served.tenant or "",
        recipient=served.recipient,
        trace=served.id,
        fields=present(**fields),
    )


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
            ended = self._clock.now()
            fields = {"name": call.name, "outcome": outcome, "ms": ended - started, "protocol": call.dialect}
            if self._feed.is_watched:
                fields["data"] = redact(call.args)
            event = FeedEvent(
                kind="call",
                at=ended,
                text=f"the app handled {call.name}" if outcome == "ok" else f"{call.name}: {outcome}",
                tenant=call.tenant or "",
                recipient=call.recipient,
                connection=call.connection,
                fields=fields,
            )
            self._feed.emit(event)
        return reply
