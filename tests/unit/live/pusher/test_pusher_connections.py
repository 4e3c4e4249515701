"""Which connections the Pusher dialect retains, and when a channel's subscription count is sent."""

import asyncio
import contextlib
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bellcast.auth.permissions import Grant
from bellcast.calls import CONNECT, Call, Refused
from bellcast.kernel import concurrency
from bellcast.kernel.errors import TooMany
from bellcast.kernel.events import inbox_stream, topic_stream
from bellcast.kernel.identities import Principal, Project
from bellcast.kernel.limits import Limits
from bellcast.live.admission import close_refused, guarded_start
from bellcast.live.connection import Connection, Phase
from bellcast.live.connection.close_reasons import RESTARTING
from bellcast.live.hub import Hub
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.hub.dispatch import Dispatcher
from bellcast.live.native import protocol as native
from bellcast.live.pusher import protocol, signatures
from bellcast.live.pusher.apps import ConnectedApps, PusherApp
from bellcast.live.pusher.channels import PresenceCache, PusherCallContext, PusherChannels
from bellcast.live.pusher.endpoint import PusherHandshake, PusherObserver
from bellcast.live.pusher.plugin import PusherConfig
from bellcast.live.reconciler import INTERVAL_SECONDS, Reconciler
from bellcast.live.types import LiveConfig
from bellcast.recipients.types import SessionsRevoked
from tests.clock import FakeClock
from tests.unit.live import fakes

PROJECT = Project("1", "project-key", "project-secret")
APP = PusherApp(credentials=Project("7", "app-key", "app-secret"), tenant="acme")
CHANNEL = "news"


class Apps:
    """A registry of one app."""

    def __init__(self) -> None:
        self.watchers: list[Any] = []
        self.by_key = {APP.credentials.key: APP}


class FullServer:
    """An Admission that refuses every connection, and no app."""

    def has(self, name: str) -> bool:
        return False

    async def admit(self, connection: Connection) -> Any:
        raise TooMany("full", retry_after=1)


def live_context(hub: Hub, app: Any) -> Any:
    """What the handshake uses of a LiveContext. `app` is an app and an Admission."""
    config, settings = LiveConfig(limits=Limits()), {"pusher": PusherConfig()}
    return SimpleNamespace(hub=hub, app=app, admission=app, config=config, settings=settings, spawn=None)


def client_request() -> Any:
    """The handshake of a client of APP."""
    return SimpleNamespace(path="/app/app-key", parameter_values={"protocol": "7"}, address=None, for_app=lambda: None)


def connected_apps() -> ConnectedApps:
    return ConnectedApps(PROJECT, cast(Any, Apps()), cast(Any, None), lambda *_: None)


async def test_connection_that_is_refused_before_it_is_registered_is_not_kept() -> None:
    apps, hub = connected_apps(), fakes.new_hub()
    handshake = PusherHandshake(live_context(hub, FullServer()), apps, cast(Any, None), cast(Any, None))
    connection = fakes.FakeConnection("1", protocol.WEBSOCKET, Principal(tenant="acme"), hub, 0, None)
    connection.attach(fakes.FakeTransport(), 0)
    with pytest.raises(TooMany):
        await handshake.start(connection, client_request(), lambda: None)
    assert apps.key(connection) == PROJECT.key


class App:
    """An app with a `connect` handler, and an Admission for its connections."""

    waiting_for_app = contextlib.nullcontext

    def has(self, name: str) -> bool:
        return name == CONNECT


class RefusingApp(App):
    """Its `connect` handler refuses every connection."""

    async def dispatch(self, call: Call) -> None:
        raise Refused("You are banned.")


async def test_connection_that_the_app_refuses_receives_its_message() -> None:
    app: Any = RefusingApp()
    hub = fakes.new_hub()
    handshake = PusherHandshake(live_context(hub, app), connected_apps(), cast(Any, None), cast(Any, None))
    connection = fakes.FakeConnection("1", protocol.WEBSOCKET, Principal(tenant="acme"), hub, 0, None)
    transport = fakes.FakeTransport()
    connection.attach(transport, 0)
    start = handshake.start(connection, client_request(), lambda: None)
    await guarded_start(connection, start, partial(close_refused, connection))
    assert transport.frames == [{"event": "pusher:error", "data": {"code": 4009, "message": "You are banned."}}]


class AcceptingApp(App):
    """Its `connect` handler identifies every client as Alice. Her inbox changes while it is opened."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def dispatch(self, call: Call) -> None:
        call.accept("alice")

    async def admit(self, connection: Connection) -> Any:
        fakes.add(self._hub, connection)
        self._hub.dispatch(fakes.added(2))
        return SimpleNamespace(inbox=SimpleNamespace(state=fakes.state(1)))


async def test_inbox_change_while_an_accepted_client_connects_is_sent() -> None:
    behind: list[Connection] = []
    hub = fakes.new_hub(HubCallbacks(fill_gap=behind.append))
    app: Any = AcceptingApp(hub)
    users: Any = SimpleNamespace(remember_browser=lambda *_: None)
    handshake = PusherHandshake(live_context(hub, app), connected_apps(), cast(Any, None), users)
    connection = fakes.FakeConnection("1", protocol.WEBSOCKET, Principal(), hub, 0, None)
    connection.attach(fakes.FakeTransport(), 0)
    await handshake.start(connection, client_request(), lambda: None)
    assert (connection.revision, behind) == (1, [connection])


async def test_client_that_leaves_while_it_joins_the_topics_of_the_app_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    browsers = set[Connection]()
    hub = fakes.new_hub(HubCallbacks(disconnected=browsers.discard))
    app: Any = AcceptingApp(hub)
    connection = fakes.FakeConnection("1", protocol.WEBSOCKET, Principal(recipient="alice"), hub, 0, None)
    connection.attach(fakes.FakeTransport(), 0)

    async def leave(context: PusherCallContext) -> None:
        connection.connection_lost(None)

    monkeypatch.setattr(PusherCallContext, "flush", leave)
    users: Any = SimpleNamespace(remember_browser=lambda one, _: browsers.add(one))
    handshake = PusherHandshake(live_context(hub, app), connected_apps(), cast(Any, None), users)
    await handshake.start(connection, client_request(), lambda: None)
    assert (connection.phase, browsers) == (Phase.CLOSED, set())


class Channel:
    """A hub with an observer, and what it sends about CHANNEL."""

    def __init__(self, *, webhooks: bool = False) -> None:
        self.hub, self.apps = fakes.new_hub(), connected_apps()
        self.counted: list[tuple[str, int]] = []
        hooks = SimpleNamespace(
            is_configured=webhooks,
            began=lambda *_: None,
            ended=lambda *_: None,
            counted=lambda *count: self.counted.append(count),
        )
        users: Any = SimpleNamespace(watchers={})
        observer = PusherObserver(self.hub, PusherConfig(), self.apps, cast(Any, hooks), users, cast(Any, None))
        self.hub.observers.append(observer)

    def join(self, id: str, frames: Any) -> fakes.FakeConnection:
        connection = fakes.connect(self.hub, id, dialect=frames)
        self.hub.subscriptions.follow(connection, {CHANNEL: Grant.CLAIM})
        return connection

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


def counts(connection: Connection) -> list[str]:
    frames = cast(fakes.FakeConnection, connection).fake.frames
    return [frame["data"] for frame in frames if frame.get("event") == "pusher_internal:subscription_count"]


async def test_count_reaches_pusher_clients_when_another_client_follows_their_channel() -> None:
    channel = Channel()
    client = fakes.connect(channel.hub, "1.1", Principal(), dialect=protocol.WEBSOCKET)
    channel.apps.add(client, PusherApp(credentials=PROJECT))
    channel.hub.subscriptions.follow(client, {CHANNEL: Grant.CLAIM})
    channel.join("2", native.WEBSOCKET)
    await channel.settle()
    assert counts(client) == ['{"subscription_count":2}']


async def test_count_is_not_made_without_pusher_clients_and_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    channel, fan_outs = Channel(), []
    monkeypatch.setattr(Dispatcher, "send_to_stream", lambda _, *sent: fan_outs.append(sent))
    channel.join("1", native.WEBSOCKET)
    await channel.settle()
    assert (fan_outs, channel.counted) == ([], [])


async def test_counts_of_other_nodes_matter_once_a_pusher_client_has_connected() -> None:
    channel = Channel()
    observer = cast(PusherObserver, channel.hub.observers[0])
    assert not observer.has_count_receivers
    client = fakes.connect(channel.hub, "1.1", Principal(), dialect=protocol.WEBSOCKET)
    channel.apps.add(client, PusherApp(credentials=PROJECT))
    assert observer.has_count_receivers


async def test_channel_that_ends_before_other_nodes_are_known_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = Channel(webhooks=True)
    monkeypatch.setattr(channel.hub.groups, "is_known", lambda _: False)
    channel.hub.end(channel.join("1", native.WEBSOCKET), RESTARTING)
    assert cast(PusherObserver, channel.hub.observers[0])._unreported == {}


async def test_count_is_sent_to_webhooks_without_pusher_clients() -> None:
    channel = Channel(webhooks=True)
    channel.join("1", native.WEBSOCKET)
    await channel.settle()
    assert channel.counted == [(CHANNEL, 1)]


async def test_count_waits_for_the_last_event_of_a_cache_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bellcast.live.pusher.endpoint.CACHE_SECONDS", 0)
    channel = Channel(webhooks=True)
    with channel.hub.dispatcher.collected.collecting([topic_stream("", CHANNEL)]):
        channel.join("1", native.WEBSOCKET)
        await channel.settle()
        assert channel.counted == []
    await channel.settle()
    assert channel.counted == [(CHANNEL, 1)]


async def test_inbox_changes_are_sent_to_the_aliases_that_the_settings_have_then() -> None:
    channel, names = Channel(), ("private-App.Models.User.alice", "private-user.alice")
    clients = [fakes.connect(channel.hub, name, Principal(), dialect=protocol.WEBSOCKET) for name in names]
    for client, name in zip(clients, names, strict=True):
        channel.apps.add(client, PusherApp(credentials=PROJECT))
        channel.hub.subscriptions.follow(client, {name: Grant.APP})
    await channel.settle()

    def received(revision: int) -> list[list[str]]:
        before = [len(client.fake.frames) for client in clients]
        channel.hub.dispatch(fakes.added(revision))
        return [[one["channel"] for one in client.fake.frames[n:]] for client, n in zip(clients, before, strict=True)]

    assert received(2) == [[names[0]] * 2, []]  # the inbox change, and Laravel's event
    cast(PusherObserver, channel.hub.observers[0]).config.aliases = ("private-user.{recipient}",)
    assert received(3) == [[], [names[1]]]
    channel.hub.subscriptions.unfollow(clients[1], [names[1]])
    assert received(4) == [[], []]


async def test_inboxes_are_followed_at_the_broker_while_the_settings_have_aliases_for_them() -> None:
    channel, name, inbox = Channel(), "private-user.alice", inbox_stream("", "alice")
    client = fakes.connect(channel.hub, name, Principal(), dialect=protocol.WEBSOCKET)
    channel.hub.subscriptions.follow(client, {name: Grant.APP})
    config, followed = cast(PusherObserver, channel.hub.observers[0]).config, channel.hub.subscriptions.groups.followed
    clock, before = FakeClock(), config.aliases
    reconciler = Reconciler(cast(Any, SimpleNamespace(clock=clock)), channel.hub, cast(Any, None))
    checking = asyncio.ensure_future(reconciler.run())
    for aliases in (("private-user.{recipient}",), before, ("private-user.{recipient}",)):
        config.aliases = aliases
        clock.advance(INTERVAL_SECONDS)
        await channel.settle()
        assert followed[inbox] == (aliases != before)
    channel.hub.subscriptions.unfollow(client, [name])
    assert inbox not in followed
    checking.cancel()


async def test_all_inboxes_that_a_channel_carries_are_followed_at_the_broker() -> None:
    channel, name = Channel(), "private-vip-bob"
    cast(PusherObserver, channel.hub.observers[0]).config.aliases = ("private-{recipient}", "private-vip-{recipient}")
    channel.hub.subscriptions.follow(channel.join("1", native.WEBSOCKET), {name: Grant.APP})
    followed = channel.hub.subscriptions.groups.followed
    assert {inbox_stream("", recipient) for recipient in ("bob", "vip-bob")} <= set(followed)


async def test_change_of_many_aliased_channels_lets_other_tasks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "PART_SECONDS", 0.0)  # a pause after each channel
    channel, names = Channel(), ["private-user.alice", "private-user.bob"]
    client = fakes.connect(channel.hub, "1", Principal(), dialect=protocol.WEBSOCKET)
    subscriptions = channel.hub.subscriptions
    subscriptions.follow(client, dict.fromkeys(names, Grant.APP))
    cast(PusherObserver, channel.hub.observers[0]).config.aliases = ("private-user.{recipient}",)
    following = asyncio.ensure_future(subscriptions.follow_carried())
    await asyncio.sleep(0)
    alice, bob = inbox_stream("", "alice"), inbox_stream("", "bob")
    assert alice in subscriptions.groups.followed
    assert bob not in subscriptions.groups.followed
    subscriptions.unfollow(client, names)
    await following
    assert not {alice, bob} & set(subscriptions.groups.followed)


async def test_failed_change_of_aliased_channels_leaves_the_checks_of_inboxes() -> None:
    channel, clock = Channel(), FakeClock()
    cast(PusherObserver, channel.hub.observers[0]).config.aliases = cast(Any, None)  # cannot be read
    checking = asyncio.ensure_future(
        Reconciler(cast(Any, SimpleNamespace(clock=clock)), channel.hub, cast(Any, None)).run()
    )
    await channel.settle()
    assert not checking.done()
    assert channel.hub.reconciler_checks == {"failed": 1}
    checking.cancel()


async def test_revoked_recipient_loses_channels_that_the_app_authorized() -> None:
    channel, alias = Channel(), "private-App.Models.User.alice"
    names = [alias, "private-App.Models.User.alice2", "news"]
    anonymous = Principal()
    connections = [fakes.connect(channel.hub, name, anonymous, dialect=native.WEBSOCKET) for name in names]
    for connection, name in zip(connections, names, strict=True):
        channel.hub.subscriptions.follow(connection, {name: Grant.APP})
    channel.hub.dispatch(SessionsRevoked("", "alice", 1))
    assert [connection.phase is Phase.CLOSED for connection in connections] == [True, False, False]


async def test_member_limit_counts_people_and_not_their_connections() -> None:
    hub, cache, config = fakes.new_hub(), PresenceCache(), PusherConfig(presence_members=1)
    webhooks: Any = SimpleNamespace(is_configured=False, began=lambda *_: None)
    apps: Any = SimpleNamespace(
        only_channel=lambda _: None, credentials=lambda _: (PROJECT,), key=lambda _: PROJECT.key, is_used=True
    )
    live: Any = SimpleNamespace(hub=hub, config=LiveConfig(limits=Limits()), settings={"pusher": config})
    hub.observers.append(PusherObserver(hub, config, apps, webhooks, cast(Any, None), cache))
    channels = PusherChannels(live, apps, webhooks, cast(Any, None), cache)
    subscribed = []
    for id, user in (("1.1", "alice"), ("2.2", "alice"), ("3.3", "bob")):
        connection = fakes.connect(hub, id, Principal(), dialect=protocol.WEBSOCKET)
        data = f'{{"user_id":"{user}"}}'
        auth = signatures.sign(PROJECT, signatures.channel_string(id, "presence-room", data))
        await channels.subscribe(connection, protocol.PusherSubscribe("presence-room", auth, data))
        subscribed.append(list(connection.grants or ()) == ["presence-room"])
    assert subscribed == [True, True, False]
