"""Connection lists, counts and presence of all nodes, for operators."""

import asyncio
import heapq
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import structlog

from bellcast.live.config import Spawn
from bellcast.live.connection.connection import Connection
from bellcast.live.hub.hub import Hub
from bellcast.model.events import (
    ConnectionCount,
    ConnectionInfo,
    Member,
    SurveyReply,
    SurveyRequest,
    node_stream,
    topic_stream,
)
from bellcast.ports import Broker

log = structlog.get_logger(__name__)

# A healthy node replies in milliseconds; a stuck or dying one is skipped.
REPLY_TIMEOUT = 2.0
SURVEY_ID_BYTES = 8


class PendingSurvey:
    """A survey in progress: the nodes without a reply and the replies so far."""

    def __init__(self, others: frozenset[str]) -> None:
        self.waiting = set(others)
        self.replies: list[SurveyReply] = []
        self.complete = asyncio.Event()

    def add_reply(self, reply: SurveyReply) -> None:
        if reply.node in self.waiting:
            self.waiting.discard(reply.node)
            self.replies.append(reply)
        if not self.waiting:
            self.complete.set()


class ConnectionSurvey:
    """Scatter-gather queries over the hubs of all nodes."""

    def __init__(self, hub: Hub, broker: Broker, spawn: Spawn) -> None:
        self._hub = hub
        self._broker = broker
        self._spawn = spawn
        self._pending: dict[str, PendingSurvey] = {}

    def begin(self) -> None:
        self._broker.follow(node_stream(self._hub.cluster.node))

    # --- queries to all nodes

    async def page(self, tenant: str | None, after: str | None, limit: int) -> Sequence[ConnectionInfo]:
        """Return at most `limit` connections by id, after the id `after`; without a `tenant`, of all tenants."""
        here, _ = self._local_page(tenant, after, limit)
        replies = await self._query_peers(tenant, after, limit)
        merged = heapq.merge(here, *(reply.entries for reply in replies), key=lambda entry: entry.id)
        return list(islice(merged, limit))

    async def counts_by_transport(self, tenant: str | None) -> Sequence[ConnectionCount]:
        _, here = self._local_page(tenant, None, 0)
        counts: Counter[tuple[str, str]] = Counter()
        for node_counts in (here, *(reply.kinds for reply in await self._query_peers(tenant, None, 0))):
            for entry in node_counts:
                counts[entry.protocol, entry.transport] += entry.count
        return [ConnectionCount(*kind, count) for kind, count in sorted(counts.items())]

    async def _query_peers(self, tenant: str | None, after: str | None, limit: int) -> Sequence[SurveyReply]:
        """Return the replies of the other nodes that arrive within REPLY_TIMEOUT."""
        cluster = self._hub.cluster
        if not cluster.others:
            return []
        name, survey = secrets.token_hex(SURVEY_ID_BYTES), PendingSurvey(cluster.others)
        self._pending[name] = survey
        try:
            await self._broker.publish(SurveyRequest(cluster.node, name, tenant, after, limit))
            await asyncio.wait_for(survey.complete.wait(), REPLY_TIMEOUT)
        except TimeoutError:
            log.warning("survey_incomplete", nodes=sorted(survey.waiting))
        finally:
            del self._pending[name]
        return survey.replies

    def receive(self, event: SurveyRequest | SurveyReply) -> None:
        if isinstance(event, SurveyReply):
            survey = self._pending.get(event.question)
            if survey is not None:
                survey.add_reply(event)
        elif event.node != self._hub.cluster.node:
            entries, counts = self._local_page(event.tenant, event.after, event.limit)
            reply = SurveyReply(self._hub.cluster.node, event.node, event.question, tuple(entries), tuple(counts))
            self._spawn(self._broker.publish(reply))

    # --- local queries

    def presence(self, tenant: str, topic: str) -> Sequence[Member]:
        return self._hub.presence.members(tenant, topic)

    def followed_topics(self, tenant: str) -> Mapping[str, int]:
        return self._hub.followed_topics(tenant)

    def followers(self, tenant: str, topic: str) -> int:
        return self._hub.total(topic_stream(tenant, topic))

    def stats(self) -> dict[str, Any]:
        """Return this process's connections and encoded events by protocol and transport, the number of nodes and their
        connections."""
        _, counts = self._local_page(None, None, 0)
        cluster = self._hub.cluster
        rows = [_row(entry) for entry in counts]
        encoded = [_row(ConnectionCount(*kind, count)) for kind, count in sorted(self._hub.encoded_total.items())]
        numbers = {"nodes": 1 + len(cluster.others), "connections_of_all_nodes": len(self._hub) + cluster.connections}
        return {"connections": rows, "encoded": encoded, **numbers}

    def _local_page(
        self, tenant: str | None, after: str | None, limit: int
    ) -> tuple[list[ConnectionInfo], list[ConnectionCount]]:
        connections = [entry for entry in self._hub if tenant is None or entry.principal.tenant == tenant]
        kinds = Counter((entry.dialect.protocol, entry.dialect.transport) for entry in connections)
        following = (entry for entry in connections if after is None or entry.id > after) if limit else ()
        first = heapq.nsmallest(limit, following, key=lambda entry: entry.id)
        return list(self._entries(first)), [ConnectionCount(*kind, count) for kind, count in sorted(kinds.items())]

    def _entries(self, connections: Sequence[Connection]) -> Iterator[ConnectionInfo]:
        for connection in connections:
            yield ConnectionInfo(
                id=connection.id,
                tenant=connection.principal.tenant,
                recipient=connection.principal.recipient,
                protocol=connection.dialect.protocol,
                transport=connection.dialect.transport,
                topics=self._hub.topics(connection),
                address=connection.address,
                connected_at=connection.connected_at,
            )


def _row(kind: ConnectionCount) -> dict[str, Any]:
    return {"protocol": kind.protocol, "transport": kind.transport, "count": kind.count}
