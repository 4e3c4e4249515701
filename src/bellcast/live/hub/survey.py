"""Connection lists, counts and presence of all nodes, for operators."""

import asyncio
import heapq
import secrets
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import msgspec
import structlog
from msgspec import Struct, field

from bellcast.kernel.brokers import Broker
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.lists import ListPage, ListQuery, ListTotal
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import inbox_stream, topic_stream
from bellcast.kernel.http.responses import INCOMPLETE
from bellcast.live.connection import Connection, close_reasons
from bellcast.live.hub import Hub
from bellcast.live.types import (
    EVERY_CONNECTION,
    CloseRequest,
    ConnectionCount,
    ConnectionFilter,
    ConnectionInfo,
    ConnectionPosition,
    FollowedTopic,
    LiveNode,
    NotificationWrite,
    Spawn,
    SurveyReply,
    SurveyRequest,
)
from bellcast.recipients.store import StoredSubscriptions
from bellcast.topics.types import ListedTopic, Member

log = structlog.get_logger(__name__)
T = TypeVar("T")

# A healthy node replies in milliseconds; a stuck or dying one is skipped.
REPLY_TIMEOUT = 2.0
# A timeline is shown without the writes of a stuck node.
WRITES_TIMEOUT = 0.5
SURVEY_ID_BYTES = 8
# Ten times the default limit of a recipient's connections.
MAX_IDS = 1_000
# Number of recently closed connections that a node keeps: with their topics up to 1 KiB each.
MAX_CLOSED = 1_000
# Reasons of closes in the metrics. There are about 40; dialects and the WebSocket reader name their own.
MAX_CLOSE_REASONS = 100
# A connection that ended without a close frame (RFC 6455, 7.1.5).
LOST_CODE, LOST_REASON = 1006, "connection lost"


class TopicCount(NamedTuple):
    """Connections that follow a topic, and members present on it."""

    connections: int
    members: int


class PendingSurvey(NamedTuple):
    """A survey in progress: the nodes without a reply and the replies so far."""

    waiting: set[str]
    replies: list[SurveyReply]
    complete: asyncio.Event


class ConnectionSurvey(Struct, eq=False):
    """Scatter-gather queries over the hubs of all nodes."""

    hub: Hub
    broker: Broker
    spawn: Spawn
    _pending: dict[str, PendingSurvey] = {}
    _closed: deque[ConnectionInfo] = field(default_factory=lambda: deque(maxlen=MAX_CLOSED))
    _closed_total: Counter[str] = field(default_factory=Counter)  # by reason

    # --- queries to all nodes

    async def page(
        self,
        tenant: str | None,
        before: ConnectionPosition | None,
        limit: int,
        wanted: ConnectionFilter = EVERY_CONNECTION,
    ) -> Sequence[ConnectionInfo]:
        """Return at most `limit` connections, newest first, before the position `before`; without a `tenant`, of all tenants."""
        here, _ = self._local_page(tenant, before, limit, wanted)
        replies = await self._survey(tenant, before, limit, wanted=wanted)
        merged = heapq.merge(here, *(reply.entries for reply in replies), key=attrgetter("position"), reverse=True)
        return list(islice(merged, limit))

    async def ids_of(self, tenant: str, recipient: str) -> frozenset[str]:
        """Return the ids of a recipient's connections, at most MAX_IDS of each node. The other nodes are only queried if one
        follows the inbox; connections of a node that does not reply are considered closed."""
        stream, subscriptions = inbox_stream(tenant, recipient), self.hub.subscriptions
        ids: set[str] = set()
        await self.hub.groups.wait_known([stream])
        if subscriptions.total(stream) > subscriptions.count(stream):
            replies = await self._survey(tenant, None, MAX_IDS, wanted=ConnectionFilter(recipient=recipient))
            ids.update(entry.id for reply in replies for entry in reply.entries)
        return frozenset(ids.union(one.id for one in subscriptions.connections_on(stream)))

    async def writes(self, tenant: str, notification: str, recipient: str | None) -> Sequence[NotificationWrite]:
        """Return the writes of a notification to live connections, the oldest first: those that the nodes still know and
        report within WRITES_TIMEOUT. Without a `recipient`, one for each node."""
        here = self.hub.writes.find(self.hub.members.id, tenant, notification, recipient)
        wanted = ConnectionFilter(recipient=recipient)
        try:
            replies = await self._survey(tenant, wanted=wanted, notification=notification)
        except Unavailable:  # the store has the rest of the timeline
            replies = []
        return sorted([*here, *(write for reply in replies for write in reply.writes)], key=attrgetter("at"))

    async def counts_by_transport(self, tenant: str | None) -> Sequence[ConnectionCount]:
        """Return the number of connections by dialect and transport; of all tenants if `tenant` is None."""
        _, here = self._local_page(tenant, None, 0)
        counts: Counter[tuple[str, str]] = Counter()
        for node_counts in (here, *(reply.kinds for reply in await self._survey(tenant))):
            for entry in node_counts:
                counts[entry.protocol, entry.transport] += entry.count
        return [ConnectionCount(*kind, count) for kind, count in sorted(counts.items())]

    async def close(self, tenant: str | None, id: str, *, reconnect: bool) -> bool:
        """Close a connection on any node. False if none has it."""
        found = await self.page(tenant, None, 1, ConnectionFilter(id=id))
        if found:
            await self.broker.publish(CloseRequest(tenant, id, reconnect))
        return bool(found)

    def record_closed(self, connection: Connection, at: int) -> None:
        """Add an ended connection to the list of recently closed ones."""
        end = connection.close_reason
        code, reason = (end.code, end.reason) if end else (LOST_CODE, LOST_REASON)
        self._closed.append(msgspec.structs.replace(self._info(connection), closed_at=at, code=code, reason=reason))
        is_known = reason in self._closed_total or len(self._closed_total) < MAX_CLOSE_REASONS
        self._closed_total[reason if is_known else "other"] += 1

    async def _survey(
        self,
        tenant: str | None,
        before: ConnectionPosition | None = None,
        limit: int = 0,
        *,
        nodes: Collection[str] | None = None,
        **wanted: Any,
    ) -> Sequence[SurveyReply]:
        """Send a SurveyRequest with these fields. Return the replies that arrive in time, of some nodes or of all others."""
        nodes = self.hub.members.others if nodes is None else nodes
        if not nodes:
            return []
        id = secrets.token_hex(SURVEY_ID_BYTES)
        request = SurveyRequest(self.hub.members.id, id, tenant, before, limit, **wanted)
        survey = self._pending[request.question] = PendingSurvey(set(nodes), [], asyncio.Event())
        try:
            await self.broker.publish(request)
            seconds = REPLY_TIMEOUT if request.notification is None else WRITES_TIMEOUT
            await asyncio.wait_for(survey.complete.wait(), seconds)
        except TimeoutError:
            log.warning("survey_incomplete", nodes=sorted(survey.waiting))
            INCOMPLETE.get(set()).update(survey.waiting)
        finally:
            del self._pending[request.question]
        return survey.replies

    def receive(self, event: SurveyRequest | SurveyReply | CloseRequest) -> None:
        if isinstance(event, CloseRequest):
            connection = self.hub.find(event.id)
            if connection is not None and event.tenant in (None, connection.principal.tenant):
                self.hub.end(connection, close_reasons.RECONNECT if event.reconnect else close_reasons.CLOSED)
        elif isinstance(event, SurveyReply):
            survey = self._pending.get(event.question)
            if survey is not None and event.node in survey.waiting:
                survey.waiting.discard(event.node)
                survey.replies.append(event)
                if not survey.waiting:
                    survey.complete.set()
        elif event.node != self.hub.members.id:
            node, reply = self.hub.members.id, partial(SurveyReply, event.node, self.hub.members.id, event.question)
            if event.notification is not None:
                writes = self.hub.writes.find(node, event.tenant or "", event.notification, event.wanted.recipient)
                answer = reply(writes=writes)
            elif event.topics:
                answer = reply(topics=tuple(self._local_topics(event.tenant)))
            elif event.reports:
                answer = reply(reports=self.hub.members.reports)
            else:
                entries, counts = self._local_page(event.tenant, event.before, event.limit, event.wanted)
                answer = reply(tuple(entries), tuple(counts))
            self.spawn(self.broker.publish(answer))

    async def nodes(self) -> list[LiveNode]:
        """Return the live nodes by id, as they have last reported themselves to the keeper."""
        members = self.hub.members
        replies = await self._survey(None, nodes={members.keeper or members.id} - {members.id}, reports=True)
        found = {id: report for reply in replies for id, report in reply.reports.items()} | members.reports
        return [
            LiveNode(id=id, reported_at=at, is_self=id == members.id, report=report)
            for id, (at, report) in sorted(found.items())
        ]

    async def presence(self, tenant: str, topic: str) -> Sequence[Member]:
        """Return the members that are present on a topic."""
        async with self.hub.groups.observing([topic_stream(tenant, topic)]):
            return self.hub.presence.members(tenant, topic)

    async def topic_counts(self, tenant: str, topics: Sequence[str]) -> Mapping[str, TopicCount]:
        """Return how many connections follow each of these topics, and how many members are present."""
        streams, hub = {topic: topic_stream(tenant, topic) for topic in topics}, self.hub
        async with hub.groups.observing(streams.values()):
            return {
                topic: TopicCount(hub.subscriptions.total(stream), len(hub.presence.members(tenant, topic)))
                for topic, stream in streams.items()
            }

    async def followed_topics(self, tenant: str | None) -> Mapping[tuple[str, str], TopicCount]:
        """Return followed topics with their connections and members, by tenant and topic; without a `tenant`, of all
        tenants."""
        connections: Counter[tuple[str, str]] = Counter()
        members: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        replies = await self._survey(tenant, topics=True)
        for one in chain(self._local_topics(tenant), *(reply.topics for reply in replies)):
            connections[one.tenant, one.topic] += one.connections
            members[one.tenant, one.topic].update(one.members)
        return {key: TopicCount(count, len(members[key])) for key, count in connections.items()}

    def _local_topics(self, tenant: str | None) -> Iterator[FollowedTopic]:
        presence = self.hub.presence
        for (owner, topic), count in self.hub.subscriptions.followed_topics(tenant).items():
            members = tuple(member.recipient for member in presence.local(owner, topic))
            yield FollowedTopic(owner, topic, count, members)

    # --- local queries

    def stats(self) -> dict[str, Any]:
        """Return this process's connections and encoded events by protocol and transport, its writes, delays and closes,
        the number of nodes and their connections."""
        hub, members = self.hub, self.hub.members
        return {
            "connections": Counter((one.dialect.protocol, one.dialect.transport) for one in hub),
            "encoded": hub.dispatcher.encoded_total,
            "written": hub.writes.written,
            "delays": hub.writes.delays,
            "event_delays": hub.writes.event_delays,
            "reconciled": hub.reconciled,
            "reconciler_checks": hub.reconciler_checks,
            "closed_connections": self._closed_total,
            "nodes": 1 + len(members.others),
            "connections_of_all_nodes": len(hub) + sum(node.connections for node in members.others.values()),
        }

    def _local_page(
        self,
        tenant: str | None,
        before: ConnectionPosition | None,
        limit: int,
        wanted: ConnectionFilter = EVERY_CONNECTION,
    ) -> tuple[list[ConnectionInfo], list[ConnectionCount]]:
        if wanted.is_closed:
            closed = (one for one in self._closed if tenant in (None, one.tenant) and wanted.matches(one))
            return _newest(closed, attrgetter("position"), before, limit), []
        if tenant is None or wanted.recipient is None:
            connections = [entry for entry in self.hub if tenant is None or entry.principal.tenant == tenant]
        else:
            connections = self.hub.subscriptions.connections_on(inbox_stream(tenant, wanted.recipient))
        kinds = Counter((entry.dialect.protocol, entry.dialect.transport) for entry in connections)
        counts = [ConnectionCount(*kind, count) for kind, count in sorted(kinds.items())]
        listed = connections if limit else []
        if wanted != EVERY_CONNECTION:
            matching = filter(wanted.matches, map(self._info, listed))
            return _newest(matching, attrgetter("position"), before, limit), counts
        return list(map(self._info, _newest(listed, attrgetter("connected_at", "id"), before, limit))), counts

    def _info(self, connection: Connection) -> ConnectionInfo:
        return ConnectionInfo(
            id=connection.id,
            tenant=connection.principal.tenant,
            recipient=connection.principal.recipient,
            protocol=connection.dialect.protocol,
            transport=connection.dialect.transport,
            topics=tuple(connection.grants or ()),
            address=connection.address,
            origin=connection.origin,
            connected_at=connection.connected_at,
            node=self.hub.members.id,
        )


def _newest(
    entries: Iterable[T], position: Callable[[T], ConnectionPosition], before: ConnectionPosition | None, limit: int
) -> list[T]:
    older = (one for one in entries if before is None or position(one) < before)
    return heapq.nlargest(limit, older, key=position)


# A position after every tenant's topics: its last character is the highest possible one.
AFTER_ALL = ("\U0010ffff", "")
NOT_FOLLOWED = TopicCount(0, 0)


async def topic_page(db: Engine, connections: ConnectionSurvey, wanted: ListQuery) -> ListPage[ListedTopic]:
    """Return a page of topics, ordered by tenant and name. Only the first has a total, exact if there is no other page."""
    stored = await StoredSubscriptions(db).topics(wanted)
    subscribers = {(owner, name): count for owner, name, count in stored.items}
    followed: dict[tuple[str, str], TopicCount] = {}
    for tenant in [None] if wanted.tenants is None else wanted.tenants:
        followed |= await connections.followed_topics(tenant)
    after, last = wanted.after or (), stored.scanned_until or AFTER_ALL
    live = {place for place in followed if after < place <= last and place[1].startswith(wanted.prefix)}
    places = sorted(live | subscribers.keys())
    has_next = stored.next is not None or len(places) > wanted.limit
    places = places[: wanted.limit]
    shown = [
        ListedTopic(
            topic=name,
            tenant=owner or None,
            subscribers=subscribers.get((owner, name), 0),
            followers=followed.get((owner, name), NOT_FOLLOWED).connections,
            present=followed.get((owner, name), NOT_FOLLOWED).members,
        )
        for owner, name in places
    ]
    scanned_until = None if has_next else stored.scanned_until
    total = ListTotal(len(shown) + has_next, exact=not has_next and scanned_until is None)
    return ListPage(shown, places[-1] if has_next else None, scanned_until, None if wanted.after else total)
