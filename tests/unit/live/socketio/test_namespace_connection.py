"""Output of Socket.IO connections while the replay of one of them waits for a slow reader."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bellcast.kernel.limits import Limits
from bellcast.live.connection import Phase
from bellcast.live.connection.close_reasons import EVENTS_LOST, TOO_SLOW
from bellcast.live.http import asgi
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.socketio import SocketIOConfig, namespaces, protocol
from bellcast.live.socketio.engine_session import EngineSession, EngineSessions, NamespaceConnection
from bellcast.live.socketio.namespaces import Namespaces
from bellcast.live.socketio.protocol import dialect_for
from tests.clock import FakeClock
from tests.unit.live.fakes import ALICE, FakeTransport, add, new_hub

UNSENT = 1_000


class Client:
    """A WebSocket client with two namespaces that does not read; `/` is being replayed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started: list[str] = []
        app = SimpleNamespace(has_namespace=lambda namespace: namespace != "/unknown")
        config = SocketIOConfig()
        live: Any = SimpleNamespace(app=app, settings={"socketio": config}, spawn=asyncio.ensure_future)
        joining = Namespaces(live, cast(Any, SimpleNamespace(limits=Limits())), cast(Any, None))
        monkeypatch.setattr(joining, "create_connection", self._create)
        monkeypatch.setattr(joining, "join", self._start)
        request = asgi.read_handshake({"scheme": "http", "path": "/", "headers": []})
        self.session = EngineSessions(joining.receive, config, FakeClock(), HubCallbacks()).create(request)
        self.fake, self.hub = FakeTransport(), new_hub()
        transport: Any = SimpleNamespace(
            transport=self.fake, open_socket=lambda: None, encoding=protocol.FRAMES, close_with=lambda *_: None
        )
        self.session.sessions.begin(self.session, transport)
        self.replaying, self.live = self._join("/"), self._join("/chat")
        self.live.transition(Phase.LIVE)
        self.replaying.transition(Phase.REPLAYING)
        self.session.on_buffer_full()

    def _create(self, session: EngineSession, namespace: str) -> NamespaceConnection:
        dialect = dialect_for(namespace, protocol.FRAMES, resumable=False)
        return NamespaceConnection(namespace, dialect, ALICE, self.hub, 0, None, session=session, namespace=namespace)

    async def _start(self, connection: NamespaceConnection, auth: Any) -> None:
        self.started.append(connection.namespace)

    def _join(self, namespace: str) -> NamespaceConnection:
        connection, session = self._create(self.session, namespace), self.session
        session.add(connection)
        connection.activate(UNSENT, resumable=False)
        add(self.hub, connection)
        return connection


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    return Client(monkeypatch)


@pytest.mark.parametrize("namespace", ["/", "/chat"])
async def test_replies_and_events_are_limited_during_a_paused_replay(client: Client, namespace: str) -> None:
    connection = client.session.connections[namespace]
    assert connection is not None
    for _ in range(4):
        connection.acknowledge(1, ["x" * (UNSENT // 5)])
    assert not client.session.is_closed
    connection.write(b"x" * (UNSENT // 5))
    assert (client.session.is_closed, connection.close_reason) == (True, TOO_SLOW)


async def test_close_for_lost_events_sends_an_offset_that_is_not_recovered(client: Client) -> None:
    client.live.activate(UNSENT, resumable=True)
    client.live.close(EVENTS_LOST)
    sent = next(data for data in client.fake.written if b'"error"' in data)
    name, problem, offset = json.loads(sent[sent.index(b"[") :])
    assert (name, problem["code"], client.live.phase) == ("error", "unavailable", Phase.CLOSED)
    assert namespaces.read(cast(Any, None), "a pid", offset) is None


async def test_call_to_a_client_that_has_left_ends_at_once(client: Client) -> None:
    during = asyncio.ensure_future(client.live.ask("confirm", ()))
    await asyncio.sleep(0)
    client.live.disconnected()
    after = asyncio.ensure_future(client.live.ask("confirm", ()))
    await asyncio.wait((during, after), timeout=5)
    assert [type(one.exception()) if one.done() else None for one in (during, after)] == [TimeoutError] * 2


async def test_output_is_unlimited_again_once_the_reader_has_caught_up(client: Client) -> None:
    client.session.on_buffer_drained()
    for connection in (client.replaying, client.live):
        connection.acknowledge(1, ["x" * UNSENT])
    assert not client.session.is_closed
    assert client.live.write == client.fake.write


async def test_replay_that_begins_while_the_buffer_is_full_waits_for_the_reader(client: Client) -> None:
    client.live.transition(Phase.REPLAYING)
    assert client.live.writable_waiter is not None
    client.session.on_buffer_drained()
    assert client.live.writable_waiter is None


async def test_output_stays_limited_after_a_replay_that_ends_while_the_buffer_is_full(client: Client) -> None:
    client.replaying.transition(Phase.LIVE)
    client.replaying.write(b"x" * (UNSENT + 1))
    assert client.session.is_closed


async def test_namespace_is_joined_when_the_client_has_read_the_full_buffer(client: Client) -> None:
    client.session.receive(protocol.read_text("40/new,"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert client.started == []
    client.session.on_buffer_drained()
    for _ in range(10):
        await asyncio.sleep(0)
    assert client.started == ["/new"]


async def test_client_that_reads_nothing_and_is_refused_a_namespace_is_closed(client: Client) -> None:
    client.session.receive(protocol.read_text("40/unknown,"))
    assert (client.session.is_closed, client.replaying.close_reason) == (True, TOO_SLOW)
