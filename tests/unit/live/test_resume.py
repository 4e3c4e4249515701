"""Replays: order, positions, the reader's pace, gaps, resets and failures."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from bellcast.inbox.types.inboxes import Changes, Inbox, Position, parse_position
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.limits import Limits
from bellcast.live import resume
from bellcast.live.connection import REPLAY_BUFFER_BYTES, Phase
from bellcast.live.connection.close_reasons import TOO_SLOW, UNAVAILABLE
from bellcast.live.resume import INLINE_CHANGES
from tests import fake_stores
from tests.unit.live.fakes import FakeConnection, added, change, changes, connect, new_hub, state


class FakeStore:
    """A store with inboxes that return these changes in order, or raise."""

    def __init__(self, *results: Changes | BaseException) -> None:
        self.inboxes = self
        self._results = list(results)
        self.queries: list[tuple[int, int]] = []

    async def changes(self, inbox: int, revision: int, limit: int) -> Changes:
        self.queries.append((revision, limit))
        result = self._results.pop(0)
        if isinstance(result, BaseException):
            raise result
        return result


def store(*results: Changes | BaseException) -> Any:
    return cast(Any, fake_stores.db(SimpleNamespace(inboxes=FakeStore(*results))))


def opening(*, revision: int = 0, max_unsent: int = 0) -> FakeConnection:
    connection = connect(new_hub(), phase=Phase.OPENING, max_unsent=max_unsent)
    connection.revision = revision
    return connection


def positions(connection: FakeConnection) -> list[str]:
    return [frame["position"] for frame in connection.fake.frames]


LIMITS = Limits()
MANY = tuple(map(change, range(1, INLINE_CHANGES + 2)))


@pytest.mark.parametrize(
    ("row", "base", "frame"),
    [
        (change(5), 4, "notification"),
        (change(5, first=3), 4, "notification-update"),
        (change(5, first=5, is_deleted=True), 4, "notification-delete"),
    ],
    ids=["new", "changed", "deleted"],
)
async def test_row_is_replayed_as_what_it_is_to_the_client(row: Any, base: int, frame: str) -> None:
    connection = opening(revision=4)
    await resume.replay(store(), connection, changes(row), Position(1, base), LIMITS)
    assert (connection.fake.types, connection.phase, connection.revision) == ([frame], Phase.LIVE, 5)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((change(3), change(4)), ["1-2-2.3.4", "1-4"]),
        ((change(4, first=1), change(4, first=2)), ["1-2-2.4.4", "1-4"]),
        ((change(4, first=1), change(4, first=2), change(6, first=1)), ["1-2-2.6.6", "1-4-2.6.6", "1-6"]),
    ],
    ids=["one row a revision", "one action on two rows", "action, then a row"],
)
async def test_position_is_complete_only_with_the_last_row_of_an_action(rows: Any, expected: list[str]) -> None:
    connection = opening(revision=2)
    await resume.replay(store(), connection, changes(*rows), Position(1, 2), LIMITS)
    assert positions(connection) == expected


async def test_rows_created_since_precede_changes_of_known_rows() -> None:
    rows = (change(5, first=1), change(6, first=4), change(7, first=3), change(8, first=8))
    connection = opening(revision=2)
    await resume.replay(store(), connection, changes(*rows), Position(1, 2), LIMITS)
    frames = [(frame["type"], frame["notification"]["id"]) for frame in connection.fake.frames]
    assert frames == [
        ("notification", "n7"),
        ("notification", "n6"),
        ("notification", "n8"),
        ("notification-update", "n5"),
    ]
    assert positions(connection) == ["1-2-2.3.8", "1-2-2.4.8", "1-2-2.8.8", "1-8"]


@pytest.mark.parametrize(
    ("row", "frame"),
    [
        (change(10, first=4), ["notification"]),
        (change(10, first=3), ["notification-update"]),
        (change(8, first=3), []),
        (change(10, first=1), ["notification-update"]),
        (change(10, first=3, is_deleted=True), ["notification-delete"]),
    ],
    ids=["not sent yet", "sent and changed", "sent as it is", "known before", "sent and deleted"],
)
async def test_interrupted_replay_continues_without_repeating_a_row(row: Any, frame: list[str]) -> None:
    connection = opening(revision=2)
    start = parse_position("1-2-2.3.9")
    assert start is not None
    await resume.replay(store(), connection, changes(row, revision=10), start, LIMITS)
    assert (connection.fake.types, connection.revision) == (frame, 10)


async def test_last_position_is_that_of_the_state() -> None:
    connection = opening(revision=2)
    await resume.replay(store(), connection, changes(change(3), revision=9), Position(1, 2), LIMITS)
    assert (positions(connection), connection.revision) == (["1-9"], 9)


@pytest.mark.parametrize("rows", [MANY[:INLINE_CHANGES], MANY], ids=["inline", "paced"])
async def test_replay_sends_every_row_once_in_order(rows: Any) -> None:
    connection = opening()
    await resume.replay(store(), connection, changes(*rows), Position(1, 0), LIMITS)
    assert [frame["notification"]["id"] for frame in connection.fake.frames] == [row.id for row in rows]
    assert (connection.phase, connection.write) == (Phase.LIVE, connection.fake.write)


@pytest.mark.parametrize("rows", [MANY[:1], MANY], ids=["inline", "paced"])
async def test_change_between_the_snapshot_and_its_replay_is_read_from_the_store(rows: Any) -> None:
    connection = opening()
    connection.owner.dispatch(added(len(rows) + 1))
    later = FakeStore(changes(change(len(rows) + 1)))
    await resume.replay(
        fake_stores.db(SimpleNamespace(inboxes=later)), connection, changes(*rows), Position(1, 0), LIMITS
    )
    assert connection.fake.types == ["notification"] * (len(rows) + 1)
    assert (connection.phase, connection.revision) == (Phase.LIVE, len(rows) + 1)


async def test_change_that_arrives_during_the_replay_is_read_from_the_store() -> None:
    connection = connect(new_hub(), max_unsent=10**6)
    connection.fake.is_buffering = True
    full = [change(number) for number in range(1, 1_000)]
    later = FakeStore(changes(*full), changes(change(1_000)))
    replay = asyncio.ensure_future(resume.catch_up(fake_stores.db(SimpleNamespace(inboxes=later)), connection, LIMITS))
    await asyncio.sleep(0)
    assert connection.writable_waiter is not None
    connection.owner.dispatch(added(1_000))
    connection.fake.is_buffering = False
    connection.resume_writing()
    await replay
    assert (len(connection.fake.written), connection.revision, connection.phase) == (1_000, 1_000, Phase.LIVE)
    assert [revision for revision, _ in later.queries] == [0, 999]


async def test_replay_waits_for_a_slow_reader_and_stays_bounded() -> None:
    connection = opening(max_unsent=10**6)
    connection.fake.is_buffering = True
    rows = [change(number) for number in range(1, 1_000)]
    replay = asyncio.ensure_future(resume.replay(store(), connection, changes(*rows), Position(1, 0), LIMITS))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not replay.done()
    assert REPLAY_BUFFER_BYTES < connection.fake.buffered < REPLAY_BUFFER_BYTES + 1_000
    connection.owner.end(connection, TOO_SLOW)
    await replay
    assert connection.phase is Phase.CLOSED


async def test_connection_that_its_own_replay_closes_stays_closed() -> None:
    connection = opening(max_unsent=500)
    connection.fake.is_buffering = True
    connection.fake.buffered = 450
    await resume.replay(store(), connection, changes(change(1)), Position(1, 0), LIMITS)
    assert (connection.phase, connection.close_reason) == (Phase.CLOSED, TOO_SLOW)


@pytest.mark.parametrize("phase", [Phase.REPLAYING, Phase.CLOSED], ids=lambda phase: phase.name)
async def test_catch_up_leaves_replaying_and_closed_connections_alone(phase: Phase) -> None:
    connection = connect(new_hub(), phase=phase)
    untouched = FakeStore()
    await resume.catch_up(fake_stores.db(SimpleNamespace(inboxes=untouched)), connection, LIMITS)
    assert (untouched.queries, connection.phase) == ([], phase)


@pytest.mark.parametrize(
    "result",
    [changes(revision=7, epoch=2), changes(revision=7, oldest=5), changes(*map(change, range(1, 6)))],
    ids=["new epoch", "no longer stored", "too many"],
)
async def test_unknown_position_is_reset(result: Changes) -> None:
    connection = connect(new_hub())
    await resume.catch_up(store(result, changes(revision=8, epoch=2)), connection, Limits(replay=4))
    assert connection.fake.types == ["reset"]
    assert (connection.epoch, connection.revision, connection.phase) == (2, 8, Phase.LIVE)


@pytest.mark.parametrize(
    ("position", "can_resume"),
    [(Position(1, 5), True), (Position(1, 9), False), (Position(2, 5), False), (Position(1, 2), False)],
    ids=["known", "ahead", "other epoch", "swept"],
)
async def test_changes_are_read_only_since_a_known_position(position: Position, can_resume: bool) -> None:
    inbox = Inbox(number=1, state=state(8), oldest_revision=3)
    result = changes(change(8), oldest=3)
    read = await resume.changes_since(store(result), inbox, position, LIMITS)
    assert read == (result if can_resume else None)


@pytest.mark.parametrize("failure", [Unavailable(), ArithmeticError()], ids=["expected", "unexpected"])
async def test_failed_replay_closes_the_connection(failure: Exception) -> None:
    connection = connect(new_hub())
    with capture_logs():
        await resume.catch_up(store(failure), connection, LIMITS)
    assert (connection.phase, connection.close_reason) == (Phase.CLOSED, UNAVAILABLE)
    assert len(cast(Any, connection.owner)) == 0


async def test_cancelled_replay_leaves_a_live_connection_that_fills_its_gap_later() -> None:
    connection = connect(new_hub())
    with pytest.raises(asyncio.CancelledError):
        await resume.catch_up(store(asyncio.CancelledError()), connection, LIMITS)
    assert connection.phase is Phase.LIVE
