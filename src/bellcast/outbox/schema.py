"""Installs, upgrades and uninstalls the outbox in the app's database, and grants it to roles."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import resources

import asyncpg

from bellcast.kernel.errors import Conflict, NotFound, Unavailable

MIN_VERSION = 15
CONNECT_TIMEOUT = 5.0
# A query on the outbox takes milliseconds; one that takes this long waits for a lock held by the app.
COMMAND_TIMEOUT = 15.0
# Advisory lock: one `bellcast sql` at a time ("Bell", "outb").
LOCK = 0x42656C6C_6F757462
SET_VERSION = "UPDATE bellcast.outbox_version SET version = $1;"
FUNCTIONS = (
    "notify(jsonb)",
    "notify(text, jsonb)",
    "publish(jsonb)",
    "publish(text, text, jsonb)",
    "trigger(text, text, jsonb)",
    "trigger(text, jsonb, jsonb)",
)
# Errors of asyncpg when the database is unreachable or refuses the connection. Errors in statements are not among them.
UNAVAILABLE_ERRORS = (
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.exceptions.IdleInTransactionSessionTimeoutError,
    asyncpg.exceptions.ReadOnlySQLTransactionError,
    asyncpg.LockNotAvailableError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
)


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
    except (asyncpg.PostgresError, *UNAVAILABLE_ERRORS) as failure:
        if connection is not None and not isinstance(failure, UNAVAILABLE_ERRORS):
            raise  # of a statement
        raise Unavailable.of("PostgreSQL", failure) from failure
    finally:
        if connection is not None:
            connection.terminate()


def migrations() -> list[str]:
    """Return the SQL of every migration, oldest first; the n-th migrates to version n. Its tables are in the schema `bellcast`,
    with or without a store's tables."""
    files = sorted(resources.files(__package__).iterdir(), key=lambda file: file.name)
    return [file.read_text(encoding="utf-8") for file in files if file.name.endswith(".sql")]


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
        await connection.execute("LOCK TABLE bellcast.outbox IN ACCESS EXCLUSIVE MODE")
        waiting = int(await connection.fetchval("SELECT count(*) FROM bellcast.outbox"))
        if waiting and not force:
            raise Conflict(f"{waiting} rows are pending: start a server that sends them, or use --force.")
        await connection.execute(
            "DROP FUNCTION bellcast.changed(), bellcast.emptied() CASCADE"
        )  # and triggers that call them
        await connection.execute("DROP TABLE bellcast.outbox, bellcast.refused, bellcast.outbox_version")
        for function in (*FUNCTIONS, "outbox_written()"):
            await connection.execute(f"DROP FUNCTION bellcast.{function}")
        if not await connection.fetchval(HAS_TABLES):
            await connection.execute("DROP SCHEMA bellcast")
    return waiting


HAS_TABLES = "SELECT EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = 'bellcast'::regnamespace)"
