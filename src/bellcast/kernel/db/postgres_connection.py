"""A PostgreSQL connection that runs scripts, the translation of its errors, and the check that its database has lost no rows.

A loaded dump, a recovery to a point in time and a promoted standby may have lost some. Each connection compares the database's
identity with the stored one before its first use, so a failover under a running server is detected too. A restored disk snapshot
keeps the identity."""

import functools
import re
from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar, cast

import asyncpg
import structlog
from asyncpg import exceptions
from asyncpg.pool import PoolConnectionProxy
from msgspec import Struct

from bellcast.kernel.db import statements
from bellcast.kernel.db.migrations.postgres import DETECT_LOST_CLIENT, SCHEMA
from bellcast.kernel.db.script import Params, Row, Script, Statement
from bellcast.kernel.errors import DiskFull, Invalid, SettingsError, Unavailable

log = structlog.get_logger(__name__)
T = TypeVar("T")
Raw: TypeAlias = asyncpg.Connection | PoolConnectionProxy

# A server that takes longer counts as unavailable: the slowest statement, on all rows of a large inbox, takes under 2
# s.
COMMAND_TIMEOUT = 15.0
CONNECT_TIMEOUT = 5.0
# Forces the tested plans: by index and generic, independent of the planner's statistics about new tables. The timeouts
# release the locks of a process that stops inside a transaction (paused or disconnected).
SESSION = {
    "search_path": SCHEMA,
    "jit": "off",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "5s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "application_name": "bellcast",
}
# By statement, because PgBouncer refuses startup parameters.
SET_SESSION = "; ".join(f"SET {name} = '{value}'" for name, value in SESSION.items())
# On a full disk, a changed row alone may have room in its page. Needs a megabyte.
WRITE_PAGES = "CREATE UNLOGGED TABLE probe AS SELECT repeat('x', 1900) FROM generate_series(1, 500); DROP TABLE probe"
NUMBERED = re.compile(r"\$([0-9]+)")
# A list parameter: `:keys::text[]`.
COLUMN = re.compile(r":([a-z_]+)::[a-z]+\[\]")
RETRYABLE_ERRORS = (exceptions.SerializationError, exceptions.DeadlockDetectedError)
# Of a connection whose URL has a parameter that the driver or PostgreSQL does not know or accept.
PARAMETER_ERRORS = (
    exceptions.ClientConfigurationError,
    exceptions.UndefinedObjectError,
    exceptions.InvalidParameterValueError,
)
# Errors of an unreachable database, or one that refuses its use for now.
UNAVAILABLE_ERRORS = (
    exceptions.PostgresConnectionError,
    exceptions.OperatorInterventionError,  # shutting down, starting up, disconnected
    exceptions.InsufficientResourcesError,
    exceptions.InvalidAuthorizationSpecificationError,
    exceptions.InvalidCatalogNameError,
    exceptions.ReadOnlySQLTransactionError,  # a standby, or a demoted primary
    exceptions.IdleInTransactionSessionTimeoutError,
    exceptions.LockNotAvailableError,
    exceptions.InternalClientError,
    exceptions.ObjectNotInPrerequisiteStateError,  # the database accepts no connections
    OSError,
    TimeoutError,
)
# All errors of asyncpg, and of its connections. asyncpg raises InterfaceError if it loses a connection during a query.
POSTGRES_ERRORS = (exceptions.PostgresError, exceptions.InterfaceError, *UNAVAILABLE_ERRORS)


class PostgresText(Struct):
    """A statement with numbered parameters, `names` in that order. With `numbered`, each row has the index of its
    parameter set. With `columns`, all parameters are lists, so that one statement takes many sets. `types` are those of
    the parameters, read from the database before the first batch."""

    plain: str
    numbered: str
    names: tuple[str, ...]
    returns_rows: bool
    writes: bool
    columns: bool
    types: tuple[str, ...] | None = None

    def values(self, params: Params) -> tuple[Any, ...]:
        return tuple([params[name] for name in self.names])

    def by_column(self, sets: Sequence[Params]) -> tuple[list[Any], ...]:
        """Transpose parameter sets into one list per parameter."""
        return tuple([[params[name] for params in sets] for name in self.names])


class PooledConnection(asyncpg.Connection):
    """A pooled connection without a reset query: no session state changes between uses."""

    def get_reset_query(self) -> str:
        return ""


@functools.cache
def texts() -> dict[str, PostgresText]:
    """Load all statements, by name, once per process."""
    return {name: _text(text) for name, text in statements.load("postgres").items()}


def _text(text: str) -> PostgresText:
    body = statements.body(text)
    names = tuple(dict.fromkeys(statements.PARAMETER.findall(body)))
    plain = statements.PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", body)
    reads = plain.startswith("SELECT")
    numbered = f"WITH plain AS ({plain}) SELECT plain.*, ${len(names) + 1}::int4 FROM plain"  # noqa: S608  its own statement; values are parameters
    returns_rows = reads or plain.startswith("WITH") or "RETURNING" in plain
    columns = bool(names) and set(names) == set(COLUMN.findall(body))
    return PostgresText(plain, numbered, names, returns_rows, not reads, columns)


@functools.cache
def joined(plain: str, names: tuple[str, ...], types: tuple[str, ...]) -> str | None:
    """Return a read statement for many parameter sets, given as one list per parameter; each row has the index of its
    set. None if there are no parameters, or lists among them.

    In batches of eight, a resume costs PostgreSQL 15 µs with this statement, and 37 µs if each executes its own."""
    if not types or any(type.endswith("[]") for type in types):
        return None
    lists = ", ".join(f"${at}::{type}[]" for at, type in enumerate(types, 1))
    columns = ", ".join(f'"{name}"' for name in names)
    one = NUMBERED.sub(lambda match: f'sets."{names[int(match[1]) - 1]}"', plain)
    # With OFFSET 0, because the planner could otherwise reverse the join and read the whole table.
    return (
        f'SELECT one.*, sets."#" - 1 FROM unnest({lists}) WITH ORDINALITY AS sets({columns}, "#") '  # noqa: S608  only names and types; values are parameters
        f"CROSS JOIN LATERAL (SELECT * FROM ({one}) AS plain OFFSET 0) AS one"
    )


def translated(error: Exception) -> Exception:
    """Return a database error as a BellcastError. Any other error is a programming error and is returned unchanged."""
    if isinstance(error, exceptions.DiskFullError):
        return DiskFull()
    if isinstance(error, RETRYABLE_ERRORS):
        return Unavailable("Too many are writing to the same inboxes.")
    if isinstance(error, exceptions.CharacterNotInRepertoireError | exceptions.UntranslatableCharacterError):
        return Invalid("A text must not contain U+0000.")
    # asyncpg's pool reports a lost connection as released.
    if isinstance(error, exceptions.InterfaceError) and ("closed" in str(error) or "released" in str(error)):
        return Unavailable("The connection to PostgreSQL was lost.")
    if isinstance(error, FileNotFoundError):
        return Unavailable(
            "PostgreSQL cannot be used: the certificate, key or socket that its URL names does not exist. "
            "Its parameters, such as sslrootcert, are those of libpq."
        )
    if isinstance(error, (*UNAVAILABLE_ERRORS, exceptions.InsufficientPrivilegeError)):
        return Unavailable.of("PostgreSQL", error)
    return error


class PostgresConnection:
    """Runs scripts on one connection."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self.texts = texts()

    async def run(self, script: Script[T], pending: Statement | None = None) -> T:
        """Run a script to its end, from its pending statement if it has begun."""
        try:
            statement = pending or next(script)
            while True:
                if statement.many is None:
                    rows = await self._one(self.texts[statement.name], statement.params)
                else:
                    await self.execute_many(statement.name, statement.many)
                    rows = []
                statement = script.send(rows)
        except StopIteration as done:
            return cast(T, done.value)

    async def _one(self, text: PostgresText, params: Params) -> list[Row]:
        if text.returns_rows:
            return cast(list[Row], await self.raw.fetch(text.plain, *text.values(params)))
        await self.raw.execute(text.plain, *text.values(params))
        return []

    async def query(self, name: str, sets: Sequence[Params]) -> list[list[Row]]:
        """Run a statement once for each parameter set; return the rows of each."""
        text = self.texts[name]
        if len(sets) == 1:
            return [await self._one(text, sets[0])]
        if not text.returns_rows:
            await self.execute_many(name, sets)
            return [[] for _ in sets]
        of_all = None
        if not text.writes:
            if text.types is None:
                prepared = await self.raw.prepare(text.plain)
                text.types = tuple([parameter.name for parameter in prepared.get_parameters()])
            of_all = joined(text.plain, text.names, text.types)
        if of_all is not None:
            rows = await self.raw.fetch(of_all, *text.by_column(sets))
        else:
            numbered = [(*text.values(params), index) for index, params in enumerate(sets)]
            rows = await self.raw.fetchmany(text.numbered, numbered)
        found: list[list[Row]] = [[] for _ in sets]
        for *columns, index in rows:
            found[index].append(tuple(columns))
        return found

    async def execute_many(self, name: str, sets: Sequence[Params]) -> None:
        """Run a statement once for each parameter set."""
        text = self.texts[name]
        if text.columns:
            await self.raw.execute(text.plain, *text.by_column(sets))
        else:
            await self.raw.executemany(text.plain, [text.values(params) for params in sets])


READ_PID = "SELECT pg_backend_pid()"


async def check_pooler(url: str, variable: str) -> None:
    """Raise SettingsError if a pooler in transaction or statement mode gives the sessions of one client to others."""
    first = await _connect_unprepared(url)
    try:
        session = await _session(first)
        if session == first.get_server_pid():  # a pooler invents this number
            return
        other = await _connect_unprepared(url)
        try:
            async with other.transaction():
                # An idle pooler gives the session used last; others change the session of `first`.
                is_shared = await other.fetchval(READ_PID) == session or await _session(first) != session
        finally:
            await other.close()
    except asyncpg.PostgresError as error:
        if not (is_shared := "statement pooling mode" in str(error)):  # PgBouncer's reason to refuse a transaction
            raise
    finally:
        await first.close()
    if is_shared:
        raise SettingsError(
            f"{variable}: the pooler in front of PostgreSQL shares sessions between transactions. PgBouncer must use"
            " pool_mode=session for this database, because LISTEN, advisory locks, settings and prepared statements"
            " need a session of their own; or connect to PostgreSQL directly."
        )


async def _connect_unprepared(url: str) -> "asyncpg.Connection[Any]":
    try:
        # Without prepared statements, which would fail first.
        return await asyncpg.connect(
            url, timeout=CONNECT_TIMEOUT, command_timeout=CONNECT_TIMEOUT, statement_cache_size=0
        )
    except PARAMETER_ERRORS as error:
        reason = str(error).partition("\n")[0].rstrip(".")  # the next line is a hint
        raise SettingsError(
            f"The URL of PostgreSQL cannot be used: {reason}. Its parameters, such as sslrootcert, are those of libpq."
        ) from error


async def _session(connection: "asyncpg.Connection[Any]") -> int:
    """Return the process of PostgreSQL that serves a connection. In a transaction, which a pooler does not divide."""
    async with connection.transaction():
        return int(await connection.fetchval(READ_PID))


# --- identity


def identity_of(table: str) -> str:
    """Return the SQL expression: the server's system identifier, its timeline, and the numbers of a table and the database.

    A dump that is loaded elsewhere has another system identifier or table, a promoted standby or a recovery to a point in
    time has another timeline, and a copy by CREATE DATABASE … TEMPLATE is another database with the same tables."""
    return f"""(SELECT system_identifier || '.' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '.'
  || '{table}'::regclass::oid || '.' || oid FROM pg_control_system(), pg_database
  WHERE datname = current_database())"""  # noqa: S608  the name is a constant of the caller


# "Bell", and 1: the migrations have the lock "Bell".
IDENTITY_LOCK = 0x42656C6C01
# Seconds: new epochs for ten million inboxes take some minutes.
RENEWAL_TIMEOUT = 3600.0
READ_IDENTITY = f"""
SELECT {identity_of("bellcast.recipients")} AS current, (SELECT identity FROM bellcast.schema_version) AS stored
"""  # noqa: S608  made of constants of this package only
WRITE_IDENTITY = "UPDATE bellcast.schema_version SET identity = $1"


async def begin_session(connection: Raw) -> None:
    """Prepare a new connection for scripts. If this is another database than the one that wrote the identity, renew the epochs,
    so that all positions become unknown. One connection does it, and others wait."""
    await connection.execute(SET_SESSION)
    try:
        ((current, stored),) = await connection.fetch(READ_IDENTITY)
    except asyncpg.InsufficientPrivilegeError as error:
        _warn_once(str(error))
        return
    if current == stored:
        return
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0; {DETECT_LOST_CLIENT}")
        await connection.execute(f"SELECT pg_advisory_xact_lock({IDENTITY_LOCK})", timeout=RENEWAL_TIMEOUT)
        ((current, stored),) = await connection.fetch(READ_IDENTITY)
        if current == stored:
            return
        if stored is not None:
            log.warning("store_replaced", effect="live clients fetch their inboxes again")
            await renew_epochs(connection)
        await connection.execute(WRITE_IDENTITY, current)


@functools.cache
def _warn_once(reason: str) -> None:
    log.warning("store_identity_unknown", reason=reason, fix="run `bellcast restore --positions` after each restore")


async def renew_epochs(connection: Raw) -> None:
    """Give every inbox a new epoch."""
    await connection.execute(statements.load("postgres")["epochs_renew"], timeout=RENEWAL_TIMEOUT)
