"""The SQLite engine: shared transactions, in which each command is atomic."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from msgspec.structs import replace

from bellcast.inbox.types.sends import SendResult
from bellcast.kernel import concurrency
from bellcast.kernel.concurrency import CONTENTION_SENDS
from bellcast.kernel.db import sqlite
from bellcast.kernel.db.script import ListCommand, LockKey, Script, ScriptCommand, Statement, WriteCommand
from bellcast.kernel.db.sqlite import SqliteEngine
from bellcast.kernel.db.sqlite_connection import text
from bellcast.kernel.db.writer import ENTRY_ROWS
from bellcast.kernel.errors import NotFound, Unavailable
from bellcast.workflows.types.runs import StoredRun, TriggerRequest
from tests.clock import FakeClock
from tests.contract.app import App


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches close by rows, not by time."""
    monkeypatch.setattr(sqlite, "SMALL_BATCH_SECONDS", 60)


def put(key: str) -> Script[str]:
    yield Statement("tenant_first_seen", {"tenant": key, "now": 1})
    return key


def put_then_fail(key: str) -> Script[str]:
    yield from put(key)
    raise NotFound("after writing")


def fail(key: str) -> Script[str]:
    yield Statement("tenant_find", {"tenant": key})
    raise NotFound("before writing")


def lose(key: str) -> Script[str]:
    yield Statement("roll_back")
    raise NotFound("after the transaction was lost")


def command(script: Callable[[str], Script[str]], key: str) -> WriteCommand[str]:
    return ScriptCommand(lambda: script(key), [])


class PutEach(ListCommand[str, str]):
    """A tenant for each key; "bad" fails after it was written."""

    def lock_keys(self) -> frozenset[LockKey]:
        return frozenset()

    def rows_of(self, item: str) -> int:
        return 1

    def script(self) -> Script[list[str]]:
        for key in self.items:
            yield from put_then_fail(key) if key == "bad" else put(key)
        return list(self.items)


async def write_all(engine: SqliteEngine, command: ListCommand[str, str]) -> list[str | Exception]:
    return [result async for results in engine.write_items(command) for result in results]


def have() -> Script[set[str]]:
    found = []
    for key in ("a", "b", "c", "d"):
        found += yield Statement("tenant_find", {"tenant": key})
    return {key for key, *_ in found}


@contextmanager
def statements_of(engine: SqliteEngine) -> Iterator[list[str]]:
    """Collect the statements of the writer's connection."""
    statements: list[str] = []
    assert engine._writer is not None
    raw = engine._writer._connection.raw
    raw.set_trace_callback(statements.append)
    try:
        yield statements
    finally:
        raw.set_trace_callback(None)


class HeldCommit:
    """A commit that blocks its thread, not the event loop, until `release`."""

    def __init__(self, engine: SqliteEngine) -> None:
        assert engine._writer is not None
        self.statements: list[str] = []
        self._reached, self._released = Event(), Event()
        self._raw = engine._writer._connection.raw
        self._raw.set_trace_callback(self._hear)

    def _hear(self, statement: str) -> None:
        self.statements.append(statement)
        if statement == "COMMIT" and not self._reached.is_set():
            self._reached.set()
            assert self._released.wait(60)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, 60)
        assert not self._released.is_set()

    def release(self) -> None:
        self._released.set()


async def test_waiting_commands_share_one_commit(engine: SqliteEngine) -> None:
    with statements_of(engine) as statements:
        outcomes = await asyncio.gather(*(engine.write(command(put, key)) for key in "abcd"))
    assert outcomes == ["a", "b", "c", "d"]
    assert statements.count("COMMIT") == statements.count("BEGIN IMMEDIATE") == 1


async def test_commands_during_a_commit_share_the_next(engine: SqliteEngine) -> None:
    commit = HeldCommit(engine)
    first = asyncio.create_task(engine.write(command(put, "a")))
    await commit.reached()
    rest = [asyncio.create_task(engine.write(command(put, key))) for key in "bcd"]
    await asyncio.sleep(0)
    assert not first.done()
    commit.release()
    assert await asyncio.gather(first, *rest) == ["a", "b", "c", "d"]
    assert commit.statements.count("COMMIT") == 2


async def test_reads_see_the_last_commit(engine: SqliteEngine) -> None:
    await engine.write(command(put, "a"))
    assert await engine.read(have) == await engine.read_in_background(have) == {"a"}


async def test_script_that_fails_before_a_write_fails_alone(engine: SqliteEngine) -> None:
    with statements_of(engine) as statements:
        outcomes = await asyncio.gather(
            engine.write(command(put, "a")),
            engine.write(command(fail, "b")),
            engine.write(command(put, "c")),
            return_exceptions=True,
        )
    assert (outcomes[0], type(outcomes[1]), outcomes[2]) == ("a", NotFound, "c")
    assert statements.count("COMMIT") == 1
    assert await engine.read(have) == {"a", "c"}


async def test_script_that_fails_after_a_write_is_rolled_back_alone(engine: SqliteEngine) -> None:
    outcomes = await asyncio.gather(
        engine.write(command(put, "a")),
        engine.write(command(put_then_fail, "b")),
        engine.write(command(put, "c")),
        return_exceptions=True,
    )
    assert (outcomes[0], type(outcomes[1]), outcomes[2]) == ("a", NotFound, "c")
    assert await engine.read(have) == {"a", "c"}
    assert await engine.write(command(put, "d")) == "d"


async def test_rollback_by_sqlite_itself_is_noticed(engine: SqliteEngine) -> None:
    """SQLite rolls back when the disk is full, even in a script that has not written yet."""
    assert engine._writer is not None
    texts = dict(engine._writer._connection._texts)
    engine._writer._connection._texts = {**texts, "roll_back": text("ROLLBACK")}
    outcomes = await asyncio.gather(
        engine.write(command(put, "a")), engine.write(command(lose, "b")), return_exceptions=True
    )
    assert (outcomes[0], type(outcomes[1])) == ("a", NotFound)
    assert await engine.read(have) == {"a"}


async def test_items_have_separate_results(engine: SqliteEngine) -> None:
    assert await write_all(engine, PutEach(["a", "b"])) == ["a", "b"]
    (outcome,) = await write_all(engine, PutEach(["bad"]))
    assert isinstance(outcome, NotFound)
    assert await write_all(engine, PutEach([])) == []
    assert await engine.read(have) == {"a", "b"}


async def test_concurrent_sends_are_one_insertion(app: App, engine: SqliteEngine) -> None:
    await app.send("alice")
    with statements_of(engine) as statements:
        await asyncio.gather(*(app.send(key) for key in ("alice", "bob", "alice", "carol")))
    looks = [text for text in statements if "FROM json_each" in text]
    assert len(looks) == 2  # one for existing recipients, one for created ones
    assert sum(text.startswith("UPDATE recipients") for text in statements) == 3
    assert statements.count("COMMIT") == 1


async def bulk(app: App, name: str, rows: int = 2 * ENTRY_ROWS) -> list[Any]:
    return await app.add_all([app.send_request(f"{name}{at}") for at in range(rows)])


async def test_bulk_sends_share_a_commit(app: App, engine: SqliteEngine) -> None:
    commit = HeldCommit(engine)
    first = asyncio.create_task(app.send("alice"))
    await commit.reached()
    rest = [asyncio.create_task(bulk(app, name)) for name in "abc"]
    await asyncio.sleep(0)
    commit.release()
    await asyncio.gather(first, *rest)
    assert commit.statements.count("COMMIT") == 2


async def test_single_send_waits_for_one_bulk_batch(app: App, engine: SqliteEngine) -> None:
    commit = HeldCommit(engine)
    first = asyncio.create_task(app.send("alice"))
    await commit.reached()
    rest = [asyncio.create_task(bulk(app, name)) for name in "abc"]
    await asyncio.sleep(0)
    single = asyncio.create_task(app.send("alice"))
    await asyncio.sleep(0)
    commit.release()
    await asyncio.gather(first, single)
    assert [task.done() for task in rest] == [False, False, False]
    await asyncio.gather(*rest)
    assert commit.statements.count("COMMIT") == 3


def trigger_request(app: App, tenant: str, *recipients: str, **fields: Any) -> TriggerRequest:
    common = {"trigger": "t", "tenant": tenant, "workflow": "w", "owner": "", "version": 1, "created_at": app.now}
    runs = tuple(StoredRun(id=app.new_id(), recipient=key, body=b"{}", **common) for key in recipients)
    return TriggerRequest(tenant=tenant, created_at=app.now, runs=runs, response=b"{}", **fields)


async def test_triggers_are_charged_to_their_tenant(app: App, engine: SqliteEngine) -> None:
    """After the first large trigger, the other tenant is served."""
    commit = HeldCommit(engine)
    first = asyncio.create_task(app.send("alice"))
    await commit.reached()
    large = [trigger_request(app, "acme", *(f"r{n}.{at}" for at in range(2 * ENTRY_ROWS))) for n in range(3)]
    rest = [asyncio.create_task(app.store.runs.start(request)) for request in large]
    await asyncio.sleep(0)
    single = asyncio.create_task(app.store.runs.start(trigger_request(app, "globex", "bob")))
    await asyncio.sleep(0)
    commit.release()
    await asyncio.gather(first, single)
    assert [task.done() for task in rest] == [True, False, False]
    await asyncio.gather(*rest)


async def test_concurrent_triggers_share_their_insertions(app: App, engine: SqliteEngine) -> None:
    commit = HeldCommit(engine)
    first = asyncio.create_task(app.send("alice"))
    await commit.reached()
    plain = [trigger_request(app, "acme", key) for key in ("alice", "bob")]
    keyed = trigger_request(app, "acme", "carol", idempotency_key="k")
    rest = [asyncio.create_task(app.store.runs.start(request)) for request in (*plain, keyed, keyed)]
    await asyncio.sleep(0)
    commit.release()
    await asyncio.gather(first, *rest)
    inserted = [table for text in commit.statements for table in ("runs", "jobs") if f"INSERT INTO {table} " in text]
    assert inserted == ["runs", "runs", "jobs", "jobs", "runs", "jobs"]  # sends with a key have one script each
    runs = [run for request in (*plain, keyed) for run in request.runs]
    assert sorted(await app.store.runs.find([run.id for run in runs]), key=lambda run: run.id) == runs
    (group,) = await app.store.jobs.due(app.now)
    leased = await app.store.jobs.lease({group: 9}, app.now, app.now + 1)
    assert [job.id for job in leased] == [run.id for run in runs]


async def test_bulk_commits_each_entry_under_contention(
    app: App, engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concurrency, "CONTENTION_WINDOW_SECONDS", 60)  # however slow this machine is
    for _ in range(CONTENTION_SENDS):
        await app.send("alice")
    with statements_of(engine) as statements:
        await asyncio.gather(*(bulk(app, name) for name in "abc"))
    assert statements.count("COMMIT") == 6


async def test_results_are_yielded_as_they_are_committed(
    app: App, engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concurrency, "CONTENTION_WINDOW_SECONDS", 60)  # so that each entry has its own commit
    for _ in range(CONTENTION_SENDS):
        await app.send("alice")
    requests = [app.send_request(f"a{at}") for at in range(3 * ENTRY_ROWS)]
    with statements_of(engine) as statements:
        committed = [results async for results in app.store.sends.add(requests)]
    assert [len(results) for results in committed] == [ENTRY_ROWS] * 3
    assert statements.count("COMMIT") == 3
    responses = [sent.response for results in committed for sent in results if isinstance(sent, SendResult)]
    assert responses == [request.response for request in requests]


async def test_single_send_runs_while_bulk_backs_off(
    app: App, engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concurrency, "CONTENTION_WINDOW_SECONDS", 60)
    for _ in range(CONTENTION_SENDS):
        await app.send("alice")
    assert engine._writer is not None
    engine._writer._backoff_until = inf  # as after a long batch
    rest = asyncio.create_task(bulk(app, "a"))
    await app.send("alice")
    assert not rest.done()
    engine._writer._backoff_until = 0.0
    await app.send("alice")
    await rest


async def test_rows_of_one_caller_stay_in_order(app: App, engine: SqliteEngine) -> None:
    sendings = [app.send_request("alice", title=f"t{number}") for number in range(2 * ENTRY_ROWS + 3)]
    outcomes = await app.add_all(sendings)
    assert [one.events[0].inbox.revision for one in outcomes] == list(range(1, len(sendings) + 1))


async def test_invalid_send_fails_alone(app: App, engine: SqliteEngine) -> None:
    taken = await app.send("alice")
    broken = replace(app.send_request("alice"), ids=(taken,))
    outcomes = await asyncio.gather(*(app.add_all([one]) for one in (app.send_request("bob"), broken)))
    assert [isinstance(one, Exception) for (one,) in outcomes] == [False, True]
    assert await app.counts("alice") == await app.counts("bob") == (1, 1)


async def test_command_cancelled_in_the_queue_is_dropped(engine: SqliteEngine) -> None:
    tasks = [asyncio.create_task(engine.write(command(put, key))) for key in "abcd"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [outcome for outcome in outcomes if isinstance(outcome, str)] == ["a", "c", "d"]
    assert await engine.read(have) == {"a", "c", "d"}


async def test_command_cancelled_during_the_commit_affects_no_other(engine: SqliteEngine) -> None:
    commit = HeldCommit(engine)
    tasks = [asyncio.create_task(engine.write(command(put, key))) for key in "abc"]
    await commit.reached()
    tasks[0].cancel()
    await asyncio.sleep(0)
    commit.release()
    assert await asyncio.gather(*tasks[1:]) == ["b", "c"]
    assert await engine.write(command(put, "d")) == "d"
    assert await engine.read(have) == {"a", "b", "c", "d"}


async def test_reads_run_during_a_commit(engine: SqliteEngine) -> None:
    await engine.write(command(put, "a"))
    commit = HeldCommit(engine)
    writing = asyncio.create_task(engine.write(command(put, "b")))
    await commit.reached()
    assert await engine.read(have) == {"a"}
    commit.release()
    await writing
    assert await engine.read(have) == {"a", "b"}


async def test_close_commits_the_queue(engine: SqliteEngine, database: Path, clock: FakeClock) -> None:
    writing = [asyncio.create_task(engine.write(command(put, key))) for key in "abcd"]
    await asyncio.sleep(0)
    await engine.close()
    assert await asyncio.gather(*writing) == ["a", "b", "c", "d"]
    await engine.open()
    assert await engine.read(have) == {"a", "b", "c", "d"}


async def test_close_waits_for_background_reads(engine: SqliteEngine) -> None:
    reading = asyncio.create_task(engine.read_in_background(have))
    await asyncio.sleep(0)
    await engine.close()
    assert await reading == set()


async def test_closed_store_is_unavailable(engine: SqliteEngine) -> None:
    await engine.close()
    await engine.close()
    with pytest.raises(Unavailable):
        await engine.write(command(put, "a"))
    with pytest.raises(Unavailable):
        await engine.read(have)
    with pytest.raises(Unavailable):
        await engine.ping()


async def test_commits_are_synced_and_deleted_rows_overwritten(engine: SqliteEngine) -> None:
    assert engine._writer is not None
    raw = engine._writer._connection.raw
    kept = [raw.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "secure_delete")]
    assert kept == ["wal", 2, 1]


async def turns_until(task: asyncio.Task[Any]) -> int:
    """Count the iterations of the event loop while a task runs."""
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    return turns


@pytest.mark.thorough
async def test_send_to_thousands_does_not_block_the_loop(app: App) -> None:
    sending = asyncio.create_task(app.add(app.send_request(*(f"r{at}" for at in range(5000)))))
    assert await turns_until(sending) > 8
    assert len((await sending).events) == 5000


@pytest.mark.thorough
async def test_marking_ten_thousand_rows_does_not_block_the_loop(app: App) -> None:
    for _ in range(10):
        await app.add_all([app.send_request("alice") for _ in range(1000)])
    await app.inbox("alice")
    marking = asyncio.create_task(app.mark("alice", "read"))
    assert await turns_until(marking) > 100
    assert (await marking).changed == 10_000
