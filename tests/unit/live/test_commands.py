"""The `auth` command of the native dialect: against a store that fails, and on a connection that has ended. `typing` to many."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest

from bellcast.auth.permissions import Grant
from bellcast.inbox import inboxes
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.errors import BellcastError, Forbidden
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.live.connection import Connection, Phase
from bellcast.live.hub import Hub
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.native import protocol
from bellcast.live.native.commands import Commands
from bellcast.live.types import LiveConfig
from tests.clock import FakeClock
from tests.contexts import idle_context
from tests.store import FreshSqliteEngine, Store
from tests.unit.live.fakes import add, connect, new_hub

BEFORE, FRESH = Principal(recipient="alice", roles=("admin",)), Principal(recipient="alice", roles=())
RENEW = protocol.AuthCommand(token="t")
LIMITS = Limits()


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    opened = SimpleNamespace(inbox=SimpleNamespace(name=None))
    monkeypatch.setattr(inboxes, "reopen", AsyncMock(return_value=opened))
    result = Store(FreshSqliteEngine(tmp_path / "bellcast.db", FakeClock()))
    await result.open()
    yield result
    await result.close()


def commands_of(hub: Hub, store: Store, limits: Limits = LIMITS) -> Commands:
    live = SimpleNamespace(
        engines=idle_context(store, MemoryBroker(), FakeClock(), str),
        hub=hub,
        config=LiveConfig(limits=limits),
        spawn=None,
        authenticator=SimpleNamespace(session=AsyncMock(return_value=FRESH)),
    )
    return Commands(cast(Any, live))


def follower(hub: Hub) -> Connection:
    """Return a live connection that follows a topic by its role."""
    connection = Connection("1", protocol.WEBSOCKET, BEFORE, hub, 0, None)
    add(hub, connection)
    connection.transition(Phase.LIVE)
    hub.subscriptions.follow(connection, {"role.admin": Grant.ROLE})
    return connection


async def test_auth_changes_nothing_if_the_store_fails(store: Store) -> None:
    hub = new_hub()
    connection = follower(hub)
    await store.close()
    with pytest.raises(BellcastError):
        await commands_of(hub, store).perform(connection, RENEW)
    assert (connection.principal, connection.grants) == (BEFORE, {"role.admin": Grant.ROLE})


async def test_auth_renews_only_a_connection_that_has_not_ended(store: Store) -> None:
    renewed: list[Connection] = []
    hub = new_hub(HubCallbacks(renewed=renewed.append))
    connection = follower(hub)
    await commands_of(hub, store).perform(connection, RENEW)
    assert (renewed, connection.principal, connection.grants) == ([connection], FRESH, {})
    connection.connection_lost(None)  # commands that have been received are still processed
    await commands_of(hub, store).perform(connection, RENEW)
    assert renewed == [connection]


async def test_auth_with_the_token_of_another_recipient_writes_nothing_to_that_recipient(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = new_hub()
    connection, commands = follower(hub), commands_of(hub, store)
    of_bob = AsyncMock(return_value=Principal(recipient="bob", name="Robert", roles=("admin",)))
    monkeypatch.setattr(commands._live.authenticator, "session", of_bob)
    with pytest.raises(Forbidden):
        await commands.perform(connection, RENEW)
    cast(AsyncMock, inboxes.reopen).assert_not_awaited()
    assert connection.principal == BEFORE


@pytest.mark.parametrize(("followers", "at_once"), [(10, 10), (400, 7), (4_000, 2)])
async def test_typing_to_many_followers_counts_as_more_messages(
    store: Store, monkeypatch: pytest.MonkeyPatch, followers: int, at_once: int
) -> None:
    hub = new_hub()
    connection, commands = follower(hub), commands_of(hub, store)
    for number in range(followers - 1):
        hub.subscriptions.follow(connect(hub, f"other {number}"), {"role.admin": Grant.ROLE})
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 1.0)  # no time passes
    typing = protocol.TypingCommand(topic="role.admin", on=True)
    sent = [asyncio.ensure_future(commands.perform(connection, typing)) for _ in range(10)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert sum(one.done() for one in sent) == at_once
    monkeypatch.undo()
    for one in sent:
        one.cancel()


async def test_typing_to_many_followers_with_a_low_limit_lets_the_next_message_follow(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = new_hub()
    connection, commands = connect(hub, "1", BEFORE), commands_of(hub, store, Limits(frames_per_second=10))
    hub.subscriptions.follow(connection, {"role.admin": Grant.ROLE})
    monkeypatch.setattr(type(hub.subscriptions), "total", lambda *_: 10_000)
    for is_on in (True, False):
        await commands.perform(connection, protocol.TypingCommand(topic="role.admin", on=is_on))
    assert connection.phase is Phase.LIVE


async def test_typing_of_a_connection_that_is_closed_for_too_many_messages_is_not_delivered(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = new_hub()
    connection, commands = connect(hub, "1", BEFORE), commands_of(hub, store)
    hub.subscriptions.follow(connection, {"role.admin": Grant.ROLE})
    published = AsyncMock()
    monkeypatch.setattr(commands._live.engines.broker, "publish", published)
    monkeypatch.setattr(type(hub.subscriptions), "total", lambda *_: 10_000)
    monkeypatch.setattr(asyncio, "sleep", AsyncMock())  # as if all of them had arrived at once
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 1.0)
    typing = protocol.TypingCommand(topic="role.admin", on=True)
    for _ in range(20):
        await commands.perform(connection, typing)
    monkeypatch.undo()
    assert (connection.phase, published.await_count) == (Phase.CLOSED, 12)
