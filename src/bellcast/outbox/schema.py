"""The outbox itself: put into the app's database, brought up to date, granted to roles, taken out again."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import resources

import asyncpg

from bellcast.errors import Conflict, NotFound, Unavailable
from bellcast.outbox import steps

MIN_VERSION = 15
CONNECT_TIMEOUT = 5.0
# A question to the outbox takes milliseconds; what takes so long waits for a lock of the app's.
COMMAND_TIMEOUT = 15.0
# One `bellcast sql` at a time ("Bell", "outb").
LOCK = 0x42656C6C_6F757462
FUNCTIONS = ("notify(jsonb)", "notify(text, jsonb)", "publish(jsonb)", "publish(text, text, jsonb)")
# What asyncpg raises when the database is away or will not have us; our own mistakes are none of these.
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
    """A connection to the app's database. Unavailable when it is away, now or later."""
    connection: asyncpg.Connection | None = None
    try:
        connection = await asyncpg.connect(
            url,
            timeout=CONNECT_TIMEOUT,
            command_timeout=COMMAND_TIMEOUT,
            statement_cache_size=0,  # what a pool between us and PostgreSQL would mix up
            server_settings={"application_name": "bellcast", **session},
        )
        yield connection
    except UNAVAILABLE_ERRORS as failure:
        raise Unavailable(f"The app's database cannot be used: {str(failure) or type(failure).__name__}.") from failure
    finally:
        if connection is not None:
            connection.terminate()


def texts() -> list[str]:
    """Every step, oldest first; the n-th leads to version n."""
    files = sorted(resources.files(steps).iterdir(), key=lambda file: file.name)
    return [file.read_text(encoding="utf-8") for file in files if file.name.endswith(".sql")]


def script(done: int = 0) -> str:
    """What `install` runs, for those who run it themselves."""
    known = f"UPDATE bellcast.outbox_version SET version = {len(texts())};"  # noqa: S608  a number of ours
    return "\n".join(["CREATE SCHEMA IF NOT EXISTS bellcast;", *texts()[done:], known])


async def version(connection: asyncpg.Connection) -> int:
    """Which version is there; 0 where there is none."""
    if await connection.fetchval("SELECT to_regclass('bellcast.outbox_version')") is None:
        return 0
    return int(await connection.fetchval("SELECT version FROM bellcast.outbox_version"))


async def check_installed(connection: asyncpg.Connection) -> None:
    """NotFound unless it is installed, Conflict if it is another version's."""
    found, known = await version(connection), len(texts())
    if found == 0:
        raise NotFound("There is no outbox in this database: run `bellcast sql install`.")
    if found != known:
        raise Conflict(f"The outbox is of version {found}, this Bellcast knows {known}: run `bellcast sql install`.")


async def install(
    connection: asyncpg.Connection, senders: Sequence[str] = (), nodes: Sequence[str] = ()
) -> tuple[int, int]:
    """Bring it up to date, let these roles send, and servers connect as those; the versions before and after."""
    if connection.get_server_version().major < MIN_VERSION:
        raise Conflict(f"PostgreSQL {MIN_VERSION} or newer is needed.")
    known = len(texts())
    async with connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        found = await version(connection)
        if found > known:
            raise Conflict(f"This outbox was made by a newer Bellcast (version {found}, this one knows {known}).")
        if found < known:
            await connection.execute(script(found))
        for role in senders:
            # To send takes no right on the tables: the functions have it.
            await _grant(connection, role, [f"EXECUTE ON FUNCTION bellcast.{function}" for function in FUNCTIONS])
        for role in nodes:
            rights = "SELECT, INSERT, UPDATE, DELETE ON bellcast.outbox, bellcast.refused"
            await _grant(connection, role, [rights, "SELECT ON bellcast.outbox_version"])
    return found, known


async def _grant(connection: asyncpg.Connection, role: str, rights: Sequence[str]) -> None:
    name = await connection.fetchval("SELECT quote_ident(rolname) FROM pg_roles WHERE rolname = $1", role)
    if name is None:
        raise NotFound(f"There is no role {role} in this database.")
    for right in ("USAGE ON SCHEMA bellcast", *rights):
        await connection.execute(f"GRANT {right} TO {name}")


async def uninstall(connection: asyncpg.Connection, *, force: bool) -> int:
    """Take it out, with what it put behind watched tables; how many rows were lost. Conflict if rows wait, unless
    forced. A store in the same schema stays."""
    async with connection.transaction():
        await check_installed(connection)
        # Nobody writes to it from here on, so that what is counted is what goes.
        await connection.execute("LOCK TABLE bellcast.outbox IN ACCESS EXCLUSIVE MODE")
        waiting = int(await connection.fetchval("SELECT count(*) FROM bellcast.outbox"))
        if waiting and not force:
            raise Conflict(f"{waiting} rows wait to be sent: start a server that takes them, or use --force.")
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
