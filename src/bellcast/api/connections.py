"""Who is connected right now, and the numbers of this server."""

from datetime import datetime
from typing import Any

from litestar.types import ASGIApp
from msgspec import Struct

from bellcast.api import answers, reading, rooms, tenants
from bellcast.api.operations import operation
from bellcast.api.reading import Asked
from bellcast.api.recipients import PageQuery
from bellcast.api.rooms import ConnectionInfo
from bellcast.model import times


class Connection(Struct, frozen=True, kw_only=True):
    """One live connection."""

    id: str
    recipient: str | None
    tenant: str | None
    protocol: str
    transport: str
    topics: list[str]
    address: str | None
    connected_at: datetime


class ConnectionPage(Struct, frozen=True):
    """A page of connections; `next` goes into `after`."""

    connections: list[Connection]
    next: str | None


@operation("GET", "/v1/connections", tag="Live", door="read", query=PageQuery, answers={200: ConnectionPage})
async def page(request: Asked) -> ASGIApp:
    """List the live connections of a tenant."""
    asked = reading.query(request, PageQuery)
    found = rooms.of(request).connections.list(tenants.one(request), asked.cursor, asked.limit + 1)
    shown = [_told(one) for one in found[: asked.limit]]
    return answers.json(ConnectionPage(shown, shown[-1].id if len(found) > asked.limit else None))


def _told(one: ConnectionInfo) -> Connection:
    return Connection(
        id=one.id,
        recipient=one.recipient,
        tenant=tenants.outside(one.tenant),
        protocol=one.protocol,
        transport=one.transport,
        topics=list(one.topics),
        address=one.address,
        connected_at=times.moment(one.connected_at),
    )


@operation("GET", "/v1/stats", tag="Server", door="read", answers={200: dict[str, Any]})
async def stats(request: Asked) -> ASGIApp:
    """Numbers of this server.

    Connections by protocol and transport, rows in the store by kind."""
    here = rooms.of(request)
    store = await here.engines.store.upkeep.stats()
    return answers.json({**here.connections.stats(), "store": store})
