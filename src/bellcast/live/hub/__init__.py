"""The live connections of this process, by stream, and the events sent to them. The hub registers a connection when it opens, checks
it while it is silent, and unregisters it when it ends."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial

import structlog
from msgspec import Struct
from msgspec.structs import replace

from bellcast.auth.permissions import Grant
from bellcast.inbox.types.inboxes import InboxEvent
from bellcast.kernel.brokers import Broker
from bellcast.kernel.brokers.history import NO_HISTORY, TopicHistory
from bellcast.kernel.clock import Clock
from bellcast.kernel.events import SEPARATOR, Event, LiveEvent, Stream, topic_stream
from bellcast.live.cluster.groups import Groups
from bellcast.live.cluster.guardians import Guardians
from bellcast.live.cluster.members import Members, MembersEvent
from bellcast.live.connection import Connection, Phase, close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.hub.callbacks import HubCallbacks, HubObserver
from bellcast.live.hub.dispatch import Dispatcher, WriteLog
from bellcast.live.hub.presence import PresenceBatcher, PresenceTracker
from bellcast.live.hub.subscriptions import ADDRESS, Subscriptions, address_stream
from bellcast.live.types import MEMBERS, GroupAnswer, GroupUpdate, Holdings, HoldingsRequest, Typing
from bellcast.preferences.types import PreferencesChanged
from bellcast.recipients.types import SessionsRevoked, SubscriptionEnded
from bellcast.topics.types import Member

log = structlog.get_logger(__name__)


class HistoryHolds(Struct, eq=False):
    """Holds back the stored events, and the event ids of inbox changes, of connections."""

    streams: Mapping[Stream, Set[Connection]]
    # None: it replays. UNAVAILABLE: its history could not be read. The others: `hold_followers` has returned it.
    connections: dict[Connection, CloseReason | None] = {}

    def hold(self, connection: Connection) -> None:
        """Do not send stored events to the connection while it replays them from the history."""
        self.connections.setdefault(connection, None)

    def release(self, connection: Connection) -> None:
        if self.connections.get(connection) is None:
            self.connections.pop(connection, None)

    def hold_unread(self, connection: Connection) -> None:
        """Send no stored events and no event ids to a connection for which the history could not be read, until
        `hold_followers` returns it. Connections whose dialect cannot resume are excluded."""
        if connection.dialect.can_resume and connection.phase is not Phase.CLOSED:
            self.connections[connection] = self.connections.get(connection) or close_reasons.UNAVAILABLE

    def hold_followers(self, streams: Iterable[Stream]) -> dict[Connection, CloseReason]:
        """Stop sending stored events and event ids to the followers of streams that have lost events until they are closed.
        Return these followers and those of `hold_unread`, each once, with the reasons for which to close them: the loss, for one
        that is both, also if it was returned before. Connections whose dialect cannot resume are excluded."""
        unread, lost = close_reasons.UNAVAILABLE, close_reasons.EVENTS_LOST
        ends = {one: close_reasons.RESTARTING for one, reason in self.connections.items() if reason is unread}
        found = {
            one for stream in streams for one in self.streams.get(stream, ()) if self.connections.get(one) is not lost
        }
        ends |= {one: lost for one in found if one.dialect.can_resume}
        self.connections |= ends
        return ends


# The window is divided into this many steps; each closes a slice of the connections.
STEPS = 50
# With fewer connections the window is proportionally shorter.
MIN_BATCH_CONNECTIONS = 1_000


class Hub:
    """Registers connections. Every method must be called on the event loop's thread.

    Its parts follow streams (`subscriptions`), send events (`dispatcher`) and hold them back (`history_holds`)."""

    def __init__(
        self,
        presence: PresenceTracker,
        broker: Broker,
        clock: Clock,
        steady: Clock,  # of the cluster
        callbacks: HubCallbacks,
        history: TopicHistory = NO_HISTORY,
    ) -> None:
        self.tick = 0  # current tick of the heartbeat wheel
        self.presence = presence
        self.callbacks = callbacks
        self.history = history
        self.writes = WriteLog(clock)
        self.on_notification_replayed = self.writes.record_replayed  # as a ConnectionOwner
        # What the reconciler found, and its checks by outcome
        self.reconciled: Counter[str] = Counter()
        self.reconciler_checks: Counter[str] = Counter()
        self.members = Members(broker, clock, self.__len__, callbacks.report, steady)
        self._by_id: dict[str, Connection] = {}
        self._streams: dict[Stream, set[Connection]] = {}
        self.find = self._by_id.get  # a connection by its id
        self.groups = Groups(broker, steady, self.members, self.count_here, self.members_here, self.apply_peer)
        self.guardians = Guardians(steady, self.members)
        self.observers: list[HubObserver] = []  # of the dialects; shared with the parts
        self.history_holds = HistoryHolds(self._streams)
        self._held_connections = self.history_holds.connections
        self.dispatcher = Dispatcher(
            self, self._by_id, self._streams, callbacks, self.observers, self._held_connections, self.writes
        )
        batcher = PresenceBatcher(self.dispatcher.send_presence)
        self.subscriptions = Subscriptions(self._streams, presence, self.groups, callbacks, self.observers, batcher)
        # subscriptions that wait for the end of a replay
        self._replay_waiters: dict[Connection, asyncio.Future[None]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._by_id.values()))

    # --- events

    def dispatch(self, event: Event) -> None:
        """Send an event to the connections that follow its stream. Never raises: errors are logged, because the event's change
        is committed, and later events must still be sent."""
        try:
            match event:
                case _ if isinstance(event, InboxEvent):
                    self.dispatcher.dispatch_change(event)
                case LiveEvent() | Typing():
                    self.dispatcher.dispatch_live(event)
                case PreferencesChanged():
                    self.dispatcher.send_to_stream(event.stream, partial(self.dispatcher.encode, event))
                case SessionsRevoked():
                    self._revoke(event)
                case SubscriptionEnded():
                    # Unfollow the topic on connections that follow it by the ended subscription
                    for connection in self.subscriptions.connections_on(topic_stream(event.tenant, event.topic)):
                        is_granted = (
                            connection.grants is not None and connection.grants.get(event.topic) is Grant.SUBSCRIPTION
                        )
                        if is_granted and connection.principal.recipient == event.recipient:
                            self.subscriptions.unfollow(connection, (event.topic,))
                case GroupUpdate() | GroupAnswer():
                    self.groups.receive(event)
                case Holdings() | HoldingsRequest():
                    self.guardians.receive(event)
                case _ if isinstance(event, MembersEvent):
                    self.members.receive(event)
                case _:
                    self.callbacks.receive(event)
        except Exception:
            log.exception("event_dispatch_failed", kind=type(event).__name__)

    def _revoke(self, event: SessionsRevoked) -> None:
        for connection in tuple(self._streams.get(event.stream, ())):
            if connection.principal.issued_at < event.before:
                self.end(connection, close_reasons.REVOKED)
        # Connections that follow the recipient's channels with the app's authorization only, as those of Laravel do. The app
        # authorizes them again if the person is still signed in there.
        for topic in {topic for observer in self.observers for topic in observer.topics_of(event.recipient)}:
            for connection in tuple(self._streams.get(topic_stream(event.tenant, topic), ())):
                if connection.principal.recipient is None:
                    self.end(connection, close_reasons.REVOKED)

    # --- connections

    def at_address(self, address: str) -> int:
        """Return the number of connections of a client address on all nodes."""
        stream = address_stream(address)
        return self.groups.followed[stream] + self.groups.count_elsewhere(stream)

    def add(self, connection: Connection, inbox: Stream | None) -> None:
        """Register a connection and follow its recipient's inbox stream; None without a recipient."""
        if (other := self._by_id.get(connection.id)) is not None:  # a client that was recovered twice at the same time
            self.end(other, close_reasons.RESTARTING)
        self._by_id[connection.id] = connection
        if connection.address is not None:
            stream = address_stream(connection.address)
            self.groups.follow(stream)
            self.groups.changed(stream)
        if inbox is not None:
            self.subscriptions.follow_stream(connection, inbox)
        self.callbacks.added(connection)

    # --- ConnectionOwner

    def on_disconnected(self, connection: Connection) -> None:
        self._held_connections.pop(connection, None)
        if self._by_id.get(connection.id) is not connection:  # a recovered connection may have taken over the id
            return
        del self._by_id[connection.id]
        if connection.address is not None:
            stream = address_stream(connection.address)
            self.groups.changed(stream)
            self.groups.unfollow(stream)
        self.subscriptions.unfollow_all(connection)
        self.callbacks.disconnected(connection)

    def end(self, connection: Connection, end: CloseReason) -> None:
        if connection.phase is not Phase.CLOSED and connection.id not in self._by_id:
            self.callbacks.refused(connection, end)
        if end.reconnect and self._held_connections.get(connection) is close_reasons.EVENTS_LOST:
            # The client may have a position behind the lost event, from which it would resume without it.
            end = replace(end, event_id="")
        connection.close(end)
        self.on_disconnected(connection)

    def newest_event(self, connection: Connection) -> str | None:
        if connection in self._held_connections:
            return None
        return self.history.end(connection.principal.tenant)

    def on_replayed(self, connection: Connection) -> None:
        waiter = self._replay_waiters.pop(connection, None)
        if waiter is not None:
            waiter.set_result(None)

    async def wait_replayed(self, connection: Connection) -> None:
        """Wait until the connection is no longer replaying: it is live or closed."""
        while connection.phase is Phase.REPLAYING:
            if connection not in self._replay_waiters:
                self._replay_waiters[connection] = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._replay_waiters[connection])

    def on_pong(self, connection: Connection, data: bytes) -> None:
        for observer in self.observers:
            observer.pong_received(connection, data)

    # --- of the groups

    def count_here(self, stream: Stream) -> int:
        """Return the followers of a stream or, for that of an address, its connections."""
        if stream.startswith(ADDRESS):
            return self.groups.followed[stream]
        return len(self._streams.get(stream, ()))

    def members_here(self, stream: Stream, recipients: Set[str] | None) -> list[Member]:
        kind, tenant, name = stream.split(SEPARATOR, 2)
        return self.presence.local(tenant, name, recipients) if kind == "topic" else []

    def apply_peer(self, stream: Stream, node: str, change: int, members: Sequence[Member]) -> None:
        _, tenant, name = stream.split(SEPARATOR, 2)
        for member in members:
            self.subscriptions.presence_changed(self.presence.apply_remote(node, tenant, name, member), is_here=False)
        if change and not stream.startswith(ADDRESS):
            here = self.subscriptions.count(stream)
            for observer in self.observers:
                observer.subscription_count_changed(stream, here, change, is_here=False)

    def mark_suspect(self, streams: Collection[Stream]) -> None:
        """Ask the other nodes about streams that may have missed messages."""
        if MEMBERS in streams:
            self.members.rejoin()
            self.guardians.send_again()
        self.groups.mark_suspect(streams)


async def drain(hub: Hub, clock: Clock, window: float, ends: Mapping[Connection, CloseReason] | None = None) -> None:
    """Close connections for these reasons, by default all, within `window` seconds, each with a random reconnect delay
    within the same window."""
    ends = dict.fromkeys(hub, close_reasons.RESTARTING) if ends is None else ends
    connections = list(ends)
    span = window * min(1.0, len(connections) / MIN_BATCH_CONNECTIONS)
    for step in range(STEPS):
        for connection in connections[step::STEPS]:
            hub.end(connection, replace(ends[connection], after=random.randint(100, 100 + int(span * 1000))))
        if span and step < STEPS - 1:
            await clock.sleep(span / STEPS)


# Ticks per heartbeat interval. Each tick checks the connections in its slot.
TICKS_PER_INTERVAL = 25
# Until a replay that cannot be written ends. A full buffer of 4 MB takes more in this time if 12 KB/s are read.
REPLAY_STALL_SECONDS = 120
# Seconds of silence before a ping, and to wait for the pong.
SilenceLimit = Callable[[], tuple[float, float]]


class HeartbeatWheel:
    """A timer wheel. Each connection is in one slot and is checked about once per heartbeat interval."""

    def __init__(self, clock: Clock, heartbeat: float, silence_limits: Mapping[str, SilenceLimit]) -> None:
        self._clock = clock
        self._tick = heartbeat / TICKS_PER_INTERVAL
        self._tick_ms = self._tick * 1000
        self._silence_limits = silence_limits  # by protocol; without one, a heartbeat's interval each
        # Ids: a closed connection would stay in memory for an interval, with an incomplete message of up to 1 MB.
        self._wheel: list[list[str]] = [[] for _ in range(TICKS_PER_INTERVAL + 1)]
        self._expiries: dict[int, list[str]] = {}  # by tick: renewed sessions that end before their next check

    async def run(self, hub: Hub) -> None:
        while True:
            await self._clock.sleep(self._tick)
            self.tick(hub)
            await asyncio.sleep(0)

    def tick(self, hub: Hub) -> None:
        """Advance one tick and check the connections that are due."""
        hub.tick += 1
        slot = hub.tick % len(self._wheel)
        due, self._wheel[slot] = self._wheel[slot], []
        now = self._clock.now()
        self._check_each(self._end_if_expired, hub, self._expiries.pop(hub.tick, ()), now)
        self._check_each(self._check, hub, due, now)

    def _check_each(self, check: Callable[[Connection, int], object], hub: Hub, ids: Iterable[str], now: int) -> None:
        """Check connections. One that cannot be checked is aborted, and its client reconnects, so that the others are still checked."""
        for connection in filter(None, map(hub.find, ids)):
            try:
                if connection.phase is not Phase.CLOSED:
                    check(connection, now)
            except Exception:
                log.exception("heartbeat_failed", connection=connection.id)
                connection.transport.abort()

    def schedule(self, connection: Connection) -> None:
        """Schedule the next check: a full interval after the last write, or at the session's expiry."""
        tick = connection.owner.tick
        ticks = min(connection.last_sent_tick + TICKS_PER_INTERVAL - tick, *self._silence_limit(connection))
        ends = connection.principal.expires_at
        if ends is not None:
            ticks = min(ticks, self._ticks_until(ends))
        self._wheel[(tick + max(1, ticks)) % len(self._wheel)].append(connection.id)

    def renewed(self, connection: Connection) -> None:
        """Note a new session, which may end before the next check of the connection."""
        ends = connection.principal.expires_at
        if ends is not None and (ticks := self._ticks_until(ends)) < TICKS_PER_INTERVAL:
            # The current tick is partly over, and a check before the end would be the only one.
            self._expiries.setdefault(connection.owner.tick + max(0, ticks) + 1, []).append(connection.id)

    def _ticks_until(self, at: int) -> int:
        return int((at - self._clock.now()) / self._tick_ms) + 1

    def _silence_limit(self, connection: Connection) -> tuple[int, int]:
        """Return the ticks of silence before a ping, and the ticks to wait for the pong."""
        limit = self._silence_limits.get(connection.dialect.protocol)
        if limit is None:
            return TICKS_PER_INTERVAL, TICKS_PER_INTERVAL
        silence, timeout = limit()
        return max(1, round(silence / self._tick)), max(1, round(timeout / self._tick))

    def _check(self, connection: Connection, now: int) -> None:
        if self._end_if_expired(connection, now):
            return
        # Ping a silent peer. It must have answered the last ping in time.
        tick, (silence, timeout) = connection.owner.tick, self._silence_limit(connection)
        if connection.last_received_tick < connection.ping_tick:
            if tick - connection.ping_tick >= timeout:
                connection.owner.end(connection, close_reasons.NO_PONG)
                return
        elif tick - connection.last_received_tick >= silence and connection.ping():
            connection.ping_tick = tick
        silent_ticks = tick - connection.last_sent_tick
        if connection.writable_waiter is not None:
            if silent_ticks * self._tick >= REPLAY_STALL_SECONDS:
                connection.owner.end(connection, close_reasons.TOO_SLOW)
                return
        elif silent_ticks >= TICKS_PER_INTERVAL and connection.phase is not Phase.OPENING:
            connection.write_tracked(connection.dialect.heartbeat(now))
        self.schedule(connection)

    def _end_if_expired(self, connection: Connection, now: int) -> bool:
        """Close a connection whose session has ended; True if it has."""
        ends = connection.principal.expires_at
        if ends is None or ends > now:
            return False
        connection.owner.end(connection, close_reasons.EXPIRED)
        return True
