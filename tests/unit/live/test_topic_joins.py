"""Topics that a handler or a Pusher client joins: they are followed once the process receives their events."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.brokers.history import NoHistory
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import Stream, topic_stream
from bellcast.live.connection.close_reasons import RESTARTING
from bellcast.live.connection.dialect import Dialect
from bellcast.live.hub import Hub
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.hub.presence import PresenceTracker
from bellcast.live.native.app_callbacks import NativeCallContext
from bellcast.live.native.protocol import WEBSOCKET
from bellcast.live.pusher import protocol as pusher
from bellcast.live.pusher.channels import PusherCallContext
from bellcast.live.socketio import protocol
from bellcast.live.socketio.namespaces import SocketIOCallContext
from bellcast.live.socketio.protocol import dialect_for
from tests.clock import FakeClock
from tests.unit.live.fakes import FakeConnection, connect

ROOM = topic_stream("", "room")


class SlowHistory(NoHistory):
    """Confirms subscriptions when `confirmed` is set, or refuses them."""

    def __init__(self) -> None:
        self.confirmed = asyncio.Event()
        self.requested: list[Stream] = []
        self.is_away = False

    async def confirm(self, streams: Collection[Stream]) -> None:
        self.requested += streams
        if self.is_away:
            raise Unavailable("The broker is not connected.")
        await self.confirmed.wait()


class JoinedTopics:
    async def follow(self, *_: Any, by_app: bool) -> None: ...


Join = Callable[[Hub, FakeConnection], Awaitable[None]]


def live(hub: Hub) -> Any:
    """What a call uses of a LiveContext to join topics."""
    return SimpleNamespace(hub=hub)


def native(hub: Hub, connection: FakeConnection) -> Awaitable[None]:
    return NativeCallContext(live(hub), connection).join("room")


def socketio(hub: Hub, connection: FakeConnection) -> Awaitable[None]:
    return SocketIOCallContext(live(hub), cast(Any, JoinedTopics()), cast(Any, connection)).join("room")


def pusher_client(hub: Hub, connection: FakeConnection) -> Awaitable[None]:
    return PusherCallContext(live(hub), connection, "private-room").join("room")


DIALECTS: list[tuple[Join, Dialect]] = [
    (native, WEBSOCKET),
    (socketio, dialect_for("/", protocol.FRAMES, resumable=True)),
    (pusher_client, pusher.WEBSOCKET),
]
each_dialect = pytest.mark.parametrize(("join", "dialect"), DIALECTS, ids=["native", "socketio", "pusher"])


@pytest.fixture
def history() -> SlowHistory:
    return SlowHistory()


@pytest.fixture
def hub(history: SlowHistory) -> Hub:
    return Hub(PresenceTracker(tuple), MemoryBroker(), FakeClock(), FakeClock(), HubCallbacks(), history)


@each_dialect
async def test_join_follows_once_the_subscription_is_confirmed(
    hub: Hub, history: SlowHistory, join: Join, dialect: Dialect
) -> None:
    connection = connect(hub, dialect=dialect)
    joining = asyncio.ensure_future(join(hub, connection))
    await asyncio.sleep(0)
    assert history.requested == [ROOM]
    assert (hub.subscriptions.connections_on(ROOM), connection.fake.written) == ([], [])
    history.confirmed.set()
    await joining
    assert hub.subscriptions.connections_on(ROOM) == [connection]


@each_dialect
async def test_connection_that_closes_meanwhile_does_not_join(
    hub: Hub, history: SlowHistory, join: Join, dialect: Dialect
) -> None:
    connection = connect(hub, dialect=dialect)
    joining = asyncio.ensure_future(join(hub, connection))
    await asyncio.sleep(0)
    connection.connection_lost(None)
    history.confirmed.set()
    await joining
    assert (hub.subscriptions.connections_on(ROOM), connection.fake.written) == ([], [])


@each_dialect
async def test_join_without_the_broker_is_incomplete_for_clients_that_recover(
    hub: Hub, history: SlowHistory, join: Join, dialect: Dialect
) -> None:
    history.is_away = True
    connection = connect(hub, dialect=dialect)
    await join(hub, connection)
    assert hub.subscriptions.connections_on(ROOM) == [connection]
    held = [] if dialect.protocol == "pusher" else [connection]
    assert hub.history_holds.hold_followers(()) == dict.fromkeys(held, RESTARTING)
