"""Who is connected, for operators: lists, counts and presence."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from bellcast.live.connection import Connection
from bellcast.live.hub import Hub
from bellcast.model.events import Member, topic_stream


class Entry(Struct, frozen=True, kw_only=True):
    """One live connection; `connected_at` is UTC milliseconds."""

    id: str
    tenant: str
    recipient: str | None
    protocol: str
    transport: str
    topics: Sequence[str]
    address: str | None
    connected_at: int


class Roll:
    """A reading of the hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def list(self, tenant: str | None, after: str | None, limit: int) -> Sequence[Entry]:
        """At most `limit` connections by id, after the id `after`; `tenant` None is every tenant."""
        chosen = [
            connection
            for connection in self._hub
            if (tenant is None or connection.principal.tenant == tenant) and (after is None or connection.id > after)
        ]
        return [self._entry(connection) for connection in sorted(chosen, key=lambda one: one.id)[:limit]]

    def presence(self, tenant: str, topic: str) -> Sequence[Member]:
        """Who is present on a topic."""
        return self._hub.presence.members(tenant, topic)

    def followed(self, tenant: str) -> Mapping[str, int]:
        """The topics that somebody follows, and how many connections do."""
        return self._hub.followed(tenant)

    def followers(self, tenant: str, topic: str) -> int:
        """How many connections follow a topic."""
        return self._hub.count(topic_stream(tenant, topic))

    def stats(self) -> dict[str, Any]:
        """Connections by dialect and way of travel."""
        counted = Counter((one.dialect.protocol, one.dialect.transport) for one in self._hub)
        rows = [
            {"protocol": protocol, "transport": transport, "count": count}
            for (protocol, transport), count in sorted(counted.items())
        ]
        return {"connections": rows}

    def _entry(self, connection: Connection) -> Entry:
        return Entry(
            id=connection.id,
            tenant=connection.principal.tenant,
            recipient=connection.principal.recipient,
            protocol=connection.dialect.protocol,
            transport=connection.dialect.transport,
            topics=self._hub.topics(connection),
            address=connection.address,
            connected_at=connection.since,
        )
