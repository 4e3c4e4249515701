"""Events that are kept in a log of several processes: one tenant's log that cannot be written delays no other, and events
that do not arrive are read or reported."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import Any, cast

import msgspec
import pytest

from bellcast.kernel.brokers import LogRead, NewEntry, ReadKind, StoredEntry, TopicLog, remote_history
from bellcast.kernel.brokers.history import DEFAULT_HISTORY, EventId, parse_rules
from bellcast.kernel.brokers.nats_log import NatsLog
from bellcast.kernel.brokers.remote import RemoteBroker
from bellcast.kernel.brokers.remote_history import RemoteHistory
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import LiveEvent, Stream
from bellcast.live.types import AnyEvent
from tests.clock import FakeClock
from tests.unit.kernel.brokers.test_remote_broker import Transport


class Log(TopicLog):
    """A log in which tenants named `stuck` have no leader until `fails` is set."""

    max_appends = NatsLog.max_appends

    def __init__(self) -> None:
        self.appends: list[tuple[str, int]] = []
        self.began = asyncio.Event()
        self.fails = asyncio.Event()

    async def append(self, tenant: str, entries: Sequence[NewEntry], now: int) -> Sequence[EventId]:
        self.appends.append((tenant, len(entries)))
        self.began.set()
        if tenant.startswith("stuck"):
            await self.fails.wait()
            self.fails.clear()
            raise Unavailable("no leader")
        return [EventId(1, number + 1) for number in range(len(entries))]


def history_of(log: Log) -> RemoteHistory:
    clock = FakeClock()
    broker = RemoteBroker(Transport(), clock, AnyEvent)
    return RemoteHistory(cast(TopicLog, log), broker, clock, lambda: parse_rules(DEFAULT_HISTORY))


def append(history: RemoteHistory, tenant: str) -> "asyncio.Task[Any]":
    return asyncio.create_task(history.append(LiveEvent(tenant, "n", None, topic="a")))


async def test_tenant_that_cannot_be_written_delays_no_other() -> None:
    log = Log()
    history = history_of(log)
    stuck = append(history, "stuck")
    for _ in range(3):
        (event,) = await asyncio.wait_for(append(history, "acme"), 60)
        assert event.id is not None
    assert not stuck.done()
    log.fails.set()
    with pytest.raises(Unavailable, match="no leader"):
        await stuck


async def test_many_tenants_that_cannot_be_written_delay_no_other() -> None:
    log = Log()
    history = history_of(log)
    stuck = [append(history, f"stuck{number}") for number in range(NatsLog.max_appends - 1)]
    (event,) = await asyncio.wait_for(append(history, "acme"), 60)
    assert event.id is not None
    for one in stuck:
        one.cancel()


async def test_events_that_waited_for_a_failed_append_fail_with_it() -> None:
    log = Log()
    history = history_of(log)
    first = append(history, "stuck")
    await log.began.wait()
    waiting = [append(history, "stuck") for _ in range(2)]
    await asyncio.sleep(0)
    log.fails.set()
    failures = await asyncio.wait_for(asyncio.gather(first, *waiting, return_exceptions=True), 60)
    assert [str(one) for one in failures] == ["no leader"] * 3
    assert log.appends == [("stuck", 1)]


async def test_events_of_one_moment_share_an_append() -> None:
    log = Log()
    history = history_of(log)
    await asyncio.gather(*(append(history, "acme") for _ in range(3)))
    assert log.appends == [("acme", 3)]


class HoleLog(Log):
    """A log whose event of each offset has a topic of one letter, and of which some offsets do not arrive."""

    def __init__(self, topics: str, first: int = 1) -> None:
        super().__init__()
        self.events = [LiveEvent("", "n", offset, topic=topic) for offset, topic in enumerate(topics, 1)]
        self.first = first  # the oldest offset that has not expired
        self.newest: dict[Stream, int] = {}  # that has arrived
        self.complete: dict[Stream, int] = {}  # up to which none is missing
        self.on_hole: Callable[[Stream], None]
        self.on_read: Callable[[], None] = lambda: None
        self.reads = 0

    def listen(self, on_hole: Callable[[Stream], None]) -> None:
        self.on_hole = on_hole

    def advance(self, streams: Sequence[Stream], end: EventId) -> None:
        self.newest |= {one: max(end.offset, self.newest[one]) for one in streams if one in self.newest}
        self.complete |= self.newest

    async def read(
        self, kind: ReadKind, tenant: str, streams: Sequence[Stream], after: EventId | None, limit: int, now: int
    ) -> LogRead:
        await asyncio.sleep(0)
        self.reads += 1
        self.on_read()
        assert after is not None
        start, left = after.offset, list(enumerate(self.events, 1))[self.first - 1 :]
        incomplete = {one.stream for offset, one in left if self.complete.get(one.stream, start) < offset <= start}
        entries = [
            StoredEntry(offset, 0, msgspec.msgpack.encode(event))
            for offset, event in left
            if event.stream in streams and offset > start
        ]
        is_known = self.first - 1 <= start
        end = EventId(1, len(self.events))
        return LogRead(end, entries if is_known else [], list(incomplete if is_known else streams))

    def arrive(self, history: RemoteHistory, offset: int) -> None:
        event = self.events[offset - 1]
        last = self.newest.get(event.stream)
        if last is not None and offset <= last:
            return
        if last is not None and any(one.stream == event.stream for one in self.events[last : offset - 1]):
            self.on_hole(event.stream)
        elif last is None or last == self.complete[event.stream]:
            self.complete[event.stream] = offset
        self.newest[event.stream] = offset
        history.receive(msgspec.structs.replace(event, id=EventId(1, offset).text))


class Following:
    """A process that follows the topics of a log: what it delivered, and its reports of lost events."""

    def __init__(self, log: HoleLog) -> None:
        self.log, self.history = log, history_of(log)
        self.streams = list({event.stream for event in log.events})
        self.delivered: list[int] = []
        self.reports: list[set[str]] = []
        self.broker = self.history._broker
        self.broker.listen(lambda event: self.delivered.append(cast(LiveEvent, event).data), lambda streams: None)
        self.history.listen(self._on_lost)

    def _on_lost(self, streams: Collection[Stream]) -> None:
        self.reports.append({stream[-1] for stream in streams})

    async def start(self) -> None:
        cast(Transport, self.broker.transport).gate.set()
        await self.broker.open()
        for stream in self.streams:
            self.broker.follow(stream)
        await self.history.confirm(self.streams)


Follow = Callable[[HoleLog], Any]


@pytest.fixture
async def follow() -> AsyncIterator[Follow]:
    """Return a factory of processes that follow the topics of a log."""
    started: list[Following] = []

    async def start(log: HoleLog) -> Following:
        started.append(Following(log))
        await started[-1].start()
        return started[-1]

    yield start
    for one in started:
        await one.broker.close()


@pytest.mark.parametrize(
    ("topics", "missing", "first", "lost"),
    [
        pytest.param("aaa", {2}, 1, set(), id="read"),
        pytest.param("aaaaa", {2, 4}, 1, set(), id="two"),
        pytest.param("abbaa", {4}, 1, set(), id="others between"),
        pytest.param("aaba", {2}, 1, {2}, id="behind another"),
        pytest.param("aabaa", {2, 4}, 1, {2}, id="around another"),
        pytest.param("aaaaa", {2, 4}, 5, {2, 4}, id="expired"),
        pytest.param("abcabcdabc", {4, 5, 6}, 1, {4, 5, 6}, id="several"),
        pytest.param("abbcaccb", {3, 6}, 1, {3}, id="one of several"),
    ],
)
async def test_missing_events_are_read_or_their_topics_reported_once(
    follow: Follow, topics: str, missing: set[int], first: int, lost: set[int]
) -> None:
    node = await follow(HoleLog(topics, first))
    offsets = range(1, len(topics) + 1)
    for offset in offsets:
        if offset not in missing:
            node.log.arrive(node.history, offset)
    await node.history.confirm(node.streams)
    assert node.delivered == [offset for offset in offsets if offset not in lost]
    assert node.reports == [{topics[offset - 1] for offset in lost}]


async def test_events_that_were_read_are_not_reported_for_a_later_hole(follow: Follow) -> None:
    node = await follow(HoleLog("aaaaaa"))
    for offset in (1, 3, 6):  # the read after the third finds all
        node.log.arrive(node.history, offset)
        await node.history.confirm(node.streams)
    assert (node.delivered, node.reports) == ([1, 2, 3, 4, 5, 6], [set()])


async def test_events_that_go_missing_during_each_read_lead_to_another_connection(
    follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await follow(HoleLog("aaa"))
    has_reconnected = asyncio.Event()
    monkeypatch.setattr(node.broker, "reconnect", has_reconnected.set)
    node.log.on_read = lambda: node.log.on_hole(node.streams[0])
    node.log.arrive(node.history, 1)
    node.log.arrive(node.history, 3)
    await asyncio.wait_for(has_reconnected.wait(), 60)
    assert (node.delivered, node.reports) == ([1], [])
    assert node.log.reads == remote_history.MAX_ROUNDS
