"""Tables whose changes are heard: triggers at each, which carry what leaves of a row and whom it reaches."""

import re
from typing import Literal

import asyncpg
import msgspec
from msgspec import Struct

from bellcast.errors import Conflict, Invalid, NotFound
from bellcast.model import validation
from bellcast.model.identities import DEFAULT_TENANT
from bellcast.model.limits import Limits
from bellcast.model.live_event_drafts import EventDraft

Kind = Literal["insert", "update", "delete", "truncate"]
KINDS: tuple[Kind, ...] = ("insert", "update", "delete", "truncate")
COLUMN = re.compile(r"\{([^{}]*)\}")
# Of rows, and of the table as a whole.
TRIGGER, EMPTIED = "bellcast_watch", "bellcast_watch_truncate"
OWN = "bellcast"
# So long the app's own writers hold up a `watch`, and it them.
LOCK_TIMEOUT = "5s"


class Watch(Struct, frozen=True, kw_only=True):
    """What is watched, and whom it reaches. `{column}` in a text is that column of the row. `names` are what events of
    each kind are called; a kind that has none is not told. `kept` is every column that is needed, `reaching` those that say
    whom a row reaches."""

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    kept: tuple[str, ...]
    names: dict[Kind, str]
    topic: str | None = None
    recipient: str | None = None
    tenant: str | None = None
    reaching: tuple[str, ...] = ()


class WatchRequest(Struct, frozen=True, kw_only=True):
    """What somebody asks to be watched; what is absent is chosen."""

    table: str
    columns: tuple[str, ...] = ()
    names: dict[Kind, str] = {}
    kinds: tuple[Kind, ...] = KINDS
    topic: str | None = None
    recipient: str | None = None
    tenant: str | None = None


class RowChange(Struct, frozen=True):
    """What a trigger wrote down: a row as it was and as it is, as far as it is needed; of a table that was emptied, whom it
    reached."""

    change: Kind
    watch: Watch
    was: dict[str, object] | None = None
    is_now: dict[str, object] | None = msgspec.field(default=None, name="is")


class TableInfo(Struct, frozen=True):
    """A table as PostgreSQL has it."""

    name: str  # quoted, with its schema
    schema: str
    short: str
    kind: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


TABLE = """
SELECT c.oid::regclass::text, n.nspname, c.relname, c.relkind::text,
  ARRAY(SELECT a.attname::text FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
  ARRAY(SELECT a.attname::text FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k (number, place)
        JOIN pg_attribute a ON a.attnum = k.number
        WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid ORDER BY k.place)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass($1)
"""
WATCHED = """
SELECT DISTINCT t.tgrelid::regclass::text,
  convert_from(substring(t.tgargs FOR position('\\000'::bytea IN t.tgargs) - 1), getdatabaseencoding())
FROM pg_trigger t WHERE t.tgname = ANY ($1) AND t.tgparentid = 0
  AND t.tgfoid IN (to_regproc('bellcast.changed'), to_regproc('bellcast.emptied'))
ORDER BY 1
"""


async def watch(connection: asyncpg.Connection, wish: WatchRequest) -> Watch:
    """Put triggers at the table, or others there; what is watched now."""
    found = await _find(connection, wish.table)
    watched = plan(wish, found)
    argument = await connection.fetchval("SELECT quote_literal($1)", msgspec.json.encode(watched).decode())
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        await _drop(connection, found.name)
        rows = [kind.upper() for kind in KINDS if kind in watched.names and kind != "truncate"]
        if rows:
            await connection.execute(
                f"CREATE TRIGGER {TRIGGER} AFTER {' OR '.join(rows)} ON {found.name}"
                f" FOR EACH ROW EXECUTE FUNCTION bellcast.changed({argument})"
            )
        if "truncate" in watched.names:
            await connection.execute(
                f"CREATE TRIGGER {EMPTIED} BEFORE TRUNCATE ON {found.name}"
                f" FOR EACH STATEMENT EXECUTE FUNCTION bellcast.emptied({argument})"
            )
    return watched


async def unwatch(connection: asyncpg.Connection, table: str) -> str:
    """Take the triggers away; the table's name. NotFound if it was not watched."""
    found = await _find(connection, table)
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        if not await _drop(connection, found.name):
            raise NotFound(f"{table} is not watched.")
    return found.name


async def _drop(connection: asyncpg.Connection, name: str) -> bool:
    """Take a table's triggers away, if it has any: that would wait for everybody who reads it."""
    watched = name in [one for one, _ in await connection.fetch(WATCHED, [TRIGGER, EMPTIED])]
    for trigger in (TRIGGER, EMPTIED) if watched else ():
        await connection.execute(f"DROP TRIGGER IF EXISTS {trigger} ON {name}")
    return watched


async def every(connection: asyncpg.Connection) -> dict[str, Watch]:
    """What is watched, by the table's name as it is now."""
    rows = await connection.fetch(WATCHED, [TRIGGER, EMPTIED])
    return {name: msgspec.json.decode(argument, type=Watch) for name, argument in rows}


async def _find(connection: asyncpg.Connection, table: str) -> TableInfo:
    try:
        row = await connection.fetchrow(TABLE, table)
    except asyncpg.PostgresError:
        row = None  # not even the shape of a name
    if row is None:
        raise NotFound(f"There is no table {table} in this database.")
    name, schema, short, kind, columns, key = row
    found = TableInfo(name, schema, short, kind, tuple(columns), tuple(key))
    if found.schema == OWN:
        raise Conflict(f"{table} is Bellcast's own: its streams hear of it anyway.")
    if found.kind not in ("r", "p"):
        raise Conflict(f"{table} is no table: watch the tables it is made of.")
    return found


def plan(wish: WatchRequest, found: TableInfo) -> Watch:
    """A wish with what was left open chosen. Invalid names every column and topic that cannot be."""
    reaches = wish.topic is not None or wish.recipient is not None
    topic = wish.topic if reaches else found.short
    columns = wish.columns or found.columns
    named = [name for text in (topic, wish.recipient, wish.tenant) if text for name in COLUMN.findall(text)]
    names = {kind: wish.names.get(kind, f"{found.short}.{kind}") for kind in wish.kinds}
    unknown = [name for name in (*columns, *named) if name not in found.columns]
    if unknown:
        raise Invalid(f"{found.name} has no column {', '.join(unknown)}; it has {', '.join(found.columns)}.")
    validation.check(_topic(topic), *(validation.text("name", name, Limits().event_name) for name in names.values()))
    kept = tuple(dict.fromkeys((*columns, *found.key, *named)))
    return Watch(
        table=found.name,
        key=found.key,
        columns=tuple(columns),
        kept=kept,
        names=names,
        topic=topic,
        recipient=wish.recipient,
        tenant=wish.tenant,
        reaching=tuple(dict.fromkeys(named)),
    )


def _topic(topic: str | None) -> validation.FieldErrors:
    """Whether it can be one, whatever stands in the columns."""
    if topic is not None:
        yield from validation.topic("topic", COLUMN.sub("x", topic), Limits())


def events(change: RowChange, limit: int) -> list[EventDraft]:
    """What a change is to those whom the row, as it was or as it is, reaches. Without a value in one of its columns it
    reaches nobody. What is too long for an event is left to be fetched: it says so and keeps the key."""
    name = change.watch.names.get(change.change)
    if name is None:
        return []
    data = _data(change)
    if limit and len(msgspec.json.encode(data)) > limit:
        data = {**data, "record": None, "old": None, "cut": True}
    reached = {to: None for row in (change.was, change.is_now) if row is not None for to in _reached(change.watch, row)}
    return [
        EventDraft(name=name, data=data, tenant=tenant or None, topic=topic, recipient=recipient)
        for tenant, topic, recipient in reached
    ]


def _reached(watched: Watch, row: dict[str, object]) -> list[tuple[str, str | None, str | None]]:
    tenant = DEFAULT_TENANT if watched.tenant is None else _filled(watched.tenant, row)
    topic = None if watched.topic is None else _filled(watched.topic, row)
    recipient = None if watched.recipient is None else _filled(watched.recipient, row)
    if tenant is None:
        return []
    reached = [(tenant, topic, None), (tenant, None, recipient)]
    return [to for to in reached if to[1:] != (None, None)]


def _filled(text: str, row: dict[str, object]) -> str | None:
    values = {name: row.get(name) for name in COLUMN.findall(text)}
    if None in values.values():
        return None
    return COLUMN.sub(lambda found: _written(values[found[1]]), text)


def _written(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _data(change: RowChange) -> dict[str, object]:
    """`old` of an update is what it changed; of a deletion the row. An emptied table has neither row nor key."""
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
