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

    def add_reply(self, told: SurveyReply) -> None:
        """Record a node's reply."""
        if told.node in self.waiting:
            self.waiting.discard(told.node)
            self.replies.append(told)
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
        """Subscribe to the messages addressed to this node."""
        self._broker.follow(node_stream(self._hub.cluster.node))

    # --- queries to all nodes

    async def page(self, tenant: str | None, after: str | None, limit: int) -> Sequence[ConnectionInfo]:
        """Return at most `limit` connections by id, after the id `after`; `tenant` None is every tenant."""
        here, _ = self._local_page(tenant, after, limit)
        answers = await self._query_peers(tenant, after, limit)
        together = heapq.merge(here, *(told.entries for told in answers), key=lambda one: one.id)
        return list(islice(together, limit))

    async def counts_by_transport(self, tenant: str | None) -> Sequence[ConnectionCount]:
        """Return the number of connections by protocol and transport."""
        _, here = self._local_page(tenant, None, 0)
        counts: Counter[tuple[str, str]] = Counter()
        for kinds in (here, *(told.kinds for told in await self._query_peers(tenant, None, 0))):
            for one in kinds:
                counts[one.protocol, one.transport] += one.count
        return [ConnectionCount(*kind, count) for kind, count in sorted(counts.items())]

    async def _query_peers(self, tenant: str | None, after: str | None, limit: int) -> Sequence[SurveyReply]:
        """Return the replies of the other nodes that arrive within REPLY_TIMEOUT."""
        census = self._hub.cluster
        if not census.others:
            return []
        name, question = secrets.token_hex(SURVEY_ID_BYTES), PendingSurvey(census.others)
        self._pending[name] = question
        try:
            await self._broker.publish(SurveyRequest(census.node, name, tenant, after, limit))
            await asyncio.wait_for(question.complete.wait(), REPLY_TIMEOUT)
        except TimeoutError:
            log.warning("some nodes did not say who is connected to them", nodes=sorted(question.waiting))
        finally:
            del self._pending[name]
        return question.replies

    def receive(self, event: SurveyRequest | SurveyReply) -> None:
        """Handle another node's request, or a reply to a request of this node."""
        if isinstance(event, SurveyReply):
            question = self._pending.get(event.question)
            if question is not None:
                question.add_reply(event)
        elif event.node != self._hub.cluster.node:
            entries, kinds = self._local_page(event.tenant, event.after, event.limit)
            told = SurveyReply(self._hub.cluster.node, event.node, event.question, tuple(entries), tuple(kinds))
            self._spawn(self._broker.publish(told))

    # --- local queries

    def presence(self, tenant: str, topic: str) -> Sequence[Member]:
        """Return the members present on a topic."""
        return self._hub.presence.members(tenant, topic)

    def followed_topics(self, tenant: str) -> Mapping[str, int]:
        """Return the followed topics with their connection counts."""
        return self._hub.followed_topics(tenant)

    def followers(self, tenant: str, topic: str) -> int:
        """Return the number of connections that follow a topic."""
        return self._hub.total(topic_stream(tenant, topic))

    def stats(self) -> dict[str, Any]:
        """Return this process's connections and encoded events by protocol and transport, the number of nodes and their
        connections."""
        _, kinds = self._local_page(None, None, 0)
        census = self._hub.cluster
        rows = [_row(one) for one in kinds]
        encoded = [_row(ConnectionCount(*kind, count)) for kind, count in sorted(self._hub.encoded_total.items())]
        numbers = {"nodes": 1 + len(census.others), "connections_of_all_nodes": len(self._hub) + census.connections}
        return {"connections": rows, "encoded": encoded, **numbers}

    def _local_page(
        self, tenant: str | None, after: str | None, limit: int
    ) -> tuple[list[ConnectionInfo], list[ConnectionCount]]:
        those = [one for one in self._hub if tenant is None or one.principal.tenant == tenant]
        counted = Counter((one.dialect.protocol, one.dialect.transport) for one in those)
        following = (one for one in those if after is None or one.id > after) if limit else ()
        first = heapq.nsmallest(limit, following, key=lambda one: one.id)
        return list(self._entries(first)), [ConnectionCount(*kind, count) for kind, count in sorted(counted.items())]

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
