"""Messages that wait for a slow handler: in order, and limited by number and bytes."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.live.connection import MAX_PENDING, PendingMessages, Phase, close_reasons
from bellcast.live.connection.inbound_queue import InboundQueue
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.socketio import SocketIOConfig, protocol
from bellcast.live.socketio.engine_session import MAX_NAMESPACES, EngineSessions, NamespaceConnection
from bellcast.live.socketio.namespaces import Namespaces
from bellcast.live.socketio.protocol import dialect_for
from tests.clock import FakeClock
from tests.unit.live.fakes import ALICE, FakeConnection, FakeTransport, connect, new_hub

FRAMES = dialect_for("/", protocol.FRAMES, resumable=False)


class SlowHandler:
    """A queue whose handler takes a message when `step` is called."""

    def __init__(self, max_bytes: int, rate: int = 0) -> None:
        self.handled: list[Any] = []
        self._permits = asyncio.Semaphore(0)
        self.queue = InboundQueue(self._handle, asyncio.ensure_future, max_bytes, rate)

    async def _handle(self, connection: Any, message: Any) -> None:
        await self._permits.acquire()
        self.handled.append(message)

    async def step(self, count: int = 1) -> None:
        for _ in range(count):
            self._permits.release()
        await settle()


async def settle() -> None:
    for _ in range(5 * MAX_PENDING):
        await asyncio.sleep(0)


def calls_of(connection: FakeConnection) -> list[str]:
    calls, connection.fake.calls = connection.fake.calls, []
    return calls


@pytest.mark.parametrize(
    ("max_bytes", "size", "count"),
    [(1_000, 990, 2), (1_000, 1_000, 2), (1_000, 1, MAX_PENDING), (0, 10**6, MAX_PENDING)],
)
async def test_full_queue_pauses_reading_until_a_message_is_handled(max_bytes: int, size: int, count: int) -> None:
    slow = SlowHandler(max_bytes)
    connection = connect(new_hub())
    slow.queue.enqueue(connection, "first", size)
    await settle()  # its handler runs
    for number in range(count - 1):
        slow.queue.enqueue(connection, number, size)
    assert calls_of(connection) == []
    slow.queue.enqueue(connection, "last", size)
    assert calls_of(connection) == ["pause_reading"]
    await slow.step()
    assert calls_of(connection) == []
    await slow.step()
    assert calls_of(connection) == ["resume_reading"]
    await slow.step(count - 1)
    assert slow.handled == ["first", *range(count - 1), "last"]


async def test_connections_take_turns_if_their_handler_never_waits() -> None:
    """A flood, whose messages are refused at once, does not delay others by all of it."""
    handled: list[tuple[str, int]] = []

    async def handle(connection: Any, message: tuple[str, int]) -> None:
        handled.append(message)

    hub, queue = new_hub(), InboundQueue(handle, asyncio.ensure_future, 0, 0)
    connections = {name: connect(hub, name) for name in "ab"}
    for name, connection in connections.items():
        for number in range(3):
            queue.enqueue(connection, (name, number), 1)
    await settle()
    assert handled == [(name, number) for number in range(3) for name in "ab"]


async def test_messages_of_one_read_beyond_the_limit_keep_reading_paused() -> None:
    slow = SlowHandler(100)
    connection = connect(new_hub())
    for number in range(6):
        slow.queue.enqueue(connection, number, 50)
    await slow.step(3)
    assert "resume_reading" not in calls_of(connection)
    await slow.step()
    assert calls_of(connection) == ["resume_reading"]


def new_session(transport: FakeTransport) -> Any:
    """A session whose namespaces hold at most 200 bytes."""
    sessions = EngineSessions(lambda *_: None, SocketIOConfig(max_payload=100), FakeClock(), HubCallbacks())
    session = sessions.create(cast(Any, SimpleNamespace(address=None)))
    session.transport = cast(Any, SimpleNamespace(transport=transport, encoding=protocol.FRAMES))
    return session


def namespaces(monkeypatch: pytest.MonkeyPatch, **joining: Any) -> Namespaces:
    """The namespaces of an app that accepts any, with other functions for joining them."""
    app = SimpleNamespace(has_namespace=lambda _: True)
    live: Any = SimpleNamespace(app=app, settings={"socketio": SocketIOConfig()}, spawn=asyncio.ensure_future)
    result = Namespaces(live, cast(Any, SimpleNamespace(limits=Limits())), cast(Any, None))
    for name, function in joining.items():
        monkeypatch.setattr(result, name, function)
    return result


def join(session: Any, name: str) -> NamespaceConnection:
    connection = NamespaceConnection(name, FRAMES, ALICE, new_hub(), 0, None, session=session, namespace=name)
    connection.transport = session.transport.transport
    session.connections[name] = connection
    return connection


def leave(connection: NamespaceConnection) -> None:
    del connection.session.connections[connection.namespace]
    connection.disconnected()


async def test_session_is_not_read_while_the_queue_of_any_namespace_is_full() -> None:
    slow, quick = SlowHandler(100), SlowHandler(100)
    transport = FakeTransport()
    session = new_session(transport)
    full, other = join(session, "/full"), join(session, "/other")
    quick.queue.enqueue(other, "short", 1)
    for number in range(4):
        slow.queue.enqueue(full, number, 50)
    await quick.step()
    assert quick.handled == ["short"]
    assert "resume_reading" not in transport.calls
    await slow.step(2)
    assert transport.calls[-1] == "resume_reading"


async def test_session_is_read_again_after_a_namespace_with_a_full_queue_was_left() -> None:
    slow = SlowHandler(100)
    transport = FakeTransport()
    left = join(new_session(transport), "/left")
    for number in range(4):
        slow.queue.enqueue(left, number, 50)
    await settle()
    leave(left)
    assert isinstance(left.pending, PendingMessages)
    assert not left.pending
    await slow.step()
    assert transport.calls[-1] == "resume_reading"
    assert slow.handled == [0]
    assert left.session.leaving == ()


async def test_packets_of_namespaces_that_were_left_count_while_they_are_handled() -> None:
    slow = SlowHandler(100)
    transport = FakeTransport()
    session = new_session(transport)
    for name in ("/1", "/2"):
        connection = join(session, name)
        slow.queue.enqueue(connection, name, 100)
        await settle()
        leave(connection)
    assert transport.calls == []
    slow.queue.enqueue(join(session, "/3"), "/3", 1)
    assert transport.calls == ["pause_reading"]
    await slow.step()
    assert (slow.handled, transport.calls[-1]) == (["/1"], "resume_reading")
    await slow.step(2)
    assert (slow.handled, session.leaving) == (["/1", "/2", "/3"], ())


async def test_packets_of_all_namespaces_count_while_they_are_handled() -> None:
    slow = SlowHandler(100)
    transport = FakeTransport()
    session = new_session(transport)
    for name in ("/1", "/2", "/3"):
        assert transport.calls == []
        slow.queue.enqueue(join(session, name), name, 100)
        await settle()
    assert transport.calls == ["pause_reading"]
    await slow.step()
    assert transport.calls[-1] == "resume_reading"


async def test_namespaces_that_were_left_count_while_their_handlers_run(monkeypatch: pytest.MonkeyPatch) -> None:
    transport, slow = FakeTransport(), SlowHandler(100)
    session = new_session(transport)
    connections = [join(session, f"/{number}") for number in range(MAX_NAMESPACES)]
    for connection in connections:
        slow.queue.enqueue(connection, "short", 1)
    await settle()
    for connection in connections:
        leave(connection)
    namespaces(monkeypatch).receive(session, "0/another,")
    assert [b"too_many" in head for head in transport.written] == [True]
    await slow.step(MAX_NAMESPACES)
    assert session.leaving == ()


async def test_credentials_of_namespaces_that_are_joining_count(monkeypatch: pytest.MonkeyPatch) -> None:
    transport, permits = FakeTransport(), asyncio.Semaphore(0)
    session = new_session(transport)

    async def wait(connection: NamespaceConnection, auth: Any) -> None:
        await permits.acquire()
        session.connections[connection.namespace] = connection

    def create(session: Any, name: str) -> NamespaceConnection:
        return NamespaceConnection(name, FRAMES, ALICE, new_hub(), 0, None, session=session, namespace=name)

    joining = namespaces(monkeypatch, create_connection=create, join=wait)
    auth = '{"token":"' + "x" * 80 + '"}'
    for name in ("/1", "/2", "/3"):  # each has about 95 bytes, and the session may hold 200
        assert transport.calls == []
        joining.receive(session, f"0{name},{auth}")
    assert transport.calls == ["pause_reading"]
    permits.release()
    await settle()
    assert transport.calls == ["pause_reading", "resume_reading"]
    permits.release()
    permits.release()
    await settle()
    assert (session.joining_bytes, session.has_full_queue) == (0, False)


class StoppedClock:
    """The event loop's time, which passes only by `advance`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now = 1_000.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self._now)

    async def advance(self, seconds: float) -> None:
        self._now += seconds
        await settle()


async def test_connections_of_a_recipient_share_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, slow, hub = StoppedClock(monkeypatch), SlowHandler(0, rate=4), new_hub()
    tabs, other = [connect(hub, id) for id in "123"], connect(hub, "4", Principal(recipient="bob"))
    await slow.step(100)
    for number in range(3):
        for tab in tabs:
            slow.queue.enqueue(tab, (tab.id, number), 1)
    await settle()
    assert len(slow.handled) == 4
    slow.queue.enqueue(other, "other", 1)
    await settle()
    assert slow.handled[4:] == ["other"]
    await clock.advance(0.75)  # the first of those that wait, in turn
    assert len(slow.handled) == 8
    assert {id for id, _ in [*slow.handled[:4], *slow.handled[5:]]} == {"1", "2", "3"}
    await clock.advance(5)
    assert len(slow.handled) == 10


async def test_waiting_messages_of_a_closed_connection_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, slow = StoppedClock(monkeypatch), SlowHandler(0, rate=1)
    connection = connect(new_hub())
    await slow.step(100)
    for number in range(3):
        slow.queue.enqueue(connection, number, 1)
    await settle()
    connection.phase = Phase.CLOSED
    await clock.advance(5)
    assert slow.handled == [0]
    assert connection.pending is None


async def test_connection_that_would_wait_too_long_for_its_turn_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    StoppedClock(monkeypatch)
    slow, hub = SlowHandler(0, rate=1), new_hub()
    tabs = [connect(hub, str(number)) for number in range(9)]
    await slow.step(100)
    for tab in tabs:
        slow.queue.enqueue(tab, tab.id, 1)
    await settle()
    assert slow.handled == ["0"]
    assert [tab.close_reason for tab in tabs] == [None] * 6 + [close_reasons.TOO_FAST] * 3
