"""The outbox in the app's database: its installation, the roles that may use it, the watched tables, of which triggers write each
change to the outbox, its backlog and its refused rows, which operators retry or discard."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

import asyncpg
import msgspec
from msgspec import Struct

from bellcast.kernel import validation
from bellcast.kernel.db.migrations import load
from bellcast.kernel.db.postgres_connection import CONNECT_TIMEOUT, POSTGRES_ERRORS, UNAVAILABLE_ERRORS
from bellcast.kernel.errors import Conflict, Invalid, NotFound, Unavailable
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.kernel.limits import Limits
from bellcast.outbox import SQL
from bellcast.topics.types import EventDraft

MIN_VERSION = 15
# A query on the outbox takes milliseconds; one that takes this long waits for a lock held by the app.
COMMAND_TIMEOUT = 15.0
# Advisory lock: one `bellcast sql` at a time ("Bell", "outb").
LOCK = 0x42656C6C_6F757462
# How long a change of the app's tables or of the outbox waits for open transactions, and delays all later writers.
SET_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'"
HAS_TABLES = "SELECT EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = 'bellcast'::regnamespace)"
SET_VERSION = "UPDATE bellcast.outbox_version SET version = $1;"
FUNCTIONS = (
    "notify(jsonb)",
    "notify(text, jsonb)",
    "publish(jsonb)",
    "publish(text, text, jsonb)",
    "trigger(text, text, jsonb)",
    "trigger(text, jsonb, jsonb)",
)
# Maximum of refused rows shown: one bug in the app may cause thousands of similar rows.
MAX_REFUSALS = 20


@asynccontextmanager
async def connected(url: str, **session: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect to the app's database. Raises Unavailable if the connection fails or is lost within the block."""
    connection: asyncpg.Connection | None = None
    try:
        connection = await asyncpg.connect(
            url,
            timeout=CONNECT_TIMEOUT,
            command_timeout=COMMAND_TIMEOUT,
            statement_cache_size=0,  # PgBouncer in transaction mode does not support prepared statements
            server_settings={"application_name": "bellcast", **session},
        )
        yield connection
    except POSTGRES_ERRORS as failure:
        if connection is not None and not isinstance(failure, (*UNAVAILABLE_ERRORS, asyncpg.InterfaceError)):
            raise  # of a statement
        raise Unavailable.of("PostgreSQL (BELLCAST_DATABASE_URL, else BELLCAST_STORE)", failure) from failure
    finally:
        if connection is not None:
            connection.terminate()


def migrations() -> list[str]:
    """Return the SQL of every migration, oldest first; the n-th migrates to version n. The outbox's tables are in the schema
    `bellcast`, with or without a store's tables."""
    return [*load(Path(__file__).parent).values()]


def script(done: int = 0) -> str:
    """Return the SQL that `install` runs to upgrade from version `done`."""
    set_version = SET_VERSION.replace("$1", str(len(migrations())))
    return "\n".join(["CREATE SCHEMA IF NOT EXISTS bellcast;", *migrations()[done:], set_version])


async def version(connection: asyncpg.Connection) -> int:
    """Return the installed version, or 0."""
    if await connection.fetchval("SELECT to_regclass('bellcast.outbox_version')") is None:
        return 0
    return int(await connection.fetchval("SELECT version FROM bellcast.outbox_version"))


async def check_installed(connection: asyncpg.Connection) -> None:
    """Raise NotFound unless the outbox is installed, and Conflict if its version is another one."""
    installed, current = await version(connection), len(migrations())
    if installed == 0:
        raise NotFound("No outbox is installed in this database: run `bellcast sql install`.")
    if installed != current:
        raise Conflict(f"The outbox has version {installed}, expected {current}: run `bellcast sql install`.")


async def install(
    connection: asyncpg.Connection, senders: Sequence[str] = (), nodes: Sequence[str] = ()
) -> tuple[int, int]:
    """Install or upgrade the outbox and grant it: `senders` may call its functions, `nodes` may consume it. Return the
    versions before and after."""
    if connection.get_server_version().major < MIN_VERSION:
        raise Conflict(f"PostgreSQL {MIN_VERSION} or newer is needed.")
    current = len(migrations())
    async with connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        installed = await version(connection)
        if installed > current:
            raise Conflict(
                f"The outbox has version {installed}, newer than this Bellcast supports ({current}): upgrade Bellcast."
            )
        if installed < current:
            await connection.execute(SET_LOCK_TIMEOUT)
            await connection.execute(script(installed))
        for role in senders:
            # Sending needs no privilege on the tables, since the functions are SECURITY DEFINER.
            await _grant(connection, role, [f"EXECUTE ON FUNCTION bellcast.{function}" for function in FUNCTIONS])
        for role in nodes:
            rights = "SELECT, INSERT, UPDATE, DELETE ON bellcast.outbox, bellcast.refused"
            await _grant(connection, role, [rights, "SELECT ON bellcast.outbox_version"])
    return installed, current


async def _grant(connection: asyncpg.Connection, role: str, rights: Sequence[str]) -> None:
    name = await connection.fetchval("SELECT quote_ident(rolname) FROM pg_roles WHERE rolname = $1", role)
    if name is None:
        raise NotFound(f"The role {role} does not exist in this database.")
    for right in ("USAGE ON SCHEMA bellcast", *rights):
        await connection.execute(f"GRANT {right} TO {name}")


async def uninstall(connection: asyncpg.Connection, *, force: bool) -> int:
    """Drop the outbox and its triggers on watched tables, and return the number of lost rows. Raises Conflict if rows
    are pending, unless forced. A store in the same schema stays."""
    async with connection.transaction():
        await check_installed(connection)
        # Locked, so that no row is added between the count and the drop.
        await connection.execute(SET_LOCK_TIMEOUT)
        await connection.execute("LOCK TABLE bellcast.outbox IN ACCESS EXCLUSIVE MODE")
        waiting = int(await connection.fetchval("SELECT count(*) FROM bellcast.outbox"))
        if waiting and not force:
            raise Conflict(f"{waiting} rows are pending: start a server that sends them, or use --force.")
        # And the triggers that call them.
        await connection.execute("DROP FUNCTION bellcast.changed(), bellcast.emptied() CASCADE")
        await connection.execute("DROP TABLE bellcast.outbox, bellcast.refused, bellcast.outbox_version")
        for function in (*FUNCTIONS, "outbox_written()"):
            await connection.execute(f"DROP FUNCTION bellcast.{function}")
        if not await connection.fetchval(HAS_TABLES):
            await connection.execute("DROP SCHEMA bellcast")
    return waiting


# --- watched tables

ChangeKind = Literal["insert", "update", "delete", "truncate"]
KINDS: tuple[ChangeKind, ...] = ("insert", "update", "delete", "truncate")
COLUMN = re.compile(r"\{([^{}]*)\}")
# The row trigger, and the trigger for TRUNCATE.
TRIGGER, TRUNCATE_TRIGGER = "bellcast_watch", "bellcast_watch_truncate"
OWN_SCHEMA = "bellcast"


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


async def watch(
    connection: asyncpg.Connection,
    name: str,
    *,
    columns: Sequence[str] = (),
    names: Mapping[ChangeKind, str] = {},
    kinds: Sequence[ChangeKind] = KINDS,
    topic: str | None = None,
    recipient: str | None = None,
    tenant: str | None = None,
) -> TableWatch:
    """Create or replace the triggers of a table and return the resulting watch. By default, all changes of all columns are
    published on the topic of the table's name. Raises Invalid with every unknown column and invalid topic."""
    table = await _find(connection, name)
    if topic is None and recipient is None:
        topic = table.short
    published = tuple(columns) or table.columns
    in_texts = [column for text in (topic, recipient, tenant) if text for column in COLUMN.findall(text)]
    unknown = [column for column in (*published, *in_texts) if column not in table.columns]
    if unknown:
        raise Invalid(f"{table.name} has no column {', '.join(unknown)}; expected one of {', '.join(table.columns)}.")
    watched = TableWatch(
        table=table.name,
        key=table.key,
        columns=published,
        recorded=tuple(dict.fromkeys((*published, *table.key, *in_texts))),
        names={kind: names.get(kind, f"{table.short}.{kind}") for kind in kinds},
        topic=topic,
        recipient=recipient,
        tenant=tenant,
        audience=tuple(dict.fromkeys(in_texts)),
    )
    validation.check(
        () if topic is None else validation.topic("topic", COLUMN.sub("x", topic), Limits()),
        *(validation.text("name", event, Limits().event_name) for event in watched.names.values()),
    )
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


def events(change: RowChange, limit: int) -> list[EventDraft]:
    """Return the events of a change for the audiences of the row before and after. A null in an audience column means
    no audience. `old` holds the changed columns of an update, and the row of a deletion. Data longer than `limit` bytes is
    reduced to the key, with `cut` set, so that clients fetch the row."""
    name = change.watch.names.get(change.change)
    if name is None:
        return []
    watched, was, is_now = change.watch, change.was, change.is_now
    row = is_now if is_now is not None else was or {}
    key = {name: row.get(name) for name in watched.key}
    record = None if is_now is None else {name: is_now.get(name) for name in watched.columns}
    old = None if was is None else {name: was.get(name) for name in watched.columns}
    if old is not None and record is not None:
        old = {name: value for name, value in old.items() if value != record[name]}
    data: dict[str, object] = {
        "table": watched.table,
        "change": change.change,
        "key": key,
        "record": record,
        "old": old,
    }
    if change.change == "truncate":  # has neither row nor key; `was` is an audience
        data |= {"key": {}, "record": None, "old": None}
    if limit and len(msgspec.json.encode(data)) > limit:
        data = {**data, "record": None, "old": None, "cut": True}
    drafts: dict[tuple[str, str | None, str | None], EventDraft] = {}
    for values in (was, is_now):
        if values is None or (tenant := _fill(watched.tenant or DEFAULT_TENANT, values)) is None:
            continue
        for topic, recipient in ((_fill(watched.topic, values), None), (None, _fill(watched.recipient, values))):
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


# --- rows


class RefusedRow(Struct, frozen=True):
    """A refused row and the reason."""

    id: int
    kind: str
    payload: str
    written_at: datetime
    error: str


class Backlog(Struct, frozen=True):
    """Counts of an outbox. `oldest` is the age of the oldest pending row in seconds; `later` are postponed by their
    tenant's rate or budget."""

    waiting: int
    oldest: float | None
    later: int
    refused: int


class Status(Backlog, frozen=True, kw_only=True):
    """Version, backlog, refused rows and watched tables of an outbox."""

    version: int
    refusals: list[RefusedRow]
    watched: dict[str, TableWatch]


async def backlog(connection: asyncpg.Connection) -> Backlog:
    """Count the rows, in about 100 ms with a million of them."""
    ((waiting, oldest, later),) = await connection.fetch(SQL["backlog"])
    refused = await connection.fetchval("SELECT count(*) FROM bellcast.refused")
    return Backlog(waiting, oldest, later, refused)


async def read_status(connection: asyncpg.Connection) -> Status:
    """Raises NotFound without an installed outbox."""
    await check_installed(connection)
    counts = await backlog(connection)
    rows = await connection.fetch(SQL["refusals"], MAX_REFUSALS)
    return Status(
        **msgspec.structs.asdict(counts),
        version=await version(connection),
        refusals=[RefusedRow(*row) for row in rows],
        watched=await find_all(connection),
    )


async def end_refusals(connection: asyncpg.Connection, id: int | None, *, is_retry: bool) -> int:
    """Put one or all refused rows back at the end of the outbox with their keys, or delete them; return their number."""
    await check_installed(connection)
    count = int(await connection.fetchval(SQL["retry" if is_retry else "discard"], id))
    if id is not None and count == 0:
        raise NotFound(f"There is no refused row {id}.")
    return count
