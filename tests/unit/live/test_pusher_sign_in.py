"""When a Pusher user's sign-in is confirmed, and what an app may do that is only being tested."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from tests.clock import FakeClock
from tests.unit.live import fakes

from bellcast.auth import pusher_signatures as signatures
from bellcast.live.connection.connection import Phase
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.pusher import protocol
from bellcast.live.pusher.channels import PusherChannels
from bellcast.live.pusher.protocol import dialect
from bellcast.live.pusher.signed_in_users import PusherUsers
from bellcast.model.identities import Principal, Project
from bellcast.model.inboxes import Inbox
from bellcast.model.limits import Limits
from bellcast.model.pusher import PusherConfig

PROJECT = Project("1", "key", "secret")
USER_DATA = '{"id":"alice"}'


class SlowDevices:
    """A store that has not responded yet."""

    def __init__(self) -> None:
        self.has_responded = asyncio.Event()

    async def register(self, *_: Any) -> None:
        await self.has_responded.wait()


class Admission:
    """Opens the inbox of Alice."""

    async def sign_in(self, connection: fakes.FakeConnection, principal: Principal) -> Inbox:
        connection.transition(Phase.OPENING)
        connection.principal = principal
        return Inbox(number=1, state=fakes.state(1), oldest_revision=0)


async def test_sign_in_is_confirmed_when_events_reach_the_connection_and_not_before() -> None:
    hub, devices = fakes.new_hub(), SlowDevices()
    engines = SimpleNamespace(clock=FakeClock(), store=SimpleNamespace(devices=devices))
    config = SimpleNamespace(limits=Limits())
    apps = SimpleNamespace(credentials=lambda _: (PROJECT,), key=lambda _: PROJECT.key, only_channel=lambda _: None)
    context = SimpleNamespace(
        engines=engines, hub=hub, config=config, pusher=PusherConfig(), project=PROJECT, apps=apps
    )
    users = PusherUsers(cast(Any, context), cast(Any, Admission()))
    connection = fakes.connect(hub, "1.1", Principal(), dialect=dialect.MESSAGE)
    auth = signatures.sign(PROJECT, signatures.user_string("1.1", USER_DATA))
    signing_in = asyncio.ensure_future(users.sign_in(connection, protocol.Signin(auth, USER_DATA)))
    for _ in range(10):
        await asyncio.sleep(0)
    assert (connection.phase, connection.fake.written) == (Phase.OPENING, [])
    devices.has_responded.set()
    await signing_in
    assert connection.phase is Phase.LIVE
    assert "signin_success" in connection.fake.frames[0]["event"]


async def test_app_under_test_neither_signs_in_users_nor_subscribes_to_other_channels() -> None:
    hub = fakes.new_hub()
    config = SimpleNamespace(limits=Limits())
    apps = SimpleNamespace(
        credentials=lambda _: (PROJECT,), key=lambda _: PROJECT.key, only_channel=lambda _: "private-bellcast-test"
    )
    context = SimpleNamespace(hub=hub, config=config, pusher=PusherConfig(), project=PROJECT, apps=apps)
    users = PusherUsers(cast(Any, context), cast(Any, Admission()))
    channels = PusherChannels(cast(Any, context), users, cast(Any, None))
    connection = fakes.connect(hub, "1.1", Principal(), dialect=dialect.MESSAGE)
    for channel in ("private-orders", "news", "#server-to-user-alice"):
        auth = signatures.sign(PROJECT, signatures.channel_string("1.1", channel))
        await channels.subscribe(connection, protocol.PusherSubscribe(channel, auth))
    assert [one["event"] for one in connection.fake.frames] == ["pusher:subscription_error", "pusher:error"] * 3
    assert not hub.subscriptions.topics(connection)
    auth = signatures.sign(PROJECT, signatures.user_string("1.1", USER_DATA))
    await users.sign_in(connection, protocol.Signin(auth, USER_DATA))
    assert (connection.phase, connection.principal.recipient) == (Phase.CLOSED, None)


async def test_refusals_are_told_without_the_data_of_users() -> None:
    refused: list[Any] = []
    hub = fakes.new_hub(HubCallbacks(topics_refused=lambda _, topics: refused.extend(topics)))
    apps = SimpleNamespace(credentials=lambda _: (PROJECT,), key=lambda _: PROJECT.key, only_channel=lambda _: None)
    context = SimpleNamespace(
        hub=hub, config=SimpleNamespace(limits=Limits()), pusher=PusherConfig(), project=PROJECT, apps=apps
    )
    users = PusherUsers(cast(Any, context), cast(Any, Admission()))
    channels = PusherChannels(cast(Any, context), users, cast(Any, None))
    connection = fakes.connect(hub, "1.1", Principal(), dialect=dialect.MESSAGE)
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
