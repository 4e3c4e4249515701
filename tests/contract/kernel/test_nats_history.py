"""The history of live events on JetStream: what a server, a cluster or their settings do to a log."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import msgspec
import pytest
import structlog

from bellcast.kernel.brokers import NewEntry, nats_log
from bellcast.kernel.brokers import history as model
from bellcast.kernel.brokers.nats import NatsTransport
from bellcast.kernel.brokers.nats_log import ANCHOR_MS, NatsLog
from bellcast.kernel.brokers.remote import RemoteBroker
from bellcast.kernel.brokers.remote_history import RemoteHistory
from bellcast.kernel.clock import SystemClock
from bellcast.kernel.errors import TooLarge, Unavailable
from bellcast.kernel.events import LiveEvent, inbox_stream, topic_stream
from bellcast.live.types import AnyEvent
from tests import engines
from tests.clock import FakeClock
from tests.contract.kernel.test_broker import wait_until
from tests.contract.kernel.test_shared_history import Node, wait_until_open
from tests.contract.kernel.test_topic_history import data
from tests.servers import free_port

A, B = topic_stream("", "a"), topic_stream("", "b")
projects = itertools.count()


class NatsNode(Node):
    """A node whose transport, log and clock the test reaches."""

    @property
    def transport(self) -> NatsTransport:
        transport = self.broker.transport
        assert isinstance(transport, NatsTransport)
        return transport

    @property
    def log(self) -> NatsLog:
        history: Any = self.history
        log: NatsLog = history._log
        return log

    @property
    def clock(self) -> FakeClock:
        history: Any = self.history
        clock: FakeClock = history._clock
        return clock

    async def config(self) -> dict[str, Any]:
        stream = await self.log._find("")
        assert stream is not None
        config: dict[str, Any] = (await self.log._api("STREAM.INFO", stream.name))["config"]
        return config


Start = Callable[..., Awaitable[NatsNode]]


@pytest.fixture
def own_nats() -> Iterator[Callable[..., engines.NatsServer]]:
    """Return a factory of servers for one test, which may restart them."""
    servers: list[engines.NatsServer] = []

    def server(*config: str, jetstream: bool = True) -> engines.NatsServer:
        servers.append(engines.NatsServer(*config, jetstream=jetstream))
        servers[-1].start()
        return servers[-1]

    yield server
    for one in servers:
        one.end()


OwnNats = Callable[..., engines.NatsServer]


@pytest.fixture
async def start(own_nats: OwnNats) -> AsyncIterator[Start]:
    """Return a factory of the nodes of one project, which end before the servers."""
    nodes: list[NatsNode] = []
    project = f"natshistory{next(projects)}"

    async def node(url: str | None = None, *rules: str, limit: int = 10**7) -> NatsNode:
        transport = NatsTransport(url or engines.nats().url, project)
        broker = RemoteBroker(transport, SystemClock(), AnyEvent)
        parsed = model.KeepRules(lambda: model.parse_rules(rules or model.DEFAULT_HISTORY))
        history = RemoteHistory(NatsLog(transport, lambda: limit, parsed), broker, FakeClock(), parsed.all)
        new = NatsNode(broker, history, [], [])
        broker.listen(new.received.append)
        history.listen(new.lost.extend)
        nodes.append(new)
        await broker.open()
        await broker.ping()
        return new

    yield node
    for one in nodes:
        await one.broker.close()


async def test_restarted_server_begins_a_new_log(start: Start, own_nats: OwnNats) -> None:
    server = own_nats()
    node, other = await start(server.url), await start(server.url)
    await node.follow(A)
    before = (await node.publish("a", 1)).id or ""
    server.kill()
    with pytest.raises(Unavailable):
        await node.publish("a", "refused")
    server.start()
    await wait_until(lambda: node.lost)
    assert node.lost == [A]
    await wait_until_open(other)
    assert await data(other.history, before, A) == ([], False)
    after = (await other.publish("a", 2)).id or ""
    assert after.partition(".")[0] != before.partition(".")[0]
    await wait_until(lambda: node.data == [1, 2])
    assert await data(node.history, after, A) == ([], True)
    assert (await node.log._api("STREAM.NAMES"))["total"] == 1


async def test_stream_is_created_by_the_first_kept_event_and_a_reader_from_before_it_recovers(start: Start) -> None:
    node, other = await start(), await start()
    early = await node.follow(A)
    assert await node.log._find("") is None
    assert await data(node.history, early, A) == ([], True)
    await other.publish("a", 1)
    assert await data(node.history, early, A) == ([1], True)
    await node.history.clear("", None)
    assert await data(node.history, early, A) == ([], False)
    await node.publish("a", 2)
    assert await data(node.history, early, A) == ([], False)


async def test_erasure_of_a_recipient_leaves_no_event_and_writes_no_key_without_one(start: Start) -> None:
    node = await start()
    await node.history.append(LiveEvent("", "n", 1, recipient="alice"))
    stream: Any = await node.log._find("")
    subjects = {name: nats_log._subject(stream, inbox_stream("", name)) for name in ("alice", "bob")}
    for name in subjects:
        await node.history.clear("", inbox_stream("", name))
    kept = {name: await node.log._get(stream, last_by_subj=subject) for name, subject in subjects.items()}
    assert ([message.payload for message in kept["alice"]], kept["bob"]) == ([b""], [])


async def test_nodes_that_publish_the_first_event_together_share_a_stream(start: Start) -> None:
    nodes = [await start() for _ in range(4)]
    for node in nodes:
        await node.follow(A)
    published = await asyncio.gather(*(node.publish("a", number) for number, node in enumerate(nodes)))
    assert len({(event.id or "").partition(".")[0] for event in published}) == 1
    await wait_until(lambda: all(len(node.data) == 4 for node in nodes))
    assert all(node.data == nodes[0].data for node in nodes)


async def test_idle_stream_is_deleted(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    node = await start()
    before = (await node.publish("a", 1)).id or ""
    assert await node.log.tenants() == [""]
    assert await node.log.sweep("", node.clock.now())
    monkeypatch.setattr("bellcast.kernel.brokers.nats_log.IDLE_SECONDS", 0)
    assert not await node.log.sweep("", node.clock.now())
    assert await node.log.tenants() == []
    assert await data(node.history, before, A) == ([], False)
    await node.publish("a", 2)


async def test_idle_stream_that_another_node_has_deleted_is_passed_over(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, other = await start(), await start()
    for number, one in enumerate((node, other)):
        await one.publish("a", number)
    monkeypatch.setattr("bellcast.kernel.brokers.nats_log.IDLE_SECONDS", 0)
    assert not await node.log.sweep("", node.clock.now())
    assert not await other.log.sweep("", other.clock.now())
    assert (await other.publish("a", 2)).id is not None


async def test_stream_of_a_build_that_did_not_store_its_tenant_is_passed_over(start: Start) -> None:
    node, earlier = await start(), await start()
    await node.publish("a", 1)
    await earlier.history.append(LiveEvent("acme", "n", 1, topic="a"))
    stream: Any = await earlier.log._find("acme")
    config = (await earlier.log._api("STREAM.INFO", stream.name))["config"]
    del config["metadata"]["tenant"]
    await earlier.log._api("STREAM.UPDATE", stream.name, **config)
    assert await node.log.tenants() == [""]


async def test_a_thousand_later_events_recover_and_one_more_does_not(start: Start) -> None:
    node = await start()
    ids = [(await node.publish("a", 0)).id or "", (await node.publish("a", 1)).id or ""]
    await node.history.append(*(LiveEvent("", "n", number, topic="a") for number in range(2, 1_002)))
    assert await data(node.history, ids[0], A) == ([], False)
    assert await data(node.history, ids[1], A) == (list(range(2, 1_002)), True)


async def test_events_beyond_one_batch_are_read(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bellcast.kernel.brokers.nats_log.BATCH_MESSAGES", 7)
    monkeypatch.setattr("bellcast.kernel.brokers.nats_log.BATCH_BYTES", 2_000)
    node = await start(None, "*=1h")
    begin = (await node.publish("a", "first")).id or ""
    await node.history.append(*(LiveEvent("", "n", "x" * 900, topic="a") for _ in range(25)))
    assert await data(node.history, begin, A) == (["x" * 900] * 25, True)
    assert len((await node.history.page("", A, None, 20)).events) == 20


async def test_busy_topic_costs_a_quiet_one_nothing_for_fifty_minutes(start: Start) -> None:
    node = await start(None, "*=1h/2")
    quiet = (await node.publish("a", "before")).id or ""
    for step in range(5):
        node.clock.advance(ANCHOR_MS / 1000)
        await node.history.append(*(LiveEvent("", "n", number, topic="a") for number in range(10)))
        assert await data(node.history, quiet, B) == ([], True), step


async def test_changed_limits_update_the_stream(start: Start) -> None:
    first = await start(None, "*=2m/10")
    await first.publish("a", 1)
    assert (await first.config())["max_msgs_per_subject"] == 11
    second = await start(None, "*=2h", limit=5_000_000)
    await second.publish("a", 2)
    config = await second.config()
    assert (config["max_msgs_per_subject"], config["max_bytes"]) == (-1, 5_000_000)
    assert config["max_age"] == 3 * 3_600 * 10**9


async def test_tenants_beyond_the_limit_have_no_history(start: Start) -> None:
    node = await start(f"{engines.nats().url}?streams=1")
    assert await node.history.count_logs() == 0
    assert (await node.publish("a", 1)).id is not None
    stream = topic_stream("acme", "a")
    await node.history.newest("acme", [stream], 0)
    node.broker.follow(stream)
    with structlog.testing.capture_logs() as logs:
        for number in range(2):
            (event,) = await node.history.append(LiveEvent("acme", "n", number, topic="a"))
            assert event.id is None
            await node.broker.publish(event)
    assert [entry["event"] for entry in logs] == ["topic_history_full"]
    assert await node.history.count_logs() == 1
    assert node.data == [0, 1]


async def test_tenant_beyond_the_limit_has_a_history_when_the_clock_has_been_set_back(start: Start) -> None:
    node = await start(f"{engines.nats().url}?streams=1")
    await node.publish("a", 1)
    (refused,) = await node.history.append(LiveEvent("acme", "n", 1, topic="a"))
    await node.log._delete("", (await node.config())["name"])
    node.clock.advance(-86_400)
    (kept,) = await node.history.append(LiveEvent("acme", "n", 2, topic="a"))
    assert refused.id is None
    assert kept.id is not None


async def test_events_are_recovered_after_the_clock_was_ahead(start: Start) -> None:
    node = await start()
    await node.follow(A)
    node.clock.advance(86_400)
    await node.follow(A)
    node.clock.advance(-86_400)
    before = (await node.publish("a", 1)).id or ""
    await node.publish("a", 2)
    assert await data(node.history, before, A) == ([2], True)


async def test_event_whose_connection_ends_while_it_is_written_is_unavailable(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start()
    await node.publish("a", 1)

    async def lost() -> None:
        raise ConnectionResetError("Connection lost")

    monkeypatch.setattr(node.transport._writer, "drain", lost)
    with pytest.raises(Unavailable):
        await node.publish("a", 2)


@pytest.mark.parametrize("reason", ["off", "no right", "version"])
async def test_without_jetstream_events_arrive_without_ids(
    start: Start, own_nats: OwnNats, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    monkeypatch.setattr("bellcast.kernel.brokers.nats_log.OFF_SECONDS", 0.01)
    deny = 'authorization { users: [{user: b, password: b, permissions: {publish: {deny: "$JS.API.>"}}}] }'
    server = own_nats(*([deny] if reason == "no right" else []), jetstream=reason != "off")
    url = server.url.replace("//", "//b:b@") if reason == "no right" else server.url
    node, other = await start(url), await start(url)
    if reason == "version":
        for one in (node, other):
            one.transport.info["version"] = "2.10.29"
    other.broker.follow(A)
    await other.history.confirm([A])
    with structlog.testing.capture_logs() as logs:
        for number in range(2):
            assert (await node.publish("a", number)).id is None
    assert [entry["event"] for entry in logs] == ["topic_history_unsupported"]
    assert [await one.history.count_logs() for one in (node, other)] == [None, None]
    await wait_until(lambda: other.data == [0, 1])
    assert (await node.history.newest("", [A], 1)).end is None
    await node.broker.ping(writes=True)


async def test_concurrent_calls_without_jetstream_log_once(start: Start, own_nats: OwnNats) -> None:
    node = await start(own_nats(jetstream=False).url)
    with structlog.testing.capture_logs() as logs:
        await asyncio.gather(node.publish("a", 1), node.history.newest("", [A], 1), node.history.newest("", [A], 1))
    assert [entry["event"] for entry in logs] == ["topic_history_unsupported"]


async def test_event_beyond_the_limit_of_the_server_is_refused_and_ends_no_connection(
    start: Start, own_nats: OwnNats
) -> None:
    node = await start(own_nats("max_payload: 4096").url)
    await node.follow(A)
    refused, stored, _ = await asyncio.gather(
        node.publish("a", "x" * 4050), node.publish("a", 1), node.publish("a", 2), return_exceptions=True
    )
    assert isinstance(refused, TooLarge)
    assert "4,096 bytes" in str(refused)
    assert isinstance(stored, LiveEvent)
    await wait_until(lambda: node.data == [1, 2])
    assert node.broker._connected


def lose_messages(transport: Any, monkeypatch: pytest.MonkeyPatch, *lost: int) -> None:
    """As if the connection between two servers of a cluster lost kept events on their way to a node, by default the next one."""
    deliver = transport._receive_stored
    numbers = itertools.count()

    def receive(message: Any) -> None:
        if next(numbers) not in (lost or (0,)):
            deliver(message)

    monkeypatch.setattr(transport, "_receive_stored", receive)


def fail_next_read(node: NatsNode, monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    read, failures = node.log.read, [failure]

    async def fail_once(*args: Any) -> Any:
        if failures:
            raise failures.pop()
        return await read(*args)

    monkeypatch.setattr(node.log, "read", fail_once)


def reconnects(node: NatsNode) -> float:
    return node.broker.counts()["broker_reconnects"][()]


async def start_with_an_event(start: Start) -> tuple[NatsNode, NatsNode]:
    """Return two nodes, of which the first has received the first event of its topic."""
    node, other = await start(), await start()
    await node.follow(A)
    await other.publish("a", 1)
    await wait_until(lambda: node.data == [1])
    return node, other


async def test_missing_event_is_read_from_the_log_without_another_connection(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, other = await start_with_an_event(start)
    lose_messages(node.transport, monkeypatch, 0, 2, 3)
    for number in range(2, 8):
        await other.publish("a", number)
    await wait_until(lambda: len(node.data) == 7)
    assert (node.data, node.lost, reconnects(node)) == ([1, 2, 3, 4, 5, 6, 7], [], 0)


@pytest.mark.parametrize("later", ["a", "b"])
async def test_missing_first_event_of_a_new_subscription_is_read_or_reported(
    start: Start, monkeypatch: pytest.MonkeyPatch, later: str
) -> None:
    node, other = await start(), await start()
    await other.publish("b", 0)  # begins the log
    await node.follow(A, B)
    lose_messages(node.transport, monkeypatch)
    await other.publish("a", 1)
    for number, topic in enumerate((later, "a"), 2):
        await other.publish(topic, number)
    await wait_until(lambda: node.data[-1:] == [3])
    delivered, lost = ([1, 2, 3], []) if later == "a" else ([2, 3], [A])
    assert (node.data, node.lost, reconnects(node)) == (delivered, lost, 0)


async def test_missing_event_delays_its_tenant_and_no_other(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    node, other = await start(), await start()
    acme = topic_stream("acme", "a")
    await node.follow(A, B)
    await node.history.newest("acme", [acme], 0)
    node.broker.follow(acme)
    await other.publish("a", 1)
    await wait_until(lambda: node.data == [1])
    lose_messages(node.transport, monkeypatch)
    read, is_readable = node.log.read, asyncio.Event()

    async def read_later(*args: Any) -> Any:
        await is_readable.wait()
        return await read(*args)

    monkeypatch.setattr(node.log, "read", read_later)
    for topic, number in (("a", 2), ("a", 3), ("b", 4)):
        await other.publish(topic, number)
    await other.history.append(LiveEvent("acme", "n", "acme", topic="a"))
    await wait_until(lambda: len(node.data) == 2)
    assert node.data == [1, "acme"]
    is_readable.set()
    await wait_until(lambda: len(node.data) == 5)
    assert (node.data[2:], node.lost, reconnects(node)) == ([2, 3, 4], [], 0)


async def test_missing_event_that_cannot_be_read_leads_to_another_connection(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, other = await start_with_an_event(start)
    lose_messages(node.transport, monkeypatch)
    fail_next_read(node, monkeypatch, Unavailable("no leader"))
    for number in (2, 3):
        await other.publish("a", number)
    await wait_until(lambda: len(node.data) == 3)
    assert (node.data, node.lost, reconnects(node)) == ([1, 2, 3], [], 1)


async def test_missing_event_behind_later_ones_is_reported_by_stream(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, other = await start(), await start()
    await node.follow(A, B)
    await other.publish("a", 1)
    await wait_until(lambda: node.data == [1])
    lose_messages(node.transport, monkeypatch)
    await other.publish("a", "lost")
    await other.publish("b", 2)
    await wait_until(lambda: node.data == [1, 2])
    await other.publish("a", 3)
    await wait_until(lambda: node.data == [1, 2, 3])
    assert (node.lost, reconnects(node)) == ([A], 0)


@pytest.mark.parametrize("later", [[], [4]])
@pytest.mark.parametrize("missing", [True, False], ids=["missing", "complete"])
async def test_client_with_a_position_behind_a_missing_event_is_not_recovered_before_the_next_one(
    start: Start, monkeypatch: pytest.MonkeyPatch, missing: bool, later: list[int]
) -> None:
    node, other = await start(), await start()
    await node.follow(A, B)
    for topic, number in (("a", 1), ("b", 2)):
        await other.publish(topic, number)
    await wait_until(lambda: node.data == [1, 2])
    if missing:
        lose_messages(node.transport, monkeypatch)
        await other.publish("a", "lost")
    position = (await other.publish("b", 3)).id or ""
    await wait_until(lambda: node.data == [1, 2, 3])
    for number in later:
        await other.publish("b", number)
    assert await data(node.history, position, A, B) == (([], False) if missing else (later, True))
    assert (node.lost, reconnects(node)) == ([], 0)


@pytest.mark.parametrize("missing", [True, False], ids=["missing", "complete"])
async def test_missing_event_behind_a_later_one_is_reported_after_another_connection_too(
    start: Start, monkeypatch: pytest.MonkeyPatch, missing: bool
) -> None:
    node, other = await start(), await start()
    await node.follow(A, B)
    await other.publish("a", 1)
    await wait_until(lambda: node.data == [1])
    if missing:
        lose_messages(node.transport, monkeypatch)
        await other.publish("a", "lost")
    await other.publish("b", 2)
    await wait_until(lambda: node.data == [1, 2])
    await node.transport.close()
    await other.publish("a", 3)
    await wait_until_open(node)
    await wait_until(lambda: node.data == [1, 2, 3])
    await other.publish("a", 4)
    await wait_until(lambda: node.data == [1, 2, 3, 4])
    await wait_until(lambda: node.lost == [A] * missing)
    assert reconnects(node) == 1
    await node.history.newest("", [A], 0)
    assert node.lost == [A] * missing


@pytest.mark.parametrize("failure", [Unavailable("no leader"), RuntimeError("a defect")], ids=["no leader", "defect"])
async def test_missing_event_behind_a_later_one_is_reported_if_the_read_failed_after_another_connection(
    start: Start, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    node, other = await start(), await start()
    await node.follow(A, B)
    await other.publish("a", 1)
    await wait_until(lambda: node.data == [1])
    lose_messages(node.transport, monkeypatch)
    await other.publish("a", "lost")
    await other.publish("b", 2)
    await wait_until(lambda: node.data == [1, 2])
    fail_next_read(node, monkeypatch, failure)
    await node.transport.close()
    await wait_until(lambda: node.lost == [A])
    await other.publish("a", 3)
    await wait_until(lambda: node.data == [1, 2, 3])
    await node.history.newest("", [A], 0)
    assert (node.lost, reconnects(node)) == ([A], 2)


async def test_missing_first_event_of_another_connection_is_read(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    node, other = await start_with_an_event(start)
    await node.transport.close()
    await wait_until_open(node)
    await node.history.confirm([A])
    lose_messages(node.transport, monkeypatch)
    for number in (2, 3):
        await other.publish("a", number)
    await wait_until(lambda: node.data[-1:] == [3])
    assert (node.data, node.lost, reconnects(node)) == ([1, 2, 3], [], 1)


@pytest.mark.parametrize("is_closed", [False, True], ids=["connected", "another connection"])
async def test_missing_first_event_of_a_log_is_read(
    start: Start, monkeypatch: pytest.MonkeyPatch, is_closed: bool
) -> None:
    node, other = await start(), await start()
    await node.follow(A, B)  # before there is a log
    lose_messages(node.transport, monkeypatch)
    await other.publish("a", 1)
    if is_closed:
        await node.transport.close()
        await wait_until_open(node)
    await other.publish("a", 2)
    await wait_until(lambda: node.data[-1:] == [2])
    assert (node.data, node.lost, reconnects(node)) == ([1, 2], [], is_closed)


async def test_event_that_was_read_is_not_reported_after_another_connection(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, other = await start(), await start()
    await node.follow(A, B)
    await other.publish("a", 1)
    await other.publish("b", 2)
    await wait_until(lambda: node.data == [1, 2])
    lose_messages(node.transport, monkeypatch, 0, 1)
    for topic, number in (("a", 3), ("b", 4), ("b", 5)):
        await other.publish(topic, number)
    await wait_until(lambda: node.data == [1, 2, 3, 4, 5])
    await node.transport.close()
    await other.publish("a", 6)
    await wait_until_open(node)
    await other.publish("a", 7)
    await wait_until(lambda: node.data == [1, 2, 3, 4, 5, 6, 7])
    await node.history.confirm([A])
    assert (node.lost, reconnects(node)) == ([], 1)


async def test_missing_events_before_and_after_one_of_another_topic_are_reported_and_read(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, other = await start(), await start()
    await node.follow(A, B)
    await other.publish("a", 1)
    await wait_until(lambda: node.data == [1])
    lose_messages(node.transport, monkeypatch, 0, 2)
    for topic, number in (("a", "lost"), ("b", 2)):
        await other.publish(topic, number)
    await wait_until(lambda: node.data == [1, 2])
    for number in (3, 4):
        await other.publish("a", number)
    await wait_until(lambda: 4 in node.data)
    assert (node.data, node.lost, reconnects(node)) == ([1, 2, 3, 4], [A], 0)


async def test_slow_reader_whose_server_ends_the_connection_misses_nothing(
    start: Start, own_nats: OwnNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bellcast.kernel.brokers.nats_log.BATCH_BYTES", 20_000)
    server = own_nats("max_payload: 60000", "max_pending: 100000", 'write_deadline: "1s"')
    node, other = await start(server.url, "*=1h", limit=10**8), await start(server.url, "*=1h", limit=10**8)
    await node.follow(A)
    await other.publish("a", 0)
    await wait_until(lambda: node.data == [0])
    transport: Any = node.transport
    transport._writer.transport.pause_reading()
    for number in range(1, 401):
        await other.publish("a", f"{number}" + "x" * 40_000)
    transport._writer.transport.resume_reading()
    await wait_until(lambda: len(node.data) == 401)
    assert [int(str(one).rstrip("x")) for one in node.data] == list(range(401))
    assert node.lost == []


@pytest.mark.thorough
async def test_killed_stream_leader_loses_no_event_and_repeats_none(start: Start, own_nats: OwnNats) -> None:
    three_servers = engines.NatsCluster()
    three_servers.start()
    urls = [f"{server.url},{three_servers.url.removeprefix('nats://')}" for server in three_servers.servers]
    nodes = [await start(url) for url in urls]
    for node in nodes:
        await node.follow(A)
    await nodes[0].publish("a", 0)
    stream = await nodes[0].log._find("")
    assert stream is not None
    info = await nodes[0].log._api("STREAM.INFO", stream.name)
    assert info["config"]["num_replicas"] == 3
    leader = three_servers.servers[int(info["cluster"]["leader"].removeprefix("n"))]
    acknowledged: list[Any] = [0]
    for number in range(1, 60):
        if number == 20:
            leader.kill()
        for attempt in itertools.count():
            try:
                await nodes[number % 3].publish("a", [number, attempt])
                acknowledged.append([number, attempt])
                break
            except Unavailable:
                await asyncio.sleep(0.1)
    await wait_until(lambda: all(node.data and node.data[-1] == acknowledged[-1] for node in nodes))
    for node in nodes:
        assert len(node.data) == len({msgspec.json.encode(one) for one in node.data})
        assert [one for one in node.data if one in acknowledged] == acknowledged
        assert node.lost == []
    assert nodes[0].data == nodes[1].data == nodes[2].data
    # Also those of the other servers: without a later event, what the leader stored last would be missing.
    await wait_until(lambda: all(reconnects(node) for node in nodes))
    for node in nodes:
        await node.broker.close()
    three_servers.end()


@pytest.mark.thorough
async def test_stream_without_a_leader_is_reported_until_it_may_have_one(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_log, "LEADERLESS_SECONDS", 60.0)
    three_servers = engines.NatsCluster()
    three_servers.start()
    node = await start(three_servers.servers[0].url)
    await node.publish("a", 1)
    for server in three_servers.servers[1:]:
        server.kill()
    began = asyncio.get_running_loop().time()
    reason = ""
    while "has no leader" not in reason:  # before, the servers notice that two have left, and the node connects again
        try:
            await node.publish("a", 2)
        except Unavailable as failure:
            reason = str(failure)
    await wait_until_open(node)
    with pytest.raises(Unavailable, match="has no leader"):
        await node.broker.ping(writes=True)
    node.transport.leaderless_until -= 60.0
    await node.broker.ping(writes=True)
    assert asyncio.get_running_loop().time() - began < 60
    await node.broker.close()
    three_servers.end()


@pytest.mark.thorough
async def test_cluster_that_has_lost_events_begins_a_new_log(start: Start) -> None:
    node = await start(engines.nats_cluster().url)
    before = (await node.publish("a", 1)).id or ""
    stream = await node.log._find("")
    assert stream is not None
    stream.last += 5  # acknowledged before all servers were restored
    assert await data(node.history, before, A) == ([], False)
    assert ((await node.publish("a", 2)).id or "").partition(".")[0] != before.partition(".")[0]


@pytest.mark.thorough
async def test_events_that_the_answering_replica_has_not_yet_are_read_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start(engines.nats_cluster().url)
    before = (await node.publish("a", 1)).id or ""
    await node.publish("a", 2)
    get, behind = node.log._get, [True]

    async def get_from_another(stream: nats_log.TenantStream, **body: object) -> Any:
        return [] if "batch" in body and behind and behind.pop() else await get(stream, **body)

    monkeypatch.setattr(node.log, "_get", get_from_another)
    assert await data(node.history, before, A) == ([2], True)
    assert behind == []


async def test_kept_event_is_refused_until_the_server_was_reached_once() -> None:
    log = NatsLog(NatsTransport(f"nats://127.0.0.1:{free_port()}", "p"), lambda: 1_000_000, model.KeepRules(lambda: ()))
    with pytest.raises(Unavailable):
        await log.append("", [NewEntry(A, b"{}", 60_000, 10)], 1)
