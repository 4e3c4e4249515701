"""The live feed of all nodes. A node announces its watchers to the others, which send it the events that match, in
batches. If no node has a watcher, nothing is sent."""

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import msgspec
import structlog
from msgspec import Struct, field, structs

from bellcast.console.live_feed import LiveFeed, Watcher
from bellcast.kernel.brokers.port import Broker
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import TooMany
from bellcast.kernel.events import UNENCODABLE
from bellcast.live.cluster.members import Members
from bellcast.live.config import Spawn
from bellcast.live.types import FeedBatch, FeedWatch, FeedWatches
from bellcast.live_feed import FeedEvent, FeedFilter, SkippedEvents

log = structlog.get_logger(__name__)

# Maximum watchers. Each costs a filter per event on each node; ten are enough for a team during an incident.
MAX_WATCHERS = 10
# Nodes announce their watchers again, for nodes that joined and announcements that were lost.
ANNOUNCE_SECONDS = 3.0
# A healthy node replies in milliseconds; the events of a stuck one are missing.
REPLY_TIMEOUT = 1.0
WATCH_ID_BYTES = 8
# Maximum event size. A larger event is sent without content, because it would displace others in the broker.
MAX_EVENT_BYTES = 32_768
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(FeedEvent).decode


class ClusterWatch(Struct, eq=False):
    """A watcher of this process, with the events of the other nodes. The caller must close it; until then, it counts towards the
    limit."""

    cluster_feed: "ClusterFeed"
    watcher: Watcher
    wanted: FeedWatch
    recent: list[FeedEvent]
    awaited: set[str]  # nodes whose first batch is missing
    has_begun: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def request(self) -> FeedWatch:
        """Return the request to the other nodes. A repeated one asks for no recent events."""
        return structs.replace(self.wanted, last=0) if self.has_begun.is_set() else self.wanted

    def receive(self, batch: FeedBatch) -> None:
        """Add the events of another node."""
        events: list[FeedEvent] = []
        for encoded in batch.events:
            try:
                events.append(structs.replace(_decode(encoded), node=batch.node))
            except (msgspec.DecodeError, ValueError, RecursionError) as failure:
                # An event kind of a newer version, during a rolling update.
                log.warning("feed_event_not_decodable", reason=str(failure))
        if batch.is_first and not self.has_begun.is_set():
            self.recent += events
            self.awaited.discard(batch.node)
            if not self.awaited:
                self.has_begun.set()
            events = []
        self.watcher.receive(events, batch.skipped)

    async def batches(self) -> AsyncIterator[Sequence[FeedEvent | SkippedEvents]]:
        recent, self.recent = sorted(self.recent, key=lambda event: event.at), []
        if recent:
            yield self._of_node(recent[-self.wanted.last :])
        async for batch in self.watcher.batches():
            yield self._of_node(batch)

    def _of_node(self, batch: Sequence[FeedEvent | SkippedEvents]) -> Sequence[FeedEvent | SkippedEvents]:
        """Set this node's name in its own events."""
        node = self.cluster_feed.node
        is_own = [isinstance(one, FeedEvent) and one.node is None for one in batch]
        return [structs.replace(one, node=node) if own else one for one, own in zip(batch, is_own, strict=True)]

    def close(self) -> None:
        self.watcher.close()
        self.cluster_feed.remove(self)


class ClusterFeed(Struct, eq=False):
    """Watches all nodes, and serves the watchers of the others."""

    feed: LiveFeed  # of this node
    broker: Broker
    clock: Clock
    members: Members
    spawn: Spawn
    _watches: dict[str, ClusterWatch] = {}
    _peers: dict[str, dict[str, Watcher]] = {}  # the watchers of each other node, by id

    @property
    def node(self) -> str:
        return self.members.id

    # --- watchers of this node

    async def watch(self, wanted: FeedFilter, last: int) -> ClusterWatch:
        """Start to watch all nodes, with at most `last` earlier events. Returns once the other nodes send events, or
        after a second. Raises TooMany if this node has too many watchers."""
        if len(self._watches) >= MAX_WATCHERS:
            raise TooMany(f"At most {MAX_WATCHERS} can watch the feed on a node at a time.", retry_after=10)
        request = FeedWatch(secrets.token_hex(WATCH_ID_BYTES), wanted, last)
        recent, awaited = self.feed.recent(wanted, last), set(self.members.others)
        watch = self._watches[request.id] = ClusterWatch(self, self.feed.watch(wanted), request, recent, awaited)
        try:
            if watch.awaited:
                await self._announce()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(watch.has_begun.wait(), REPLY_TIMEOUT)
        except BaseException:
            watch.close()
            raise
        watch.has_begun.set()
        return watch

    def remove(self, watch: ClusterWatch) -> None:
        """Unregister a closed watch. Safe to call twice."""
        if self._watches.pop(watch.wanted.id, None) is not None and self.members.others:
            self.spawn(self._announce())

    async def run(self) -> None:
        """Announce the watches of this node again, and end those of nodes that are gone, until cancelled."""
        while True:
            await self.clock.sleep(ANNOUNCE_SECONDS)
            for node in self._peers.keys() - self.members.others.keys():
                self._serve(FeedWatches(node, ()))
            if self._watches and self.members.others:
                await self._announce()

    async def _announce(self) -> None:
        watches = tuple(watch.request for watch in self._watches.values())
        await self.broker.publish(FeedWatches(self.node, watches))

    # --- watchers of other nodes

    def receive(self, event: FeedWatches | FeedBatch) -> None:
        """Handle a message of another node."""
        if isinstance(event, FeedBatch):
            watch = self._watches.get(event.watch)
            if watch is not None:
                watch.receive(event)
        elif event.node != self.node:
            self._serve(event)

    def _serve(self, wanted: FeedWatches) -> None:
        """Serve the current watchers of a node, and stop serving its others."""
        watchers = self._peers.setdefault(wanted.node, {})
        for id in watchers.keys() - {watch.id for watch in wanted.watches}:
            watchers.pop(id).close()
        for watch in wanted.watches:
            if watch.id not in watchers:
                watcher = watchers[watch.id] = self.feed.watch(watch.wanted)
                recent = self.feed.recent(watch.wanted, watch.last)
                self.spawn(self._send(wanted.node, watch.id, watcher, recent))
        if not watchers:
            del self._peers[wanted.node]

    async def _send(self, node: str, watch: str, watcher: Watcher, recent: Sequence[FeedEvent]) -> None:
        await self._publish(node, watch, recent, is_first=True)
        async for batch in watcher.batches():
            if batch:
                await self._publish(node, watch, batch)

    async def _publish(
        self, node: str, watch: str, batch: Sequence[FeedEvent | SkippedEvents], *, is_first: bool = False
    ) -> None:
        events = tuple(_encoded(one) for one in batch if isinstance(one, FeedEvent))
        skipped: Counter[str] = Counter()
        for one in batch:
            if isinstance(one, SkippedEvents):
                skipped.update(one.by)
        await self.broker.publish(FeedBatch(node, self.node, watch, events, skipped, is_first))


def _encoded(event: FeedEvent) -> bytes:
    """Encode an event. If it is too large or cannot be encoded, its fields are omitted."""
    with contextlib.suppress(*UNENCODABLE):
        encoded = _encode(event)
        if len(encoded) <= MAX_EVENT_BYTES:
            return encoded
    return _encode(structs.replace(event, fields={}))
