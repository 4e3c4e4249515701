"""Operations never affect another tenant or recipient: the same key in two tenants is two recipients."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest

from bellcast.inbox.types import Edit
from bellcast.inbox.types.inboxes import Action, Marking, Query
from bellcast.kernel import times
from bellcast.recipients.types import RecipientFields
from tests.contract.app import App

MINE, SAME_KEY, SAME_TENANT = ("acme", "alice"), ("globex", "alice"), ("acme", "bob")


class Cast(NamedTuple):
    """Alice of Acme, who acts; Alice of Globex and Bob of Acme, who must be unaffected."""

    app: App
    number: int
    own: str
    others: tuple[str, str]


@pytest.fixture
async def cast(app: App) -> Cast:
    ids = []
    for tenant, key in (MINE, SAME_KEY, SAME_TENANT):
        await app.store.recipients.put(
            tenant, key, RecipientFields(name=f"{key} of {tenant}", roles=["staff"]), app.now, replace=True
        )
        await app.store.subscriptions.subscribe(tenant, "room", key, app.now)
        ids.append(
            await app.send(
                key, f"for {key} of {tenant}", tenant=tenant, tags=("x",), expires_at=times.to_rfc3339(app.now + 60_000)
            )
        )
    return Cast(app, (await app.inbox("alice", "acme")).number, ids[0], (ids[1], ids[2]))


async def recipient_state(app: App, tenant: str, key: str) -> list[Any]:
    inbox = await app.inbox(key, tenant)
    pairs = await app.store.exports.recipient(tenant, key)
    assert pairs is not None
    topics = await app.store.subscriptions.among(tenant, key, ["room", "role.staff"])
    return [inbox, topics, await app.store.inboxes.changes(inbox.number, 0, 100), *[pair async for pair in pairs]]


def mark_operation(*actions: Action, ids: bool) -> Callable[[Cast], Awaitable[Any]]:
    async def mark(cast: Cast) -> Any:
        marked_ids = (cast.own, *cast.others) if ids else None
        return await cast.app.store.inboxes.mark(cast.number, Marking(actions=actions, ids=marked_ids), cast.app.now)

    return mark


OPERATIONS: dict[str, Callable[[Cast], Awaitable[Any]]] = {
    **{f"{action} by ids": mark_operation(action, ids=True) for action in ("seen", "read", "archive", "delete")},
    **{f"{action} all": mark_operation(action, ids=False) for action in ("seen", "read", "archive", "delete")},
    "open with a session": lambda cast: cast.app.open("alice", "acme", roles=(), name="Other"),
    "send": lambda cast: cast.app.send("alice", tenant="acme", tags=("x",)),
    "announce to a topic": lambda cast: cast.app.announce(topic="unused", tenant="acme"),
    "materialize": lambda cast: cast.app.materialize("acme", ["alice"], cast.app.now),
    "edit": lambda cast: cast.app.store.sent.edit("acme", cast.own, Edit(title="Edited"), cast.app.now),
    "recall": lambda cast: cast.app.store.sent.recall("acme", cast.own, cast.app.now),
    "put": lambda cast: cast.app.store.recipients.put("acme", "alice", RecipientFields(), cast.app.now, replace=True),
    "delete": lambda cast: cast.app.store.recipients.delete("acme", "alice", cast.app.now),
    "revoke": lambda cast: cast.app.store.recipients.revoke("acme", "alice", cast.app.now),
    "subscribe": lambda cast: cast.app.store.subscriptions.subscribe("acme", "other", "alice", cast.app.now),
    "unsubscribe": lambda cast: cast.app.store.subscriptions.unsubscribe("acme", "room", "alice", cast.app.now),
    "name the tenant": lambda cast: cast.app.store.tenants.put("acme", "Acme", {}, cast.app.now),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("max_row_events", [200, 0], ids=["row by row", "in bulk"])
async def test_operation_does_not_affect_others(
    cast: Cast, operation: str, max_row_events: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bellcast.inbox.store.marking.MAX_ROW_EVENTS", max_row_events)
    others = [SAME_KEY, SAME_TENANT]
    before = [await recipient_state(cast.app, *other) for other in others]
    own = await recipient_state(cast.app, *MINE)
    await OPERATIONS[operation](cast)
    assert [await recipient_state(cast.app, *other) for other in others] == before
    if operation not in ("announce to a topic", "materialize", "name the tenant", "subscribe"):
        assert await recipient_state(cast.app, *MINE) != own


async def test_reads_return_own_rows_only(cast: Cast) -> None:
    inboxes = cast.app.store.inboxes
    assert [row.id for row in (await inboxes.page(cast.number, Query())).notifications] == [cast.own]
    assert [row.id for row in (await inboxes.page(cast.number, Query(tag=["x"]))).notifications] == [cast.own]
    assert (await inboxes.unread_by_type(cast.number)).by_type == {"general": 1}
    assert [change.id for change in (await inboxes.changes(cast.number, 0, 10)).rows] == [cast.own]
    for other in cast.others:
        assert await inboxes.get(cast.number, other) is None


async def test_tenant_lists_contain_own_rows_only(cast: Cast) -> None:
    recipients = cast.app.store.recipients
    assert [row.key for row in await recipients.after("acme", None, 10)] == ["alice", "bob"]
    assert [row.recipient for row in await cast.app.store.subscriptions.page("acme", "room", None, 10)] == [
        "alice",
        "bob",
    ]
    assert [row.recipient for row in await cast.app.store.subscriptions.page("globex", "room", None, 10)] == ["alice"]
    assert await recipients.get("", "alice") is None


async def test_other_tenants_notifications_cannot_be_found_edited_or_recalled(cast: Cast) -> None:
    now = cast.app.now
    announced = await cast.app.announce(tenant="acme")
    for id in (cast.own, announced):
        for tenant in ("globex", "", "*"):
            assert await cast.app.store.sent.find(tenant, id) is None
            assert await cast.app.store.sent.edit(tenant, id, Edit(title="Edited"), now) is None
            assert await cast.app.store.sent.recall(tenant, id, now) is None
    assert await cast.app.store.sent.find("acme", cast.own) is not None


async def test_announcement_stays_in_its_tenant(cast: Cast) -> None:
    await cast.app.announce("Acme's", tenant="acme")
    await cast.app.announce("Acme's room", tenant="acme", topic="room")
    await cast.app.announce("Acme's staff", tenant="acme", topic="role.staff")
    assert len(await cast.app.page("alice", tenant="acme")) == 4
    assert len(await cast.app.page("bob", tenant="acme")) == 4
    assert await cast.app.titles("alice", tenant="globex") == ["for alice of globex"]


async def test_materialize_for_one_tenant_affects_no_other(cast: Cast) -> None:
    await cast.app.announce(tenant="globex")
    assert await cast.app.materialize("acme", ["alice", "bob"], cast.app.now) == []
    assert len(await cast.app.materialize("globex", ["alice", "bob"], cast.app.now)) == 1
