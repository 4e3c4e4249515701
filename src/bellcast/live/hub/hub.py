"""The connections of this process, their subscriptions, and the dispatch of events to them.

An event is encoded once per dialect in use on its stream; the same bytes are written to all its connections.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from functools import partial

from bellcast.auth.permissions import Grant
from bellcast.live import topic_access
from bellcast.live.cluster.peer import ChangeOrigin, PresenceKey, StateDelta
from bellcast.live.cluster.presence_batching import PresenceBatcher, merge_changes
from bellcast.live.cluster.state import ClusterState
from bellcast.live.config import LiveConfig
from bellcast.live.connection import close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import Connection, Dialect, Phase
from bellcast.live.hub.callbacks import ConnectionLog, HubCallbacks, HubObserver
from bellcast.live.hub.presence import Presence
from bellcast.live.hub.stream_index import ADDRESS, StreamIndex
from bellcast.live.hub.write_log import WriteLog
from bellcast.model.collected_events import CollectedEvents
from bellcast.model.events import (
    SEPARATOR,
    AnnouncementChanged,
    Event,
    InboxBulkChanged,
    InboxEvent,
    LiveEvent,
    Member,
    NodeLeft,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
    PeerPresence,
    PeerUpdate,
    PreferencesChanged,
    PresenceChanged,
    SessionsRevoked,
    SnapshotRequest,
    Stream,
    SubscriptionEnded,
    Typing,
    inbox_stream,
    topic_stream,
)
from bellcast.model.identities import Principal
from bellcast.ports import NO_HISTORY, Broker, Clock, Store, TopicHistory


class Hub:
    """Registers connections and dispatches events to them. Every method must be called on the event loop's thread.

    Totals include the other nodes' counts from the cluster state."""

    def __init__(
        self,
        presence: Presence,
        broker: Broker,
        clock: Clock,
        callbacks: HubCallbacks,
        log: ConnectionLog | None = None,
        history: TopicHistory = NO_HISTORY,
    ) -> None:
        self.tick = 0  # current tick of the heartbeat wheel
        self.presence = presence
        self.cluster = ClusterState(broker, clock, self, callbacks.report)
        self.callbacks = callbacks
        self.encoded_total: Counter[tuple[str, str]] = Counter()  # encoded events by protocol and transport
        self.history = history
        self.writes = WriteLog(clock)
        self._broker = broker
        self._log = log
        self._observers: tuple[HubObserver, ...] = ()
        self._index = StreamIndex()
        self._by_id, self._streams = self._index.by_id, self._index.by_stream  # shortcuts for the dispatch
        self._is_tick_busy = False
        self._recovering: set[Connection] = set()  # connections that read kept events from the history
        self._incomplete: set[Connection] = set()  # connections that may have missed kept events, and will be closed
        # subscriptions that wait for the end of a replay
        self._replay_waiters: dict[Connection, asyncio.Future[None]] = {}
        self._collected = CollectedEvents()
        self._presence_batcher = PresenceBatcher(self._send_presence_batch)

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._by_id.values()))

    def add_observer(self, observer: HubObserver) -> None:
        """Register a dialect's observer."""
        self._observers += (observer,)

    # --- connections

    def add(self, connection: Connection) -> None:
        """Register a connection and follow its recipient's inbox stream."""
        self._index.add(connection)
        if connection.address is not None:
            self.cluster.count_changed(ADDRESS + connection.address)
        self.follow_own_inbox(connection)
        self.callbacks.added(connection)
        if self._log is not None:
            self._log.opened(connection)

    def follow_own_inbox(self, connection: Connection) -> None:
        """Follow the inbox stream of the connection's recipient, if it has one."""
        principal = connection.principal
        if principal.recipient is not None:
            self._follow(connection, inbox_stream(principal.tenant, principal.recipient))

    def on_disconnected(self, connection: Connection) -> None:
        self._recovering.discard(connection)
        self._incomplete.discard(connection)
        if not self._index.remove(connection):
            return
        if connection.address is not None:
            self.cluster.count_changed(ADDRESS + connection.address)
        for stream in connection.streams:
            self._unfollow(connection, stream)
        self.callbacks.disconnected(connection)
        if self._log is not None:
            self._log.closed(connection)

    def find(self, id: str) -> Connection | None:
        return self._by_id.get(id)

    def at_address(self, address: str) -> int:
        return self._index.count(ADDRESS + address) + self.cluster.count_elsewhere(ADDRESS + address)

    def connections_of(self, tenant: str, recipient: str) -> int:
        return self.total(inbox_stream(tenant, recipient))

    # --- subscriptions

    def follow(self, connection: Connection, grants: Mapping[str, Grant], member: Member | None = None) -> None:
        """Follow granted topics. Idempotent; a later grant replaces an earlier one. `member` is the presence member, if
        it is not the connection's recipient."""
        if not grants or connection.phase is Phase.CLOSED:  # closed during authorization
            return
        principal = connection.principal
        connection.grants = {**(connection.grants or {}), **grants}
        self.callbacks.followed(connection, grants)
        for topic in grants:
            if self._follow(connection, topic_stream(principal.tenant, topic)):
                joined = self.presence.join(principal, topic, connection.id, member)
                if joined is not None:
                    key, change = joined
                    self.cluster.presence_changed(key)
                    self._presence_changed(change, ChangeOrigin.HERE)

    def unfollow(self, connection: Connection, topics: Iterable[str]) -> None:
        for topic in topics:
            if connection.grants is not None and connection.grants.pop(topic, None) is not None:
                stream = topic_stream(connection.principal.tenant, topic)
                connection.streams = tuple(one for one in connection.streams if one != stream)
                self._unfollow(connection, stream)

    async def reauthorize(self, connection: Connection, principal: Principal, store: Store, config: LiveConfig) -> None:
        """Apply a new session of the same recipient: unfollow topics that it does not grant. The grants are computed
        first, so a failure of the store changes nothing. Topics followed or unfollowed during the query keep their
        state."""
        before = dict(connection.grants or {})
        granted = await topic_access.regrant_topics(store, principal, before, config)
        connection.principal = principal
        self.unfollow(connection, [topic for topic in before if topic not in granted])
        if connection.grants is not None:
            connection.grants |= {topic: grant for topic, grant in granted.items() if topic in connection.grants}

    def topics(self, connection: Connection) -> tuple[str, ...]:
        return tuple(connection.grants or ())

    def followed_topics(self, tenant: str) -> dict[str, int]:
        """Return a tenant's followed topics on all nodes with their connection counts."""
        prefix = topic_stream(tenant, "")
        return {stream.removeprefix(prefix): count for stream, count in self._followed(prefix).items()}

    def followed_topics_of_all(self) -> dict[tuple[str, str], int]:
        """Return the followed topics of all tenants, by tenant and topic."""
        counts = self._followed(f"topic{SEPARATOR}")
        return {(tenant, name): counts[key] for key in counts for _, tenant, name in [key.split(SEPARATOR, 2)]}

    def _followed(self, prefix: str) -> Counter[Stream]:
        counts = Counter({key: len(followers) for key, followers in self._streams.items() if key.startswith(prefix)})
        for key, count in self.cluster.counts_by_prefix(prefix):
            counts[Stream(key)] += count
        return counts

    def connections_on(self, stream: Stream) -> list[Connection]:
        return list(self._streams.get(stream, ()))

    def count(self, stream: Stream) -> int:
        return len(self._streams.get(stream, ()))

    def total(self, stream: Stream) -> int:
        """Return the number of connections that follow a stream on all nodes."""
        return self.count(stream) + self.cluster.count_elsewhere(stream)

    def recipients(self, tenant: str) -> list[tuple[str, list[str]]]:
        """Return the recipients with followed inboxes in this process, by tenant (`*`: all tenants)."""
        return self._index.recipients(tenant, self._recipients_of)

    def followed_elsewhere(self, tenant: str, recipients: Collection[str]) -> Set[str]:
        """Return the recipients whose inbox another node follows, directly or through a topic that carries it.
        Followers of the last 50 ms may be missing (`cluster.state.DELTA_INTERVAL_SECONDS`)."""
        if not self.cluster.others:
            return frozenset()
        inboxes, topics = inbox_stream(tenant, ""), topic_stream(tenant, "")
        owners: dict[str, str] = {inboxes + recipient: recipient for recipient in recipients}
        for observer in self._observers:
            for recipient in recipients:
                for topic in observer.topics_of(recipient):
                    owners[topics + topic] = recipient
        return {owners[stream] for stream in self.cluster.followed_elsewhere(owners.keys())}

    def _recipients_of(self, topic: str) -> list[str]:
        """Return the recipients of the inboxes that a topic carries."""
        recipients = [observer.recipient_of(topic) for observer in self._observers]
        return [recipient for recipient in recipients if recipient is not None]

    def _follow(self, connection: Connection, stream: Stream) -> bool:
        count = 0 if connection.phase is Phase.CLOSED else self._index.follow(connection, stream)
        if not count:  # already followed, or the connection was closed during authorization
            return False
        if count == 1:
            for carrier in self._broker_streams(stream):
                self._broker.follow(carrier)
        connection.streams += (stream,)
        self._count_changed(stream, count, 1)
        return True

    def _unfollow(self, connection: Connection, stream: Stream) -> None:
        count = self._index.unfollow(connection, stream)
        if count is None:
            return
        if not count:
            for carrier in self._broker_streams(stream):
                self._broker.unfollow(carrier)
        if stream.startswith("topic"):
            self._leave_presence(connection, stream.split(SEPARATOR, 2)[2])
        self._count_changed(stream, count, -1)

    def _broker_streams(self, stream: Stream) -> tuple[Stream, ...]:
        """Return the broker streams of a stream: itself, and the inboxes that its topic carries."""
        if not stream.startswith("topic"):
            return (stream,)
        _, tenant, name = stream.split(SEPARATOR, 2)
        return (stream, *(inbox_stream(tenant, recipient) for recipient in self._recipients_of(name)))

    def _leave_presence(self, connection: Connection, topic: str) -> None:
        departed = self.presence.leave(connection.principal, topic, connection.id)
        if departed is None:
            return
        self.cluster.presence_changed(departed.where)
        self._presence_changed(departed.change, ChangeOrigin.HERE)
        if departed.here == 0:
            for observer in self._observers:
                observer.node_left(departed.where)

    def _count_changed(self, stream: Stream, here: int, change: int) -> None:
        self.cluster.count_changed(stream)
        total = here + self.cluster.count_elsewhere(stream)
        for observer in self._observers:
            observer.subscription_count_changed(stream, total, change, ChangeOrigin.HERE)

    def _presence_changed(self, change: PresenceChanged | None, cause: ChangeOrigin) -> None:
        if change is None:
            return
        for observer in self._observers:
            observer.presence_changed(change, cause)
        # Later in the loop, after the reply to the connection that joined or left. Other nodes derive the event from
        # the cluster state.
        asyncio.get_running_loop().call_soon(self.dispatch, change)

    # --- cluster.LocalState

    def count_here(self, key: str) -> int:
        return self._index.count(key)

    def counts_here(self) -> dict[str, int]:
        return self._index.counts()

    def present_here(self, where: PresenceKey) -> PeerPresence:
        return self.presence.local(where)

    def presence_here(self) -> list[PeerPresence]:
        return list(self.presence.all_local())

    def apply_peer(self, node: str, delta: StateDelta, cause: ChangeOrigin) -> None:
        for present in delta.members:
            self._presence_changed(self.presence.apply_remote(node, present), cause)
        for observer in self._observers:
            if observer.has_count_receivers:
                for key, change in delta.counts.items():
                    if not key.startswith(ADDRESS):
                        observer.subscription_count_changed(Stream(key), self.total(Stream(key)), change, cause)

    # --- dispatch

    def dispatch(self, event: Event) -> None:
        match event:
            case NotificationAdded() | NotificationUpdated() | NotificationDeleted() | InboxBulkChanged():
                self.dispatch_change(event)
            case PresenceChanged():
                self._dispatch_presence(event)
            case LiveEvent() | Typing():
                self._dispatch_live(event)
            case PreferencesChanged():
                self.send_to_stream(event.stream, partial(self._encode, event))
            case AnnouncementChanged():
                self.callbacks.materialize(event, self)
            case SessionsRevoked():
                self._revoke(event)
            case SubscriptionEnded():
                self._end_subscription(event)
            case PeerUpdate() | SnapshotRequest() | NodeLeft():
                self.cluster.receive(event)

    def _dispatch_live(self, event: LiveEvent | PresenceChanged | Typing) -> None:
        """Fan out one event, possibly to thousands of followers.

        The first event of a loop iteration is sent directly on the sockets: `send` costs a tenth less than the
        transport's `write`. Later events of the same iteration, and output behind buffered bytes, are coalesced by the
        transport."""
        id = None
        if isinstance(event, LiveEvent):
            id = event.id
            self._collected.add(event)
        connections = self._audience_of(event)
        if id is not None and self._recovering:
            connections = [one for one in connections if one not in self._recovering]
        if connections:
            self._fan_out(connections, partial(self._encode, event), event.sender, id)

    def collecting(self, stream: Stream) -> AbstractContextManager[Sequence[LiveEvent]]:
        """Collect the live events of a stream that are dispatched inside the context. The yielded sequence grows with
        them."""
        return self._collected.collecting([stream])

    def _dispatch_presence(self, event: PresenceChanged) -> None:
        is_batched = self._presence_batcher.add(event, self.count(event.stream))
        if not is_batched:
            self._dispatch_live(event)

    def _send_presence_batch(self, stream: Stream, moves: Sequence[PresenceChanged]) -> None:
        """Send several presence changes in one write. A member that joined or left receives only the changes after its
        own."""
        last = {move.sender: number for number, move in enumerate(moves, 1)}
        waiting = [one for one in self._streams.get(stream, ()) if one.id not in last]
        # Another server's `send` and TLS carry one frame at a time. An empty fan-out would count as an event of this tick.
        if framed := [one for one in waiting if one.sock is None]:
            for move in moves:
                self._fan_out(framed, partial(self._encode, move), None)
        self._send_merged([one for one in waiting if one.sock is not None], moves)
        for sender, number in last.items():
            mover = self._by_id.get(sender or "")
            if mover is not None and stream in mover.streams:
                self._send_merged([mover], moves[number:])

    def _send_merged(self, connections: Sequence[Connection], moves: Sequence[PresenceChanged]) -> None:
        merged = merge_changes(moves) if connections and moves else None
        if merged is not None:
            self._fan_out(connections, partial(self._encode, merged), None)

    def send_to_stream(self, stream: Stream, encode: Callable[[Dialect], bytes | None]) -> None:
        """Send to the followers of a stream what `encode` returns for their dialect; `None` sends nothing."""
        connections = tuple(self._streams.get(stream, ()))
        if connections:
            self._fan_out(connections, encode, None)

    def _fan_out(
        self,
        connections: Sequence[Connection],
        encode: Callable[[Dialect], bytes | None],
        but: str | None,
        id: str | None = None,
    ) -> None:
        is_coalescing = self._note_tick_events()
        sender = self._by_id.get(but) if but is not None else None
        encoded: dict[object, bytes | None] = {}
        around_marks: dict[object, tuple[Mapping[int, bytes] | None, bytes | None]] = {}
        dialect, shared, start, end, tick, live = None, None, None, None, self.tick, Phase.LIVE
        for connection in connections:
            if connection.dialect is not dialect:
                dialect = connection.dialect
                if dialect not in encoded:
                    encoded[dialect] = shared = encode(dialect)
                    mark = dialect.mark if id is not None and shared is not None else None
                    around_marks[dialect] = (None, None) if mark is None else mark.around(shared or b"", id or "")
                shared, (start, end) = encoded[dialect], around_marks[dialect]
            if shared is None or connection is sender:
                continue
            connection.last_sent_tick = tick
            if connection.phase is not live:
                connection.write(shared if end is None else connection.marked(shared, id))
                continue
            data = shared
            if end is not None:
                head = connection.mark_head
                if connection.mark_revision != connection.revision:
                    head = connection.update_mark()
                data = head + end if start is None else start[len(head)] + head + end
            if is_coalescing:
                connection.write(data)
            else:
                connection.write_directly(data)

    def _audience_of(self, event: LiveEvent | PresenceChanged | Typing) -> Sequence[Connection]:
        """Return the connections that receive a live event. It is a copy, because a write may close a slow reader and
        remove it from the set. Connections follow topics from `ready` on, and their recipient's own stream earlier."""
        connections = self._streams.get(event.stream, ())
        if isinstance(event, LiveEvent) and event.topic is None:
            return [one for one in connections if one.phase is not Phase.OPENING]
        return tuple(connections)

    async def wait_replayed(self, connection: Connection) -> None:
        """Wait until the connection is no longer replaying: it is live or closed."""
        while connection.phase is Phase.REPLAYING:
            if connection not in self._replay_waiters:
                self._replay_waiters[connection] = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._replay_waiters[connection])

    def on_replayed(self, connection: Connection) -> None:
        waiter = self._replay_waiters.pop(connection, None)
        if waiter is not None:
            waiter.set_result(None)

    def hold(self, connection: Connection) -> None:
        """Do not send kept events to the connection while it replays them from the history."""
        self._recovering.add(connection)

    def release(self, connection: Connection) -> None:
        if connection not in self._incomplete:
            self._recovering.discard(connection)

    def hold_unread(self, connection: Connection) -> None:
        """Send no kept events and no event ids to a connection for which the history could not be read, until
        `hold_followers` returns it. Pusher clients, which cannot resume, are excluded."""
        if _can_resume(connection) and connection.phase is not Phase.CLOSED:
            self._recovering.add(connection)
            self._incomplete.add(connection)

    def hold_followers(self, streams: Iterable[Stream]) -> list[Connection]:
        """Stop sending kept events and event ids to the followers of streams until they are closed. Return these followers
        and those of `hold_unread`. Pusher clients, which cannot resume, are excluded."""
        found = {one: None for stream in streams for one in self._streams.get(stream, ())}
        found |= dict.fromkeys(self._incomplete)
        followers = [one for one in found if _can_resume(one)]
        self._recovering.update(followers)
        self._incomplete.update(followers)
        return followers

    def newest_event(self, connection: Connection) -> str | None:
        if connection in self._recovering:
            return None
        return self.history.end(connection.principal.tenant)

    def _note_tick_events(self) -> bool:
        if self._is_tick_busy:
            return True
        self._is_tick_busy = True
        asyncio.get_running_loop().call_soon(self._end_tick)
        return False

    def _end_tick(self) -> None:
        self._is_tick_busy = False

    def dispatch_change(self, event: InboxEvent, *, is_single: bool = False) -> None:
        """Send an inbox change to the recipient's devices here. `is_single`: no other change of the inbox is expected at this
        time, so nothing is gained by coalescing."""
        connections = self._streams.get(event.stream)
        if connections:
            self._send_change(connections, event, is_single=is_single)
        for observer in self._observers:
            observer.inbox_changed(event)

    def _send_change(self, connections: Iterable[Connection], event: InboxEvent, *, is_single: bool) -> None:
        state = event.inbox
        encoded: dict[object, bytes | None] = {}
        written = 0
        for connection in tuple(connections):
            if connection.phase is not Phase.LIVE:
                connection.is_stale = True
            elif connection.epoch == state.epoch and state.revision == connection.revision + 1:
                if connection.dialect not in encoded:
                    encoded[connection.dialect] = self._encode(event, connection.dialect)
                connection.revision = state.revision
                data = encoded[connection.dialect]
                if data is not None:
                    connection.last_sent_tick = self.tick
                    (connection.write_directly if is_single else connection.write)(connection.marked(data))
                    written += 1
            elif connection.epoch != state.epoch or state.revision > connection.revision:
                self.callbacks.fill_gap(connection)  # a gap: the missed changes are in the store
        if written and isinstance(event, NotificationAdded):
            self.writes.record(event, written)

    def on_notification_replayed(self, event: NotificationAdded) -> None:
        self.writes.record(event, 1)

    def _encode(self, event: Event, dialect: Dialect) -> bytes | None:
        self.encoded_total[dialect.protocol, dialect.transport] += 1
        return dialect.encode(event)

    def on_pong(self, connection: Connection, data: bytes) -> None:
        for observer in self._observers:
            observer.pong_received(connection, data)

    # --- close

    def _end_subscription(self, event: SubscriptionEnded) -> None:
        """Unfollow the topic on connections that follow it by the ended subscription."""
        for connection in self.connections_on(topic_stream(event.tenant, event.topic)):
            is_granted = connection.grants is not None and connection.grants.get(event.topic) is Grant.SUBSCRIPTION
            if is_granted and connection.principal.recipient == event.recipient:
                self.unfollow(connection, (event.topic,))

    def _revoke(self, event: SessionsRevoked) -> None:
        for connection in tuple(self._streams.get(event.stream, ())):
            if connection.principal.issued_at < event.before:
                self.end(connection, close_reasons.REVOKED)

    def end(self, connection: Connection, end: CloseReason) -> None:
        if self._log is not None and connection.phase is not Phase.CLOSED and connection.id not in self._by_id:
            self._log.refused(connection, end)
        connection.close(end)
        self.on_disconnected(connection)


def _can_resume(connection: Connection) -> bool:
    return connection.dialect.protocol != "pusher"
