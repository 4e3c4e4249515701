"""Output of Socket.IO connections while the replay of one of them waits for a slow reader."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.clock import FakeClock
from tests.unit.live.fakes import ALICE, FakeTransport, new_hub

from bellcast.live.config import SocketIOConfig
from bellcast.live.connection.close_reasons import TOO_SLOW
from bellcast.live.connection.connection import Phase
from bellcast.live.http import handshake_request
from bellcast.live.socketio.engine_session import EngineSession, EngineSessions
from bellcast.live.socketio.layer import SocketIOLayer
from bellcast.live.socketio.namespace_connection import NamespaceConnection
from bellcast.live.socketio.protocol import engineio
from bellcast.live.socketio.protocol.dialect import dialect_for

UNSENT = 1_000


class Client:
    """A WebSocket client with two namespaces that does not read; `/` is being replayed."""

    def __init__(self) -> None:
        layer = SocketIOLayer(SocketIOConfig(), cast(Any, None), cast(Any, None), cast(Any, None))
        request = handshake_request.read({"scheme": "http", "path": "/", "headers": []})
        self.session = EngineSession(EngineSessions(layer, SocketIOConfig(), FakeClock(), None), request)
        self.fake, self.hub = FakeTransport(), new_hub()
        transport: Any = SimpleNamespace(
            transport=self.fake, open_socket=lambda: None, encoding=engineio.FRAMES, close_with=lambda *_: None
        )
        self.session.begin(transport)
        self.replaying, self.live = self._join("/"), self._join("/chat")
        self.live.transition(Phase.LIVE)
        self.replaying.transition(Phase.REPLAYING)
        self.session.on_buffer_full()

    def _join(self, namespace: str) -> NamespaceConnection:
        dialect, session = dialect_for(namespace, engineio.FRAMES, resumable=False), self.session
        connection = NamespaceConnection(
            namespace, dialect, ALICE, self.hub, 0, None, session=session, namespace=namespace
        )
        session.app_state.add(connection)
        connection.activate(UNSENT, resumable=False)
        self.hub.add(connection)
        return connection


@pytest.mark.parametrize("namespace", ["/", "/chat"])
async def test_replies_and_events_are_limited_during_a_paused_replay(namespace: str) -> None:
    client = Client()
    connection: NamespaceConnection = client.session.app_state.connections[namespace]
    for _ in range(4):
        connection.acknowledge(1, ["x" * (UNSENT // 5)])
    assert not client.session.is_closed
    connection.write(b"x" * (UNSENT // 5))
    assert (client.session.is_closed, connection.close_reason) == (True, TOO_SLOW)


async def test_output_is_unlimited_again_once_the_reader_has_caught_up() -> None:
    client = Client()
    client.session.on_buffer_drained()
    for connection in (client.replaying, client.live):
        connection.acknowledge(1, ["x" * UNSENT])
    assert not client.session.is_closed
    assert client.live.write == client.fake.write
