"""Topics that a Socket.IO connection joined."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bellcast.auth import link_tokens
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.identities import Project
from bellcast.live.connection import Phase
from bellcast.live.socketio import namespaces, protocol
from bellcast.live.socketio.engine_session import NamespaceConnection
from bellcast.live.socketio.joined_topics import SAVE_RETRY_SECONDS, ConnectionTopics
from bellcast.live.socketio.namespaces import Pid
from bellcast.live.socketio.protocol import dialect_for
from bellcast.topics.store import JOINED_TOPICS_REFRESH_MS, JoinedBy, SavedTopics
from tests import fake_stores
from tests.clock import FakeClock
from tests.unit.live.fakes import ALICE, FakeTransport, add, added, new_hub

PROJECT = Project("1", "key", "the secret of the project, forty characters")


class Names(list[str]):
    """Names that are too many to be searched for each joined topic."""

    def __contains__(self, name: object) -> bool:
        raise AssertionError(f"all names were searched for {name}")


async def test_many_unfollowed_names_are_not_searched_for_each_joined_topic() -> None:
    """The search for 100 joined topics in a message of 1 MB took half a second."""
    client = Client(0)
    client.connection.set_joined({"a": True, "b": False})
    await client.topics.unfollow(client.connection, Names(["b", "c"]))
    assert client.connection.joined_topics == {"a": True}


class UnreliableStore:
    """Stored topics. The next `failures` saves fail."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.saved: list[str] = []
        self.refreshes = self.failed_refresh = 0
        self.found: SavedTopics | None = None

    async def get(self, by: JoinedBy) -> SavedTopics | None:
        return self.found

    async def save(self, by: JoinedBy, topics: str, now: int) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("The database is locked.")
        self.saved.append(topics)

    async def refresh(self, connections: Any, now: int) -> None:
        self.refreshes += 1
        if self.refreshes == self.failed_refresh:
            raise RuntimeError("unforeseen")


class Client:
    """A connected client, and the topics of its server."""

    def __init__(self, failures: int) -> None:
        self.clock, self.store, self.hub, self.fake = FakeClock(), UnreliableStore(failures), new_hub(), FakeTransport()
        transport = SimpleNamespace(transport=self.fake, open_socket=lambda: None, encoding=protocol.POLLING_BODY)
        session: Any = SimpleNamespace(
            transport=transport, send=lambda head, _: self.fake.write(head), is_buffer_full=False
        )
        dialect = dialect_for("/", protocol.POLLING_BODY, resumable=False)
        self.connection = NamespaceConnection("sid", dialect, ALICE, self.hub, 0, None, session=session, namespace="/")
        self.connection.inbox = self.connection.epoch = 1
        self.connection.activate(0, resumable=True)
        add(self.hub, self.connection)
        self.connection.transition(Phase.LIVE)
        self.tasks: set[asyncio.Task[Any]] = set()
        engines: Any = SimpleNamespace(db=fake_stores.db(SimpleNamespace(joined_topics=self.store)), clock=self.clock)
        self.topics = ConnectionTopics(
            cast(Any, SimpleNamespace(engines=engines, hub=self.hub, config=None, spawn=self._spawn))
        )

    def _spawn(self, work: Any) -> None:
        self.tasks.add(asyncio.ensure_future(work))

    async def follow(self, topic: str) -> None:
        following = asyncio.ensure_future(self.topics.follow(self.connection, (topic,), by_app=True))
        await self.pass_time(SAVE_RETRY_SECONDS)
        await following

    async def pass_time(self, seconds: float) -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        self.clock.advance(seconds)
        for _ in range(10):
            await asyncio.sleep(0)

    @property
    def offset(self) -> str:
        """The last offset that the client received."""
        return str(json.loads(self.fake.written[-1].removeprefix(b"42"))[-1])

    @property
    def is_recoverable(self) -> bool:
        """True if a server would accept the client's recovery id with its last offset."""
        pid = link_tokens.sign(PROJECT, namespaces.PURPOSE, Pid("", "alice", "/", "sid", "1-0"))
        return namespaces.read(PROJECT, pid, self.offset) is not None

    @property
    def has_joined(self) -> bool:
        """True if a server that receives the client's last offset knows that it had joined topics."""
        point = namespaces.point_of(Pid("", "alice", "/", "sid", "1-0"), self.offset)
        assert point is not None
        return point.has_joined

    def notify(self, revision: int) -> None:
        self.hub.dispatch(added(revision))


@pytest.fixture
async def clients() -> Any:
    created: list[Client] = []

    def create(failures: int) -> Client:
        created.append(Client(failures))
        return created[-1]

    yield create
    for client in created:
        for task in client.tasks:
            task.cancel()
        await asyncio.gather(*client.tasks, return_exceptions=True)


async def test_failed_save_of_topics_is_repeated(clients: Any) -> None:
    client = clients(1)
    await client.follow("hall")
    assert client.store.saved == ['[["hall"],[]]']
    client.notify(1)
    assert client.is_recoverable


async def test_client_is_not_recoverable_between_two_attempts_to_save_its_topics(clients: Any) -> None:
    client = clients(1)
    following = asyncio.ensure_future(client.topics.follow(client.connection, ("hall",), by_app=True))
    await client.pass_time(0)
    client.notify(1)
    assert not client.is_recoverable
    await client.pass_time(SAVE_RETRY_SECONDS)
    await following


async def test_client_with_unsaved_topics_receives_offsets_without_recovery(clients: Any) -> None:
    client = clients(2)
    await client.follow("hall")
    name, error, _ = json.loads(client.fake.written[-1].removeprefix(b"42"))
    assert (name, error["code"], client.is_recoverable) == ("error", "unavailable", False)
    client.notify(1)
    assert not client.is_recoverable
    client.connection.emit("of the app", ({"n": 1},))
    assert not client.is_recoverable


async def test_client_is_recoverable_again_when_its_topics_are_saved(clients: Any) -> None:
    client = clients(2)
    await client.follow("hall")
    await client.follow("kitchen")
    assert client.store.saved == ['[["hall","kitchen"],[]]']
    client.notify(1)
    assert client.is_recoverable


async def test_unsaved_topics_are_saved_by_the_next_refresh(clients: Any) -> None:
    client = clients(2)
    await client.follow("hall")
    await client.pass_time(JOINED_TOPICS_REFRESH_MS / 1000)
    assert client.store.saved == ['[["hall"],[]]']
    client.notify(1)
    assert client.is_recoverable


async def test_refresh_of_topics_continues_after_an_unexpected_exception(clients: Any) -> None:
    client = clients(0)
    client.store.failed_refresh = 1
    await client.follow("hall")
    for _ in range(2):
        await client.pass_time(JOINED_TOPICS_REFRESH_MS / 1000)
    assert client.store.refreshes == 2


@pytest.mark.parametrize("text", ["", "{}", "[1]"])
async def test_topics_that_cannot_be_decoded_are_lost(clients: Any, text: str) -> None:
    client = clients(0)
    client.store.found = SavedTopics(text, client.clock.now())
    assert await client.topics.restore(client.connection, 0, has_joined=True) is None
    assert client.store.saved == ["[[],[]]"]


async def test_offsets_tell_whether_the_client_has_joined_topics(clients: Any) -> None:
    client = clients(0)
    recorded = []
    for revision, name in enumerate(["", "follow", "unfollow"], 1):
        if name == "follow":
            await client.follow("hall")
        elif name == "unfollow":
            await client.topics.unfollow(client.connection, ["hall"])
        client.notify(revision)
        recorded.append(client.has_joined)
    assert recorded == [False, True, False]
