"""Lists live connections, and counts connections and stored rows."""

from datetime import datetime

from litestar.types import ASGIApp
from msgspec import Struct

from bellcast.api import context, request_body, responses, tenants
from bellcast.api.operations import operation
from bellcast.api.recipients import PageQuery
from bellcast.api.request_body import ApiRequest
from bellcast.api.tenants import TenantQuery
from bellcast.model import times
from bellcast.model.events import ConnectionCount, ConnectionInfo
from bellcast.model.identities import EVERY_TENANT
from bellcast.model.operators import ROLES


class ConnectionItem(Struct, frozen=True, kw_only=True):
    """One live connection."""

    id: str
    recipient: str | None
    tenant: str | None
    protocol: str
    transport: str
    topics: list[str]
    address: str | None
    connected_at: datetime


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


@operation(
    "GET", "/v1/connections", tag="Live", required_scope="read", query=PageQuery, response_types={200: ConnectionPage}
)
async def page(request: ApiRequest) -> ASGIApp:
    """List the live connections of a tenant on all nodes."""
    params = request_body.query(request, PageQuery)
    result = await context.of(request).connections.page(tenants.single_tenant(request), params.cursor, params.limit + 1)
    shown = [_item(one) for one in result[: params.limit]]
    return responses.json(ConnectionPage(shown, shown[-1].id if len(result) > params.limit else None))


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
