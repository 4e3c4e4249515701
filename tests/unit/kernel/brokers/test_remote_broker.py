"""A broker between processes recovers from failed starts and unexpected exceptions."""

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
import pytest
import structlog

from bellcast.kernel.brokers import remote
from bellcast.kernel.brokers.remote import PubSubMessage, RemoteBroker
from bellcast.kernel.clock import SystemClock
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import Event, LiveEvent, Stream, inbox_stream, topic_stream
from bellcast.live.types import AnyEvent, FeedBatch
from tests.clock import FakeClock

LIMIT_SECONDS = 60


class Transport:
    """Connects when `gate` is set; raises `failures` first."""

    def __init__(self, *failures: Exception) -> None:
        self.sent = 0
        self.failures = list(failures)
        self.gate = asyncio.Event()

    async def connect(self, hear: Callable[[bytes], None]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        await self.gate.wait()

    async def follow(self, streams: Sequence[Stream]) -> None: ...
    async def unfollow(self, streams: Sequence[Stream]) -> None: ...
    async def send(self, messages: Sequence[PubSubMessage]) -> None:
        self.sent += len(messages)

    async def fence(self) -> None: ...
    async def ping(self, *, writes: bool = False) -> None: ...
    async def close(self) -> None: ...

    async def wait_lost(self) -> None:
        await asyncio.Event().wait()


async def test_open_after_a_failed_start_waits_for_the_connection() -> None:
    transport = Transport(OSError("away"))
    broker = RemoteBroker(transport, SystemClock(), AnyEvent)
    await broker.open()
    await broker.close()
    opening = asyncio.ensure_future(broker.open())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not opening.done()
    transport.gate.set()
    await asyncio.wait_for(opening, LIMIT_SECONDS)
    await broker.ping()
    await broker.close()


async def test_closed_broker_is_not_connected() -> None:
    transport = Transport()
    transport.gate.set()
    broker = RemoteBroker(transport, SystemClock(), AnyEvent)
    await broker.open()
    await broker.close()
    with pytest.raises(Unavailable):
        await broker.ping()


async def test_broker_reconnects_after_an_unexpected_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIRST_WAIT", 0)
    transport = Transport(RuntimeError("unforeseen"))
    transport.gate.set()
    connected = asyncio.Event()
    broker = RemoteBroker(transport, SystemClock(), AnyEvent)
    broker.listen(lambda event: None, lambda streams: connected.set())
    await broker.open()
    await asyncio.wait_for(connected.wait(), LIMIT_SECONDS)
    await broker.close()


async def test_end_of_an_outage_is_logged_with_its_length() -> None:
    clock, transport = FakeClock(), Transport(OSError("away"), OSError("away"))
    transport.gate.set()
    broker = RemoteBroker(transport, clock, AnyEvent)
    with structlog.testing.capture_logs() as logs:
        await broker.open()
        while not broker._connected:
            clock.advance(1)
            await asyncio.sleep(0.001)
        await broker.close()
    (connected,) = [line for line in logs if line["event"] == "broker_connected"]
    assert 1_000 <= connected["outage_ms"] <= 60_000


async def test_broker_reconnects_after_a_transport_that_failed_to_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIRST_WAIT", 0)
    transport = Transport(OSError("away"))
    transport.gate.set()
    failures = [TimeoutError("closing")]

    async def close() -> None:
        if failures:
            raise failures.pop()

    monkeypatch.setattr(transport, "close", close)
    connected = asyncio.Event()
    broker = RemoteBroker(transport, SystemClock(), AnyEvent)
    broker.listen(lambda event: None, lambda streams: connected.set())
    await broker.open()
    await asyncio.wait_for(connected.wait(), LIMIT_SECONDS)
    await broker.close()


async def test_feed_batches_of_an_outage_are_limited_and_displace_no_events() -> None:
    transport = Transport(OSError("away"))
    connected = asyncio.Event()
    broker = RemoteBroker(transport, SystemClock(), AnyEvent, (FeedBatch,))
    broker.listen(lambda event: None, lambda streams: connected.set())
    await broker.open()
    for _ in range(remote.MAX_OUTGOING):
        await broker.publish(FeedBatch("there", "here", "w", (b"x",)))
    await broker.publish(LiveEvent(tenant="", name="n", data=1, topic="t"))
    transport.gate.set()
    await asyncio.wait_for(connected.wait(), LIMIT_SECONDS)
    await broker.close()
    assert transport.sent == remote.MAX_OUTGOING_BEFORE_EXPENDABLE + 1


# Messages of 0.1.0+0ecf2eb9, the last version in which every node had the state of all: heartbeat, request of it, used rates.
OLD_CLUSTER_MESSAGES = (
    b"\x89\xa4kind\xa4node\xa4node\xa20a\xa6number\x07\xabconnections\x03\xa6counts\x81\xacinbox\x1f\x1falice\x01\xa7members"
    b"\x90\xa5piece\x00\xa6pieces\x00\xa6report\xc0",
    b"\x83\xa4kind\xabnodes-asked\xa4node\xa20a\xa2of\xc0",
    b"\x83\xa4kind\xa5spent\xa4node\xa20a\xa5taken\x81\xa9send acme\x03",
)
OLD_EVENTS = (
    b"\x83\xa4kind\xb3notification-delete\xa5inbox\x86\xa6tenant\xa0\xa9recipient\xa5alice\xa5epoch\x05\xa8revision\t"
    b"\xa6unread\x01\xa6unseen\x00\xa2id\xa2n1",
    b"\x8d\xa4kind\xa5event\xa6tenant\xa0\xa4name\xa1n\xa4data\x81\xa1a\x01\xa5topic\xa4room\xa9recipient\xc0\xa6sender\xc0"
    b"\xa4text\xc0\xa6member\xc0\xa4keep\xc3\xa2id\xc0\xa5trace\xc0\xabaccepted_at\xc0",
)


async def test_messages_of_an_older_node_warn_once_a_minute_for_each_kind_and_its_events_are_delivered() -> None:
    clock, received = FakeClock(), list[Event]()
    broker = RemoteBroker(Transport(), clock, AnyEvent)
    broker.listen(received.append)
    for stream in (inbox_stream("", "alice"), topic_stream("", "room")):
        broker.follow(stream)
    origin = b"12345678"
    with structlog.testing.capture_logs() as logs:
        for _ in range(90):  # three minutes of heartbeats
            for message in (*OLD_CLUSTER_MESSAGES, b"\xc1"):
                broker._receive(origin + message)
            clock.advance(2)
        assert Counter(line["kind"] for line in logs) == {"node": 3, "nodes-asked": 3, "spent": 3, "malformed": 3}
        logs.clear()
        clock.advance(-86_400)
        broker._receive(origin + b"\xc1")
        assert [line["kind"] for line in logs] == ["malformed"]
        logs.clear()
        for number in range(1_000):
            broker._receive(origin + msgspec.msgpack.encode({"kind": f"newer{number}"}))
        assert len(logs) == remote.MAX_UNKNOWN_KINDS - 4 + 1
    for message in OLD_EVENTS:
        broker._receive(origin + message)
    assert [event.stream for event in received] == [inbox_stream("", "alice"), topic_stream("", "room")]


async def test_loss_that_a_send_notices_first_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIRST_WAIT", 0)
    transport = Transport()
    transport.gate.set()
    has_sent = asyncio.Event()

    async def send(_: Sequence[PubSubMessage]) -> None:
        has_sent.set()
        raise Unavailable("The connection was lost.")

    async def lose() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:  # `wait_for` ends like this if it is cancelled when its future is done
            raise Unavailable("The connection was lost.") from None

    monkeypatch.setattr(transport, "send", send)
    monkeypatch.setattr(transport, "wait_lost", lose)
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    broker = RemoteBroker(transport, SystemClock(), AnyEvent)
    await broker.open()
    await broker.publish(LiveEvent(tenant="", name="n", data=1, topic="t"))
    await asyncio.wait_for(has_sent.wait(), LIMIT_SECONDS)
    await broker.close()
    gc.collect()  # a task reports its exception when it is deleted
    assert errors == []


class ImpatientClock(FakeClock):
    """Records how long it sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.has_slept_often = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        if len(self.waits) == 8:
            self.has_slept_often.set()
        self.advance(seconds)
        await asyncio.sleep(0)


async def test_pauses_between_useless_connections_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bellcast.kernel.brokers.remote.random.uniform", lambda _, longest: longest)
    transport, clock = Transport(), ImpatientClock()
    transport.gate.set()

    async def lose() -> None:
        if len(clock.waits) == 6:
            clock.advance(60)  # this connection lasts
        raise Unavailable("The log cannot be read.")

    monkeypatch.setattr(transport, "wait_lost", lose)
    broker = RemoteBroker(transport, clock, AnyEvent)
    await broker.open()
    await asyncio.wait_for(clock.has_slept_often.wait(), LIMIT_SECONDS)
    await broker.close()
    assert clock.waits[:8] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 0.05, 0.1]
