"""The engine: one shared transaction for everyone who waits, each script whole or not at all."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.clock import FakeClock
from tests.contract.app import App

from bellcast.errors import NotFound, Unavailable
from bellcast.storage.engine import Script, Statement
from bellcast.storage.sqlite import SQLite


def put(key: str) -> Script[str]:
    yield Statement("tenant_first_seen", {"tenant": key, "now": 1})
    return key


def put_then_fail(key: str) -> Script[str]:
    yield from put(key)
    raise NotFound("after writing")


def fail(key: str) -> Script[str]:
    yield Statement("tenant_find", {"tenant": key})
    raise NotFound("before writing")


def have() -> Script[set[str]]:
    found = []
    for key in ("a", "b", "c", "d"):
        found += yield Statement("tenant_find", {"tenant": key})
    return {key for key, *_ in found}


@contextmanager
def statements_of(engine: SQLite) -> Iterator[list[str]]:
    """What the writing connection is told meanwhile."""
    told: list[str] = []
    assert engine._writer is not None
    raw = engine._writer._connection.raw
    raw.set_trace_callback(told.append)
    try:
        yield told
    finally:
        raw.set_trace_callback(None)


async def until(statement: str, told: list[str]) -> None:
    """Wait until the writing connection is told so, a thousand turns of the loop at most."""
    for _ in range(1000):
        if statement in told:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"{statement} never came")


async def test_everyone_who_waits_shares_one_commit(engine: SQLite) -> None:
    with statements_of(engine) as told:
        outcomes = await asyncio.gather(*(engine.write(put, key) for key in "abcd"))
    assert outcomes == ["a", "b", "c", "d"]
    assert told.count("COMMIT") == told.count("BEGIN IMMEDIATE") == 1


async def test_those_who_come_during_a_commit_share_the_next(engine: SQLite) -> None:
    first = asyncio.create_task(engine.write(put, "a"))
    with statements_of(engine) as told:
        await until("COMMIT", told)
        rest = [asyncio.create_task(engine.write(put, key)) for key in "bcd"]
        await asyncio.gather(first, *rest)
    assert told.count("COMMIT") == 2


async def test_what_is_committed_is_read_at_once(engine: SQLite) -> None:
    await engine.write(put, "a")
    assert await engine.read(have) == await engine.read_aside(have) == {"a"}


async def test_a_script_that_fails_before_it_wrote_fails_alone(engine: SQLite) -> None:
    with statements_of(engine) as told:
        outcomes = await asyncio.gather(
            engine.write(put, "a"), engine.write(fail, "b"), engine.write(put, "c"), return_exceptions=True
        )
    assert (outcomes[0], type(outcomes[1]), outcomes[2]) == ("a", NotFound, "c")
    assert told.count("COMMIT") == 1
    assert await engine.read(have) == {"a", "c"}


async def test_a_script_that_fails_after_it_wrote_is_undone_and_the_others_are_not(engine: SQLite) -> None:
    outcomes = await asyncio.gather(
        engine.write(put, "a"), engine.write(put_then_fail, "b"), engine.write(put, "c"), return_exceptions=True
    )
    assert (outcomes[0], type(outcomes[1]), outcomes[2]) == ("a", NotFound, "c")
    assert await engine.read(have) == {"a", "c"}
    assert await engine.write(put, "d") == "d"


async def test_each_of_many_has_its_own_outcome(engine: SQLite) -> None:
    assert await engine.write_each(put, ["a", "b"]) == ["a", "b"]
    (outcome,) = await engine.write_each(put_then_fail, ["c"])
    assert isinstance(outcome, NotFound)
    assert await engine.write_each(put, []) == []
    assert await engine.read(have) == {"a", "b"}


async def test_a_waiter_that_gives_up_harms_no_other(engine: SQLite) -> None:
    tasks = [asyncio.create_task(engine.write(put, key)) for key in "abcd"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [outcome for outcome in outcomes if isinstance(outcome, str)] == ["a", "c", "d"]
    assert {"a", "c", "d"} <= await engine.read(have)


async def test_reads_go_on_while_a_commit_waits_for_the_disk(engine: SQLite) -> None:
    await engine.write(put, "a")
    writing = asyncio.create_task(engine.write(put, "b"))
    with statements_of(engine) as told:
        await until("COMMIT", told)
        assert await engine.read(have) in ({"a"}, {"a", "b"})
    await writing


async def test_closing_commits_what_waits(engine: SQLite, database: Path, clock: FakeClock) -> None:
    writing = [asyncio.create_task(engine.write(put, key)) for key in "abcd"]
    await asyncio.sleep(0)
    await engine.close()
    assert await asyncio.gather(*writing) == ["a", "b", "c", "d"]
    await engine.open()
    assert await engine.read(have) == {"a", "b", "c", "d"}


async def test_a_closed_store_is_away(engine: SQLite) -> None:
    await engine.close()
    await engine.close()
    with pytest.raises(Unavailable):
        await engine.write(put, "a")
    with pytest.raises(Unavailable):
        await engine.read(have)
    with pytest.raises(Unavailable):
        await engine.ping()


async def test_marking_ten_thousand_rows_does_not_hold_up_the_loop(app: App) -> None:
    for _ in range(10):
        await app.store.sends.add([app.sending("alice") for _ in range(1000)])
    await app.inbox("alice")
    marking = asyncio.create_task(app.mark("alice", "read"))
    turns = 0
    while not marking.done():
        await asyncio.sleep(0)
        turns += 1
    assert (await marking).changed == 10_000
    assert turns > 100
