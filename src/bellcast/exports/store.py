"""Export all data of one recipient or tenant, in bounded reads while the server runs. None of it is a secret: no keys of
push endpoints and no tokens of devices."""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from bellcast.channels.store import messages, suppressions
from bellcast.documents.store import Documents
from bellcast.documents.types import SOURCES, TEMPLATES, TYPES, WORKFLOWS, draft_kind
from bellcast.inbox.store import rows, sent_items
from bellcast.kernel import times
from bellcast.kernel.db import columns
from bellcast.kernel.db.engine import StoreTable
from bellcast.kernel.db.script import Params, Row, Statement, fetch
from bellcast.kernel.events import topic_of
from bellcast.kernel.ids import NEWEST
from bellcast.preferences import store as preferences
from bellcast.preferences.types import DEFAULTS_KIND
from bellcast.recipients import store as recipients
from bellcast.recipients.types import Recipient
from bellcast.tenants.store import Tenants
from bellcast.tenants.types import Tenant
from bellcast.topics.store import TopicLists
from bellcast.workflows import store as runs_store
from bellcast.workflows.types.runs import SCHEDULES

EXPORT_BATCH_ROWS = 500  # rows of one read: about 2 ms
# Of rows with up to 1 MB, as e-mails and runs: they are held in memory together.
EXPORT_BATCH_LARGE_ROWS = 20
# The lists of messages and runs have filters, and begin with the newest row.
LISTS = messages.LIST, runs_store.LIST
UNFILTERED = {**dict.fromkeys(name for one in LISTS for name in (*one.leads, *one.filters)), "until_id": ""}
NEWEST_FIRST = {"after_id": NEWEST}
OLDEST_FIRST = {"after": ""}

_topics = msgspec.json.Decoder(TopicLists)


class ExportedDecision(Struct, frozen=True, kw_only=True):
    """The decision for one channel of a notification, and its rule. `source` is the object that set the rule."""

    notification: str
    channel: str
    outcome: str
    rule: str | None
    source: str | None
    message: str | None
    due_at: datetime | None
    decided_at: datetime


class ExportedCounter(Struct, frozen=True, kw_only=True):
    """The state of a throttle or digest of a workflow, across runs. Without a workflow, the recipient already has the
    notification that `step` identifies, and does not get it again."""

    workflow: str
    step: str
    by: str
    run: str | None
    state: dict[str, Any]
    expires_at: datetime


class ExportedWait(Struct, frozen=True, kw_only=True):
    """A live event that a run waits for, of a topic or, without one, of the recipient; and the event, if it has
    occurred."""

    run: str
    step: str
    name: str
    topic: str | None
    event: dict[str, Any] | None


class ExportedEvent(Struct, frozen=True, kw_only=True):
    """An event about the recipient that was sent to webhooks, with the body of the requests."""

    id: str
    body: dict[str, Any]


class ExportedEndpoint(Struct, frozen=True, kw_only=True):
    """A browser or app that receives push messages."""

    id: str
    kind: str
    created_at: datetime


class ExportedDevice(Struct, frozen=True, kw_only=True):
    """A connection of a device: the revision of the inbox that it acknowledged, and when it last did."""

    connection: str
    revision: int
    acknowledged_at: datetime


class ExportedTopics(Struct, frozen=True, kw_only=True):
    """The topics that a Socket.IO connection follows after a reconnect: joined by the app, and subscribed by the
    client."""

    connection: str
    joined: list[str]
    subscribed: list[str]
    saved_at: datetime


class RecipientTable(NamedTuple):
    """A table whose rows are exported as a kind. The columns of the statement begin with those of `cursor`, which has
    the parameters of the position before the first row."""

    kind: str
    statement: str
    cursor: Mapping[str, Any]
    value: Callable[[Row], Any]
    batch_rows: int = EXPORT_BATCH_ROWS


_decision = columns.reader(
    ExportedDecision,
    "notification channel decided_at outcome rule source message due_at",
    decided_at=times.to_rfc3339,
    due_at=times.to_rfc3339_or_null,
)

_counter = columns.reader(ExportedCounter, state=msgspec.json.decode, expires_at=times.to_rfc3339)

_wait = columns.reader(
    ExportedWait,
    topic=topic_of,
    event=lambda event: None if event is None else msgspec.json.decode(event),
)

_webhook_event = columns.reader(ExportedEvent, body=msgspec.json.decode)

_endpoint = columns.reader(ExportedEndpoint, created_at=times.to_rfc3339)

_device = columns.reader(ExportedDevice, acknowledged_at=times.to_rfc3339)


def _joined_topics(row: Row) -> ExportedTopics:
    connection, text, saved_at = row
    topics = _topics.decode(text)
    return ExportedTopics(
        connection=connection,
        joined=topics.joined,
        subscribed=topics.subscribed,
        saved_at=times.to_rfc3339(saved_at),
    )


RECIPIENT_TABLES = (
    RecipientTable("subscription", "subscriptions_of_recipient", OLDEST_FIRST, recipients.subscription),
    RecipientTable(
        "notification",
        "export_notifications",
        OLDEST_FIRST,
        lambda row: msgspec.structs.replace(rows.notification(row), awaits_return=True if row[-1] else msgspec.UNSET),
    ),
    RecipientTable("notification", "export_outside", OLDEST_FIRST, sent_items.outside_notification),
    RecipientTable("message", "messages_of_recipient", NEWEST_FIRST, messages.of_row, EXPORT_BATCH_LARGE_ROWS),
    RecipientTable("decision", "export_decisions", {"notification": "", "channel": "", "decided_at": 0}, _decision),
    RecipientTable("run", "runs_of_recipient", NEWEST_FIRST, runs_store.stored_run, EXPORT_BATCH_LARGE_ROWS),
    RecipientTable(
        "counter", "export_step_counters", {"workflow": "", "step": "", "by": ""}, _counter, EXPORT_BATCH_LARGE_ROWS
    ),
    RecipientTable("awaited_event", "export_event_waits", {"run": "", "step": ""}, _wait, EXPORT_BATCH_LARGE_ROWS),
    RecipientTable("webhook_event", "export_webhook_events", OLDEST_FIRST, _webhook_event, EXPORT_BATCH_LARGE_ROWS),
    RecipientTable("push_endpoint", "export_push_endpoints", OLDEST_FIRST, _endpoint),
    RecipientTable("device", "export_devices", {"device": b"", "connection": ""}, lambda row: _device(row[1:])),
    RecipientTable("joined_topics", "export_joined_topics", OLDEST_FIRST, _joined_topics, EXPORT_BATCH_LARGE_ROWS),
)

# The objects that a tenant may define, by kind. Not providers, webhooks and apps: they hold secrets.
TENANT_OBJECTS = {
    "type": TYPES,
    "template": TEMPLATES,
    "template_draft": draft_kind(TEMPLATES),
    "workflow": WORKFLOWS,
    "workflow_draft": draft_kind(WORKFLOWS),
    "event_source": SOURCES,
    "schedule": SCHEDULES,
    "preference_defaults": DEFAULTS_KIND,
}


class Exports(StoreTable):
    """Exports of all data as (kind, value) pairs, in bounded reads."""

    async def recipient(self, tenant: str, key: str) -> AsyncIterator[tuple[str, Any]] | None:
        """Export all data of a recipient: the record, which is None if only other data names the recipient, the preferences
        if it has any, the rest by kind. None if nothing is stored about it."""
        recipient = await recipients.Recipients(self._engine).get(tenant, key)
        if recipient is None and not await self._engine.read(recipients.stored_kinds, tenant, key):
            return None
        return self._items(tenant, key, recipient)

    async def tenant(self, key: str) -> AsyncIterator[tuple[str, Any]] | None:
        """Export all data of a tenant: the record, its objects, announcements, last events of topics, then every recipient with its
        data. None if the tenant does not exist."""
        tenant = await Tenants(self._engine).get(key)
        return None if tenant is None else self._tenant_pairs(key, tenant)

    async def _items(
        self, tenant: str, key: str, record: Recipient | dict[str, str] | None
    ) -> AsyncIterator[tuple[str, Any]]:
        yield "recipient", record
        own = await self._engine.read(preferences.find, tenant, key)
        if own.document is not None:
            updated_at = times.to_rfc3339_or_null(own.updated_at)
            yield "preferences", {**msgspec.json.decode(own.document), "updated_at": updated_at}
        kinds = await self._engine.read(recipients.stored_kinds, tenant, key)  # a tenant has many recipients with few
        for table in (one for one in RECIPIENT_TABLES if one.kind in kinds):
            params = {**UNFILTERED, "tenant": tenant, "key": key, "recipient": key, "limit": table.batch_rows}
            async for row in self._rows(table.statement, params, table.cursor):
                yield table.kind, table.value(row)
        if isinstance(record, Recipient):
            for suppression in await self._engine.read(suppressions.of_recipient, tenant, record):
                yield "suppression", suppression

    async def _tenant_pairs(self, key: str, tenant: Tenant) -> AsyncIterator[tuple[str, Any]]:
        yield "tenant", tenant
        for kind, stored in TENANT_OBJECTS.items():
            async for item in self._objects(stored, key):
                yield kind, item
        params = {"tenant": key, "limit": EXPORT_BATCH_ROWS}
        async for row in self._rows("export_announcements", params, {"after": -1}):
            yield "announcement", {"topic": row[1], **msgspec.to_builtins(rows.notification(row[2:]))}
        async for topic, name, data, at in self._rows("export_last_events", params, OLDEST_FIRST):
            yield "event", {"topic": topic, "name": name, "data": data, "told_at": times.to_rfc3339(at)}
        after = None
        while page := await recipients.Recipients(self._engine).after(key, after, EXPORT_BATCH_ROWS):
            for recipient in page:
                async for pair in self._items(key, recipient.key, recipient):
                    yield pair
            after = page[-1].key
        async for named, has_record in self._rows("export_next_key", {"tenant": key, "limit": 1}, OLDEST_FIRST):
            if not has_record:  # only other data names it
                async for pair in self._items(key, named, {"key": named}):
                    yield pair

    async def _rows(self, statement: str, params: Params, cursor: Mapping[str, Any]) -> AsyncIterator[Row]:
        """Yield the rows of a statement, of which each read has up to `limit`. Their columns begin with those of `cursor`, which
        has the parameters of the position before the first row."""
        while True:
            found = await self._engine.read(fetch, Statement(statement, {**params, **cursor}))
            for row in found:
                yield row
            if len(found) < params["limit"]:
                return
            cursor = dict(zip(cursor, found[-1], strict=False))

    async def _objects(self, kind: str, tenant: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the current versions of a tenant's objects of a kind."""
        documents = Documents(self._engine)
        after = ""
        unnamed = await documents.get(kind, tenant, "")  # defaults, of which a tenant has one
        page = [] if unnamed is None else [unnamed]
        while page := page or await documents.page(kind, tenant, after, EXPORT_BATCH_LARGE_ROWS):
            for one in page:
                yield {
                    "key": one.key,
                    "version": one.version,
                    "content": msgspec.json.decode(one.body),
                    "created_at": times.to_rfc3339(one.created_at),
                    "updated_at": times.to_rfc3339(one.updated_at),
                }
            after, page = page[-1].key, []
