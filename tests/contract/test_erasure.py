"""What is left of an erased recipient in any row of any table: nothing that names it but the answers of idempotency keys, which
say for a day that something was sent, so that a late repetition does not send it again."""

from pathlib import Path

from bellcast.model.identities import RecipientFields
from bellcast.ports import DevicePosition, JoinedBy
from tests.contract.app import App
from tests.contract.test_store_tenants import everything, of

WHO, OTHER = "somebody-to-forget", "somebody-who-stays"


async def fill(app: App, key: str) -> None:
    """Something of every kind that is kept of a recipient, each with its name."""
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


async def test_nothing_names_an_erased_recipient_but_that_its_keys_were_answered(app: App, tmp_path: Path) -> None:
    for key in (WHO, OTHER):
        await fill(app, key)
    before = await everything(app.store, tmp_path)
    assert len(of(before, WHO)) >= 5, of(before, WHO)
    assert await app.store.recipients.delete("", WHO, app.now) is not None
    after = await everything(app.store, tmp_path)
    assert set(of(after, WHO)) <= {"idempotency"}
    assert of(after, OTHER) == of(before, OTHER)
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


async def test_a_day_later_the_answers_are_gone_too(app: App, tmp_path: Path) -> None:
    await fill(app, WHO)
    await app.store.recipients.delete("", WHO, app.now)
    later = app.now + 25 * 3600 * 1000
    await app.store.upkeep.delete_forgotten(
        app.now, tombstones_before=0, keys_before=later - 24 * 3600 * 1000, limit=100
    )
    assert of(await everything(app.store, tmp_path), WHO) == {}
