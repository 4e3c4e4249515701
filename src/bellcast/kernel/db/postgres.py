"""PostgreSQL engine: reads use any of a few connections, and are batched if many run at the same time (`CallBatcher`). Waiting
writes share a transaction on one of a few connections.

A transaction locks the inboxes that its scripts write to before the first script begins, so scripts run at READ
COMMITTED as if there were one writer, without conflicts. A command with unknown inboxes runs separately at REPEATABLE
READ and is retried after a conflict with another process.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any, cast
from urllib.parse import urlsplit

import asyncpg
import structlog
from asyncpg import exceptions

from bellcast.kernel.clock import Clock
from bellcast.kernel.concurrency import MAX_BACKOFF_SECONDS, CallBatcher
from bellcast.kernel.db import postgres_connection, writer
from bellcast.kernel.db.engine import Engine, P, T
from bellcast.kernel.db.migrations import postgres as migrations
from bellcast.kernel.db.postgres_connection import (
    COMMAND_TIMEOUT,
    CONNECT_TIMEOUT,
    RETRYABLE_ERRORS,
    WRITE_PAGES,
    PooledConnection,
    PostgresConnection,
    Raw,
    begin_session,
    texts,
    translated,
)
from bellcast.kernel.db.script import (
    NO_TENANT,
    LockKey,
    Params,
    RecipientKey,
    Row,
    Script,
    Statement,
    WriteCommand,
    WriteConflict,
)
from bellcast.kernel.db.writer import POSTGRES, BatchFailed, QueuedCommand, ScriptOutcome, Writer, may_share_transaction
from bellcast.kernel.errors import DiskFull, SettingsError, Unavailable

log = structlog.get_logger(__name__)

# Only one task runs bulk work: two would wait for each other's inboxes, and PostgreSQL reads each row again after
# waiting for it. The other tasks run small work, so a small command finds a free task while another tenant sends
# thousands.
MAX_TASKS, MAX_BULK_TASKS = 3, 1
# While small commands arrive, bulk work pauses after each statement for this multiple of its duration: every worker
# process has a bulk task, and the processors need time for others. With factor 1 and 50 rows the p99 of single sends
# was 3.2 times its quiet value, with factor 3 and 25 rows 2.4 times; bulk drops from 7,900 to 4,300 rows/s (two workers
# on two cores, 2026-11-20).
BACKOFF_FACTOR = 3
# A tenant's small work has one task at a time: the next batch fills while the last one commits, and a second task would
# only make batches smaller. Actions of recipients have two tasks, because some run separately.
MAX_TASKS_PER_TENANT, MAX_TASKS_WITHOUT_TENANT = 1, 2
# Retries of a command that conflicts with another process, each after a longer, random delay.
MAX_ATTEMPTS = 10
RETRY_DELAY = 0.002

Numbers = dict[RecipientKey, int]


class PostgresWriter(Writer):
    """The writer of this process; other processes have their own."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock) -> None:
        super().__init__()
        self._pool = pool
        self._clock = clock
        self._small_tasks: Counter[str] = Counter()  # running tasks by the tenant of the batch's first entry
        self._bulk_tasks = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        await asyncio.gather(*map(asyncio.shield, self._tasks))  # cancelled, they would wait for PostgreSQL's response

    def _start(self, *, small: bool) -> None:
        # A task that has just ended stays in the set until its callback runs, after the callers that it woke.
        running = sum(not task.done() for task in self._tasks)
        if running < MAX_TASKS and self._next() is not None:
            task = asyncio.get_running_loop().create_task(self._work_off())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work_off(self) -> None:
        while entries := self._next_batch():
            is_bulk = not entries[0].is_small
            small = Counter([] if is_bulk else [entries[0].tenant])
            self._small_tasks += small
            self._bulk_tasks += is_bulk
            try:
                await self._run_batch(entries)
            finally:
                self._small_tasks -= small  # drops tenants with no task left
                self._bulk_tasks -= is_bulk

    def _next(self) -> QueuedCommand | None:
        """Return the next entry for which a task may start."""
        full = [
            tenant
            for tenant, tasks in self._small_tasks.items()
            if tasks >= (MAX_TASKS_WITHOUT_TENANT if tenant == NO_TENANT else MAX_TASKS_PER_TENANT)
        ]
        return self._queue.next(full, bulk=self._bulk_tasks < MAX_BULK_TASKS)

    def _next_batch(self) -> list[QueuedCommand]:
        """Dequeue entries that may share a transaction, or a single one that may not."""
        entries: list[QueuedCommand] = []
        rows = 0
        while (entry := self._next()) is not None:
            if entries and (entry.command.is_exclusive or not may_share_transaction(entries[0], entry)):
                break
            self._queue.dequeue(entry)
            if not entry.is_pending:
                continue
            entries.append(entry)
            rows += entry.rows
            if rows >= (POSTGRES.small if entry.is_small else POSTGRES.bulk) or entry.command.is_exclusive:
                break
        return entries

    async def _run_batch(self, waiting: list[QueuedCommand]) -> None:
        """Run entries, one statement or transaction at a time."""
        while waiting := [entry for entry in waiting if entry.is_pending]:
            began = perf_counter()
            part = writer.next_statement(waiting, POSTGRES.contended_merged if self._contention else POSTGRES.merged)
            commands = [entry.command for entry in part]
            results = await self._single_statement(commands, waiting)
            if not results and len(commands) > 1:
                results = await self._merged(commands)
            if not results:
                results = await writer.run_in_order(commands, self._retried)
            self.is_full |= any(isinstance(result, DiskFull) for result in results)
            for entry, result in zip(part, results, strict=True):
                entry.settle(result)
            if self._contention and not part[0].is_small:
                await asyncio.sleep(min(BACKOFF_FACTOR * (perf_counter() - began), MAX_BACKOFF_SECONDS))

    async def _single_statement(
        self, commands: Sequence[WriteCommand[Any]], waiting: Sequence[QueuedCommand]
    ) -> list[ScriptOutcome] | None:
        """Run commands as one statement; None if that is not possible. `waiting` is the rest of the batch, whose
        prerequisites run at the same time."""
        whole = writer.joined(commands)
        if whole is None or (statement := whole.single_statement()) is None:
            return None
        for _ in range(MAX_ATTEMPTS):
            try:
                async with self._connection() as raw:
                    result = await PostgresConnection(raw).run(statement.script())
            except Exception as error:  # noqa: BLE001  every caller gets the error
                failure = translated(error)
                if writer.is_unavailable(failure) and not isinstance(error, RETRYABLE_ERRORS):
                    return [failure for _ in commands]
                return None
            if result is not None:
                return writer.split_results(commands, result)
            rest = writer.joined([entry.command for entry in waiting])
            before = None if rest is None else rest.prerequisite()
            if before and (failure := await self._retried(before)) is not None:
                # Else one of the commands is refused, as for a tenant that is being erased.
                return [failure for _ in commands] if writer.is_unavailable(failure) else None
        return None

    async def _merged(self, commands: Sequence[WriteCommand[Any]]) -> list[ScriptOutcome] | None:
        """Run commands in one transaction, those that share no inbox at the same time; None if each needs its own."""
        runs = list(writer.runs(commands))
        merged = [writer.merge(run) for run in runs]
        keys = [command.lock_keys() or frozenset() for command in merged]
        results: list[ScriptOutcome] = [None] * len(merged)
        try:
            async with self._transacting() as connection:
                numbers = await _begin(connection, frozenset().union(*keys))
                for turn in conflict_free_rounds(keys, numbers):
                    scripts = [merged[index].script() for index in turn]
                    for index, result in zip(turn, await run_pipelined(connection, scripts), strict=True):
                        results[index] = result
        except (BatchFailed, *RETRYABLE_ERRORS):
            return None
        except Exception as error:  # noqa: BLE001  every caller gets the error
            failure = translated(error)
            # The error, such as a text that cannot be stored, is caused by one of the commands.
            return [failure for _ in commands] if writer.is_unavailable(failure) else None
        return [one for run, result in zip(runs, results, strict=True) for one in writer.split_results(run, result)]

    async def _retried(self, command: WriteCommand[Any]) -> ScriptOutcome:
        """Run one command in its own transaction; retry it after each conflict."""
        for attempt in range(MAX_ATTEMPTS):
            try:
                async with self._transacting() as connection:
                    keys = command.lock_keys()
                    if keys is None:
                        await connection.raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                    else:
                        await _begin(connection, keys)
                    return await connection.run(command.script())
            except (WriteConflict, *RETRYABLE_ERRORS):
                await self._clock.sleep(random.uniform(0, RETRY_DELAY * 2**attempt))
            except Exception as error:  # noqa: BLE001  the command's own caller gets the error
                return translated(error)
        return translated(RETRYABLE_ERRORS[0]())

    @contextlib.asynccontextmanager
    async def _transacting(self) -> AsyncIterator[PostgresConnection]:
        """Yield a connection; commit the transaction that the block begins."""
        async with self._connection() as raw:
            try:
                yield PostgresConnection(raw)
                await raw.execute("COMMIT")
            except BaseException:
                if not raw.is_closed() and raw.is_in_transaction():
                    await raw.execute("ROLLBACK")
                raise

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Raw]:
        """Yield a connection. If its server has become read-only, all connections are replaced: another host of the URL may
        be the primary now."""
        async with self._pool.acquire() as raw:
            try:
                yield raw
            except exceptions.ReadOnlySQLTransactionError:
                await self._pool.expire_connections()
                raise


async def _begin(connection: PostgresConnection, keys: frozenset[LockKey]) -> Numbers:
    """Begin a transaction that locks these inboxes, including ones that do not exist yet; return the numbers of
    existing ones. It locks rows, then names, and begins again if another process has just created one of the names: a
    transaction with locked names must not wait for rows, because others have locked rows and wait for names."""
    numbers = [key for key in keys if isinstance(key, int)]
    names = sorted(key for key in keys if isinstance(key, tuple))
    for _ in range(MAX_ATTEMPTS):
        await connection.raw.execute("BEGIN")
        known = await _numbers(connection, names)
        wanted = [*numbers, *known.values()]
        (rows,) = await connection.query("lock_inboxes", [{"numbers": wanted}]) if wanted else [[]]
        existing = {number for (number,) in rows}
        locked = {name: number for name, number in known.items() if number in existing}
        missing = [name for name in names if name not in locked]
        if not missing:
            return locked
        await connection.query("lock_names", [_columns(missing)])
        if not await _numbers(connection, missing):
            return locked
        await connection.raw.execute("ROLLBACK")
    raise WriteConflict


async def _numbers(connection: PostgresConnection, names: list[RecipientKey]) -> Numbers:
    (rows,) = await connection.query("inboxes_of_names", [_columns(names)]) if names else [[]]
    return {(tenant, key): number for number, tenant, key in rows}


def _columns(names: list[RecipientKey]) -> dict[str, list[str]]:
    return {"tenants": [tenant for tenant, _ in names], "keys": [key for _, key in names]}


class ScriptRun:
    """A running script: its pending statement, and its outcome at the end."""

    def __init__(self, script: Script[Any]) -> None:
        self._script = script
        self.has_written = False
        self.pending: Statement | None = None
        self.outcome: Any = None

    def resume(self, rows: list[Row] | None) -> None:
        """Pass the rows of the pending statement to the script, None to start it, and run up to the next statement."""
        try:
            self.pending = next(self._script) if rows is None else self._script.send(rows)
        except StopIteration as done:
            self.pending, self.outcome = None, done.value
        except Exception as error:
            if self.has_written:
                raise BatchFailed from error
            self.pending, self.outcome = None, error


async def run_pipelined(connection: PostgresConnection, scripts: Iterable[Script[Any]]) -> list[Any]:
    """Run scripts that share no inbox. Return the result of each, or the exception that it raised before writing."""
    runs = [ScriptRun(script) for script in scripts]
    for run in runs:
        run.resume(None)
    while waiting := [(run, run.pending) for run in runs if run.pending is not None]:
        results: list[tuple[ScriptRun, list[Row]]] = []
        groups: dict[tuple[str, bool], list[tuple[ScriptRun, Statement]]] = {}
        for run, statement in waiting:
            groups.setdefault((statement.name, statement.many is not None), []).append((run, statement))
        for (name, is_many), pending in groups.items():
            for run, _ in pending:
                run.has_written |= connection.texts[name].writes
            if is_many:
                await connection.execute_many(
                    name, [params for _, statement in pending for params in statement.many or ()]
                )
                results += [(run, []) for run, _ in pending]
            else:
                rows = await connection.query(name, [statement.params for _, statement in pending])
                results += [(run, rows_of_run) for (run, _), rows_of_run in zip(pending, rows, strict=True)]
        for run, rows_of_run in results:
            run.resume(rows_of_run)
    return [run.outcome for run in runs]


def conflict_free_rounds(
    keys: Sequence[frozenset[LockKey]], numbers: Mapping[tuple[str, str], int]
) -> Iterator[list[int]]:
    """Yield the indices of scripts per round. Scripts of one round share no inbox, and the order per inbox is
    preserved. `numbers` maps the names of existing inboxes, so that the name and the number of an inbox count as the
    same."""
    next_round: dict[LockKey, int] = {}
    rounds: list[list[int]] = []
    for index, inboxes in enumerate(keys):
        unique = [numbers.get(inbox, inbox) if isinstance(inbox, tuple) else inbox for inbox in inboxes]
        turn = max((next_round.get(inbox, 0) for inbox in unique), default=0)
        next_round.update(dict.fromkeys(unique, turn + 1))
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(index)
    return iter(rounds)


# --- engine

MIN_VERSION = 15
# What is queued at the end takes milliseconds: requests have ended before.
CLOSE_SECONDS = 2.0
# Three of them write. A process with a busy event loop cannot use more.
CONNECTIONS = 10
# PostgreSQL has a process of about 10 MB for each.
IDLE_SECONDS = 60.0
# Lifetime of cached plans. A plan is made for the current table sizes; one made for an empty database must be replaced
# soon after the tables grow. 60 statements in 60 s on each connection cost nothing.
PLAN_CACHE_SECONDS = 60
# Maximum reads per batch. Each is an index lookup of about 20 µs: the last of a batch waits 2 ms for the others.
MAX_BATCH_READS = 100


class PostgresEngine(Engine):
    """An Engine on one database; any number of processes share it."""

    def __init__(self, url: str, clock: Clock, connections: int = CONNECTIONS) -> None:
        super().__init__(max(migrations.steps()))
        self._url = url
        self._connections = connections
        self._clock = clock
        self._pool: asyncpg.Pool | None = None
        self._reads: CallBatcher[Params, list[Row]]  # by statement

    async def open(self) -> None:
        """Migrate unless another process does, and connect."""
        try:
            await postgres_connection.check_pooler(self._url, "BELLCAST_STORE")
            first = await asyncpg.connect(self._url, timeout=CONNECT_TIMEOUT)
            try:
                if first.get_server_version().major < MIN_VERSION:
                    raise SettingsError(f"BELLCAST_STORE: PostgreSQL {MIN_VERSION} or newer is needed.")
                if await migrations.pending(first):
                    await migrations.migrate(first, self.schema)
            finally:
                await first.close()
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=1,
                max_size=self._connections,
                max_inactive_connection_lifetime=IDLE_SECONDS,
                connection_class=PooledConnection,
                statement_cache_size=512,
                max_cached_statement_lifetime=PLAN_CACHE_SECONDS,
                command_timeout=COMMAND_TIMEOUT,
                timeout=CONNECT_TIMEOUT,
                init=begin_session,
            )
        except Exception as error:
            failure = translated(error)
            if isinstance(failure, Unavailable):
                where = urlsplit(self._url).netloc.rpartition("@")[2] or "the default address"
                failure = Unavailable(f"BELLCAST_STORE at {where}: {failure.detail}")
            raise failure from error
        self._writer = PostgresWriter(self._pool, self._clock)
        self._reads = CallBatcher(partial(self._read_each, self._pool), MAX_BATCH_READS)

    async def read(self, script: Callable[P, Script[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a script on any connections. From the first statement that cannot be batched, all statements use one
        connection."""
        pool = self._pool
        if pool is None:
            raise Unavailable("The store is closed.")
        running = script(*args, **kwargs)
        try:
            pending = next(running)
            # Reads that begin no transaction and are fast run together with others.
            known = texts()
            while known[pending.name].returns_rows and not pending.heavy:
                pending = running.send(await self._reads.call(pending.name, pending.params))
            async with pool.acquire() as raw:
                try:
                    return await PostgresConnection(raw).run(running, pending)
                finally:
                    if raw.is_in_transaction():
                        await raw.execute("COMMIT")
        except StopIteration as done:
            return cast(T, done.value)
        except Exception as error:
            raise translated(error) from error

    async def _read_each(
        self, pool: asyncpg.Pool, name: str, sets: Sequence[Params]
    ) -> Sequence[list[Row] | Exception]:
        """Run a statement for each parameter set; return the rows or the exception of each. Also during `close`, which waits for
        running scripts."""
        try:
            async with pool.acquire() as raw:
                return await PostgresConnection(raw).query(name, sets)
        except Exception as failure:
            if len(sets) == 1 or isinstance(translated(failure), DiskFull | Unavailable):
                raise
        found: list[list[Row] | Exception] = []
        for one in sets:  # so that only the invalid read fails
            try:
                found += await self._read_each(pool, name, [one])
            except Exception as failure:  # noqa: BLE001  the reader gets the error
                found.append(failure)
        return found

    read_in_background = read  # reads do not wait for each other's connections

    async def ping(self) -> None:
        if self._pool is not None and self._writer is not None and self._writer.is_full:
            try:
                await self._pool.execute(WRITE_PAGES)
            except Exception as error:
                raise translated(error) from error
            self._writer.is_full = False
        await super().ping()

    async def close(self) -> None:
        """Commit all queued commands, then close the connections. A PostgreSQL that does not respond is not waited for."""
        pool, self._pool = self._pool, None
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._close_writer()
                if pool is not None:
                    await pool.close()
        except TimeoutError:
            log.warning("store_not_closed", reason=f"PostgreSQL did not respond within {CLOSE_SECONDS:.0f} s")
            if pool is not None:
                pool.terminate()
