"""A session issued before a revocation is refused and writes nothing."""

import itertools
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from bellcast.inbox.types.inboxes import Position, ResumeFrom, SessionRevoked
from bellcast.kernel.events import inbox_stream
from bellcast.live.connection import Phase
from bellcast.recipients.types import RecipientFields
from tests.contract.app import App, engine_of
from tests.contract.inbox.test_announcements_on_two_nodes import KEYS, Node
from tests.contract.table_rows import all_rows

RESUME = ResumeFrom(Position(1, 0), 100)


async def revoke(app: App) -> None:
    await app.store.recipients.put("acme", "alice", RecipientFields(roles=[]), app.now, replace=False)
    await app.store.recipients.revoke("acme", "alice", app.now)


async def erase_recipient(app: App) -> None:
    await app.store.recipients.delete("acme", "alice", app.now)


async def erase_tenant(app: App) -> None:
    while (await app.store.tenants.erase("acme", app.now, app.now, 10))[0]:
        pass


REVOCATIONS: list[Callable[[App], Coroutine[Any, Any, None]]] = [revoke, erase_recipient, erase_tenant]


@pytest.mark.parametrize("since", [None, RESUME], ids=["first", "resumed"])
@pytest.mark.parametrize("end_sessions", REVOCATIONS)
async def test_revoked_session_writes_nothing(
    app: App, tmp_path: Path, end_sessions: Callable[[App], Coroutine[Any, Any, None]], since: ResumeFrom | None
) -> None:
    issued_at = app.now
    await app.open("alice", "acme", roles=("admin",), name="Alice", issued_at=issued_at)
    app.clock.advance(1)
    await end_sessions(app)
    await app.announce("To all", tenant="acme")  # to be materialized by a valid session
    before = await all_rows(app.store, tmp_path)
    with pytest.raises(SessionRevoked) as refused:
        await app.open("alice", "acme", roles=("admin",), name="Mallory", issued_at=issued_at, since=since)
    assert refused.value.before == app.now
    assert await all_rows(app.store, tmp_path) == before
    assert (await app.open("alice", "acme", issued_at=app.now)).inbox.roles == ()


@pytest.mark.parametrize("end_sessions", REVOCATIONS)
async def test_session_that_a_killed_node_has_ended_is_closed_by_the_others(
    app: App, end_sessions: Callable[[App], Coroutine[Any, Any, None]]
) -> None:
    """A kill after the commit loses its events: the reconciler of each node reads the ends from the store."""
    node = Node(app)
    for key in KEYS:
        await node.connect(key, "acme" if key == "alice" else "")
    app.clock.advance(1)
    await end_sessions(app)
    node.reconciler.mark_suspect([inbox_stream("acme", "alice"), inbox_stream("", "bob")])
    await node.end_tasks()
    assert {key: one.phase is Phase.CLOSED for key, one in node.devices.items()} == {"alice": True, "bob": False}


@pytest.mark.parametrize(("first", "second"), [*itertools.product(REVOCATIONS, REVOCATIONS)])
async def test_revocation_stays_after_the_clock_was_set_back(
    app: App,
    first: Callable[[App], Coroutine[Any, Any, None]],
    second: Callable[[App], Coroutine[Any, Any, None]],
) -> None:
    await app.send("alice", tenant="acme")
    await first(app)
    issued_at = app.now - 1
    app.clock.advance(-3_600)
    await app.send("alice", tenant="acme")
    await second(app)
    with pytest.raises(SessionRevoked):
        await app.open("alice", "acme", issued_at=issued_at)


async def test_session_is_refused_if_issued_before_the_revocation(app: App) -> None:
    await app.store.recipients.revoke("", "alice", app.now)
    await app.open("alice", issued_at=app.now)
    for issued_at in (0, app.now - 1):
        with pytest.raises(SessionRevoked):
            await app.open("alice", issued_at=issued_at)
    await app.open("bob", issued_at=0)  # not revoked


async def test_erased_tenant_revokes_sessions_of_unknown_recipients(app: App) -> None:
    await app.store.tenants.put("acme", None, {}, app.now)
    issued_at = app.now
    app.clock.advance(1)
    await erase_tenant(app)
    with pytest.raises(SessionRevoked):
        await app.open("carol", "acme", issued_at=issued_at)
    assert await app.store.tenants.get("acme") is None
    await app.send("carol", tenant="acme")  # creates the tenant again
    with pytest.raises(SessionRevoked):
        await app.open("carol", "acme", issued_at=issued_at)
    assert (await app.open("carol", "acme", issued_at=app.now)).inbox.state.unread == 1


async def test_session_revoked_during_its_opening_writes_nothing(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    await app.inbox("alice")
    engine = engine_of(app.store)
    write = engine.write

    async def revoke_first(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.undo()
        await app.store.recipients.revoke("", "alice", app.now + 1)
        return await write(*args, **kwargs)

    monkeypatch.setattr(engine, "write", revoke_first)
    with pytest.raises(SessionRevoked):
        await app.open("alice", roles=("admin",), issued_at=app.now)
    recipient = await app.store.recipients.get("", "alice")
    assert recipient is not None
    assert recipient.roles == ()
