"""The live feed of this process: ring buffers of recent events, and the watchers."""

import asyncio
import math
import zlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import TypeAlias

from bellcast.console.tenant_counts import TenantCounts
from bellcast.console.types.live_feed import (
    FEED_KINDS,
    KEPT_EVENTS,
    FeedEvent,
    FeedFilter,
    SimpleFeedKind,
    SkippedEvents,
    sampling_key,
)
from bellcast.console.types.requests import RequestFilter, ServedRequest
from bellcast.kernel.clock import Clock

# People cannot read more; further events would only use the browser's memory.
EVENTS_PER_SECOND = 200
# Maximum events queued for a slow watcher: five seconds of events. Further events are only counted.
MAX_PENDING_EVENTS = 1_000
SECOND_MS = 1_000
HASHES = 2**32  # results of CRC-32
# Events are sent in batches: one write per tenth of a second.
BATCH_SECONDS = 0.1
# Proxies cut idle connections at 60 s.
QUIET_SECONDS = 15.0
# 2,500 requests, each with maximum fields, take less than 9 MiB.
REQUESTS, REFUSALS = 2_000, 500


# An event or a request, or a function that creates it: most are never read.
Kept: TypeAlias = FeedEvent | Callable[[], FeedEvent]
KeptRequest: TypeAlias = ServedRequest | Callable[[], ServedRequest]


class Sampler:
    """Passes at most EVENTS_PER_SECOND events per second, sampled by trace above that rate, and counts the omitted ones
    by kind."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = clock.now() // SECOND_MS
        self._seen = self._passed = 0
        self._divisor = 1  # one of this many traces passes
        self._skipped: Counter[str] = Counter()

    @property
    def has_skipped(self) -> bool:
        return bool(self._skipped)

    def begin_second(self) -> Counter[str] | None:
        """If a new second has begun, return the events skipped in the previous one."""
        second = self._clock.now() // SECOND_MS
        if second == self._second:
            return None
        is_next = second == self._second + 1
        self._divisor = max(1, math.ceil(self._seen / EVENTS_PER_SECOND)) if is_next else 1
        self._second, self._seen, self._passed = second, 0, 0
        skipped, self._skipped = self._skipped, Counter()
        return skipped

    def passes(self, kind: str, trace: str) -> bool:
        """True if an event of this second passes."""
        self._seen += 1
        # The events of one request pass together. Of two nodes, the one with more events passes a subset of the other's
        # traces.
        if self._passed < EVENTS_PER_SECOND and (
            self._divisor == 1 or zlib.crc32(trace.encode()) * self._divisor < HASHES
        ):
            self._passed += 1
            return True
        self._skipped[kind] += 1
        return False

    def skip(self, skipped: Mapping[str, int]) -> None:
        """Count events that were omitted elsewhere."""
        self._skipped.update(skipped)

    def skip_seen(self, skipped: Counter[str]) -> None:
        """Count events that were omitted for the same rate limit. The next second's sampling takes them into
        account."""
        self._seen += skipped.total()
        self._skipped.update(skipped)


def _trace_of(event: FeedEvent) -> str:
    return sampling_key(event.trace or event.fields.get("id"), event.at, event.topic, event.recipient)


class Watcher:
    """ports.live_feed.Watch: events of this process that one watcher has not read yet."""

    def __init__(self, feed: "LiveFeed", clock: Clock, group: "WatcherGroup") -> None:
        self._feed = feed
        self._sampler = Sampler(clock)
        self._pending: list[FeedEvent | SkippedEvents] = []
        self._changed = asyncio.Event()
        self._is_closed = False
        self.group = group

    def add(self, event: FeedEvent) -> None:
        """Add a matching event, unless the rate limit is reached or the watcher reads too slowly."""
        self._begin_second()
        if self._is_full:
            self._sampler.skip({event.kind: 1})
        elif self._sampler.passes(event.kind, _trace_of(event)):
            self._pending.append(event)
        self._changed.set()

    def add_skipped(self, skipped: Mapping[str, int]) -> None:
        """Count events that another node omitted."""
        self._sampler.skip(skipped)
        self._changed.set()

    def add_sampled(self, skipped: Counter[str]) -> None:
        """Count events that the group omitted in the last second."""
        self._sampler.skip_seen(skipped)
        self._begin_second()
        self._changed.set()

    @property
    def _is_full(self) -> bool:
        return len(self._pending) >= MAX_PENDING_EVENTS

    def _begin_second(self) -> None:
        skipped = self._sampler.begin_second()
        if skipped and self._is_full:
            self._sampler.skip(skipped)
        elif skipped:
            self._pending.append(SkippedEvents(skipped.total(), dict(skipped)))

    async def batches(self) -> AsyncIterator[Sequence[FeedEvent | SkippedEvents]]:
        while not self._is_closed:
            # The next second must report the omitted events of this one, even if no other event occurs.
            has_skipped = self._sampler.has_skipped or self.group.has_skipped
            try:
                await asyncio.wait_for(self._changed.wait(), SECOND_MS / 1000 if has_skipped else QUIET_SECONDS)
            except TimeoutError:
                self.group.begin_second()
                self._begin_second()
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


class WatcherGroup:
    """The watchers with the same filter. An event is matched and sampled once for all of them: at thousands of events
    per second, each watcher would cost a tenth of the server's CPU time."""

    def __init__(self, clock: Clock, wanted: FeedFilter) -> None:
        self.wanted = wanted
        self.watchers: tuple[Watcher, ...] = ()
        self._sampler = Sampler(clock)
        # Events that do not pass are never created.
        self._needs_event = not wanted.is_of_kinds_and_tenants

    @property
    def has_skipped(self) -> bool:
        return self._sampler.has_skipped

    def begin_second(self) -> None:
        """Report what was skipped in an earlier second."""
        skipped = self._sampler.begin_second()
        if skipped:
            for watcher in self.watchers:
                watcher.add_sampled(skipped)

    def offer(self, event: FeedEvent) -> None:
        """Pass an event to the watchers if it matches and the rate limit permits."""
        if self.wanted.matches(event):
            self.begin_second()
            if self._sampler.passes(event.kind, _trace_of(event)):
                self._add(event)

    def offer_later(self, kind: str, tenant: str, trace: str, make: Callable[[], FeedEvent]) -> None:
        """Like `offer`, but the event is created only if it is needed."""
        if self._needs_event:
            self.offer(make())
        elif self.wanted.matches_kind_and_tenant(kind, tenant):
            self.begin_second()
            if self._sampler.passes(kind, trace):
                self._add(make())

    def _add(self, event: FeedEvent) -> None:
        for watcher in self.watchers:
            watcher.add(event)


class LiveFeed:
    """ports.live_feed.Feed. Every method must be called on the event loop's thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rings: dict[str, deque[Kept]] = {kind: deque(maxlen=KEPT_EVENTS) for kind in FEED_KINDS}
        self.emitted: Counter[str] = Counter()  # events since the start, by kind
        self.tenants = TenantCounts()
        self._groups: dict[FeedFilter, WatcherGroup] = {}
        self._requests: deque[KeptRequest] = deque(maxlen=REQUESTS)
        self._refusals: deque[KeptRequest] = deque(maxlen=REFUSALS)

    @property
    def is_watched(self) -> bool:
        return bool(self._groups)

    def emit(self, event: FeedEvent) -> None:
        self._rings[event.kind].append(event)
        self.emitted[event.kind] += 1
        self.tenants.count(event.kind, event.tenant, event.fields)
        for group in self._groups.values():
            group.offer(event)

    def count(self, kind: SimpleFeedKind, tenant: str, number: int) -> None:
        self.emitted[kind] += number
        self.tenants.count_simple(kind, tenant, number)

    def emit_later(self, kind: SimpleFeedKind, tenant: str, trace: str, make: Callable[[], FeedEvent]) -> None:
        self._rings[kind].append(make)
        self.emitted[kind] += 1
        self.tenants.count_simple(kind, tenant, 1)
        for group in self._groups.values():
            group.offer_later(kind, tenant, trace, make)

    def emit_each_later(
        self, kind: SimpleFeedKind, tenant: str, events: Sequence[tuple[str, Callable[[], FeedEvent]]]
    ) -> None:
        """Like `emit_later`, for several events with their traces."""
        self._rings[kind].extend([make for _, make in events])
        self.count(kind, tenant, len(events))
        for group in self._groups.values():
            for trace, make in events:
                group.offer_later(kind, tenant, trace, make)

    def watch(self, wanted: FeedFilter) -> Watcher:
        """Start to watch this process."""
        group = self._groups.get(wanted)
        if group is None:
            group = self._groups[wanted] = WatcherGroup(self._clock, wanted)
        watcher = Watcher(self, self._clock, group)
        group.watchers += (watcher,)
        return watcher

    def recent(self, wanted: FeedFilter, last: int) -> list[FeedEvent]:
        """Return the last events that match, oldest first."""
        if not last:
            return []
        rings = [ring for kind, ring in self._rings.items() if wanted.kinds is None or kind in wanted.kinds]
        made = ((kept if isinstance(kept, FeedEvent) else kept() for kept in reversed(ring)) for ring in rings)
        newest = merge(*made, key=lambda event: event.at, reverse=True)
        return list(islice((event for event in newest if wanted.matches(event)), last))[::-1]

    def remove(self, watcher: Watcher) -> None:
        """Unregister a closed watcher."""
        group = watcher.group
        group.watchers = tuple(one for one in group.watchers if one is not watcher)
        if not group.watchers and self._groups.get(group.wanted) is group:
            del self._groups[group.wanted]

    def close(self) -> None:
        """End all watches, so that their responses do not hold up a shutdown."""
        for watcher in [watcher for group in self._groups.values() for watcher in group.watchers]:
            watcher.close()

    # --- requests

    def add_request(self, request: KeptRequest, *, is_refused: bool) -> None:
        """Keep a request. Refusals have their own ring buffer, so that successful requests do not displace them."""
        (self._refusals if is_refused else self._requests).append(request)

    def requests(self, wanted: RequestFilter, before: tuple[int, str] | None) -> Sequence[ServedRequest]:
        def position(request: ServedRequest) -> tuple[int, str]:
            return request.at, request.id

        both = (request for ring in (self._requests, self._refusals) for request in _made(ring))
        matching = [one for one in both if (before is None or position(one) < before) and wanted.matches(one)]
        return sorted(matching, key=position, reverse=True)


def _made(ring: deque[KeptRequest]) -> list[ServedRequest]:
    """Create the requests that have not been read before."""
    made = [one if isinstance(one, ServedRequest) else one() for one in ring]
    ring.clear()
    ring.extend(made)
    return made
