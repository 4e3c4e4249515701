"""Lists live connections, and counts connections and stored rows."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from bellcast.documents.store import ShortCache
from bellcast.inbox.store.maintenance import LARGE_COUNT, Maintenance, RowCounts
from bellcast.kernel import times
from bellcast.kernel.db.lists import ListTotal
from bellcast.kernel.errors import BadRequest
from bellcast.kernel.http import ASGIApp, list_parameters, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.kernel.times import Moment
from bellcast.live.hub.survey import ConnectionSurvey
from bellcast.live.types import EVERY_CONNECTION, ConnectionFilter
from bellcast.operators.types import ONE_BY_ONE, ROLES
from bellcast.recipients.http import PageQuery
from bellcast.rest import context, tenants
from bellcast.rest.operations import operation
from bellcast.rest.resource import Resource, ResourceCall, listing
from bellcast.rest.tenants import TenantQuery

# Five million rows are counted in 0.2 s.
LARGE_COUNT_SECONDS = 60.0
# The rows of all tenants. Millions of them are counted once a minute for all operators.
LargeCounts = ShortCache[None, RowCounts]


class ConnectionItem(Struct, frozen=True, kw_only=True):
    """One live connection, or a recently closed one with the code and the reason of its end."""

    id: str
    recipient: str | None
    tenant: str | None
    protocol: str
    transport: str
    topics: list[str]
    address: str | None
    origin: str | None = None
    connected_at: datetime
    node: str | None = None
    closed_at: datetime | None = None
    code: int | None = None
    reason: str | None = None


class TransportCount(Struct, frozen=True):
    """Number of connections by protocol and transport."""

    protocol: str
    transport: str
    count: int


class Stats(Struct, frozen=True):
    """Live connections by protocol and transport, and rows in the store by kind. `at_least` lists the kinds whose count
    is a lower bound."""

    connections: list[TransportCount]
    store: dict[str, int]
    at_least: list[str]


class ConnectionPage(Struct, frozen=True):
    """A page of connections. Pass `next` as `after` for the following page. Only the first page has a `total`. It is
    exact if there is no other page, and for open connections without a filter."""

    connections: list[ConnectionItem]
    next: str | None
    total: ListTotal | None = None


class ConnectionsQuery(PageQuery, frozen=True, kw_only=True):
    """A page of connections, with filters that can be combined. The tenant `*` means all tenants. `from` and `to` are about
    the start of open connections, and the end of closed ones."""

    id: str | None = None
    recipient: str | None = None
    topic: str | None = None
    protocol: str | None = None
    node: str | None = None
    state: Literal["open", "closed"] = "open"
    start: Moment | None = msgspec.field(default=None, name="from")
    end: Moment | None = msgspec.field(default=None, name="to")


CONNECTIONS = Resource(
    "connections",
    "/{id:str}",
    tag="Live",
    unknown="No open connection of this tenant has this id.",
    tenant_of=lambda request: "",  # a request may be about several
)


class CloseQuery(TenantQuery, frozen=True, kw_only=True):
    """Whether the client of a closed connection may reconnect."""

    reconnect: bool = True


# The reasons are the server's own words.
@listing(
    "/v1/connections",
    ConnectionPage,
    query=ConnectionsQuery,
    shown="recipient protocol transport topics origin connected_at node closed_at code reason",
    tag="Live",
    refusals=(BadRequest,),
)
async def page(request: ApiRequest, params: ConnectionsQuery) -> ConnectionPage:
    """List the connections of a tenant on all nodes.

    Open connections, or with `state=closed` the last 1,000 closed ones of each node, with the reason. Open connections
    are ordered by their start and closed ones by their end, newest first."""
    connections, limit = context.of(request)[ConnectionSurvey], params.limit + 1
    wanted = ConnectionFilter(
        id=params.id,
        recipient=params.recipient,
        topic=params.topic,
        protocol=params.protocol,
        node=params.node,
        is_closed=params.state == "closed",
        since=0 if params.start is None else max(0, times.milliseconds(params.start)),
        until=None if params.end is None else max(0, times.milliseconds(params.end)),
    )
    named = _tenants(request, params)
    before = list_parameters.moment(params.after) if params.after else None
    listed = [one for tenant in named for one in await connections.page(tenant, before, limit, wanted)]
    result = listed if len(named) == 1 else sorted(listed, key=lambda one: one.position, reverse=True)[:limit]
    shown = [responses.item(ConnectionItem, one, topics=list(one.topics)) for one in result[: params.limit]]
    has_next = len(result) > params.limit

    total = None if params.after else ListTotal(len(shown) + has_next, exact=not has_next)
    if total is not None and has_next and wanted == EVERY_CONNECTION:
        kinds = [kind for tenant in named for kind in await connections.counts_by_transport(tenant)]
        total = ListTotal(sum(kind.count for kind in kinds), exact=True)
    following = list_parameters.of_moment(*result[params.limit - 1].position) if has_next else None
    return ConnectionPage(shown, following, total)


@CONNECTIONS.delete(query=CloseQuery, roles=ONE_BY_ONE, bound_by="list")
async def close(call: ResourceCall[None]) -> bool:
    """Close a connection on any node.

    Its client reconnects, unless `reconnect` is false. The recipient's session stays valid."""
    query, (id,) = request_body.query(call.request, CloseQuery), call.key
    for tenant in _tenants(call.request, query):
        if await call.ctx[ConnectionSurvey].close(tenant, id, reconnect=query.reconnect):
            return True
    return False


def _tenants(request: ApiRequest, query: TenantQuery) -> Sequence[str | None]:
    """Return the tenants of a request; None means all."""
    return [None if one == EVERY_TENANT else one for one in tenants.tenants_of(request, query.tenant)]


@operation(
    "GET",
    "/v1/stats",
    tag="Server",
    required_scope="read",
    roles=ROLES,
    bound_by="list",
    query=TenantQuery,
    response_types={200: Stats},
)
async def stats(request: ApiRequest) -> ASGIApp:
    """Count connections and stored rows.

    Connections by protocol and transport on all nodes, and rows in the store by kind. With `tenant`, the numbers are
    those of one tenant (empty: the default tenant), else of all. For one tenant, at most 100,000 rows of each kind are
    counted: `at_least` lists the kinds that may have more. Counts of millions of rows of all tenants may be a minute old;
    on PostgreSQL they are the planner's estimates."""
    ctx = context.of(request)
    query = request_body.query(request, TenantQuery)
    connections: Counter[tuple[str, str]] = Counter()
    stored: Counter[str] = Counter()
    at_least: set[str] = set()
    for tenant in [None] if query.tenant is None else _tenants(request, query):
        for one in await ctx[ConnectionSurvey].counts_by_transport(tenant):
            connections[one.protocol, one.transport] += one.count
        maintenance = Maintenance(ctx.engines.db)
        counted = await (
            count_all(ctx[LargeCounts], maintenance.stats) if tenant is None else maintenance.stats(tenant)
        )
        stored.update(counted.by_kind)
        at_least |= counted.at_least
    transports = [TransportCount(*kind, count) for kind, count in connections.items()]
    return responses.json(Stats(transports, stored, sorted(at_least)))


async def count_all(counts: LargeCounts, read: Callable[[], Awaitable[RowCounts]]) -> RowCounts:
    """Count the rows of all tenants, unless there were millions a moment ago."""
    counted = await counts.get(None, read)
    if sum(counted.by_kind.values()) < LARGE_COUNT:
        counts.forget()
    return counted
