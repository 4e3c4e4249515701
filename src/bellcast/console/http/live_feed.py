"""The live feed as an event stream or over a WebSocket, and the list of its recent requests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Struct

from bellcast.auth.request import FOREIGN, SITE
from bellcast.console.watchers import ClusterFeed, Watcher
from bellcast.kernel.db.lists import ListTotal
from bellcast.kernel.errors import BellcastError, Forbidden, Invalid
from bellcast.kernel.http import ASGIApp, Receive, Scope, Send, list_parameters, request_body, responses
from bellcast.kernel.http.list_parameters import AfterMoment, ListLimit, TimeRangeQuery
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.http.responses import WrongField
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.live_feed import CONTENT, FEED_KINDS, IS_WEBSOCKET, ServedRequest, SkippedEvents, filter_of, redact
from bellcast.operators.types import Role
from bellcast.rest import context, guards, tenants
from bellcast.rest.operations import operation
from bellcast.rest.resource import Resource

EVENT_STREAM = "text/event-stream"
WATCHERS: tuple[Role, ...] = ("owner", "developer", "support")
# How long a watch may continue after its key was revoked or its session ended.
REAUTHORIZE_MS = 5_000
NORMAL_CLOSURE = 1000  # RFC 6455, 7.4.1
FilterText = Annotated[str, Meta(max_length=200)]
NamedEvent: TypeAlias = tuple[str, bytes]  # an event's name and its JSON
_encode = msgspec.json.Encoder().encode
# Validated by `filter_of`, whose error lists the kinds; a pattern here would put a regular expression into the error.
_KIND = f"({'|'.join(FEED_KINDS)})"
FeedKinds = Annotated[str, Meta(extra_json_schema={"pattern": f"^{_KIND}(,{_KIND})*$"})]


class FeedQuery(Struct, frozen=True, kw_only=True):
    """Filters of the feed. Without a tenant, or with `*`, all tenants; kinds may be repeated or separated by commas."""

    tenant: FilterText | None = None
    recipient: FilterText | None = None
    topic: FilterText | None = None
    connection: FilterText | None = None
    kind: list[FeedKinds] = []
    text: FilterText | None = None
    last: Annotated[int, Meta(ge=0, le=200)] = 0


class FeedItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event of the feed. `node` is the node on which it happened, `trace` the id of the request that caused it.
    `detail` depends on the kind."""

    kind: str
    at: datetime
    text: str
    tenant: str | None
    recipient: str | None = None
    topic: str | None = None
    connection: str | None = None
    trace: str | None = None
    node: str | None = None
    detail: dict[str, Any] = {}


class RequestsQuery(TimeRangeQuery, frozen=True, kw_only=True):
    """Recent requests, newest first. `status` is a status or a class, as in `4xx`."""

    status: Annotated[str, Meta(pattern=r"^[1-5]([0-9][0-9]|xx)\Z")] | None = None
    route: FilterText | None = None
    key: FilterText | None = None
    id: FilterText | None = None
    tenant: FilterText | None = None
    limit: ListLimit = 50
    after: Annotated[AfterMoment, Meta(max_length=200)] | None = None

    def selects(self, request: ServedRequest) -> bool:
        """Return whether the filters select a request."""
        return (
            (self.status is None or self.status in (str(request.status), f"{request.status // 100}xx"))
            and (self.route is None or self.route in (request.route, f"{request.method} {request.route}", request.path))
            and (self.key is None or self.key in (request.key, request.operator))
            and (self.id is None or self.id == request.id)
            and (self.one_tenant is None or self.one_tenant == (request.tenant or ""))
            and self.includes(request.at)
        )


class RequestItem(Struct, frozen=True, kw_only=True):
    """One served request. `code`, `detail` and `errors` describe why it was refused. `body` is null unless a server
    sent small JSON."""

    id: str
    at: datetime
    ms: float
    method: str
    path: str
    route: str
    status: int
    code: str | None
    detail: str | None
    errors: list[WrongField]
    tenant: str | None
    recipient: str | None
    key: str | None
    operator: str | None
    origin: str | None
    address: str | None
    body: Any


class RequestPage(Struct, frozen=True):
    """A page of requests. Pass `next` as `after` for older ones. Only the first page has a `total`."""

    requests: list[RequestItem]
    next: str | None
    total: ListTotal | None = None


@operation(
    "GET",
    "/v1/feed",
    tag="Console",
    required_scope="observe",
    roles=WATCHERS,
    bound_by="list",
    query=FeedQuery,
    response_types={200: EVENT_STREAM},
)
async def watch(request: ApiRequest) -> ASGIApp:
    """Watch what happens on all nodes.

    Server-sent events, or over a WebSocket messages with the kind as `event`, of these kinds: `request`, `send`,
    `publish`, `connect`, `disconnect`, `subscribe`, `refused`, `call`, `run`, `attempt`, `webhook`, `settings`,
    `operator` and `warning`. A publish is one event with `delivered`, the number of connections. Secrets are redacted,
    and IP addresses shortened to their network. A node accepts at most 10 watchers and sends each the first 200
    events of a second; `skipped` counts the others. With `last`, the stream begins with recent events."""
    state = request.scope["state"]
    if state.get(guards.HAS_SESSION):
        # The session of an operator needs a proof that a page of this server sent the request. Browsers send `Origin` with every
        # WebSocket; to their own server, an EventSource sends `Sec-Fetch-Site` only.
        browser = guards.auth_request(request.scope)
        if browser.origin is None and (state.get(IS_WEBSOCKET) or browser.header(SITE) != "same-origin"):
            raise Forbidden(FOREIGN)
    query = request_body.query(request, FeedQuery)
    wanted = filter_of(
        query.kind,
        query.text,
        tenant=None if query.tenant == EVERY_TENANT else query.tenant,
        tenants=_bound(request),
        recipient=query.recipient,
        topic=query.topic,
        connection=query.connection,
        searches_content=_shows_content(request),
    )
    if not (wanted.kinds or frozenset()) <= set(FEED_KINDS):
        raise Invalid.of("kind", f"must be one of: {', '.join(FEED_KINDS)}")
    write = _write_messages if state.get(IS_WEBSOCKET) else _write_events

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        # The watch begins here: if the audit entry cannot be written, this is not called, and an earlier watch would
        # never end.
        async with context.of(request)[ClusterFeed].watch(wanted, query.last) as watcher:
            if state["is_head"]:
                watcher.close()
            disconnected = asyncio.ensure_future(responses.wait_disconnected(receive))
            disconnected.add_done_callback(lambda _: watcher.close())
            try:
                await write(_batches(request, watcher), send)
            finally:
                disconnected.cancel()

    return respond


def _shows_content(request: ApiRequest) -> bool:
    return "read" in guards.caller(request).scopes


def _bound(request: ApiRequest) -> frozenset[str] | None:
    """Return the tenants of a caller whose request is about all of them."""
    bound = tenants.every(request)
    return None if bound is None else frozenset(bound)


async def _write_events(batches: AsyncIterator[Sequence[NamedEvent]], send: Send) -> None:
    headers = [(b"content-type", EVENT_STREAM.encode()), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b": feed\n\n", "more_body": True})
    async for batch in batches:
        # A comment keeps a quiet connection open.
        events = [b"event: %s\ndata: %s\n\n" % (name.encode(), value) for name, value in batch] or [b":\n\n"]
        await send({"type": "http.response.body", "body": b"".join(events), "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _write_messages(batches: AsyncIterator[Sequence[NamedEvent]], send: Send) -> None:
    # The type `Send` covers messages of HTTP responses only.
    write: Any = send
    await write({"type": "websocket.accept"})
    async for batch in batches:
        for name, value in batch:
            message = b'{"event":"%s",%s' % (name.encode(), value[1:])
            await write({"type": "websocket.send", "text": message.decode()})
    await write({"type": "websocket.close", "code": NORMAL_CLOSURE})


async def _batches(request: ApiRequest, watcher: Watcher) -> AsyncIterator[Sequence[NamedEvent]]:
    """Yield events with their names. When the caller loses the right to watch, the last event is `end`."""
    ctx = context.of(request)
    clock, own_node = ctx.engines.clock, ctx[ClusterFeed].members.id
    checked, caller = clock.now(), guards.caller(request)
    shows_content = _shows_content(request)
    async for batch in watcher.batches():
        if not 0 <= clock.now() - checked < REAUTHORIZE_MS:
            checked = clock.now()
            try:
                await guards.authorize(request, "observe", WATCHERS, tenant_rule="list")
                now = guards.caller(request)
                if (now.tenants, now.scopes) != (caller.tenants, caller.scopes):
                    raise Forbidden("Your role or your tenants have changed: reconnect.")
            except BellcastError as ended:
                yield [("end", _encode({"code": ended.code, "detail": ended.detail}))]
                return
        named: list[NamedEvent] = []
        for event in batch:
            if isinstance(event, SkippedEvents):
                named.append(("skipped", _encode(event)))
                continue
            node, fields = event.node or own_node, event.fields.items()
            shown = {name: one for name, one in fields if one is not None and (shows_content or name not in CONTENT)}
            named.append((event.kind, _encode(responses.item(FeedItem, event, node=node, detail=shown))))
        yield named


@Resource("requests", tag="Console", required_scope="observe", roles=WATCHERS).listing(RequestPage, query=RequestsQuery)
async def page(request: ApiRequest, query: RequestsQuery) -> RequestPage:
    """List recent requests of this node.

    Newest first: the last 2,000 that succeeded and the last 500 that were refused, from memory. Secrets in bodies are
    redacted, and IP addresses shortened to their network."""
    bound, before = _bound(request), list_parameters.moment(query.after) if query.after else None
    found = context.of(request)[ClusterFeed].feed.requests(
        lambda one: query.selects(one) and (bound is None or one.tenant in bound), before
    )
    shown, following = list_parameters.split(found, query.limit, lambda one: list_parameters.of_moment(one.at, one.id))
    total = None if query.after else ListTotal(len(found), exact=True)
    items: list[RequestItem] = []
    for one in shown:
        body: Any = None
        if one.body is not None and _shows_content(request):
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                body = redact(msgspec.json.decode(one.body))
        errors = [WrongField(wrong.field, wrong.message) for wrong in one.errors]
        items.append(responses.item(RequestItem, one, errors=errors, body=body))
    return RequestPage(items, following, total)
