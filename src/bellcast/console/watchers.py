"""The live feed: ring buffers of recent events of this process, its watchers, and those of the other nodes. A node announces its
watchers to the others, which send it the events that match, in batches. If no node has a watcher, nothing is sent."""

import asyncio
import contextlib
import secrets
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from heapq import merge
from itertools import chain, islice
from operator import attrgetter

import msgspec
import structlog
from msgspec import Struct, field, structs

from bellcast.console.stats import TenantCounts
from bellcast.kernel.brokers import Broker
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import TooMany
from bellcast.kernel.events import UNENCODABLE
from bellcast.live.cluster.members import Members
from bellcast.live.types import FeedBatch, FeedWatch, FeedWatches, Spawn
from bellcast.live_feed import (
    FEED_KINDS,
    KEPT_EVENTS,
    CountedKind,
    FeedEvent,
    FeedFilter,
    ServedRequest,
    SkippedEvents,
)

log = structlog.get_logger(__name__)

# People cannot read more; further events would only use the browser's memory, and are counted.
EVENTS_PER_SECOND = 200
# Maximum events queued for a slow watcher: five seconds of events. Further events are only counted.
MAX_PENDING_EVENTS = 1_000
# A watcher that has missed events reports them after this time, if no other event occurs.
SKIPPED_SECONDS = 1.0
# Events are sent in batches: one write per tenth of a second.
BATCH_SECONDS = 0.1
# Proxies cut idle connections at 60 s.
QUIET_SECONDS = 15.0
# 2,500 requests, each with maximum fields, take less than 9 MiB.
REQUESTS, REFUSALS = 2_000, 500


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


class Watcher:
    """Events that one watcher has not read yet, the `recent` ones first. `awaited` are the nodes whose recent events are missing."""

    def __init__(self, feed: "LiveFeed", wanted: FeedFilter, last: int, awaited: Iterable[str]) -> None:
        self._feed = feed
        self.wanted = wanted
        self.last = last
        self.recent = feed.recent(wanted, last)
        self.awaited = set(awaited)
        self.has_begun = asyncio.Event()  # it waits for no recent events
        self._pending: list[FeedEvent | SkippedEvents] = []
        self._passed = 0  # events of this second
        self._skipped: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self.is_closed = False

    def has_room(self, kind: str) -> bool:
        """True if the rate and the backlog permit an event; otherwise count it as skipped."""
        if self._passed < EVENTS_PER_SECOND and len(self._pending) < MAX_PENDING_EVENTS:
            return True
        self._skipped[kind] += 1
        return False

    def add(self, event: FeedEvent) -> None:
        """Add a matching event for which there is room."""
        self._passed += 1
        self._pending.append(event)
        self._changed.set()

    def receive(self, node: str, events: Sequence[FeedEvent], skipped: Mapping[str, int], *, is_first: bool) -> None:
        """Add events of another node, which has skipped some; its first ones are recent, unless the watch has begun without them."""
        if is_first and not self.has_begun.is_set():
            self.recent += events
            self.awaited.discard(node)
            if not self.awaited:
                self.has_begun.set()
            events = ()
        self._feed.begin_second()
        self._skipped.update(skipped)
        for event in events:
            if self.has_room(event.kind):
                self.add(event)
        self._changed.set()

    def begin_second(self) -> None:
        """Report what was skipped in the last second, unless the watcher reads too slowly."""
        self._passed = 0
        if self._skipped and len(self._pending) < MAX_PENDING_EVENTS:
            self._pending.append(SkippedEvents(self._skipped.total(), dict(self._skipped)))
            self._skipped.clear()
            self._changed.set()

    async def batches(self) -> AsyncIterator[Sequence[FeedEvent | SkippedEvents]]:
        """Yield events, oldest first, and an empty batch after a period without events, until the watcher is closed."""
        recent, self.recent = sorted(self.recent, key=lambda event: event.at), []
        if recent:
            yield recent[-self.last :]
        while not self.is_closed:
            # The next second must report the skipped events of this one, even if no other event occurs.
            try:
                await asyncio.wait_for(self._changed.wait(), SKIPPED_SECONDS if self._skipped else QUIET_SECONDS)
            except TimeoutError:
                self._feed.begin_second()
            else:
                await asyncio.sleep(BATCH_SECONDS)
            self._changed.clear()
            batch, self._pending = self._pending, []
            yield batch

    def close(self) -> None:
        """Stop the watch, which no longer counts towards the limit. `batches` ends after the pending events."""
        self.is_closed = True
        self._changed.set()
        self._feed.remove(self)


class LiveFeed(Struct, eq=False):
    """Implements Feed. Every method must be called on the event loop's thread."""

    seconds: Callable[[], float] = time.monotonic
    _rings: dict[str, deque[FeedEvent | ServedRequest]] = field(
        default_factory=lambda: {kind: deque(maxlen=KEPT_EVENTS) for kind in FEED_KINDS}
    )
    emitted: Counter[str] = field(default_factory=Counter)  # events since the start, by kind
    failed_runs: int = 0  # since the start
    tenants: TenantCounts = field(default_factory=TenantCounts)
    _watchers: list[Watcher] = []
    _second: float = 0
    _requests: deque[ServedRequest] = field(default_factory=lambda: deque(maxlen=REQUESTS))
    _refusals: deque[ServedRequest] = field(default_factory=lambda: deque(maxlen=REFUSALS))

    @property
    def is_watched(self) -> bool:
        return bool(self._watchers)

    def emit(self, event: FeedEvent) -> None:
        self._rings[event.kind].append(event)
        self.emitted[event.kind] += 1
        self.failed_runs += event.kind == "run" and event.fields.get("state") == "failed"
        self.tenants.count(event.kind, event.tenant, fields=event.fields)
        if self._watchers:
            self._offer(event)

    def count(self, kind: CountedKind, tenant: str, number: int) -> None:
        self.emitted[kind] += number
        self.tenants.count(kind, tenant, number)

    def _offer(self, event: FeedEvent) -> None:
        """Add an event to the watchers that it matches. It is redacted once, and only if one of them needs it."""
        self.begin_second()
        redacted: FeedEvent | None = None
        for watcher in self._watchers:
            wanted = watcher.wanted
            if wanted.concerns(event):
                if wanted.text is not None and not wanted.matches(redacted := redacted or event.redacted):
                    continue
                if watcher.has_room(event.kind):
                    watcher.add(redacted := redacted or event.redacted)

    def begin_second(self) -> None:
        """If a new second has begun, let the watchers have events again, and report what they missed."""
        second = int(self.seconds())
        if second != self._second:
            self._second = second
            for watcher in self._watchers:
                watcher.begin_second()

    def watch(self, wanted: FeedFilter, last: int = 0, awaited: Iterable[str] = ()) -> Watcher:
        """Start to watch this process, with at most `last` earlier events. The caller must close the watcher."""
        watcher = Watcher(self, wanted, last, awaited)
        self._watchers.append(watcher)
        return watcher

    def recent(self, wanted: FeedFilter, last: int) -> list[FeedEvent]:
        """Return the last events that match, oldest first."""
        if last <= 0:
            return []
        rings = [ring for kind, ring in self._rings.items() if wanted.kinds is None or kind in wanted.kinds]
        events = (
            (one.redacted if isinstance(one, FeedEvent) else one.event for one in reversed(ring)) for ring in rings
        )
        # At the same time, which a test clock keeps, every kind has its turn.
        newest = merge(*map(enumerate, events), key=lambda one: (one[1].at, -one[0]), reverse=True)
        return list(islice((event for _, event in newest if wanted.matches(event)), last))[::-1]

    def remove(self, watcher: Watcher) -> None:
        """Unregister a closed watcher. Safe to call twice."""
        self._watchers = [one for one in self._watchers if one is not watcher]

    def close(self) -> None:
        """End all watches, so that their responses do not hold up a shutdown."""
        for watcher in self._watchers:
            watcher.close()

    # --- requests

    def add_request(self, request: ServedRequest) -> None:
        """Keep a request and its event. Refusals have their own ring buffer, so that successful requests do not displace them."""
        if request.is_refused:
            self._refusals.append(request)
            self.emit(request.event)
            return
        self._requests.append(request)
        self._rings["request"].append(request)
        self.count("request", request.tenant or "", 1)
        if self._watchers:
            self._offer(request.event)

    def requests(
        self, matches: Callable[[ServedRequest], bool], before: tuple[int, str] | None = None
    ) -> Sequence[ServedRequest]:
        position = attrgetter("at", "id")
        both = chain(self._requests, self._refusals)
        matching = [one for one in both if (before is None or position(one) < before) and matches(one)]
        return sorted(matching, key=position, reverse=True)


class ClusterFeed(Struct, eq=False):
    """Watches all nodes, and serves the watchers of the others."""

    feed: LiveFeed  # of this node
    broker: Broker
    clock: Clock
    members: Members
    spawn: Spawn
    _watches: dict[str, Watcher] = {}
    _peers: dict[str, dict[str, Watcher]] = {}  # the watchers of each other node, by id

    # --- watchers of this node

    @contextlib.asynccontextmanager
    async def watch(self, wanted: FeedFilter, last: int) -> AsyncIterator[Watcher]:
        """Watch all nodes during the block, with at most `last` earlier events. The block begins once the other nodes send events, or
        after a second. Raises TooMany if this node has too many watchers."""
        if sum(not one.is_closed for one in self._watches.values()) >= MAX_WATCHERS:
            raise TooMany(f"At most {MAX_WATCHERS} can watch the feed on a node at a time.", retry_after=10)
        id, watcher = secrets.token_hex(WATCH_ID_BYTES), self.feed.watch(wanted, last, self.members.others)
        self._watches[id] = watcher
        try:
            if watcher.awaited:
                await self._announce()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(watcher.has_begun.wait(), REPLY_TIMEOUT)
            watcher.has_begun.set()
            yield watcher
        finally:
            watcher.close()
            del self._watches[id]
            if self.members.others:
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
        watches = [
            # A repeated request asks for no recent events.
            FeedWatch(id, one.wanted, 0 if one.has_begun.is_set() else one.last)
            for id, one in self._watches.items()
        ]
        await self.broker.publish(FeedWatches(self.members.id, tuple(watches)))

    # --- watchers of other nodes

    def receive(self, event: FeedWatches | FeedBatch) -> None:
        """Handle a message of another node."""
        if isinstance(event, FeedWatches):
            if event.node != self.members.id:
                self._serve(event)
        elif (watcher := self._watches.get(event.watch)) is not None:
            events: list[FeedEvent] = []
            for encoded in event.events:
                try:
                    events.append(structs.replace(_decode(encoded), node=event.node))
                except (msgspec.DecodeError, ValueError, RecursionError) as failure:
                    # An event kind of a newer version, during a rolling update.
                    log.warning("feed_event_not_decodable", reason=str(failure))
            watcher.receive(event.node, events, event.skipped, is_first=event.is_first)

    def _serve(self, wanted: FeedWatches) -> None:
        """Serve the current watchers of a node, and stop serving its others."""
        watchers = self._peers.setdefault(wanted.node, {})
        for id in watchers.keys() - {watch.id for watch in wanted.watches}:
            watchers.pop(id).close()
        for watch in wanted.watches:
            if watch.id not in watchers:
                watcher = watchers[watch.id] = self.feed.watch(watch.wanted, watch.last)
                self.spawn(self._send(wanted.node, watch.id, watcher))
        if not watchers:
            del self._peers[wanted.node]

    async def _send(self, node: str, watch: str, watcher: Watcher) -> None:
        recent, watcher.recent = watcher.recent, []
        await self._publish(node, watch, recent, is_first=True)
        async for batch in watcher.batches():
            if batch:
                await self._publish(node, watch, batch)

    async def _publish(
        self, node: str, watch: str, batch: Sequence[FeedEvent | SkippedEvents], *, is_first: bool = False
    ) -> None:
        events: list[bytes] = []
        skipped: Counter[str] = Counter()
        for one in batch:
            if isinstance(one, SkippedEvents):
                skipped.update(one.by)
                continue
            encoded = b""
            with contextlib.suppress(*UNENCODABLE):
                encoded = _encode(one)
            # Without its fields if it cannot be encoded, or is too large.
            is_sent_whole = 0 < len(encoded) <= MAX_EVENT_BYTES
            events.append(encoded if is_sent_whole else _encode(structs.replace(one, fields={})))
        await self.broker.publish(FeedBatch(node, self.members.id, watch, tuple(events), skipped, is_first))
