"""The connection's state machine, its waiter and its close."""

import ast
import asyncio
import itertools
from pathlib import Path

import pytest

import bellcast.live
from bellcast.live.connection import (
    LEGAL_MOVES,
    REPLAY_BUFFER_BYTES,
    Connection,
    PendingMessages,
    Phase,
)
from bellcast.live.connection.close_reasons import EVENTS_LOST, RESTARTING, TOO_SLOW
from bellcast.live.connection.dialect import Dialect
from bellcast.live.connection.outbound import NULL_TRANSPORT
from bellcast.live.native.protocol import SSE_PLAIN, WEBSOCKET
from tests.unit.live.fakes import FakeConnection, connect, new_hub

OPENING, REPLAYING, LIVE, CLOSED = Phase
LEGAL = {
    (OPENING, REPLAYING),
    (OPENING, LIVE),
    (OPENING, CLOSED),
    (REPLAYING, LIVE),
    (REPLAYING, CLOSED),
    (LIVE, OPENING),
    (LIVE, REPLAYING),
    (LIVE, CLOSED),
}


def in_phase(phase: Phase) -> FakeConnection:
    return connect(new_hub(), phase=phase)


@pytest.mark.parametrize(("before", "after"), list(itertools.product(Phase, Phase)), ids=lambda phase: phase.name)
def test_transition_makes_the_legal_moves_and_raises_on_others(before: Phase, after: Phase) -> None:
    connection = in_phase(before)
    if (before, after) in LEGAL:
        connection.transition(after)
        assert connection.phase is after
    else:
        with pytest.raises(RuntimeError, match=f"{before.name} to {after.name}"):
            connection.transition(after)
        assert connection.phase is before


def test_table_has_a_row_for_every_phase() -> None:
    assert set(LEGAL_MOVES) == set(Phase)


def test_only_transition_and_the_constructor_assign_the_phase() -> None:
    live = Path(next(iter(bellcast.live.__path__)))
    assignments = []
    for file in live.rglob("*.py"):
        for function in ast.walk(ast.parse(file.read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                assignments += [
                    (file.relative_to(live).as_posix(), function.name)
                    for node in ast.walk(function)
                    if isinstance(node, ast.Attribute) and node.attr == "phase" and isinstance(node.ctx, ast.Store)
                ]
    module = "connection/__init__.py"
    assert sorted(assignments) == [(module, "__init__"), (module, "transition")]


@pytest.mark.parametrize("after", [LIVE, CLOSED], ids=lambda phase: phase.name)
async def test_transition_wakes_the_replay_that_waits_for_the_reader(after: Phase) -> None:
    connection = in_phase(REPLAYING)
    connection.pause_writing()
    waiting = asyncio.ensure_future(connection.wait_writable())
    await asyncio.sleep(0)
    assert not waiting.done()
    connection.transition(after)
    await waiting
    assert (connection.writable_waiter, connection.bytes_during_replay) == (None, 0)


@pytest.mark.parametrize(
    ("before", "after"),
    [(OPENING, LIVE), (REPLAYING, LIVE), (LIVE, LIVE), (CLOSED, CLOSED)],
    ids=["opening", "replaying", "live", "closed"],
)
def test_go_live_never_reopens_a_closed_connection(before: Phase, after: Phase) -> None:
    connection = in_phase(before)
    connection.go_live()
    assert connection.phase is after


def test_replay_limits_the_buffer_and_going_live_restores_the_limit() -> None:
    connection = connect(new_hub(), phase=OPENING, max_unsent=1_000)
    assert connection.fake.high == 1_000
    connection.transition(REPLAYING)
    assert connection.fake.high == REPLAY_BUFFER_BYTES
    connection.go_live()
    assert connection.fake.high == 1_000


async def test_two_pauses_of_one_replay_share_a_waiter() -> None:
    connection = in_phase(REPLAYING)
    connection.pause_writing()
    waiting = asyncio.ensure_future(connection.wait_writable())
    await asyncio.sleep(0)
    connection.pause_writing()
    connection.resume_writing()
    await asyncio.wait_for(waiting, 30)


@pytest.mark.parametrize("phase", [OPENING, LIVE], ids=lambda phase: phase.name)
async def test_full_buffer_outside_a_replay_closes_the_connection(phase: Phase) -> None:
    connection = in_phase(phase)
    connection.pause_writing()
    assert (connection.phase, connection.close_reason) == (CLOSED, TOO_SLOW)


@pytest.mark.parametrize(("size", "phase"), [(100, REPLAYING), (101, CLOSED)])
async def test_output_during_a_replay_that_waits_is_limited(size: int, phase: Phase) -> None:
    connection = connect(new_hub(), phase=REPLAYING, max_unsent=100)
    connection.pause_writing()
    connection.write(b"x" * size)
    assert connection.phase is phase


async def test_close_sends_the_reason_once_and_unregisters() -> None:
    hub = new_hub()
    connection = connect(hub)
    connection.close(RESTARTING)
    connection.close(TOO_SLOW)
    assert connection.fake.types == ["close"]
    assert (connection.close_reason, len(hub)) == (RESTARTING, 0)


@pytest.mark.parametrize(
    ("dialect", "frame"),
    [
        (WEBSOCKET, b'\x81\x4c{"type":"close","code":1012,"reason":"events_lost","reconnect":true,"id":""}'),
        (
            SSE_PLAIN,
            b'id: 1-0~\nevent: close\ndata: {"code":1012,"reason":"events_lost","reconnect":true,"id":""}\n\n',
        ),
    ],
    ids=["websocket", "sse"],
)
async def test_close_for_lost_events_takes_the_last_event_id_from_the_client(dialect: Dialect, frame: bytes) -> None:
    connection = connect(new_hub(), dialect=dialect)
    connection.close(EVENTS_LOST)
    assert connection.fake.written == [frame]


async def test_close_of_a_stream_that_opens_has_no_position() -> None:
    connection = connect(new_hub(), phase=OPENING, dialect=SSE_PLAIN)
    connection.close(EVENTS_LOST)
    assert b"id: " not in b"".join(connection.fake.written)


async def test_close_drops_unprocessed_messages() -> None:
    connection = in_phase(LIVE)
    connection.pending = PendingMessages(0)
    connection.pending.append("a", 1)
    connection.close(RESTARTING)
    assert not connection.pending


async def test_lost_socket_closes_and_releases_the_transport() -> None:
    hub = new_hub()
    connection = connect(hub)
    connection.connection_lost(None)
    assert (connection.phase, connection.transport, len(hub)) == (CLOSED, NULL_TRANSPORT, 0)


async def test_lost_socket_after_a_close_cancels_the_close_timer() -> None:
    connection = in_phase(LIVE)
    connection.close(RESTARTING)
    assert connection.close_timer is not None
    connection.connection_lost(None)
    assert connection.close_timer.cancelled()


def test_write_tracked_records_the_tick() -> None:
    hub = new_hub()
    connection = connect(hub)
    hub.tick = 7
    connection.write_tracked(b"{}")
    assert connection.last_sent_tick == 7


def test_connection_has_no_instance_dictionary() -> None:
    assert not hasattr(Connection("1", None, None, new_hub(), 0, None), "__dict__")
