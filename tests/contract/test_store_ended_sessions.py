"""A session that was issued before its recipient's sessions were ended is refused, and nothing is written for it."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from bellcast.model.identities import RecipientFields
from bellcast.model.inboxes import Position
from bellcast.ports import ResumeFrom, SessionRevoked
from tests.contract.app import App
from tests.contract.test_store_tenants import everything

AGAIN = ResumeFrom(Position(1, 0), 100)


async def revoke(app: App) -> None:
    await app.store.recipients.put("acme", "alice", RecipientFields(roles=[]), app.now, replace=False)
    await app.store.recipients.revoke("acme", "alice", app.now)


async def erase_recipient(app: App) -> None:
    await app.store.recipients.delete("acme", "alice", app.now)


async def erase_tenant(app: App) -> None:
    while (await app.store.recipients.erase_tenant("acme", app.now, 10))[0]:
        pass


ENDS: list[Callable[[App], Coroutine[Any, Any, None]]] = [revoke, erase_recipient, erase_tenant]


@pytest.mark.parametrize("since", [None, AGAIN], ids=["first", "again"])
@pytest.mark.parametrize("end", ENDS)
async def test_an_ended_session_writes_nothing(
    app: App, tmp_path: Path, end: Callable[[App], Coroutine[Any, Any, None]], since: ResumeFrom | None
) -> None:
    issued_at = app.now
    await app.open("alice", "acme", roles=("admin",), name="Alice", issued_at=issued_at)
    app.clock.advance(1)
    await end(app)
    await app.announce("To all", tenant="acme")  # to be taken in, by a session that stands
    before = await everything(app.store, tmp_path)
    with pytest.raises(SessionRevoked) as refused:
        await app.open("alice", "acme", roles=("admin",), name="Mallory", issued_at=issued_at, since=since)
    assert refused.value.before == app.now
    assert await everything(app.store, tmp_path) == before
    assert (await app.open("alice", "acme", issued_at=app.now)).inbox.roles == ()


async def test_a_session_is_refused_exactly_if_it_is_older_than_the_end(app: App) -> None:
    await app.store.recipients.revoke("", "alice", app.now)
    await app.open("alice", issued_at=app.now)
    for issued_at in (0, app.now - 1):
        with pytest.raises(SessionRevoked):
            await app.open("alice", issued_at=issued_at)
    await app.open("bob", issued_at=0)  # nobody ended its sessions


async def test_an_erased_tenant_ends_the_sessions_of_recipients_it_never_heard_of(app: App) -> None:
    await app.store.recipients.put_tenant("acme", None, {}, app.now)
    issued_at = app.now
    app.clock.advance(1)
    await erase_tenant(app)
    with pytest.raises(SessionRevoked):
        await app.open("carol", "acme", issued_at=issued_at)
    assert await app.store.recipients.tenant("acme") is None
    await app.send("carol", tenant="acme")  # the tenant's next life
    with pytest.raises(SessionRevoked):
        await app.open("carol", "acme", issued_at=issued_at)
    assert (await app.open("carol", "acme", issued_at=app.now)).inbox.state.unread == 1


async def test_a_session_that_is_ended_while_it_begins_writes_nothing(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    await app.inbox("alice")
    engine: Any = app.store._engine  # type: ignore[attr-defined]  # between its read and its write
    write = engine.write

    async def revoked_before(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.undo()
        await app.store.recipients.revoke("", "alice", app.now + 1)
        return await write(*args, **kwargs)

    monkeypatch.setattr(engine, "write", revoked_before)
    with pytest.raises(SessionRevoked):
        await app.open("alice", roles=("admin",), issued_at=app.now)
    recipient = await app.store.recipients.get("", "alice")
    assert recipient is not None
    assert recipient.roles == ()
