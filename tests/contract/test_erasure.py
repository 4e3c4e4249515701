"""No row of any table names an erased recipient except responses stored under idempotency keys: for a day they prevent
a late repetition from sending again."""

from pathlib import Path

from bellcast.model.identities import RecipientFields
from bellcast.ports import DevicePosition, JoinedBy
from tests.contract.app import App
from tests.contract.test_store_tenants import all_rows, rows_containing

ERASED, OTHER = "erased-recipient", "other-recipient"


async def fill(app: App, key: str) -> None:
    """Store data of every kind about a recipient, each containing its key."""
    store, now = app.store, app.now
    fields = RecipientFields(name=key, email=f"{key}@example.com", phone=key, roles=[key], data={"a": key})
    await store.recipients.put("", key, fields, now, replace=True)
    await store.recipients.subscribe("", f"topic-{key}", key, now)
    for number in range(4):
        await app.send(key, f"{number} {key}", tags=(key,), key=f"{number} of {key}")
    await app.mark(key, "delete", ids=((await app.page(key))[0].id,))
    inbox = await app.inbox(key)
    await store.devices.acknowledge([DevicePosition(inbox.number, key.encode(), key, inbox.state.epoch, 1)], now)
    await store.joined_topics.save(JoinedBy(inbox.number, f"connection of {key}"), f"[{key}]", now)


async def test_only_idempotency_responses_name_an_erased_recipient(app: App, tmp_path: Path) -> None:
    for key in (ERASED, OTHER):
        await fill(app, key)
    before = await all_rows(app.store, tmp_path)
    assert len(rows_containing(before, ERASED)) >= 5, rows_containing(before, ERASED)
    assert await app.store.recipients.delete("", ERASED, app.now) is not None
    after = await all_rows(app.store, tmp_path)
    assert set(rows_containing(after, ERASED)) <= {"idempotency"}
    assert rows_containing(after, OTHER) == rows_containing(before, OTHER)
    for name in (
        "notifications",
        "notification_tags",
        "tombstones",
        "devices",
        "joined_topics",
        "recipients",
        "subscriptions",
    ):
        assert len(after[name]) == len(before[name]) // 2 > 0


async def test_idempotency_responses_of_an_erased_recipient_are_deleted_after_a_day(app: App, tmp_path: Path) -> None:
    await fill(app, ERASED)
    await app.store.recipients.delete("", ERASED, app.now)
    later = app.now + 25 * 3600 * 1000
    await app.store.upkeep.delete_forgotten(
        app.now, tombstones_before=0, keys_before=later - 24 * 3600 * 1000, limit=100
    )
    assert rows_containing(await all_rows(app.store, tmp_path), ERASED) == {}
