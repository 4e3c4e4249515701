"""All stored data about a recipient is in its export, and is deleted when it is erased. A new table must be
added to one of the lists below."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bellcast.channels.types import NewDecision, NewMessage
from bellcast.exports import store as export
from bellcast.kernel.db.script import Script, ScriptCommand, Statement
from bellcast.kernel.events import topic_stream
from bellcast.recipients.store import DevicePosition
from bellcast.recipients.types import PushEndpoint, RecipientFields
from bellcast.topics.store import JoinedBy
from bellcast.webhooks import store as webhook_events
from bellcast.webhooks.types import WebhookEvent
from bellcast.workflows.types.runs import NewWait, StoredRun
from tests.contract.app import App, engine_of
from tests.contract.table_rows import all_rows, columns, rows_containing

ERASED, OTHER = "erased-recipient", "other-recipient"
ROWS = 3  # of each table and recipient, at least
PUSH_SECRETS = ("https://push.example.com/of-", "public-key-of-", "auth-secret-of-")
NAMES_A_RECIPIENT = re.compile(r"recipient|inbox|person|user")

# Tables with rows of one recipient, and the kind of the export that contains them. Erasing deletes these rows.
EXPORTED = {
    "recipients": "recipient",
    "subscriptions": "subscription",
    "notifications": "notification",
    "outside_notifications": "notification",
    "messages": "message",
    "decisions": "decision",
    "runs": "run",
    "step_counters": "counter",
    "event_waits": "awaited_event",
    "webhook_events": "webhook_event",
    "push_endpoints": "push_endpoint",
    "devices": "device",
    "joined_topics": "joined_topics",
}
# Tables with rows of one recipient that have nothing to export. Erasing deletes these rows.
NOT_EXPORTED = {
    "notification_tags": "a copy of the tags of its notifications, for the index",
    "tombstones": "ids of deleted notifications, without content",
}
# Kinds that are not a table.
OTHER_KINDS = {"preferences": "a column of recipients", "suppression": "by the addresses of the record"}
# The other tables, and why they may name a recipient.
OTHERS = {
    "suppressions": "by address, and kept after an erasure: nothing must be sent to the address again",
    "idempotency": "responses, for a day: they prevent a late repetition from sending again",
    "jobs": "work in progress: a job whose recipient was erased finds nothing",
    "erased": "a digest of the name, to refuse old sessions",
    "audit_entries": "what operators did; an entry in the chain cannot be changed",
    "audit": "never written",
    "fanouts": "requests of the app to an audience, until they have ended",
    "documents": "objects of the app, such as schedules; and replays, with their filters",
    "announcements": "to an audience; the rows of each recipient are notifications",
    "last_events": "of topics, which are named by the app",
    **dict.fromkeys(
        ("counters", "tenants", "budgets", "workflow_versions", "stats_points"), "of the server or a tenant"
    ),
    **dict.fromkeys(("api_keys", "operators", "operator_sessions", "setup_codes", "sign_in_failures"), "operators"),
    **dict.fromkeys(("recovery_codes", "used_sign_ins", "passkeys", "schema_version"), "operators, and the schema"),
}


async def fill(app: App, key: str, tenant: str = "") -> None:
    """Store data of every kind about a recipient."""
    store, now = app.store, app.now
    fields = RecipientFields(name=key, email=f"{key}@example.com", phone=key, roles=[key], data={"a": key})
    await store.recipients.put(tenant, key, fields, now, replace=True)
    await store.preferences.put(tenant, key, b"{}", now, switches_inbox=False)
    for number in range(ROWS + 1):
        await store.subscriptions.subscribe(tenant, f"topic-{number}-{key}", key, now)
        await app.send(key, f"{number} {key}", tags=(key,), key=f"{number} of {key}", tenant=tenant)
    await app.mark(key, "delete", ids=((await app.page(key, tenant=tenant))[0].id,), tenant=tenant)
    inbox = await app.inbox(key, tenant)
    for number in range(ROWS):
        position = DevicePosition(inbox.number, f"{number}".encode(), f"{number} of {key}", inbox.state.epoch, 1)
        await store.devices.acknowledge([position], now)
        connection = JoinedBy(inbox.number, f"{number} of {key}")
        await store.joined_topics.save(connection, msgspec.json.encode([[f"hall-{key}"], ["b"]]).decode(), now)
        secrets = [f"{secret}{number}-{key}" for secret in PUSH_SECRETS]
        await store.push_endpoints.put(tenant, key, endpoint(app.new_id(), *secrets, now=now), 20)
        await app.send_outside(key, f"{number} {key}", tenant=tenant)
    await store.suppressions.put(tenant, "email", f"{key}@example.com", "bounce", now)
    await fill_messages_and_runs(app, key, tenant)


def endpoint(id: str, address: str, public_key: str, auth: str, *, now: int) -> PushEndpoint:
    return PushEndpoint(id=id, kind="web", address=address, p256dh=public_key, auth=auth, registered_at=now)


async def fill_messages_and_runs(app: App, key: str, tenant: str = "") -> None:
    """Store what can also exist about a recipient without a record."""
    now = app.now
    messages = [message(app.new_id(), key, now, tenant) for _ in range(ROWS)]
    await app.store.messages.add(messages)

    def others() -> Script[None]:
        for number, sent in enumerate(messages):
            decision = NewDecision(
                tenant=tenant, notification=sent.id, recipient=key, channel="email", outcome="send", decided_at=now
            )
            yield Statement("decision_insert", many=[msgspec.structs.asdict(decision)])
            run = StoredRun(
                id=app.new_id(),
                trigger=app.new_id(),
                tenant=tenant,
                workflow="welcome",
                owner="",
                version=1,
                recipient=key,
                created_at=now,
                body=msgspec.json.encode({"data": {"of": key}}),
            )
            yield Statement("run_insert", many=[{**msgspec.structs.asdict(run), "body": run.body.decode()}])
            counter = {"tenant": tenant, "workflow": "welcome", "step": "all", "recipient": key, "by": f"{number}"}
            yield Statement(
                "counter_write", {**counter, "run": run.id, "body": '{"passed":[1]}', "revision": 1, "expires_at": now}
            )
            wait = NewWait(run.id, f"{number}", tenant, key, "paid", topic_stream(tenant, f"orders-{key}"))
            yield Statement("event_wait_put", msgspec.structs.asdict(wait))
            body = msgspec.json.encode({"type": "message.sent", "data": {"recipient": key, "channel": "email"}})
            event = WebhookEvent(id=app.new_id(), tenant=tenant, recipient=key, type="message.sent", body=body)
            yield from webhook_events.add([event], now)

    await engine_of(app.store).write(ScriptCommand(others, []))


def message(id: str, key: str, now: int, tenant: str) -> NewMessage:
    return NewMessage(
        id=id,
        tenant=tenant,
        recipient=key,
        notification=id,
        channel="email",
        type="news",
        priority="normal",
        address=f"{key}@example.com",
        due_at=now,
        created_at=now,
        content=msgspec.json.encode({"subject": f"Hello {key}"}),
    )


async def exported(app: App, key: str) -> list[tuple[str, Any]]:
    pairs = await app.store.exports.recipient("", key)
    assert pairs is not None
    return [pair async for pair in pairs]


async def test_every_table_is_exported_or_has_a_reason_not_to_be(app: App, tmp_path: Path) -> None:
    tables = await columns(app.store, tmp_path)
    assert tables.keys() - {"schema_version"} == (
        (EXPORTED.keys() | NOT_EXPORTED.keys() | OTHERS.keys()) - {"schema_version"}
    )
    tables["operator_sessions"].remove("user_agent")  # the browser of an operator
    named = {table for table, names in tables.items() if any(map(NAMES_A_RECIPIENT.search, names))}
    assert named | {"recipients"} == EXPORTED.keys() | NOT_EXPORTED.keys()
    kinds = {"recipient"} | {table.kind for table in export.RECIPIENT_TABLES}
    assert kinds == set(EXPORTED.values())


async def test_export_contains_the_rows_of_every_table(app: App, tmp_path: Path) -> None:
    for key in (ERASED, OTHER):
        await fill(app, key)
    pairs = await exported(app, ERASED)
    kinds = [kind for kind, _ in pairs]
    assert set(kinds) == set(EXPORTED.values()) | OTHER_KINDS.keys()
    rows = await all_rows(app.store, tmp_path)
    for table in EXPORTED:
        assert len(rows[table]) // 2 >= (1 if table == "recipients" else ROWS), table
    for kind in EXPORTED.values():
        assert kinds.count(kind) == sum(len(rows[table]) for table in EXPORTED if EXPORTED[table] == kind) // 2, kind
    assert [kind for kind, _ in itertools.groupby(kinds)] == list(dict.fromkeys(kinds))
    text = msgspec.json.encode(pairs).decode()
    assert OTHER not in text
    assert [secret for secret in PUSH_SECRETS if secret in text] == []


@pytest.mark.parametrize("table", export.RECIPIENT_TABLES, ids=lambda table: table.kind)
async def test_rows_are_the_same_in_pages_of_any_size(
    app: App, table: export.RecipientTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(app, ERASED)

    async def read(batch_rows: int) -> Sequence[Any]:
        monkeypatch.setattr(export, "RECIPIENT_TABLES", (table._replace(batch_rows=batch_rows),))
        return [value for kind, value in await exported(app, ERASED) if kind == table.kind]

    whole = await read(100)
    assert len(whole) >= ROWS
    assert await read(1) == whole
    assert await read(2) == whole


async def test_erased_recipient_leaves_no_row_in_these_tables(app: App, tmp_path: Path) -> None:
    for key in (ERASED, OTHER):
        await fill(app, key)
    before = await all_rows(app.store, tmp_path)
    assert await app.store.recipients.delete("", ERASED, app.now) is not None
    after = await all_rows(app.store, tmp_path)
    assert set(rows_containing(after, ERASED)) == {"idempotency", "suppressions"}
    assert rows_containing(after, OTHER) == rows_containing(before, OTHER)
    for table in EXPORTED.keys() | NOT_EXPORTED.keys():
        assert len(after[table]) == len(before[table]) // 2 > 0, table
    assert await app.store.exports.recipient("", ERASED) is None


async def test_recipient_without_a_record_is_exported_and_erased(app: App, tmp_path: Path) -> None:
    await fill_messages_and_runs(app, ERASED)
    pairs = await exported(app, ERASED)
    assert pairs[0] == ("recipient", None)
    assert {kind for kind, _ in pairs} == {
        *("recipient", "message", "decision", "run", "counter", "awaited_event", "webhook_event")
    }
    assert await app.store.recipients.delete("", ERASED, app.now) is not None
    assert rows_containing(await all_rows(app.store, tmp_path), ERASED) == {}
    assert await app.store.recipients.delete("", ERASED, app.now) is None


async def test_idempotency_responses_of_an_erased_recipient_are_deleted_after_a_day(app: App, tmp_path: Path) -> None:
    await app.send(ERASED, ERASED, key=f"of {ERASED}")
    await app.store.recipients.delete("", ERASED, app.now)
    assert set(rows_containing(await all_rows(app.store, tmp_path), ERASED)) == {"idempotency"}
    later = app.now + 25 * 3600 * 1000
    await app.store.maintenance.delete_forgotten(
        app.now, tombstones_before=0, keys_before=later - 24 * 3600 * 1000, limit=100
    )
    assert rows_containing(await all_rows(app.store, tmp_path), ERASED) == {}
