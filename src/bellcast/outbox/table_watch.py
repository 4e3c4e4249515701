"""Watched tables: triggers write each change to the outbox, with the configured columns and audience."""

import re
from typing import Literal

import asyncpg
import msgspec
from msgspec import Struct

from bellcast.kernel import validation
from bellcast.kernel.errors import Conflict, Invalid, NotFound
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.kernel.limits import Limits
from bellcast.outbox import SQL
from bellcast.topics.types import EventDraft

ChangeKind = Literal["insert", "update", "delete", "truncate"]
KINDS: tuple[ChangeKind, ...] = ("insert", "update", "delete", "truncate")
COLUMN = re.compile(r"\{([^{}]*)\}")
# The row trigger, and the trigger for TRUNCATE.
TRIGGER, TRUNCATE_TRIGGER = "bellcast_watch", "bellcast_watch_truncate"
OWN_SCHEMA = "bellcast"
# How long a change of the app's tables or of the outbox waits for open transactions, and delays all later writers.
SET_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'"


class TableWatch(Struct, frozen=True, kw_only=True):
    """A watched table and the audience of its changes. `{column}` in a text is replaced by the row's value. `names`
    maps kinds to event names; other kinds are not published. `recorded` are all columns that the trigger records,
    `audience` those that determine the audience. Their JSON names are fixed by triggers installed earlier."""

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    recorded: tuple[str, ...] = msgspec.field(name="kept")
    names: dict[ChangeKind, str]
    topic: str | None = None
    recipient: str | None = None
    tenant: str | None = None
    audience: tuple[str, ...] = msgspec.field(default=(), name="reaching")


class WatchRequest(Struct, frozen=True, kw_only=True):
    """A request to watch a table. Absent fields get defaults."""

    table: str
    columns: tuple[str, ...] = ()
    names: dict[ChangeKind, str] = {}
    kinds: tuple[ChangeKind, ...] = KINDS
    topic: str | None = None
    recipient: str | None = None
    tenant: str | None = None


class RowChange(Struct, frozen=True):
    """A change recorded by a trigger: the recorded columns of the row before and after; for TRUNCATE, the audience of
    the deleted rows."""

    change: ChangeKind
    watch: TableWatch
    was: dict[str, object] | None = None
    is_now: dict[str, object] | None = msgspec.field(default=None, name="is")


class TableInfo(Struct, frozen=True):
    """A table in PostgreSQL's catalog."""

    name: str  # quoted, with its schema
    schema: str
    short: str
    kind: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


async def watch(connection: asyncpg.Connection, request: WatchRequest) -> TableWatch:
    """Create or replace the triggers of a table and return the resulting watch."""
    table = await _find(connection, request.table)
    watched = plan(request, table)
    argument = await connection.fetchval("SELECT quote_literal($1)", msgspec.json.encode(watched).decode())
    async with connection.transaction():
        await connection.execute(SET_LOCK_TIMEOUT)
        await _drop(connection, table.name)
        rows = [kind.upper() for kind in KINDS if kind in watched.names and kind != "truncate"]
        if rows:
            await connection.execute(
                f"CREATE TRIGGER {TRIGGER} AFTER {' OR '.join(rows)} ON {table.name}"
                f" FOR EACH ROW EXECUTE FUNCTION bellcast.changed({argument})"
            )
        if "truncate" in watched.names:
            await connection.execute(
                f"CREATE TRIGGER {TRUNCATE_TRIGGER} BEFORE TRUNCATE ON {table.name}"
                f" FOR EACH STATEMENT EXECUTE FUNCTION bellcast.emptied({argument})"
            )
    return watched


async def unwatch(connection: asyncpg.Connection, table: str) -> str:
    """Drop the triggers of a table and return its name. Raises NotFound for a table without them."""
    info = await _find(connection, table)
    async with connection.transaction():
        await connection.execute(SET_LOCK_TIMEOUT)
        if not await _drop(connection, info.name):
            raise NotFound(f"{table} is not watched.")
    return info.name


async def _drop(connection: asyncpg.Connection, name: str) -> bool:
    """Drop a table's triggers. Without triggers, it takes no lock: DROP TRIGGER waits for all readers of the table."""
    watched = name in [one for one, _ in await connection.fetch(SQL["watched"], [TRIGGER, TRUNCATE_TRIGGER])]
    for trigger in (TRIGGER, TRUNCATE_TRIGGER) if watched else ():
        await connection.execute(f"DROP TRIGGER IF EXISTS {trigger} ON {name}")
    return watched


async def find_all(connection: asyncpg.Connection) -> dict[str, TableWatch]:
    """Return all watches by the table's current name."""
    rows = await connection.fetch(SQL["watched"], [TRIGGER, TRUNCATE_TRIGGER])
    return {name: msgspec.json.decode(argument, type=TableWatch) for name, argument in rows}


async def _find(connection: asyncpg.Connection, table: str) -> TableInfo:
    try:
        row = await connection.fetchrow(SQL["table"], table)
    except asyncpg.PostgresError:
        row = None  # not a valid name
    if row is None:
        raise NotFound(f"The table {table} does not exist in this database.")
    info = TableInfo(*row[:4], *map(tuple, row[4:]))
    if info.schema == OWN_SCHEMA:
        raise Conflict(f"{table} belongs to Bellcast and cannot be watched: connect to a stream for its changes.")
    if info.kind not in ("r", "p"):
        raise Conflict(f"{table} is a view or another relation: watch the tables it reads from.")
    return info


def plan(request: WatchRequest, table: TableInfo) -> TableWatch:
    """Apply defaults to a request. Raises Invalid with every unknown column and invalid topic."""
    has_audience = request.topic is not None or request.recipient is not None
    topic = request.topic if has_audience else table.short
    columns = request.columns or table.columns
    named = [name for text in (topic, request.recipient, request.tenant) if text for name in COLUMN.findall(text)]
    names = {kind: request.names.get(kind, f"{table.short}.{kind}") for kind in request.kinds}
    unknown = [name for name in (*columns, *named) if name not in table.columns]
    if unknown:
        raise Invalid(f"{table.name} has no column {', '.join(unknown)}; expected one of {', '.join(table.columns)}.")
    validation.check(
        () if topic is None else validation.topic("topic", COLUMN.sub("x", topic), Limits()),
        *(validation.text("name", name, Limits().event_name) for name in names.values()),
    )
    recorded = tuple(dict.fromkeys((*columns, *table.key, *named)))
    return TableWatch(
        table=table.name,
        key=table.key,
        columns=tuple(columns),
        recorded=recorded,
        names=names,
        topic=topic,
        recipient=request.recipient,
        tenant=request.tenant,
        audience=tuple(dict.fromkeys(named)),
    )


def events(change: RowChange, limit: int) -> list[EventDraft]:
    """Return the events of a change for the audiences of the row before and after. A null in an audience column means
    no audience. Data longer than `limit` bytes is reduced to the key, with `cut` set, so that clients fetch the row."""
    name = change.watch.names.get(change.change)
    if name is None:
        return []
    data = _data(change)
    if limit and len(msgspec.json.encode(data)) > limit:
        data = {**data, "record": None, "old": None, "cut": True}
    drafts: dict[tuple[str, str | None, str | None], EventDraft] = {}
    for row in (change.was, change.is_now):
        if row is None or (tenant := _fill(change.watch.tenant or DEFAULT_TENANT, row)) is None:
            continue
        for topic, recipient in ((_fill(change.watch.topic, row), None), (None, _fill(change.watch.recipient, row))):
            if topic is not None or recipient is not None:
                drafts[tenant, topic, recipient] = EventDraft(
                    name=name, data=data, tenant=tenant or None, topic=topic, recipient=recipient
                )
    return list(drafts.values())


def _fill(text: str | None, row: dict[str, object]) -> str | None:
    """Replace the columns in a text by the values of a row; None if one is null."""
    values = {name: row.get(name) for name in COLUMN.findall(text or "")}
    if text is None or None in values.values():
        return None
    texts = {name: one if isinstance(one, str) else msgspec.json.encode(one).decode() for name, one in values.items()}
    return COLUMN.sub(lambda match: texts[match[1]], text)


def _data(change: RowChange) -> dict[str, object]:
    """Return the event's data. `old` holds the changed columns of an update, and the row of a deletion. TRUNCATE has
    neither row nor key."""
    watched, was, is_now = change.watch, change.was, change.is_now
    if change.change == "truncate":
        return {"table": watched.table, "change": change.change, "key": {}, "record": None, "old": None}
    row = is_now if is_now is not None else was or {}
    record = None if is_now is None else {name: is_now.get(name) for name in watched.columns}
    old = None if was is None else {name: was.get(name) for name in watched.columns}
    if old is not None and record is not None:
        old = {name: value for name, value in old.items() if value != record[name]}
    key = {name: row.get(name) for name in watched.key}
    return {"table": watched.table, "change": change.change, "key": key, "record": record, "old": old}
