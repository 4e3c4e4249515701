"""The history of live events in a log shared by several processes.

Stored events reach every process, including the publishing one, in log order through the broker's subscriptions. A read
merges the log's content with events that the subscriptions deliver in the meantime."""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence

import msgspec
import structlog
from msgspec.structs import replace

from bellcast.kernel.brokers import LogFull, LogRead, LogUnsupported, NewEntry, ReadKind, StoredEntry, TopicLog, history
from bellcast.kernel.brokers.history import (
    NO_HISTORY,
    SWEEP_INTERVAL_SECONDS,
    CollectedEvents,
    EventId,
    HistoryPage,
    HistoryRule,
    KeepRules,
    PastEvents,
    TopicHistory,
)
from bellcast.kernel.brokers.remote import RemoteBroker
from bellcast.kernel.clock import Clock
from bellcast.kernel.concurrency import CallBatcher
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import INBOX, SEPARATOR, TOPIC, UNENCODABLE, LiveEvent, Stream

log = structlog.get_logger(__name__)

# Maximum events per append: about 5 ms of Redis time, and one transaction of PostgreSQL.
MAX_APPEND_EVENTS = 500
# Streams per read after an interruption: a few milliseconds of Redis time.
STREAMS_PER_READ = 500
# Reads of what is missing, each because of events that went missing during the one before. What is held back grows until then.
MAX_ROUNDS = 3

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(LiveEvent).decode


class RemoteHistory(TopicHistory):
    """A TopicHistory in a log that several processes share."""

    def __init__(
        self, topic_log: TopicLog, broker: RemoteBroker, clock: Clock, rules: Callable[[], Sequence[HistoryRule]]
    ) -> None:
        self._log = topic_log
        self._broker = broker
        self._clock = clock
        self._rules = KeepRules(rules)
        self._on_lost: Callable[[Collection[Stream]], None] = lambda _: None
        # By tenant: the position up to which this process has delivered all stored events of the streams that it follows.
        self._delivered: dict[str, EventId] = {}
        self._collected = CollectedEvents()  # received during reads
        # Tenants whose events are held back until earlier ones that may be missing are read; None: all, without a connection.
        self._gaps: set[str] | None = set()
        self._unread: set[str] = set()  # those of which the log is still to be read
        self._lost: set[Stream] = set()  # still to be reported
        self._held: list[LiveEvent] = []
        self._filled: asyncio.Future[bool] | None = None  # while events are held; False: interrupted again
        self._filling: asyncio.Task[None] | None = None
        self._interruptions = 0
        # By tenant. An event without an id is not kept.
        self._appends = CallBatcher[NewEntry, EventId | None](self._append, MAX_APPEND_EVENTS, topic_log.max_appends)
        self._used: set[str] = set()  # tenants with appends since the last sweep, or with events after it
        self._has_swept = False
        self._is_supported = True
        broker.read_log_with(self.receive, self.interrupted, self.reconnected, self.closed)
        topic_log.listen(self.on_hole)

    # --- TopicHistory

    async def append(self, *events: LiveEvent) -> tuple[LiveEvent, ...]:
        pending: list[asyncio.Future[EventId | None] | None] = []
        for event in events:
            rule, kept = self._rules.for_event(event) if self._is_supported else None, None
            if rule is not None:
                try:
                    entry = NewEntry(event.stream, _encode(event), rule.duration_ms, rule.events or 0)
                    kept = self._appends.call(event.tenant, entry)
                except UNENCODABLE:
                    pass  # the broker logs it
            pending.append(kept)
        # `gather` collects all exceptions; for one event, it would take a third of this method's time
        if len(events) > 1:
            await asyncio.gather(*filter(None, pending))
        ids = [None if one is None else await one for one in pending]
        return tuple(
            [event if id is None else replace(event, id=id.text) for event, id in zip(events, ids, strict=True)]
        )

    def end(self, tenant: str) -> str | None:
        delivered = self._delivered.get(tenant)
        return None if delivered is None else delivered.text

    async def missed(self, tenant: str, streams: Collection[Stream], after: str) -> PastEvents:
        start = history.parse_event_id(after)
        if start is None:
            return await self.newest(tenant, streams, 0)
        found = await self._read("missed", tenant, streams, start, 0)
        if found is None:
            return PastEvents()
        kept, read, later, end = found
        events = _events(read)
        # With streams, `incomplete` covers an unknown id.
        is_known = bool(kept) or (start.epoch == read.end.epoch and start.offset <= read.end.offset)
        if read.incomplete or len(events) < len(read.entries) or not is_known or end.epoch != read.end.epoch:
            return PastEvents(end=end.text)
        return PastEvents((*events, *later), recovered=True, end=end.text)

    async def newest(self, tenant: str, streams: Collection[Stream], count: int) -> PastEvents:
        found = await self._read("newest", tenant, streams, None, count)
        if found is None:
            return PastEvents()
        _, read, later, end = found
        counts: Counter[Stream] = Counter()
        newest: list[LiveEvent] = []
        for event in reversed((*_events(read), *later)):
            counts[event.stream] += 1
            if counts[event.stream] <= count:
                newest.append(event)
        return PastEvents(tuple(reversed(newest)), end=end.text)

    async def confirm(self, streams: Collection[Stream]) -> None:
        if self._is_supported:
            with self._following(streams) as kept:
                await self._wait_received(kept)

    async def page(self, tenant: str, stream: Stream, after: str | None, limit: int) -> HistoryPage:
        start = None if after is None else history.parse_event_id(after)
        streams = self._rules.kept_streams([stream])
        with self._unless_unsupported():
            read = await self._log.read("page", tenant, streams, start, limit + 1, self._clock.now())
            decoded = [(_event(entry, read.end.epoch), entry.at) for entry in read.entries[:limit]]
            events = tuple([(event, at) for event, at in decoded if event is not None])
            is_known = start is not None and start.epoch == read.end.epoch and not read.incomplete
            has_more = bool(events) and len(read.entries) > limit
            return HistoryPage(events, has_more, f"{read.end.epoch:x}", after is None or is_known)
        return await NO_HISTORY.page(tenant, stream, after, limit)

    async def clear(self, tenant: str, stream: Stream | None) -> None:
        with self._unless_unsupported():  # else there are no events
            await self._log.clear(tenant, stream, self._clock.now())

    async def count_logs(self) -> int | None:
        if self._is_supported:
            with self._unless_unsupported():
                return await self._log.count_logs()
        return None

    def listen(self, on_lost: Callable[[Collection[Stream]], None]) -> None:
        self._on_lost = on_lost

    async def run(self) -> None:
        while True:
            await self._clock.sleep(SWEEP_INTERVAL_SECONDS)
            used, self._used = self._used if self._is_supported else set(), set()
            try:
                with self._unless_unsupported():
                    if self._is_supported and not self._has_swept:  # processes that have ended may have left events
                        used |= set(await self._log.tenants())
                    for tenant in used:
                        if await self._log.sweep(tenant, self._clock.now()):
                            self._used.add(tenant)
                    self._has_swept = True
            except Unavailable:
                self._used |= used
            # Drop the delivered positions of tenants whose streams this process no longer follows
            followed = {_tenant(stream) for stream in self._broker.followed}
            for tenant in self._delivered.keys() - followed:
                del self._delivered[tenant]
            if self._filled is None:
                self._on_lost(())

    # --- append

    async def _append(self, tenant: str, entries: Sequence[NewEntry]) -> Sequence[EventId | Exception | None]:
        self._used.add(tenant)
        try:
            with self._unless_unsupported(), contextlib.suppress(LogFull):
                return await self._log.append(tenant, entries, self._clock.now())
        except Unavailable:
            raise
        except Exception:
            log.exception("event_append_failed")
            raise
        return [None] * len(entries)  # the events are delivered only

    @contextlib.contextmanager
    def _unless_unsupported(self) -> Iterator[None]:
        """Keep nothing from now on if the engine cannot store a log."""
        try:
            yield
        except LogUnsupported as failure:
            if self._is_supported:  # concurrent calls fail too
                log.warning("topic_history_unsupported", reason=str(failure))
            self._is_supported = False

    # --- read

    async def _read(
        self, kind: ReadKind, tenant: str, streams: Collection[Stream], after: EventId | None, limit: int
    ) -> tuple[Sequence[Stream], LogRead, list[LiveEvent], EventId] | None:
        """Return which of the streams are kept, what the log has, the events that were received in the meantime but not read, and
        the id of the last event of both; None if the engine cannot store a log."""
        if not self._is_supported:
            return None
        with self._unless_unsupported(), self._following(streams) as kept:
            while True:
                await self._wait_received(kept)
                interruptions = self._interruptions
                with self._collected.collecting(kept) as collected:
                    read = await self._log.read(kind, tenant, kept, after, limit, self._clock.now())
                    if self._may_be_in_flight(tenant, read):
                        await self._broker.fence()
                        if interruptions == self._interruptions and self._may_be_in_flight(tenant, read):
                            self._delivered[tenant] = read.end
                if interruptions != self._interruptions:
                    continue
                self._log.begin(kept, read.end)
                end = read.end
                later = [one for one in collected if _id(one).epoch != end.epoch or _id(one).offset > end.offset]
                return kept, read, later, _id(later[-1]) if later else end
        return None

    @contextlib.contextmanager
    def _following(self, streams: Collection[Stream]) -> Iterator[Sequence[Stream]]:
        """Follow the stored ones of these streams until the caller has had the chance to follow them."""
        kept = self._rules.kept_streams(streams)
        for stream in kept:
            self._broker.follow(stream)
        try:
            yield kept
        finally:
            # After the caller's own `follow` in this iteration.
            for stream in kept:
                asyncio.get_running_loop().call_soon(self._broker.unfollow, stream)

    async def _wait_received(self, streams: Sequence[Stream]) -> None:
        """Wait until followed streams are subscribed and no gap is open. Raises Unavailable."""
        await self._broker.wait_followed(streams)
        if self._filled is not None and not await asyncio.shield(self._filled):
            raise Unavailable("The log of live events cannot be read.")

    def _may_be_in_flight(self, tenant: str, read: LogRead) -> bool:
        """True if a subscription may still deliver an event up to the end of the log."""
        delivered = self._delivered.get(tenant)
        if delivered is None or delivered.epoch != read.end.epoch:
            return True
        return read.end.offset > delivered.offset

    # --- stored events that the broker receives

    def receive(self, event: LiveEvent) -> None:
        if self._gaps is None or event.tenant in self._gaps:
            _id(event)  # an invalid id is refused here, not when the gap is filled
            self._held.append(event)
        else:
            self._deliver(event)

    def _deliver(self, event: LiveEvent) -> None:
        self._delivered[event.tenant] = _id(event)
        self._collected.add(event)
        self._broker.deliver(event)

    def interrupted(self) -> None:
        """Start to hold back stored events, because there may be a gap before them."""
        filled, self._filled = self._filled, None
        if filled is not None:
            filled.set_result(False)
        if self._filling is not None:
            self._filling.cancel()
        self._gaps, self._held, self._filling = None, [], None
        self._begin_gap()

    def _begin_gap(self) -> None:
        self._interruptions += 1
        self._filled = self._filled or asyncio.get_running_loop().create_future()

    def reconnected(self) -> None:
        """Read what is missing of all tenants."""
        if self._gaps is None:  # not the first connection
            self._unread = {_tenant(stream) for stream in self._broker.followed}
            self._gaps = self._unread | {event.tenant for event in self._held}
            self._filling = asyncio.get_running_loop().create_task(self._fill())

    def on_hole(self, stream: Stream) -> None:
        """Hold the tenant back and read what is missing."""
        tenant = _tenant(stream)
        self._begin_gap()
        self._unread.add(tenant)
        if self._gaps is not None:
            self._gaps.add(tenant)
            self._filling = self._filling or asyncio.get_running_loop().create_task(self._fill())

    async def closed(self) -> None:
        if self._filling is not None:
            self._filling.cancel()
        await self._log.close()

    async def _fill(self) -> None:
        """Read what the followed streams have missed, then resume delivery. If the log cannot be read, reconnect."""
        found: dict[str, dict[EventId, LiveEvent]] = defaultdict(dict)
        try:
            for _ in range(MAX_ROUNDS):
                if not self._unread:
                    break
                unread, self._unread = self._unread, set()
                by_tenant: dict[str, list[Stream]] = defaultdict(list)
                for stream in self._broker.followed:
                    is_kept = stream.startswith((TOPIC, INBOX))
                    if is_kept and _tenant(stream) in unread and self._rules.for_stream(stream):
                        by_tenant[_tenant(stream)].append(stream)
                for tenant, followed in by_tenant.items():
                    for start in range(0, len(followed), STREAMS_PER_READ):
                        some = followed[start : start + STREAMS_PER_READ]
                        if (read := await self._read_missed(tenant, some)) is None:
                            self._lost |= set(some)
                            continue
                        events = _events(read)
                        found[tenant] |= {_id(event): event for event in events}
                        self._lost |= set(read.incomplete if len(events) == len(read.entries) else some)
                        self._log.advance(some, read.end)
                await self._broker.fence()  # events that arrive until then may have another hole before them
        except (Unavailable, OSError) as failure:
            log.warning("topic_history_unreadable", reason=str(failure))
            self._broker.reconnect()
            return
        except Exception:  # without another attempt, events would be held back forever
            log.exception("topic_history_failed")
            self._broker.reconnect()
            return
        if self._unread:
            log.warning("topic_history_unreadable", reason="events went missing during each read")
            self._broker.reconnect()
        else:
            self._resume_delivery(found)

    async def _read_missed(self, tenant: str, streams: Sequence[Stream]) -> LogRead | None:
        """Read streams after the last event that was delivered; None if there is none, or no log."""
        after = self._delivered.get(tenant)
        if after is not None:
            with self._unless_unsupported():
                return await self._log.read("missed", tenant, streams, after, 0, self._clock.now())
        return None

    def _resume_delivery(self, missed: dict[str, dict[EventId, LiveEvent]]) -> None:
        held, self._held, self._gaps = self._held, [], set()
        filled, self._filled, self._filling = self._filled, None, None
        lost, self._lost = self._lost, set()
        if lost:
            log.warning("kept_events_lost", streams=len(lost))
        self._on_lost(lost)
        later: list[LiveEvent] = []  # from another log, or without a gap before them
        for event in held:
            start = self._delivered.get(event.tenant)
            if start is None or _id(event).epoch != start.epoch:
                if _id(event) not in missed[event.tenant]:
                    later.append(event)
            elif _id(event).offset > start.offset:
                missed[event.tenant][_id(event)] = event
        for events in missed.values():
            for id in sorted(events, key=lambda id: id.offset):
                self._deliver(events[id])
        for event in later:
            self._deliver(event)
        if filled is not None:
            filled.set_result(True)


def _tenant(stream: Stream) -> str:
    return stream.split(SEPARATOR, 2)[1] if SEPARATOR in stream else ""


def _id(event: LiveEvent) -> EventId:
    id = history.parse_event_id(event.id or "")
    if id is None:
        raise ValueError(event.id)
    return id


def _event(entry: StoredEntry, epoch: int) -> LiveEvent | None:
    """Decode an entry. None if it was written by a newer version, during a rolling update, or by another program."""
    try:
        event = _decode(entry.payload)
    except (msgspec.DecodeError, ValueError, RecursionError) as failure:
        log.warning("event_not_decodable", reason=str(failure))
        return None
    return replace(event, id=EventId(epoch, entry.offset).text)


def _events(read: LogRead) -> list[LiveEvent]:
    """Return the events of a read, without those that cannot be decoded."""
    return [event for entry in read.entries if (event := _event(entry, read.end.epoch)) is not None]
