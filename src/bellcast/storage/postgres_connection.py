"""One PostgreSQL connection: opened the same way everywhere, asked by the names of statements, its errors translated once."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

import asyncpg
from asyncpg import exceptions
from asyncpg.pool import PoolConnectionProxy

from bellcast.errors import DiskFull, Invalid, Unavailable
from bellcast.storage import statements
from bellcast.storage.engine import Params, Row, Script, Statement
from bellcast.storage.migrations.postgres import SCHEMA

T = TypeVar("T")
Raw: TypeAlias = asyncpg.Connection | PoolConnectionProxy

# A server that does not answer within this is away; the slowest statement, a whole large inbox, takes under 2 s.
COMMAND_TIMEOUT = 15.0
CONNECT_TIMEOUT = 5.0
# Plans are those that were tested: by index, made once, whatever the planner believes of tables it never looked into.
# A process that stops in the middle of a transaction (paused, cut off) lets go of the inboxes it holds.
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
# A parameter that is a list: `:keys::text[]`.
COLUMN = re.compile(r":([a-z_]+)::[a-z]+\[\]")
RETRYABLE_ERRORS = (exceptions.SerializationError, exceptions.DeadlockDetectedError)
UNAVAILABLE_ERRORS = (
    exceptions.PostgresConnectionError,
    exceptions.OperatorInterventionError,  # shutting down, starting up, cut off
    exceptions.InsufficientResourcesError,
    exceptions.InvalidAuthorizationSpecificationError,
    exceptions.InvalidCatalogNameError,
    exceptions.ReadOnlySQLTransactionError,  # a standby, or one that was a primary until now
    exceptions.IdleInTransactionSessionTimeoutError,
    exceptions.LockNotAvailableError,
    exceptions.InternalClientError,
    exceptions.ObjectNotInPrerequisiteStateError,  # the database takes no connections now
    OSError,
    TimeoutError,
)


class PostgresText(NamedTuple):
    """A statement as PostgreSQL wants it: parameters by number, with `names` in that order. `numbered` says with each
    row which parameter set it answers. Where each parameter is a column, one statement takes many sets."""

    plain: str
    numbered: str
    names: tuple[str, ...]
    answers: bool
    writes: bool
    columns: bool

    def values(self, params: Params) -> tuple[Any, ...]:
        """The parameters in their order."""
        return tuple([params[name] for name in self.names])

    def by_column(self, sets: Sequence[Params]) -> tuple[list[Any], ...]:
        """Many sets of parameters, parameter by parameter."""
        return tuple([[params[name] for params in sets] for name in self.names])


class PooledConnection(asyncpg.Connection):
    """Nothing is set on a connection that would have to be reset when the next one takes it."""

    def get_reset_query(self) -> str:
        """None."""
        return ""


def texts() -> dict[str, PostgresText]:
    """Every statement, by name."""
    return {name: _text(text) for name, text in statements.load("postgres").items()}


def _text(text: str) -> PostgresText:
    body = statements.body(text)
    names = tuple(dict.fromkeys(statements.PARAMETER.findall(body)))
    plain = statements.PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", body)
    reads = plain.startswith("SELECT")
    numbered = f"WITH asked AS ({plain}) SELECT asked.*, ${len(names) + 1}::int4 FROM asked"  # noqa: S608  our texts
    answers = reads or plain.startswith("WITH") or "RETURNING" in plain
    columns = bool(names) and set(names) == set(COLUMN.findall(body))
    return PostgresText(plain, numbered, names, answers, not reads, columns)


def translated(error: Exception) -> Exception:
    """The error of a database as callers know it; one that is our own mistake stays as it is."""
    if isinstance(error, exceptions.DiskFullError):
        return DiskFull()
    if isinstance(error, RETRYABLE_ERRORS):
        return Unavailable("Too many are writing to the same inboxes.")
    if isinstance(error, exceptions.CharacterNotInRepertoireError | exceptions.UntranslatableCharacterError):
        return Invalid("A text must not contain U+0000.")
    # In the second way asyncpg's pool says that a connection of its own is gone.
    if isinstance(error, exceptions.InterfaceError) and ("closed" in str(error) or "released" in str(error)):
        return Unavailable("The connection to PostgreSQL was lost.")
    if isinstance(error, UNAVAILABLE_ERRORS):
        return Unavailable(f"PostgreSQL cannot be used: {str(error) or type(error).__name__}.")
    return error


class PostgresConnection:
    """Runs scripts on one connection."""

    def __init__(self, raw: Raw, known: dict[str, PostgresText]) -> None:
        self.raw = raw
        self._texts = known

    async def run(self, script: Script[T], asked: Statement | None = None) -> T:
        """Drive a script to its end, a statement at a time, from what it asked for last if it has begun."""
        try:
            statement = asked or next(script)
            while True:
                if statement.many is None:
                    rows = await self._one(self._texts[statement.name], statement.params)
                else:
                    await self.execute_many(statement.name, statement.many)
                    rows = []
                statement = script.send(rows)
        except StopIteration as done:
            return cast(T, done.value)

    async def _one(self, text: PostgresText, params: Params) -> list[Row]:
        if text.answers:
            return cast(list[Row], await self.raw.fetch(text.plain, *text.values(params)))
        await self.raw.execute(text.plain, *text.values(params))
        return []

    def writes(self, name: str) -> bool:
        """Whether a statement changes anything."""
        return self._texts[name].writes

    async def query(self, name: str, sets: Sequence[Params]) -> list[list[Row]]:
        """Run a statement once for each of the parameter sets; the rows of each."""
        text = self._texts[name]
        if len(sets) == 1:
            return [await self._one(text, sets[0])]
        if not text.answers:
            await self.execute_many(name, sets)
            return [[] for _ in sets]
        found: list[list[Row]] = [[] for _ in sets]
        numbered = [(*text.values(params), index) for index, params in enumerate(sets)]
        for row in await self.raw.fetchmany(text.numbered, numbered):
            *columns, index = row
            found[index].append(tuple(columns))
        return found

    async def execute_many(self, name: str, sets: Sequence[Params]) -> None:
        """Run a statement once for each of the parameter sets."""
        text = self._texts[name]
        if text.columns:
            await self.raw.execute(text.plain, *text.by_column(sets))
        else:
            await self.raw.executemany(text.plain, [text.values(params) for params in sets])
