"""Announcements in the inboxes of connected recipients: what is published, and what another process has added; and the comparison of
connections with the store."""

from collections.abc import AsyncIterator, Coroutine, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bellcast.auth.permissions import Grant
from bellcast.inbox.types.inboxes import AnnouncementChanged, Changes, InboxEvent, InboxStatus
from bellcast.inbox.types.sends import Materialized
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.events import ANNOUNCEMENTS, Event, inbox_stream
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.live import reconciler, resume
from bellcast.live.connection import Phase
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.reconciler import Reconciler
from bellcast.live.types import GroupState, GroupUpdate, NodeLeft
from bellcast.recipients.types import SubscriptionGrant
from tests import fake_stores
from tests.clock import FakeClock
from tests.unit.live.fakes import FakeConnection, added, change, changes, connect, messages, new_hub


class RecordingBroker(MemoryBroker):
    """A broker that records what other processes would receive."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[Event] = []

    async def publish(self, *events: Event) -> None:
        self.published += events
        await super().publish(*events)


class Process:
    """A hub, its sync, and a store that returns these results."""

    def __init__(self, *materialized: Materialized, revision: int = 1) -> None:
        self.sends = self.inboxes = self.subscriptions = self
        self._materialized = materialized
        self._revision = revision
        self._started: list[Coroutine[Any, Any, None]] = []
        self.broker = RecordingBroker()
        engines = SimpleNamespace(db=fake_stores.db(self), broker=self.broker, clock=FakeClock())
        callbacks = HubCallbacks(
            fill_gap=lambda connection: self._started.append(resume.catch_up(engines.db, connection, Limits()))
        )
        self.hub = new_hub(callbacks)
        self._sync = Reconciler(cast(Any, engines), self.hub, self._started.append)
        self.broker.listen(self.hub.dispatch)

    async def announce(self) -> None:
        self._sync.materialize(AnnouncementChanged(""))
        await self.settle()

    async def compare(self) -> None:
        """Compare all connections with the store."""
        self._sync.mark_suspect([ANNOUNCEMENTS])
        await self.settle()

    async def settle(self) -> None:
        while self._started:
            await self._started.pop(0)

    async def materialize(self, tenant: str, recipients: Sequence[str], now: int) -> AsyncIterator[Materialized]:
        for one in self._materialized:
            yield one

    async def statuses(self, inboxes: Sequence[int]) -> list[InboxStatus]:
        return [InboxStatus(number, 1, self._revision, 0, False) for number in inboxes]

    async def grants_in_force(self, grants: Sequence[SubscriptionGrant]) -> set[SubscriptionGrant]:
        raise RuntimeError

    async def changes(self, inbox: int, after: int, limit: int) -> Changes:
        return changes(*[change(number) for number in range(after + 1, self._revision + 1)], revision=self._revision)


def peer(process: Process, **counts: int) -> None:
    """Add another process with these followers to the hub."""
    for stream, count in counts.items():
        process.hub.groups.receive(GroupUpdate(stream, GroupState("other", 1, None, count)))


def names(connection: FakeConnection) -> list[str]:
    return connection.fake.types


async def test_announcement_is_not_published_without_another_process() -> None:
    process = Process(Materialized((added(1),)))
    connection = connect(process.hub)
    await process.announce()
    assert (names(connection), process.broker.published) == (["notification"], [])


@pytest.mark.parametrize(
    ("counts", "is_published"),
    [
        ({}, False),
        ({inbox_stream("", "bob"): 1}, False),
        ({inbox_stream("", "alice"): 1}, True),
        ({inbox_stream("", "alice"): 0}, True),
    ],
    ids=["nothing", "another inbox", "the inbox", "a topic that carries it"],
)
async def test_announcement_is_published_for_followers_elsewhere(counts: dict[str, int], is_published: bool) -> None:
    process = Process(Materialized((added(1),)))
    process.hub.observers.append(cast(Any, Alias()))
    connection = connect(process.hub)
    peer(process, **counts)
    await process.announce()
    assert (names(connection), process.broker.published) == (["notification"], [added(1)] * is_published)


async def test_announcement_is_published_while_the_state_of_another_process_is_unknown() -> None:
    process = Process(Materialized((added(1),)))
    connect(process.hub)
    process.hub.members.note("other")
    process.hub.groups.mark_suspect([inbox_stream("", "alice")])
    assert process.hub.groups.is_followed_elsewhere(inbox_stream("", "alice"))
    await process.announce()
    assert process.broker.published == [added(1)]
    process.hub.members.receive(NodeLeft("other"))
    assert not process.hub.groups.is_followed_elsewhere(inbox_stream("", "alice"))


async def test_announcement_that_another_process_added_is_read_from_the_store() -> None:
    process = Process(Materialized(caught_up=("alice",)))
    connection = connect(process.hub)
    await process.announce()
    assert (names(connection), connection.revision) == (["notification"], 1)


async def test_check_that_fails_unexpectedly_does_not_end_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "CHECK_BATCH_ROWS", 1)
    process = Process()
    for number, topic in enumerate(("hall", "room")):
        connection = connect(process.hub, str(number))
        process.hub.subscriptions.follow(connection, {topic: Grant.SUBSCRIPTION})
    await process.compare()
    assert process.hub.reconciler_checks == {"ok": 1, "failed": 2}  # one inbox, two grants
    assert [names(connection)[-1] for connection in process.hub if isinstance(connection, FakeConnection)] == [
        "notification"
    ] * 2


class Socket:
    """A socket that accepts these numbers of bytes, then raises."""

    def __init__(self, *accepted: int) -> None:
        self._accepted = list(accepted)
        self.sent = b""

    def send(self, data: bytes) -> int:
        if not self._accepted:
            raise BlockingIOError
        accepted = self._accepted.pop(0)
        self.sent += data[:accepted]
        return min(accepted, len(data))


@pytest.mark.parametrize("accepted", [(10_000,), (100,), ()], ids=["all", "a part", "nothing"])
async def test_announcement_is_sent_on_the_socket_and_its_rest_by_the_transport(accepted: tuple[int, ...]) -> None:
    process = Process(Materialized((added(1),)))
    connection = connect(process.hub)
    socket = Socket(*accepted)
    connection.sock = cast(Any, socket)
    connection.transport.clear = True
    await process.announce()
    written = b"".join(connection.fake.written)
    assert [frame["type"] for frame in messages(socket.sent + written)] == ["notification"]
    assert (len(socket.sent) <= sum(accepted), bool(written)) == (True, accepted != (10_000,))


async def test_announcement_waits_behind_unsent_output() -> None:
    process = Process(Materialized((added(1),)))
    connection = connect(process.hub)
    socket = Socket(10_000)
    connection.sock, connection.fake.buffered = cast(Any, socket), 1
    await process.announce()
    assert (names(connection), socket.sent) == (["notification"], b"")


async def test_failure_of_one_recipient_leaves_the_others() -> None:
    process = Process(Materialized((added(1), added(1, recipient="bob"))))
    process.hub.observers.append(cast(Any, Failing("alice")))
    connect(process.hub)
    bob = connect(process.hub, "bob", Principal(recipient="bob"))
    await process.announce()
    assert names(bob) == ["notification"]


async def test_connection_that_has_the_announcement_reads_nothing() -> None:
    process = Process(Materialized(caught_up=("alice",)))
    connection = connect(process.hub)
    connection.revision = 1
    await process.announce()
    assert names(connection) == []


@pytest.mark.parametrize("phase", [Phase.OPENING, Phase.REPLAYING])
async def test_connection_that_is_not_live_reads_again(phase: Phase) -> None:
    process = Process(Materialized(caught_up=("alice",)))
    connection = connect(process.hub, phase=phase)
    await process.announce()
    assert connection.is_stale


class Failing:
    """An observer that cannot handle the changes of one inbox."""

    def __init__(self, recipient: str) -> None:
        self._recipient = recipient

    def inbox_changed(self, event: InboxEvent) -> None:
        if event.inbox.recipient == self._recipient:
            raise LookupError(self._recipient)

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: ()


class Alias:
    """An observer whose topics carry inboxes."""

    def recipients_of(self, topic: str) -> list[str]:
        return [topic.removeprefix("private-")]

    def topics_of(self, recipient: str) -> list[str]:
        return [f"private-{recipient}"]

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None
