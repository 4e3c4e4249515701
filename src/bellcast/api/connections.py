"""Lists live connections, and counts connections and stored rows."""

from datetime import datetime
from typing import Literal

from litestar.types import ASGIApp
from msgspec import Struct

from bellcast.api import context, request_body, responses, tenants
from bellcast.api.operations import operation
from bellcast.api.recipients import PageQuery
from bellcast.api.request_body import ApiRequest
from bellcast.api.tenants import TenantQuery
from bellcast.errors import NotFound
from bellcast.model import times
from bellcast.model.events import ConnectionCount, ConnectionFilter, ConnectionInfo
from bellcast.model.identities import EVERY_TENANT
from bellcast.model.operators import ROLES


class ConnectionItem(Struct, frozen=True, kw_only=True):
    """One live connection, or a recently closed one with the code and the reason of its end."""

    id: str
    recipient: str | None
    tenant: str | None
    protocol: str
    transport: str
    topics: list[str]
    address: str | None
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
    """Live connections by protocol and transport, and rows in the store by kind."""

    connections: list[TransportCount]
    store: dict[str, int]


class ConnectionPage(Struct, frozen=True):
    """A page of connections. Pass `next` as `after` for the following page."""

    connections: list[ConnectionItem]
    next: str | None


class ConnectionsQuery(PageQuery, frozen=True, kw_only=True):
    """A page of connections, with filters that can be combined. The tenant `*` means all tenants."""

    recipient: str | None = None
    topic: str | None = None
    protocol: str | None = None
    node: str | None = None
    state: Literal["open", "closed"] = "open"


class CloseQuery(TenantQuery, frozen=True, kw_only=True):
    """Whether the client of a closed connection may reconnect."""

    reconnect: bool = True


@operation(
    "GET",
    "/v1/connections",
    tag="Live",
    required_scope="read",
    query=ConnectionsQuery,
    response_types={200: ConnectionPage},
)
async def page(request: ApiRequest) -> ASGIApp:
    """List the connections of a tenant on all nodes.

    The open ones, or with `state=closed` the last 1,000 of each node that ended, with the reason."""
    params = request_body.query(request, ConnectionsQuery)
    wanted = ConnectionFilter(
        recipient=params.recipient, topic=params.topic, protocol=params.protocol, is_closed=params.state == "closed"
    )
    listed = await context.of(request).connections.page(
        _tenant(request, params), params.cursor, params.limit + 1, wanted
    )
    result = [one for one in listed if params.node in (None, one.node)]
    shown = [_item(one) for one in result[: params.limit]]
    return responses.json(ConnectionPage(shown, shown[-1].id if len(result) > params.limit else None))


@operation(
    "DELETE",
    "/v1/connections/{id:str}",
    tag="Live",
    required_scope="manage",
    query=CloseQuery,
    response_types={204: None},
    refusals=(NotFound,),
)
async def close(request: ApiRequest) -> ASGIApp:
    """Close a connection on whatever node has it.

    Its client reconnects, unless `reconnect` is false. The recipient's session stays valid."""
    query, id = request_body.query(request, CloseQuery), request_body.path(request, "id")
    closed = await context.of(request).connections.close(_tenant(request, query), id, reconnect=query.reconnect)
    if not closed:
        raise NotFound("No open connection of this tenant has this id.")
    return responses.empty()


def _tenant(request: ApiRequest, query: TenantQuery) -> str | None:
    return None if query.tenant == EVERY_TENANT else tenants.single_tenant(request)


def _item(one: ConnectionInfo) -> ConnectionItem:
    return ConnectionItem(
        id=one.id,
        recipient=one.recipient,
        tenant=tenants.outside(one.tenant),
        protocol=one.protocol,
        transport=one.transport,
        topics=list(one.topics),
        address=one.address,
        connected_at=times.to_rfc3339(one.connected_at),
        node=one.node,
        closed_at=None if one.closed_at is None else times.to_rfc3339(one.closed_at),
        code=one.code,
        reason=one.reason,
    )


@operation(
    "GET",
    "/v1/stats",
    tag="Server",
    required_scope="read",
    roles=ROLES,
    query=TenantQuery,
    response_types={200: Stats},
)
async def stats(request: ApiRequest) -> ASGIApp:
    """Count connections and stored rows.

    Connections by protocol and transport on all nodes, and rows in the store by kind: of one tenant if it is
    tenant_query (empty: the default one), else of all tenants."""
    ctx = context.of(request)
    tenant_query = request_body.query(request, TenantQuery).tenant
    tenant = None if tenant_query in (None, EVERY_TENANT) else tenants.single_tenant(request)
    kinds = await ctx.connections.counts_by_transport(tenant)
    return responses.json(Stats([_transport_count(one) for one in kinds], await ctx.engines.store.upkeep.stats(tenant)))


def _transport_count(one: ConnectionCount) -> TransportCount:
    return TransportCount(one.protocol, one.transport, one.count)
