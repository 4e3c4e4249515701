"""The outbox in the app's database: its installation, the roles that may use it, its backlog and its refused rows, which operators
retry or discard."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg
import msgspec
from msgspec import Struct

from bellcast.kernel.db.migrations import load
from bellcast.kernel.db.postgres_connection import CONNECT_TIMEOUT, POSTGRES_ERRORS, UNAVAILABLE_ERRORS
from bellcast.kernel.errors import Conflict, NotFound, Unavailable
from bellcast.outbox import SQL, table_watch
from bellcast.outbox.table_watch import SET_LOCK_TIMEOUT, TableWatch

MIN_VERSION = 15
# A query on the outbox takes milliseconds; one that takes this long waits for a lock held by the app.
COMMAND_TIMEOUT = 15.0
# Advisory lock: one `bellcast sql` at a time ("Bell", "outb").
LOCK = 0x42656C6C_6F757462
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
        raise Unavailable.of("PostgreSQL", failure) from failure
    finally:
        if connection is not None:
            connection.terminate()


def migrations() -> list[str]:
    """Return the SQL of every migration, oldest first; the n-th migrates to version n. The outbox's tables are in the schema
    `bellcast`, with or without a store's tables."""
    return [*load(__package__).values()]


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
        watched=await table_watch.find_all(connection),
    )


async def end_refusals(connection: asyncpg.Connection, id: int | None, *, is_retry: bool) -> int:
    """Put one or all refused rows back at the end of the outbox with their keys, or delete them; return their number."""
    await check_installed(connection)
    count = int(await connection.fetchval(SQL["retry" if is_retry else "discard"], id))
    if id is not None and count == 0:
        raise NotFound(f"There is no refused row {id}.")
    return count
