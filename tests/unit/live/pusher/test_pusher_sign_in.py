"""When a Pusher user's sign-in is confirmed, and what an app may do that is only being tested."""

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

from bellcast.inbox.types.inboxes import Inbox
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.events import inbox_stream
from bellcast.kernel.identities import Principal, Project
from bellcast.kernel.limits import Limits
from bellcast.live.connection import Phase
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.hub.survey import ConnectionSurvey
from bellcast.live.pusher import protocol, signatures
from bellcast.live.pusher.channels import PusherChannels
from bellcast.live.pusher.plugin import PusherConfig
from bellcast.live.pusher.signed_in_users import PusherUsers
from bellcast.live.types import GroupState, GroupUpdate
from tests import fake_stores
from tests.clock import FakeClock
from tests.unit.live import fakes

PROJECT = Project("1", "key", "secret")
USER_DATA = '{"id":"alice"}'


class SlowDevices:
    """A store that has not responded yet."""

    def __init__(self) -> None:
        self.has_responded = asyncio.Event()
        self.connected = frozenset[str]()  # connections whose positions a new one may not continue

    async def register(self, _: Any, connected: frozenset[str], now: int) -> None:
        self.connected = connected
        await self.has_responded.wait()


class Admission:
    """Opens the inbox of Alice."""

    async def sign_in(self, connection: fakes.FakeConnection, principal: Principal) -> Inbox:
        connection.transition(Phase.OPENING)
        connection.principal = principal
        return Inbox(number=1, state=fakes.state(1), oldest_revision=0)


class Nodes:
    """Two nodes, each with a connection of Alice; `survey` is that of the first one."""

    def __init__(self) -> None:
        self._tasks = set[asyncio.Future[None]]()
        broker = MemoryBroker()
        broker.listen(self._receive)
        self._hubs = [fakes.new_hub(), fakes.new_hub()]
        self._surveys = [ConnectionSurvey(hub, broker, self._spawn) for hub in self._hubs]
        self.survey = self._surveys[0]
        for number, hub in enumerate(self._hubs, 1):
            fakes.connect(hub, f"{number}.1")
        state = GroupState(self._hubs[1].members.id, 1, None, 1)
        self._hubs[0].groups.receive(GroupUpdate(inbox_stream("", "alice"), state))

    def _receive(self, event: Any) -> None:
        for survey in self._surveys:
            survey.receive(event)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(asyncio.ensure_future(work))


async def test_connections_of_other_nodes_keep_their_positions() -> None:
    assert await Nodes().survey.ids_of("", "alice") == {"1.1", "2.1"}
    assert await Nodes().survey.ids_of("", "bob") == frozenset()


class SigningIn:
    """A connection that signs in as Alice, whose device the store has not registered yet."""

    def __init__(self, user_data: str = USER_DATA, *, max_unsent: int = 0) -> None:
        self.hub, self.devices = fakes.new_hub(), SlowDevices()
        engines = SimpleNamespace(clock=FakeClock(), db=fake_stores.db(SimpleNamespace(devices=self.devices)))
        config = SimpleNamespace(limits=Limits())
        apps = SimpleNamespace(credentials=lambda _: (PROJECT,), key=lambda _: PROJECT.key, only_channel=lambda _: None)
        live = SimpleNamespace(
            engines=engines,
            hub=self.hub,
            survey=Nodes().survey,
            config=config,
            settings={"pusher": PusherConfig()},
            admission=Admission(),
        )
        self.users = PusherUsers(cast(Any, live), cast(Any, apps))
        self.connection = fakes.connect(self.hub, "1.1", Principal(), dialect=protocol.WEBSOCKET, max_unsent=max_unsent)
        self.connection.fake.is_buffering = max_unsent > 0
        auth = signatures.sign(PROJECT, signatures.user_string("1.1", user_data))
        self.task = asyncio.ensure_future(self.users.sign_in(self.connection, protocol.Signin(auth, user_data)))


async def test_sign_in_is_confirmed_when_events_reach_the_connection_and_not_before() -> None:
    one = SigningIn()
    for _ in range(10):
        await asyncio.sleep(0)
    assert (one.connection.phase, one.connection.fake.written) == (Phase.OPENING, [])
    assert one.devices.connected == {"1.1", "2.1"}
    one.devices.has_responded.set()
    await one.task
    assert one.connection.phase is Phase.LIVE
    assert "signin_success" in one.connection.fake.frames[0]["event"]


async def test_reader_that_is_too_slow_for_the_confirmation_watches_nobody() -> None:
    one = SigningIn('{"id":"alice","watchlist":["bob"]}', max_unsent=10)
    one.devices.has_responded.set()
    await one.task
    assert (one.connection.phase, one.users.watchers) == (Phase.CLOSED, {})


async def test_app_under_test_neither_signs_in_users_nor_subscribes_to_other_channels() -> None:
    hub = fakes.new_hub()
    config = SimpleNamespace(limits=Limits())
    apps = SimpleNamespace(
        credentials=lambda _: (PROJECT,), key=lambda _: PROJECT.key, only_channel=lambda _: "private-bellcast-test"
    )
    live: Any = SimpleNamespace(hub=hub, config=config, settings={"pusher": PusherConfig()}, admission=Admission())
    users = PusherUsers(live, cast(Any, apps))
    channels = PusherChannels(live, cast(Any, apps), cast(Any, None), users, cast(Any, None))
    connection = fakes.connect(hub, "1.1", Principal(), dialect=protocol.WEBSOCKET)
    for channel in ("private-orders", "news", "#server-to-user-alice"):
        auth = signatures.sign(PROJECT, signatures.channel_string("1.1", channel))
        await channels.subscribe(connection, protocol.PusherSubscribe(channel, auth))
    assert [one["event"] for one in connection.fake.frames] == ["pusher:subscription_error", "pusher:error"] * 3
    assert not connection.grants
    auth = signatures.sign(PROJECT, signatures.user_string("1.1", USER_DATA))
    await users.sign_in(connection, protocol.Signin(auth, USER_DATA))
    assert (connection.phase, connection.principal.recipient) == (Phase.CLOSED, None)


async def test_refusals_are_reported_without_the_data_of_users() -> None:
    refused: list[Any] = []
    hub = fakes.new_hub(HubCallbacks(topics_refused=lambda _, topics: refused.extend(topics)))
    apps = SimpleNamespace(credentials=lambda _: (PROJECT,), key=lambda _: PROJECT.key, only_channel=lambda _: None)
    config, settings = SimpleNamespace(limits=Limits()), {"pusher": PusherConfig()}
    live: Any = SimpleNamespace(hub=hub, config=config, settings=settings, admission=Admission())
    users = PusherUsers(live, cast(Any, apps))
    channels = PusherChannels(live, cast(Any, apps), cast(Any, None), users, cast(Any, None))
    connection = fakes.connect(hub, "1.1", Principal(), dialect=protocol.WEBSOCKET)
    data = '{"user_id":"alice","user_info":{"email":"alice@example.com"}}'
    await channels.subscribe(connection, protocol.PusherSubscribe("presence-room", "wrong", data))
    assert "alice@example.com" in str(connection.fake.frames[0])
    (one,) = refused
    assert (one.topic, one.code, one.message) == (
        "presence-room",
        "AuthError",
        "presence-room: the signature is invalid.",
    )
    await users.sign_in(
        connection, protocol.Signin("wrong", '{"id":"alice","user_info":{"email":"alice@example.com"}}')
    )
    assert "alice@example.com" in str(connection.fake.frames[-1])
    assert connection.close_reason is not None
    assert (connection.close_reason.code, connection.close_reason.reason) == (4009, "The sign-in is invalid.")
