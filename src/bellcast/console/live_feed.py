"""The live feed of this process: ring buffers of recent events, and the watchers."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from heapq import merge
from itertools import chain, islice
from typing import TypeAlias

from msgspec import Struct, field

from bellcast.console.stats import TenantCounts
from bellcast.live_feed import (
    FEED_KINDS,
    KEPT_EVENTS,
    CountedKind,
    FeedEvent,
    FeedFilter,
    RequestFilter,
    ServedRequest,
    SimpleFeedKind,
    SkippedEvents,
)

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


# An event, or a function that creates it: most are never read.
Kept: TypeAlias = FeedEvent | Callable[[], FeedEvent]


class Watcher:
    """Events of this process that one watcher has not read yet."""

    def __init__(self, feed: "LiveFeed", wanted: FeedFilter) -> None:
        self._feed = feed
        self.wanted = wanted
        self.needs_event = not wanted.is_of_kinds_and_tenants  # the filter reads more than kind and tenant
        self._pending: list[FeedEvent | SkippedEvents] = []
        self._passed = 0  # events of this second
        self._skipped: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self._is_closed = False

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

    def receive(self, events: Iterable[FeedEvent], skipped: Mapping[str, int]) -> None:
        """Add events of another node, which has skipped some."""
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
        while not self._is_closed:
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
        """Stop the watch. `batches` ends after the pending events."""
        self._is_closed = True
        self._changed.set()
        self._feed.remove(self)


class LiveFeed(Struct, eq=False):
    """Implements Feed. Every method must be called on the event loop's thread."""

    seconds: Callable[[], float] = time.monotonic
    _rings: dict[str, deque[Kept]] = field(
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
        self.tenants.count(event.kind, event.tenant, event.fields)
        if self._watchers:
            self._offer(event.kind, event.tenant, lambda: event)

    def count(self, kind: CountedKind, tenant: str, number: int) -> None:
        self.emitted[kind] += number
        self.tenants.count_simple(kind, tenant, number)

    def emit_later(self, kind: SimpleFeedKind, tenant: str, make: Callable[[], FeedEvent]) -> None:
        self._rings[kind].append(make)
        self.emitted[kind] += 1
        self.tenants.count_simple(kind, tenant, 1)
        if self._watchers:
            self._offer(kind, tenant, make)

    def _offer(self, kind: str, tenant: str, make: Callable[[], FeedEvent]) -> None:
        """Add an event to the watchers that it matches. It is created once, and only if one of them needs it."""
        self.begin_second()
        event: FeedEvent | None = None
        for watcher in self._watchers:
            wanted = watcher.wanted
            if wanted.matches_kind_and_tenant(kind, tenant):
                if watcher.needs_event and not wanted.matches(event := event or make()):
                    continue
                if watcher.has_room(kind):
                    watcher.add(event := event or make())

    def begin_second(self) -> None:
        """If a new second has begun, let the watchers have events again, and report what they missed."""
        second = int(self.seconds())
        if second != self._second:
            self._second = second
            for watcher in self._watchers:
                watcher.begin_second()

    def watch(self, wanted: FeedFilter) -> Watcher:
        """Start to watch this process."""
        watcher = Watcher(self, wanted)
        self._watchers.append(watcher)
        return watcher

    def recent(self, wanted: FeedFilter, last: int) -> list[FeedEvent]:
        """Return the last events that match, oldest first."""
        if last <= 0:
            return []
        rings = [ring for kind, ring in self._rings.items() if wanted.kinds is None or kind in wanted.kinds]
        made = ((kept if isinstance(kept, FeedEvent) else kept() for kept in reversed(ring)) for ring in rings)
        # At the same time, which a test clock keeps, every kind has its turn.
        newest = merge(*map(enumerate, made), key=lambda one: (one[1].at, -one[0]), reverse=True)
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
        """Keep a request. Refusals have their own ring buffer, so that successful requests do not displace them."""
        (self._refusals if request.is_refused else self._requests).append(request)

    def requests(self, wanted: RequestFilter, before: tuple[int, str] | None) -> Sequence[ServedRequest]:
        """Return the recent requests of this node, newest first, older than the one with this time and id."""

        def position(request: ServedRequest) -> tuple[int, str]:
            return request.at, request.id

        both = chain(self._requests, self._refusals)
        matching = [one for one in both if (before is None or position(one) < before) and wanted.matches(one)]
        return sorted(matching, key=position, reverse=True)
