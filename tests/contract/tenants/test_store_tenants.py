"""Tenants: rules, and the export and erasure of all data of one tenant."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bellcast.channels.store import fanouts
from bellcast.channels.types import Fanout
from bellcast.documents.store import Documents
from bellcast.documents.types import PROJECT
from bellcast.inbox.store import maintenance
from bellcast.kernel.db.script import ScriptCommand
from bellcast.recipients.store import DevicePosition
from bellcast.recipients.types import RecipientFields
from bellcast.tenants.types import TenantRules
from bellcast.topics.store import LastEvent
from bellcast.workflows.workflow_catalog import WorkflowCatalog
from tests.contract.app import App, engine_of
from tests.contract.recipients import test_recipient_data
from tests.contract.table_rows import all_rows, columns, rows_containing

DAY = 24 * 3600
MARK = "the-secret-of-{}"


async def fill(app: App, tenant: str) -> None:
    """Store data of every kind about a tenant, each containing its mark."""
    store, mark, now = app.store, MARK.format(tenant), app.now
    await store.tenants.put(tenant, mark, {"plan": mark}, now)
    for key in ("alice", "bob"):
        fields = RecipientFields(name=f"{key} {mark}", email=f"{mark}@example.com", roles=[mark], data={"a": mark})
        await store.recipients.put(tenant, key, fields, now, replace=True)
        await store.subscriptions.subscribe(tenant, f"topic-{mark}", key, now)
        for number in range(3):
            await app.send(key, f"{number} {mark}", tenant=tenant, tags=(mark,), key=f"{mark}{key}{number}")
    await app.announce(f"to all {mark}", tenant=tenant)
    inbox = await app.inbox("alice", tenant)
    await app.store.sent.recall(tenant, (await app.page("alice", tenant=tenant))[-1].id, now)
    await store.devices.acknowledge([DevicePosition(inbox.number, mark.encode(), mark, inbox.state.epoch, 1)], now)
    await store.topics.save(tenant, f"topic-{mark}", LastEvent("said", f'"{mark}"', now))
    await store.tenants.add_usage(now // (DAY * 1000), {tenant: 7})


async def fill_every_table(app: App, tenant: str) -> None:
    """Store rows of a tenant in every table that names one."""
    await fill(app, tenant)
    await test_recipient_data.fill(app, f"carol of {tenant}", tenant)
    await app.store.documents.put("workflows", tenant, "w", b"{}", app.now)
    fanout = Fanout(
        id=app.new_id(),
        tenant=tenant,
        workflow="w",
        owner=tenant,
        version=1,
        audience=b"{}",
        body=b"{}",
        created_at=app.now,
    )
    await engine_of(app.store).write(ScriptCommand(lambda: fanouts.add(fanout, "broken"), []))
    # Other jobs of an erased tenant find nothing when they run.
    await app.store.jobs.set_dead(await app.lease(app.now, app.now, 100))


async def test_erased_tenant_leaves_no_rows_and_others_keep_theirs(app: App, tmp_path: Path) -> None:
    await fill_every_table(app, "acme")
    await fill_every_table(app, "globex")
    before = await all_rows(app.store, tmp_path)
    assert set(rows_containing(before, "acme")) == set(rows_containing(before, "globex"))
    named = {table for table, names in (await columns(app.store, tmp_path)).items() if "tenant" in names}
    # The audit log stays, and is not filled here. Each other table is filled, so that the erasure must delete its rows.
    assert named - rows_containing(before, "acme").keys() == {"audit_entries"}
    assert sum(await erase(app, "acme", step=1)) == 3
    after = await all_rows(app.store, tmp_path)
    assert rows_containing(after, "acme") == {}
    assert rows_containing(after, "globex") == rows_containing(before, "globex")
    numbers = {name: len(rows) for name, rows in after.items()}
    for name in ("notifications", "notification_tags", "tombstones", "devices", "recipients", "subscriptions"):
        assert numbers[name] == len(before[name]) // 2 > 0
    # Digests of the three recipients and the tenant, to refuse their old sessions, and of its erasure, to refuse old requests.
    assert numbers["erased"] == 5


async def erase(app: App, tenant: str, step: int) -> list[int]:
    steps = []
    while True:
        erased, events = await app.store.tenants.erase(tenant, app.now, app.now, step)
        assert len(events) == erased
        steps.append(erased)
        if not erased:
            return steps


async def test_erased_tenant_can_be_created_again(app: App) -> None:
    await fill(app, "acme")
    await erase(app, "acme", step=100)
    assert await app.store.tenants.get("acme") is None
    await app.send("alice", "Hello again", tenant="acme")
    assert await app.titles("alice", tenant="acme") == ["Hello again"]


async def test_export_contains_everything_of_one_tenant(app: App, tmp_path: Path) -> None:
    await fill(app, "acme")
    await fill(app, "globex")
    export = await app.store.exports.tenant("acme")
    assert export is not None
    lines = [(kind, msgspec.json.encode(item).decode()) async for kind, item in export]
    assert not any("globex" in line for _, line in lines)
    counts = {
        kind: [name for name, _ in lines].count(kind) for kind in ("tenant", "recipient", "announcement", "event")
    }
    assert counts == {"tenant": 1, "recipient": 2, "announcement": 1, "event": 1}
    rows = await all_rows(app.store, tmp_path)
    subscriptions = sum("acme" in row for row in rows["subscriptions"])
    assert [kind for kind, _ in lines].count("subscription") == subscriptions == 4
    assert [kind for kind, _ in lines].count("notification") == len(rows["notifications"]) // 2
    assert lines[0][0] == "tenant"


async def test_export_contains_the_objects_of_the_tenant_and_their_drafts(app: App) -> None:
    await app.store.tenants.put("acme", None, {}, app.now)
    kinds = {"workflows": "workflow", "workflows-drafts": "workflow_draft", "templates-drafts": "template_draft"}
    documents = Documents(engine_of(app.store))
    for kind in kinds:
        for number in range(21):  # one more than a page
            await documents.put(kind, "acme", f"{number:02}", msgspec.json.encode({"of": kind}), app.now)
        await documents.put(kind, "globex", "other", b"{}", app.now)
        await documents.put(kind, PROJECT, "shared", b"{}", app.now)
    await documents.put("preference-defaults", "acme", "", b'{"channels":{"sms":false}}', app.now)
    await documents.put("providers", "acme", "mail", b'{"url":"smtps://a:hush@mail"}', app.now)
    export = await app.store.exports.tenant("acme")
    assert export is not None
    lines = [(kind, msgspec.to_builtins(item)) async for kind, item in export]
    for stored, kind in kinds.items():
        objects = [item for name, item in lines if name == kind]
        assert [item["key"] for item in objects] == [f"{number:02}" for number in range(21)]
        assert all(item["content"] == {"of": stored} and item["version"] == 1 for item in objects)
    assert [item["content"] for kind, item in lines if kind == "preference_defaults"] == [{"channels": {"sms": False}}]
    assert "hush" not in str(lines)


async def test_unknown_tenant_has_no_export(app: App) -> None:
    assert await app.store.exports.tenant("unknown") is None


async def test_each_tenant_has_its_own_retention(app: App) -> None:
    for tenant in ("short", "long", "other"):
        await app.send("alice", "old", tenant=tenant)
        await app.announce("old to all", tenant=tenant)
    app.clock.advance(10 * DAY)
    older_than = app.now - 5 * DAY * 1000
    assert len(await app.retire(older_than, tenant="short")) == 2
    assert len(await app.retire(older_than, but=["short", "long"])) == 2
    titles = {tenant: await app.titles("alice", tenant=tenant) for tenant in ("short", "long", "other")}
    assert titles == {"short": [], "long": ["old to all", "old"], "other": []}


@pytest.mark.parametrize("tenants", [{}, {"tenant": "acme"}, {"but": ["other"]}])
async def test_retention_deletes_more_rows_than_one_read_finds(
    app: App, monkeypatch: pytest.MonkeyPatch, tenants: dict[str, Any]
) -> None:
    monkeypatch.setattr(maintenance, "MAX_OLD_ROWS", 4)
    for _ in range(5):
        await app.add(app.send_request("alice", "bob", tenant="acme"))
    app.clock.advance(DAY)
    assert [len(events) for events in await app.retire(app.now, 3, **tenants)] == [3, 1, 3, 1, 2]
    assert await app.titles("alice", tenant="acme") == await app.titles("bob", tenant="acme") == []


async def test_retention_skips_rows_of_a_recipient_that_is_erased_meanwhile(app: App) -> None:
    for recipient in ("alice", "bob"):
        await app.send(recipient, "old")
    app.clock.advance(DAY)
    retired = app.store.maintenance.retire(app.now, app.now, 1)
    assert len(await anext(retired)) == 1
    await app.store.recipients.delete("", "bob", app.now)
    assert [events async for events in retired] == [[]]
    assert await app.titles("alice") == []


@pytest.mark.parametrize(
    ("settings", "rules"),
    [
        ({"retention_days": 3, "plan": "team"}, TenantRules(retention_days=3)),
        ({"weight": 2.5, "sends_per_second": 5}, TenantRules(weight=2.5, sends_per_second=5)),
        ({"sends_per_day": 5, "is_being_erased": "no"}, TenantRules(sends_per_day=5)),  # a name of the app's
        ({"is_being_erased": True}, None),
        ({"sends_per_day": "many"}, None),
        ({"plan": "team"}, None),
    ],
)
async def test_rules_are_read_from_a_tenants_settings(
    app: App, settings: dict[str, Any], rules: TenantRules | None
) -> None:
    await app.store.tenants.put("acme", None, settings, app.now)
    assert (await app.store.tenants.rules()).get("acme") == rules


async def test_usage_of_a_day_is_summed(app: App) -> None:
    spend = app.store.tenants.add_usage
    assert await spend(100, {"acme": 2, "globex": 5}) == {"acme": 2, "globex": 5}
    assert await spend(100, {"acme": 3}) == {"acme": 5}
    assert await spend(101, {"acme": 1}) == {"acme": 1}
    assert await spend(100, {"acme": 0}) == {"acme": 5}


async def test_export_names_the_version_of_a_workflow_that_is_current(app: App) -> None:
    await app.store.tenants.put("acme", None, {}, app.clock.now())
    catalog = WorkflowCatalog(app.store, app.clock)
    for title in ("one", "two"):
        await catalog.put("acme", "hello", {"steps": [{"key": "bell", "type": "inbox", "title": title}]})
    await catalog.change("acme", "hello", active=None, version=1)
    export = await app.store.exports.tenant("acme")
    assert export is not None
    (found,) = [value async for kind, value in export if kind == "workflow"]
    assert (found["version"], found["content"]["definition"]["steps"][0]["title"]) == (1, "one")
