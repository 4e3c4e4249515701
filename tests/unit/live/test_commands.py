"""Commands of the native dialect, against a store that fails."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest

from bellcast.auth.permissions import Grant
from bellcast.inbox import inboxes
from bellcast.kernel.brokers.memory import MemoryBroker
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.live.config import LiveConfig
from bellcast.live.connection.connection import Connection, Phase
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.hub.hub import Hub
from bellcast.live.hub.presence import PresenceTracker
from bellcast.live.native import protocol
from bellcast.live.native.commands import Commands
from tests.clock import FakeClock
from tests.contexts import idle_context
from tests.store import FreshSqliteEngine, Store


async def test_auth_changes_nothing_if_the_store_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    store = Store(FreshSqliteEngine(tmp_path / "bellcast.db", clock))
    await store.open()
    await store.close()
    broker = MemoryBroker()
    hub = Hub(PresenceTracker(tuple), broker, clock, HubCallbacks())
    before, fresh = Principal(recipient="alice", roles=("admin",)), Principal(recipient="alice", roles=())
    live = SimpleNamespace(
        engines=idle_context(store, broker, clock, str),
        hub=hub,
        config=LiveConfig(limits=Limits()),
        spawn=None,
        authenticator=SimpleNamespace(session=AsyncMock(return_value=fresh)),
    )
    opened = SimpleNamespace(inbox=SimpleNamespace(name=None))
    monkeypatch.setattr(inboxes, "reopen", AsyncMock(return_value=opened))
    commands = Commands(cast(Any, live))
    connection = Connection("1", protocol.WEBSOCKET, before, hub, 0, None)
    connection.transition(Phase.LIVE)
    hub.subscriptions.follow(connection, {"role.admin": Grant.ROLE})
    with pytest.raises(BellcastError):
        await commands.perform(connection, protocol.AuthCommand(token="t"))
    assert (connection.principal, connection.grants) == (before, {"role.admin": Grant.ROLE})
