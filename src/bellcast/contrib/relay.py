"""The relay of the outbox table: sends due rows to Bellcast and deletes the acknowledged ones.

Rows are sent in the order of their ids. After a temporary failure, the row and all rows behind it wait until it
succeeds. The exception is a used-up daily budget: the tenant's rows wait for the next day, and rows of other tenants do
not wait for them. A row that the server refuses is marked and not sent. Several relays can share a table: rows leased
by one relay block the rows behind them for the others, and the row's key, which is the idempotency key of the send,
prevents duplicates."""

import atexit
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from types import NoneType
from typing import Any
from uuid import UUID

from bellcast.client import Bellcast, BellcastError, InvalidArgument, Problem, RequestRefused, Unreadable, arguments
from bellcast.client.notifications import BULK_TIMEOUT, once
from bellcast.client.request import call
from bellcast.client.responses import BulkResult, BulkResults
from bellcast.contrib.outbox import HOLD_WINDOW, OutboxRows, Row

log = logging.getLogger("bellcast.relay")

# Rows of one bulk request.
BATCH_ROWS = 500
# How long the exit of a process waits for a round, in seconds.
EXIT_TIMEOUT = 5.0
FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 60.0
# Interval between searches for rows that a clock ahead of this one planned. Each reads all rows that wait for later.
AHEAD_POLL = timedelta(seconds=60)
# Maximum age of a live event; receivers have no use for older ones.
EVENT_LIFETIME = timedelta(seconds=60)
# Repeating the request would have the same outcome, so its rows are refused. Other failures are temporary; even a wrong
# secret can be corrected.
PERMANENT = frozenset({400, 409, 413, 422})
# Temporary failures of one item in an accepted request: a limit, a timeout, or an error of the server.
PASSING = frozenset({408, 425, 429})
# Recipient records of one request.
RECORDS_PER_REQUEST = 1_000
# Payload field with e-mail addresses and phone numbers of recipients, which are written to their records before the
# send.
ADDRESSES = "addresses"


@dataclass(slots=True)
class Round:
    """The result of one round. `sent` has the ids of notifications by row key; `failure` is the reason why the round
    stopped early, and `unexpected` the error of a row that waits while the others are sent."""

    sent: dict[UUID, list[str]] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    rescheduled: set[int] = field(default_factory=set)
    failure: BellcastError | None = None
    unexpected: str | None = None
    wait: float | None = None


class Relay:
    """Sends the due rows of one table. `on_refused` gets the row's id and the reason."""

    def __init__(self, table: OutboxRows, bell: Bellcast, on_refused: Callable[[int, str], None] | None = None) -> None:
        self._table = table
        self._bell = bell
        self._on_refused = on_refused

    def run(self) -> Round:
        """Send all due rows in the order of their ids. Stops at the first failure that is not the fault of a row."""
        done = Round()
        now, searched_at = self._table.now(), self._table.searched_at
        if searched_at is None or not timedelta() <= now - searched_at < AHEAD_POLL:
            self._table.release_ahead()
            self._table.searched_at = now
        rows: Sequence[Row] = ()
        while done.failure is None:
            rows = self._table.lease(BATCH_ROWS)
            for kind, group in groupby(rows, key=lambda row: row.kind):
                batch = []
                for row in group:
                    fault = fault_of(row.payload)
                    if fault is None:
                        batch.append(row)
                    else:
                        self._refuse(row, fault, done)
                if batch and done.failure is None:
                    self._attempt(self._notify if kind == "notify" else self._publish, batch, done)
                if batch and done.failure is not None:
                    self._table.postpone([row.id for row in _open(batch, done)], done.wait or 0.0, str(done.failure))
            if len(rows) < BATCH_ROWS:
                break
        if done.failure is None:
            # Another relay, woken by newer rows, found them behind the rows of this lease.
            done.wait = 0.0 if rows else self._table.next_due()
        return done

    def _attempt(self, send: Callable[[Sequence[Row], Round], None], batch: Sequence[Row], done: Round) -> None:
        """Send rows of one kind. After an unexpected error, send each row alone; one that fails again does not block
        others."""
        try:
            send(batch, done)
        except BellcastError as error:
            _stop(done, batch[0], error)
        except Exception as error:
            if len(batch) == 1:
                log.exception("outbox_row_failed id=%s", batch[0].id)
                done.unexpected = f"{type(error).__name__}: {error}"
                self._table.postpone([batch[0].id], LONGEST_BACKOFF, done.unexpected, blocks=False)
                done.rescheduled.add(batch[0].id)
                return
            for row in _open(batch, done):
                if done.failure is None:
                    self._attempt(send, [row], done)

    def _notify(self, batch: Sequence[Row], done: Round) -> None:
        addresses: dict[str | None, dict[str, Mapping[str, Any]]] = {}
        for row in batch:
            addresses.setdefault(row.payload.get("tenant"), {}).update(row.payload.get(ADDRESSES) or {})
        for tenant, records in addresses.items():
            write_addresses(self._bell, tenant, records)
        results = [self._at_once(*one) for one in zip(batch, self._bulk(batch), strict=True)]
        for row, result in zip(batch, results, strict=True):
            if result.error is None:
                done.sent[row.key] = result.ids or ([result.id] if result.id else [])
            elif (result.error.retry_after or 0) > HOLD_WINDOW.total_seconds():
                self._table.postpone([row.id], result.error.retry_after or 0, _reason(result.error), blocks=False)
                done.rescheduled.add(row.id)
            elif 400 <= result.error.status < 500 and result.error.status not in PASSING:
                self._refuse(row, _reason(result.error), done)
            elif done.failure is None:
                _stop(done, row, RequestRefused(result.error))
        self._table.delete([row.id for row, result in zip(batch, results, strict=True) if result.error is None])

    def _at_once(self, row: Row, result: BulkResult) -> BulkResult:
        """Send a row without its `send_at` if the server refused that because it has passed, not because it is too far ahead;
        return the result."""
        # for example `7.send_at`, by the item's index in the request
        if result.error is None or [one.field.split(".", 1)[-1] for one in result.error.errors] != ["send_at"]:
            return result
        try:
            at = datetime.fromisoformat(str(row.payload.get("send_at")))
        except ValueError:
            return result
        # A local time is less than a day from that of UTC; the limit ahead is a year.
        is_ahead = at.replace(tzinfo=at.tzinfo or UTC) >= self._table.now() + timedelta(days=1)
        if is_ahead or row.payload.get("timezone") == ("recipient" if at.tzinfo else None):
            return result
        fields = {name: value for name, value in row.payload.items() if name not in ("send_at", "timezone")}
        # Under another key, because the body differs, and each round begins with the original row.
        key = f"{_draft(row)['idempotency_key']} late"
        (result,) = self._bulk([row._replace(payload={**fields, "idempotency_key": key})])
        return result

    def _bulk(self, batch: Sequence[Row]) -> Iterable[BulkResult]:
        """Send the rows in one request. If the request is refused as a whole, send each row alone, so that one row does
        not block all others."""
        lines = b"\n".join(arguments.json(_draft(row)) for row in batch)
        body = {"content": lines, "headers": {"Content-Type": "application/x-ndjson"}}
        try:
            results = self._bell.sender.send(
                once("/v1/notifications/bulk", body, None, BulkResults, BULK_TIMEOUT)
            ).results
        except RequestRefused as refusal:
            if refusal.status not in PERMANENT:
                raise
            if len(batch) == 1:
                return [BulkResult(error=refusal.problem)]
        else:
            if len(results) != len(batch):
                raise Unreadable(200, BulkResults.__name__, self._bell.url)
            return results
        return [result for row in batch for result in self._bulk([row])]

    def _publish(self, batch: Sequence[Row], done: Round) -> None:
        now = self._table.now()
        for row in batch:
            if now - row.created_at <= EVENT_LIFETIME:
                try:
                    self._bell.sender.send(call("POST", "/v1/events", NoneType, row.payload))
                except RequestRefused as refusal:
                    if refusal.status not in PERMANENT:
                        raise
                    self._refuse(row, refusal.reason, done)
                    continue
                done.sent[row.key] = []
            self._table.delete([row.id])

    def _refuse(self, row: Row, reason: str, done: Round) -> None:
        log.error("outbox_row_refused id=%s error=%s", row.id, reason)
        self._table.refuse(row.id, reason)
        done.refused[row.id] = reason
        if self._on_refused is not None:
            self._on_refused(row.id, reason)


class RelayThread:
    """A daemon thread that runs rounds when it is woken and when rows become due. It starts with the first `wake`, and again after a
    fork. At exit of the process it ends with a last round, and then calls `close`."""

    def __init__(self, run: Callable[[], Round], close: Callable[[], None] = lambda: None) -> None:
        self._run = run
        self._close = close
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._woken, self._stopped = threading.Event(), threading.Event()
        self._pid = 0

    def wake(self) -> None:
        """Run a round now, or at the end of the backoff after a failure."""
        with self._lock:
            if self._thread is None or self._pid != os.getpid():
                self._woken, self._stopped = threading.Event(), threading.Event()
                events = (self._woken, self._stopped)
                self._thread = threading.Thread(target=self._loop, args=events, name="bellcast-relay", daemon=True)
                self._pid = os.getpid()
                self._thread.start()
                atexit.register(self.finish)
            self._woken.set()

    def stop(self, timeout: float) -> bool:
        """End after the current round; wait for it for `timeout` seconds. Return whether a thread has ended."""
        atexit.unregister(self.finish)
        if self._pid != os.getpid():  # a fork may have copied the lock while it was held
            return False
        with self._lock:
            thread, self._thread = self._thread, None
            self._stopped.set()
            self._woken.set()
        if thread is None:
            return False
        thread.join(timeout)
        return not thread.is_alive()

    def finish(self) -> None:
        """Send the due rows, and end the thread. By default this happens at exit."""
        # A thread that waits for a response still uses the connection; its rows are sent by the next relay.
        if self.stop(EXIT_TIMEOUT):
            self._run()
            self._close()

    def _loop(self, woken: threading.Event, stopped: threading.Event) -> None:
        while True:
            woken.clear()
            if stopped.is_set():  # after `clear`: `stop` sets this one first
                return
            done = self._run()
            # A wake during the backoff would send new rows before the postponed ones.
            (woken if done.failure is None else stopped).wait(done.wait)


def stop_event() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set, so that a process ends after the current round: rows of a round that breaks
    off wait for the end of their lease."""
    stopped = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
    return stopped


def why_rows_remain(done: Round, table: OutboxRows) -> str | None:
    """Return why rows are still due after a round, or None. Rows with a `send_at`, or that wait for a daily budget, are not."""
    if problem := done.failure or done.unexpected:
        return str(problem)
    count = table.count_attempted()
    waits = "1 row waits" if count == 1 else f"{count} rows wait"
    return f"{waits} for the next attempt or for another relay, with the rows behind" if count else None


def write_addresses(bell: Bellcast, tenant: str | None, records: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the addresses of recipients to their records. Unusable ones are logged."""
    keys = list(records)
    for start in range(0, len(keys), RECORDS_PER_REQUEST):
        some = keys[start : start + RECORDS_PER_REQUEST]
        try:
            written = bell.recipients.bulk([{**records[key], "key": key} for key in some], tenant=tenant)["results"]
        except (RequestRefused, InvalidArgument) as error:
            if isinstance(error, RequestRefused) and error.status not in PERMANENT:
                raise
            if len(some) > 1:  # one of them is unusable
                for key in some:
                    write_addresses(bell, tenant, {key: records[key]})
                continue
            written = [{"error": {"detail": str(error)}}]
        for key, result in zip(some, written, strict=True):
            if "error" in result:
                log.warning("address_refused recipient=%s error=%s", key, result["error"].get("detail"))


def fault_of(payload: Any) -> str | None:
    """Return why a payload cannot be sent, or None. The server checks everything else."""
    if not isinstance(payload, Mapping):
        return "payload: must be a JSON object"
    try:
        arguments.encoded("payload", payload)
    except InvalidArgument as error:
        return str(error)
    if not isinstance(payload.get("tenant"), str | None):
        return "tenant: must be a string"
    records = payload.get(ADDRESSES) or {}
    if not isinstance(records, Mapping) or not all(isinstance(record, Mapping) for record in records.values()):
        return f"{ADDRESSES}: must be an object with an object for each recipient"
    return None


def _draft(row: Row) -> dict[str, Any]:
    fields = {name: value for name, value in row.payload.items() if name != ADDRESSES}
    return {"idempotency_key": str(row.key), **fields}


def _open(batch: Sequence[Row], done: Round) -> list[Row]:
    """Return the rows that were neither sent nor refused nor rescheduled."""
    return [
        row
        for row in batch
        if row.key not in done.sent and row.id not in done.refused and row.id not in done.rescheduled
    ]


def _stop(done: Round, row: Row, failure: BellcastError) -> None:
    log.warning("relay_failed id=%s error=%s", row.id, failure)
    backoff = FIRST_BACKOFF * 2.0 ** min(max(row.attempts, 1) - 1, 10)  # 1, 2, 4 … 60 seconds
    done.failure, done.wait = failure, min(LONGEST_BACKOFF, backoff)


def _reason(problem: Problem) -> str:
    return RequestRefused(problem).reason
