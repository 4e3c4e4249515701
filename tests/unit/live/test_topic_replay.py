"""Topics replayed while other changes happen: each row and event is received once and in order."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from bellcast.auth import link_tokens
from bellcast.auth.permissions import Grant
from bellcast.inbox.types.inboxes import Changes, Inbox, Position
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.brokers.history import MemoryHistory, PastEvents, parse_rules
from bellcast.kernel.errors import Invalid
from bellcast.kernel.events import LiveEvent, Stream, topic_stream
from bellcast.kernel.identities import Principal, Project
from bellcast.kernel.limits import Limits
from bellcast.live import resume
from bellcast.live.connection import REPLAY_BUFFER_BYTES, Phase, close_reasons
from bellcast.live.connection.dialect import Payload
from bellcast.live.hub import Hub
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.hub.presence import PresenceTracker
from bellcast.live.native import protocol
from bellcast.live.native.app_callbacks import NativeCallContext
from bellcast.live.native.commands import Commands
from bellcast.live.native.endpoints import NativeHandshake, OpenedInbox
from bellcast.live.socketio import SocketIOConfig, namespaces
from bellcast.live.socketio.engine_session import EngineSessions, NamespaceConnection
from bellcast.live.socketio.namespaces import EVERYONE, Namespaces, Pid, SocketIOCallContext
from bellcast.live.socketio.protocol import POLLING_BODY, dialect_for
from bellcast.live.types import LiveConfig
from tests import fake_stores
from tests.clock import FakeClock
from tests.unit.live.fakes import FakeConnection, FakeTransport, add, change, changes, connect, notification, state

RULES = parse_rules(["*=2m/1000"])
LIMITS = Limits()
PADDING = "x" * 3_000
# More than a replay buffers, as rows and as events.
MANY = REPLAY_BUFFER_BYTES // len(PADDING) * 3
ROWS = tuple(
    replace(change(number), notification=replace(notification(f"n{number}"), body=PADDING))
    for number in range(1, MANY + 1)
)


class SlowHistory(MemoryHistory):
    """Calls `during_read` once before a read returns, like a log shared by processes. Records the confirmed streams."""

    def __init__(self) -> None:
        super().__init__(FakeClock(), lambda: RULES, lambda: 2**30)
        self.during_read: Callable[[], Awaitable[object]] | None = None
        self.confirmed: list[Stream] = []

    async def confirm(self, streams: Collection[Stream]) -> None:
        self.confirmed += streams

    async def missed(self, tenant: str, streams: Collection[Stream], after: str) -> PastEvents:
        past = await super().missed(tenant, streams, after)
        hook, self.during_read = self.during_read, None
        if hook is not None:
            await hook()
        return past


class Inboxes:
    """The inbox of the connection."""

    async def changes(self, inbox: int, revision: int, limit: int) -> Changes:
        return changes(*(row for row in ROWS if row.revision > revision), revision=len(ROWS))


class Server:
    """A hub with a history, without a network."""

    def __init__(self) -> None:
        self.history, self.broker = SlowHistory(), MemoryBroker()
        self.hub = Hub(PresenceTracker(tuple), self.broker, FakeClock(), FakeClock(), HubCallbacks(), self.history)
        self.broker.listen(self.hub.dispatch)
        self.store = fake_stores.db(SimpleNamespace(inboxes=Inboxes()))
        self.live: Any = SimpleNamespace(
            engines=SimpleNamespace(db=self.store),
            hub=self.hub,
            config=LiveConfig(limits=LIMITS),
            spawn=asyncio.ensure_future,
            authenticator=None,
            admission=None,
        )
        self.commands = Commands(self.live)

    async def publish(self, topic: str, data: Any) -> str:
        (event,) = await self.history.append(LiveEvent("", "n", data, topic=topic))
        await self.broker.publish(event)
        return event.id or ""

    async def publish_many(self, topic: str) -> str:
        """Publish more than a replay buffers, after an event whose id is returned."""
        start = await self.publish(topic, 0)
        for number in range(1, MANY + 1):
            await self.publish(topic, [number, PADDING])
        return start

    def connect(self, *, phase: Phase = Phase.LIVE) -> FakeConnection:
        # The token grants the topics, so that authorization needs no store.
        connection = connect(self.hub, "1", Principal(recipient="alice", topics=("*",)), phase=phase)
        connection.revision = 0 if phase is Phase.OPENING else len(ROWS)
        return connection

    def begin_inbox_replay(self, connection: FakeConnection) -> "asyncio.Future[None]":
        """Begin a replay of all rows, which waits for the reader."""
        connection.fake.is_buffering = True
        replay = resume.replay(self.store, connection, changes(*ROWS), Position(1, 0), LIMITS)
        return asyncio.ensure_future(replay)

    def subscribe(self, connection: FakeConnection, topic: str, **fields: Any) -> "asyncio.Future[Payload]":
        return asyncio.ensure_future(
            self.commands.perform(connection, protocol.SubscribeCommand(topics=[topic], **fields))
        )

    def resume(
        self, connection: FakeConnection, start: str, context: NativeCallContext | None = None
    ) -> "asyncio.Future[None]":
        """Open the connection with the topic room after an event."""
        opened = OpenedInbox(None, None, None, None, context, start, 0)
        handshake = NativeHandshake(self.live, self.commands)
        request = cast(Any, SimpleNamespace(topics=("room",)))
        return asyncio.ensure_future(handshake.send_ready(connection, opened, request))


@pytest.fixture
def server() -> Server:
    return Server()


async def turns(number: int = 20) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def read_all(connection: "FakeConnection | FakeNamespaceConnection", *tasks: "asyncio.Future[Any]") -> None:
    """Read like a slow client until these tasks are done."""
    for _ in range(1_000):
        if all(task.done() for task in tasks):
            return
        connection.fake.buffered = 0
        connection.resume_writing()
        await turns(3)
    raise AssertionError("The replay does not end.")


def rows(connection: FakeConnection) -> list[str]:
    return [frame["notification"]["id"] for frame in connection.fake.frames if frame["type"] == "notification"]


def numbers(connection: FakeConnection, topic: str) -> list[int]:
    events = [frame for frame in connection.fake.frames if frame["type"] == "event" and frame["topic"] == topic]
    return [event["data"][0] if isinstance(event["data"], list) else event["data"] for event in events]


ALL_ROWS = [row.id for row in ROWS]
ALL_NUMBERS = list(range(1, MANY + 1))


async def test_topic_is_replayed_after_the_inbox_of_a_slow_reader(server: Server) -> None:
    start = await server.publish_many("room")
    connection = server.connect(phase=Phase.OPENING)
    inbox = server.begin_inbox_replay(connection)
    await turns()
    subscribing = server.subscribe(connection, "room", position=f"~{start}")
    await turns()
    assert (inbox.done(), subscribing.done()) == (False, False)
    live = asyncio.ensure_future(server.publish("room", MANY + 1))
    await read_all(connection, inbox, subscribing, live)
    assert subscribing.result().fields["recovered"] is True
    assert (rows(connection), numbers(connection, "room")) == (ALL_ROWS, [*ALL_NUMBERS, MANY + 1])
    assert connection.phase is Phase.LIVE


async def test_long_replay_to_a_reader_with_unsent_output_waits_for_it(server: Server) -> None:
    start = await server.publish_many("room")
    connection = server.connect()
    connection.max_unsent = connection.fake.high = REPLAY_BUFFER_BYTES
    connection.fake.is_buffering, connection.fake.buffered = True, REPLAY_BUFFER_BYTES // 2
    subscribing = server.subscribe(connection, "room", position=f"~{start}")
    await turns()
    assert (connection.phase, subscribing.done()) == (Phase.REPLAYING, False)
    await read_all(connection, subscribing)
    assert numbers(connection, "room") == ALL_NUMBERS


async def test_replay_of_a_reader_that_does_not_read_holds_little_memory(server: Server) -> None:
    starts = [await server.publish_many("room") for _ in range(10)]
    connection = server.connect()
    connection.fake.is_buffering = True
    tracemalloc.start()
    try:
        subscribing = server.subscribe(connection, "room", position=f"~{starts[0]}")
        await turns()
        assert not subscribing.done()
        assert tracemalloc.get_traced_memory()[0] < 5 * REPLAY_BUFFER_BYTES  # the events have 30 times its size
    finally:
        tracemalloc.stop()
    await read_all(connection, subscribing)
    assert len(numbers(connection, "room")) == 10 * (MANY + 1) - 1


@pytest.mark.parametrize("position", [True, False], ids=["with a position", "without"])
async def test_subscribing_during_an_inbox_replay_does_not_begin_another(server: Server, position: bool) -> None:
    start = await server.publish("room", 0)
    if position:
        await server.publish("room", 1)
    connection = server.connect(phase=Phase.OPENING)
    inbox = server.begin_inbox_replay(connection)
    await turns()
    subscribing = server.subscribe(connection, "room", position=f"~{start}" if position else None)
    await turns()
    assert subscribing.done() is not position  # without missed events, it does not wait
    await read_all(connection, inbox, subscribing)
    assert (rows(connection), numbers(connection, "room")) == (ALL_ROWS, [1] if position else [])


async def test_gap_filled_while_the_history_is_read_precedes_the_topic(server: Server) -> None:
    start = await server.publish_many("room")
    connection = server.connect()
    connection.revision, connection.fake.is_buffering = 0, True
    filling: list[asyncio.Future[None]] = []

    async def find_gap() -> None:
        filling.append(asyncio.ensure_future(resume.catch_up(server.store, connection, LIMITS)))
        await turns()

    server.history.during_read = find_gap
    subscribing = server.subscribe(connection, "room", position=f"~{start}")
    await turns(30)
    await read_all(connection, *filling, subscribing)
    assert (rows(connection), numbers(connection, "room")) == (ALL_ROWS, ALL_NUMBERS)


@pytest.mark.parametrize("close", ["lost", "ended"])
async def test_connection_that_closes_while_a_subscribe_waits_is_sent_nothing_more(server: Server, close: str) -> None:
    start = await server.publish_many("room")
    connection = server.connect(phase=Phase.OPENING)
    inbox = server.begin_inbox_replay(connection)
    await turns()
    subscribing = server.subscribe(connection, "room", position=f"~{start}")
    await turns()
    if close == "lost":
        connection.connection_lost(None)
    else:
        server.hub.end(connection, close_reasons.REVOKED)
    written = len(connection.fake.written)
    await read_all(connection, inbox, subscribing)
    assert (len(connection.fake.written), set(server.hub._streams)) == (written, set())


async def test_topic_that_the_app_joins_in_the_meantime_is_not_replayed(server: Server) -> None:
    start = await server.publish_many("room")
    connection = server.connect()

    async def join() -> None:
        server.hub.subscriptions.follow(connection, {"room": Grant.APP})
        await server.publish("room", MANY + 1)

    server.history.during_read = join
    with pytest.raises(Invalid, match="already follows"):
        await server.subscribe(connection, "room", position=f"~{start}")
    assert numbers(connection, "room") == [MANY + 1]


async def test_event_received_during_the_read_is_not_sent_again_by_the_replay_of_another_topic(server: Server) -> None:
    start = await server.publish_many("room")
    connection = server.connect()
    await server.subscribe(connection, "other")
    server.history.during_read = lambda: server.publish("other", 1)
    ack = await server.subscribe(connection, "room", position=f"~{start}")
    await server.publish("other", 2)
    assert ack.fields["recovered"] is True
    assert (numbers(connection, "room"), numbers(connection, "other")) == (ALL_NUMBERS, [1, 2])


@pytest.mark.parametrize("number", [3, MANY], ids=["inline", "paced"])
async def test_socketio_offset_never_returns_to_events_of_another_topic(server: Server, number: int) -> None:
    connection = server.connect()
    connection.dialect = dialect_for("/", POLLING_BODY, resumable=True)
    await server.subscribe(connection, "other")
    start = await server.publish("room", 0)
    for _ in range(number):
        await server.publish("room", PADDING)
    last = await server.publish("other", 1)
    await server.subscribe(connection, "room", position=f"~{start}")
    _, *partial, complete = [json.loads(data[2:])[-1].partition("~")[2] for data in connection.fake.written]
    # Cut before the last event, the client does not recover; after it, it has all events of both topics.
    assert (partial, complete) == ([""] * (number - 1), last)


async def test_replay_uses_the_encoding_to_which_the_client_upgraded_meanwhile(server: Server) -> None:
    await server.publish_many("room")
    connection = server.connect()
    connection.fake.is_buffering = True
    subscribing = server.subscribe(connection, "room", rewind=MANY)
    await turns()
    before, connection.dialect = len(connection.fake.written), protocol.SSE_PLAIN
    await read_all(connection, subscribing)
    later = connection.fake.written[before:-1]
    assert len(later) > MANY // 2
    assert all(data.startswith((b"id: ", b"event: ")) and b'"replayed":true' in data for data in later)


async def test_topic_that_the_app_joins_during_the_last_read_of_a_replay_misses_no_event(server: Server) -> None:
    start = await server.publish_many("room")
    connection = server.connect()

    async def join() -> None:
        server.hub.subscriptions.follow(connection, {"late": Grant.APP})
        await server.publish("late", 1)

    async def join_later() -> None:
        server.history.during_read = join

    server.history.during_read = join_later
    await server.subscribe(connection, "room", position=f"~{start}")
    await server.publish("late", 2)
    assert (numbers(connection, "room"), numbers(connection, "late")) == (ALL_NUMBERS, [1, 2])


# --- events that arrive while the connection waits for the members on other nodes


@asynccontextmanager
async def publishing_while_it_waits(server: Server, *_: Any) -> AsyncIterator[None]:
    """In place of `Groups.observing`: an event arrives before the members."""
    await server.publish("room", 1)
    yield


async def test_event_during_the_wait_for_members_is_received_by_a_subscriber(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = await server.publish("room", 0)
    connection = server.connect()
    monkeypatch.setattr(server.hub.groups, "observing", partial(publishing_while_it_waits, server))
    ack = await server.subscribe(connection, "room", position=f"~{start}")
    await server.publish("room", 2)
    assert (ack.fields["recovered"], numbers(connection, "room")) == (True, [1, 2])


async def test_event_during_the_wait_for_members_is_received_by_a_client_that_resumes(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = await server.publish("room", 0)
    connection = server.connect(phase=Phase.OPENING)
    monkeypatch.setattr(server.hub.groups, "observing", partial(publishing_while_it_waits, server))
    await server.resume(connection, start)
    await server.publish("room", 2)
    assert numbers(connection, "room") == [1, 2]


# --- topics that a task of the `connect` handler joins during the replay of a resume


class FakeNamespaceConnection(NamespaceConnection):
    """A namespace connection on a FakeTransport."""

    fake: FakeTransport


class JoinedTopics:
    """The stored topics of a Socket.IO connection: none."""

    async def restore(self, *_: Any, **__: Any) -> dict[str, Grant]:
        return {}

    async def follow(self, *_: Any, by_app: bool) -> None: ...


async def check_joining(
    server: Server,
    connection: FakeConnection | FakeNamespaceConnection,
    context: NativeCallContext | SocketIOCallContext,
    starting: "asyncio.Future[None]",
) -> None:
    """Join a topic while the replay waits for the reader."""
    late = topic_stream("", "late")
    await turns()
    assert not starting.done()
    await context.join("late")
    assert (server.history.confirmed, server.hub.subscriptions.connections_on(late)) == ([late], [connection])
    await server.publish("late", 1)
    await read_all(connection, starting)
    starting.result()
    await server.publish("late", 2)


async def test_topic_joined_during_the_replay_of_a_resume_is_confirmed_first(server: Server) -> None:
    start = await server.publish_many("room")
    connection = server.connect(phase=Phase.OPENING)
    connection.fake.is_buffering = True
    context = NativeCallContext(cast(Any, SimpleNamespace(hub=server.hub)), connection)
    starting = server.resume(connection, start, context)
    await check_joining(server, connection, context, starting)
    assert (numbers(connection, "room"), numbers(connection, "late")) == (ALL_NUMBERS, [1, 2])


async def test_topic_joined_during_the_replay_of_a_socketio_recovery_is_confirmed_first(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, project = Principal(recipient="alice"), Project("1", "key", "the secret of the project, forty characters")
    start = await server.publish_many(EVERYONE)
    fake = FakeTransport()
    fake.is_buffering = True
    transport = SimpleNamespace(transport=fake, open_socket=lambda: None, encoding=POLLING_BODY)
    sessions = EngineSessions(lambda *_: None, SocketIOConfig(), FakeClock(), HubCallbacks())
    session = sessions.create(cast(Any, None))
    session.transport = cast(Any, transport)
    dialect = dialect_for("/", POLLING_BODY, resumable=False)
    connection = FakeNamespaceConnection(
        "new", dialect, Principal(), server.hub, 0, None, session=session, namespace="/"
    )
    connection.fake, fake.owner = fake, connection
    joined_topics = cast(Any, JoinedTopics())
    context = SocketIOCallContext(cast(Any, SimpleNamespace(hub=server.hub)), joined_topics, connection)

    async def recipient(*_: Any) -> Principal:
        return alice

    async def admit(*_: Any) -> Any:
        add(server.hub, connection)
        connection.inbox = connection.epoch = 1
        return SimpleNamespace(inbox=Inbox(number=1, state=state(0), oldest_revision=0), missed=changes(revision=0))

    server.live.project, server.live.settings = project, {"socketio": SocketIOConfig()}
    server.live.authenticator = SimpleNamespace(recipient=recipient)
    server.live.admission = SimpleNamespace(admit=admit)
    server.live.app = SimpleNamespace(has=lambda *_: False)
    handshake: Any = Namespaces(server.live, cast(Any, SimpleNamespace(limits=Limits())), joined_topics)
    monkeypatch.setattr(namespaces, "SocketIOCallContext", lambda *_: context)
    pid = link_tokens.sign(project, namespaces.PURPOSE, Pid("", "alice", "/", "known", "1-0"))
    starting = asyncio.ensure_future(handshake.join(connection, {"pid": pid, "offset": f"1-0~{start}"}))
    await check_joining(server, connection, context, starting)
    events = [json.loads(data[2:])[1] for data in fake.written if data.startswith(b'42["n"')]
    assert events == [*([number, PADDING] for number in ALL_NUMBERS), 1, 2]


async def test_connection_whose_replay_fails_is_closed(server: Server) -> None:
    """It would stay in the replay, and receive no notifications."""
    start = await server.publish_many("news")
    connection = server.connect()
    connection.fake.is_buffering = True

    async def fail() -> None:
        async def raise_error() -> None:
            raise RuntimeError

        server.history.during_read = raise_error  # of the second read

    server.history.during_read = fail
    subscribed = server.subscribe(connection, "news", position=start)
    await read_all(connection, subscribed)
    with pytest.raises(RuntimeError):
        await subscribed
    assert connection.phase is Phase.CLOSED
    assert connection.close_reason == close_reasons.UNAVAILABLE
