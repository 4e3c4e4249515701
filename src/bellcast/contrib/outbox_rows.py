"""The outbox table for the relay, through a DB-API connection: SQLite, PostgreSQL (psycopg), MySQL (PyMySQL), or that of
Django."""

# ruff: noqa: S608  names of the table and of columns, and placeholders: values are parameters

import importlib
import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit
from uuid import UUID

from bellcast.client import arguments
from bellcast.contrib.outbox import TABLE, Dialect, PayloadDecoder, uuid_of

# A relay that died keeps its rows leased for this long.
LEASE = timedelta(seconds=60)
# A row that was attempted and is not due blocks the rows behind it. Its due time is within LEASE and LONGEST_BACKOFF of
# now, plus a margin for relays whose clocks differ. The limit keeps rows scheduled for later out of the search.
HOLD_WINDOW = 2 * LEASE
# Longest wait for a daily budget: until the next day (UTC).
LONGEST_RESCHEDULE = timedelta(days=1)
# Interval between checks of a row that blocks the others: the relay that leased it does not wake this one.
HELD_POLL = 5.0
# Time format in SQLite: text that sorts by time, as Django writes it.
TIME_FORMAT = "%Y-%m-%d %H:%M:%S.%f"
SQLITE_TIMEOUT = 20.0  # seconds to wait for another writer
DUE = "refused_at IS NULL AND (next_attempt_at IS NULL OR next_attempt_at <= {mark})"
HELD = "refused_at IS NULL AND attempts > 0 AND next_attempt_at > {mark} AND next_attempt_at <= {mark}"
ATTEMPTED = "refused_at IS NULL AND (attempts > 0 OR error IS NOT NULL) AND next_attempt_at > {mark} AND next_attempt_at <= {mark}"
AHEAD = (
    "refused_at IS NULL AND next_attempt_at > {mark} AND (attempts > 0 OR next_attempt_at = created_at OR "
    "(error IS NOT NULL AND next_attempt_at > {mark}))"
)


class Row(NamedTuple):
    """One row of the outbox. `attempts` includes the current one. The payload may be any JSON, for which `fault_of` returns
    the reason of its refusal."""

    id: int
    key: UUID
    kind: str
    payload: Any
    created_at: datetime
    attempts: int


class OutboxRows:
    """The table, through one connection in autocommit mode: each statement is a transaction. `zone` is that of times without
    one."""

    def __init__(self, connection: Any, dialect: Dialect, mark: str | None = None, zone: tzinfo = UTC) -> None:
        self._connection = connection
        self._dialect = dialect
        self._mark = mark or ("?" if dialect == "sqlite" else "%s")
        self._zone = zone
        self._key = "`key`" if dialect == "mysql" else "key"
        # By another index or a scan, MySQL waits for rows that other transactions have not committed.
        self._by_id = f"{TABLE} FORCE INDEX (PRIMARY)" if dialect == "mysql" else TABLE
        self.searched_at: datetime | None = None  # the last `release_ahead`

    def close(self) -> None:
        self._connection.close()

    def now(self) -> datetime:
        """Return the current time of the rows' clock."""
        return arguments.now()

    def lease(self, limit: int) -> Sequence[Row]:
        """Return due rows by id, up to the first row that waits after an attempt. No other relay gets them for LEASE."""
        now = self.now()
        due = DUE.format(mark=self._mark)
        ids = [id for (id,) in self._run(f"SELECT id FROM {TABLE} WHERE {due} ORDER BY id LIMIT {limit:d}", now)]
        # Read after the due rows: if another relay leases a row in between, that row blocks the rows behind it.
        held = self._held(now) if ids else None
        ids = [id for id in ids if held is None or id < held]
        if not ids:
            return []
        # The end of the lease marks the rows of this call: another relay's update no longer finds them due.
        until = now + LEASE
        self._run(
            f"UPDATE {self._by_id} SET next_attempt_at = {self._mark}, attempts = coalesce(attempts, 0) + 1, "
            f"created_at = coalesce(created_at, {self._mark}) WHERE id IN ({self._marks(ids)}) AND {due}",
            *(until, now, *ids, now),
        )
        # As text, because psycopg raises an error for all rows if it cannot decode one.
        payload = "payload::text" if self._dialect == "postgresql" else "payload"
        columns = f"id, {self._key}, kind, {payload}, created_at, attempts"
        rows = self._run(
            f"SELECT {columns} FROM {TABLE} WHERE id IN ({self._marks(ids)}) AND next_attempt_at = {self._mark} ORDER BY id",
            *(*ids, until),
        )
        own = [
            Row(
                id,
                key if isinstance(key, UUID) else uuid_of(str(key)),
                kind,
                json.loads(payload, cls=PayloadDecoder),
                self._time(created_at),
                attempts,
            )
            for id, key, kind, payload, created_at, attempts in rows
        ]
        # Another relay leased the first missing row in between: the rows behind it are given back.
        leased = [row for id, row in zip(ids, own, strict=False) if row.id == id]
        if rest := [row.id for row in own[len(leased) :]]:
            marks = self._marks(rest)
            self._run(f"UPDATE {self._by_id} SET next_attempt_at = {self._mark} WHERE id IN ({marks})", now, *rest)
        return leased

    def _held(self, now: datetime) -> int | None:
        """Return the id of the first row that waits after an attempt."""
        held = HELD.format(mark=self._mark)
        ((id,),) = self._run(f"SELECT min(id) FROM {TABLE} WHERE {held}", now, now + HOLD_WINDOW)
        return None if id is None else int(id)

    def count_attempted(self) -> int:
        """Return the number of rows that wait for another attempt or are leased by another relay; not those that wait for a
        daily budget."""
        now = self.now()
        where = ATTEMPTED.format(mark=self._mark)
        ((count,),) = self._run(f"SELECT count(*) FROM {TABLE} WHERE {where}", now, now + HOLD_WINDOW)
        return int(count)

    def release_ahead(self) -> None:
        """Make rows due that the clock of an app or a relay planned while it was more than HOLD_WINDOW ahead of this one: rows
        for the time of their insertion, attempted rows, and rows that would wait for a daily budget for more than a
        day."""
        now = self.now()
        latest = now + HOLD_WINDOW
        ahead = AHEAD.format(mark=self._mark)
        statement = f"UPDATE {self._by_id} SET next_attempt_at = {self._mark} WHERE {ahead}"
        self._run(statement, now, latest, latest + LONGEST_RESCHEDULE)

    def delete(self, ids: Sequence[int]) -> None:
        if ids:
            statement = f"DELETE FROM {TABLE} WHERE id IN ({self._marks(ids)})"
            if self._dialect == "mysql":  # scans for a list of ids, but not for a joined one
                sent = " UNION ALL ".join([f"SELECT {self._mark} AS id"] * len(ids))
                statement = f"DELETE {TABLE} FROM ({sent}) AS sent STRAIGHT_JOIN {self._by_id} ON {TABLE}.id = sent.id"
            self._run(statement, *ids)

    def refuse(self, id: int, error: str) -> None:
        """Mark a row as refused: it stays in the table and is not sent."""
        self._run(f"UPDATE {TABLE} SET refused_at = {self._mark}, error = {self._mark} WHERE id = {self._mark}",
                  self.now(), error, id)  # fmt: skip

    def postpone(self, ids: Sequence[int], seconds: float, error: str, *, blocks: bool = True) -> None:
        """Send rows later. They block the rows behind them, unless they are marked as not attempted."""
        at = self.now() + timedelta(seconds=seconds)
        values = f"next_attempt_at = {self._mark}, error = {self._mark}{'' if blocks else ', attempts = 0'}"
        self._run(f"UPDATE {self._by_id} SET {values} WHERE id IN ({self._marks(ids)})", *(at, error, *ids))

    def next_due(self) -> float | None:
        """Return the seconds until a row may be due, or None if none waits."""
        now = self.now()
        ((at,),) = self._run(f"SELECT min(next_attempt_at) FROM {TABLE} WHERE refused_at IS NULL")
        wait = None if at is None else max(0.0, (self._time(at) - now).total_seconds())
        return wait if self._held(now) is None else HELD_POLL

    def _marks(self, ids: Sequence[int]) -> str:
        return ", ".join([self._mark] * len(ids))

    def _run(self, statement: str, *params: Any) -> list[Any]:
        cursor = self._connection.cursor()
        try:
            cursor.execute(statement, [self._param(one) for one in params])
            return list(cursor.fetchall()) if cursor.description else []
        finally:
            cursor.close()

    def _param(self, value: Any) -> Any:
        if not isinstance(value, datetime) or self._dialect == "postgresql":
            return value
        naive = value.astimezone(self._zone).replace(tzinfo=None)
        return naive.strftime(TIME_FORMAT) if self._dialect == "sqlite" else naive

    def _time(self, value: Any) -> datetime:
        """Return an aware datetime."""
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment if moment.tzinfo else moment.replace(tzinfo=self._zone)


def connect(url: str) -> OutboxRows:
    """Connect to `sqlite:///path`, `postgresql://…`, `mysql://…` or `mariadb://…`. Raises ImportError without the driver,
    ValueError for another scheme, and the driver's errors."""
    parts = urlsplit(url)
    scheme = parts.scheme.partition("+")[0]
    if scheme == "sqlite":
        file = Path(unquote(parts.path).removeprefix("/") if parts.path.startswith("/") else parts.path)
        if not file.exists():
            raise ValueError(f"the file {file} does not exist")
        # At process exit, the connection of the relay thread is used after the thread has ended.
        connection = sqlite3.connect(file, timeout=SQLITE_TIMEOUT, isolation_level=None, check_same_thread=False)
        return OutboxRows(connection, "sqlite")
    if scheme in ("postgresql", "postgres"):
        psycopg = _driver("psycopg", "'psycopg[binary]'")
        return OutboxRows(psycopg.connect(parts._replace(scheme="postgresql").geturl(), autocommit=True), "postgresql")
    if scheme in ("mysql", "mariadb"):
        pymysql = _driver("pymysql", "pymysql")
        options = {"host": parts.hostname, "port": parts.port or 3306, "user": unquote(parts.username or "")}
        options |= {"password": unquote(parts.password or ""), "database": parts.path.removeprefix("/")}
        # At its default level, MySQL also locks gaps between rows, and an update waits for rows that it does not change.
        options |= {"init_command": "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "autocommit": True}
        return OutboxRows(pymysql.connect(**options), "mysql")
    raise ValueError(f"expected sqlite:///, postgresql:// or mysql://, got {parts.scheme or 'no scheme'}")


def _driver(name: str, package: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:  # psycopg also raises it without libpq
        raise ImportError(f"the driver {name} cannot be imported ({error}): run pip install {package}") from error
