"""guarded_start: a failed start closes and unregisters the connection after any kind of failure."""

import asyncio
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from bellcast.kernel.errors import BellcastError, Forbidden, TooMany, Unauthenticated, Unavailable
from bellcast.live.admission import close_refused, guarded_start
from bellcast.live.connection import Phase
from bellcast.live.connection.close_reasons import RejectedByApp
from tests.unit.live.fakes import FakeConnection, connect, new_hub


async def failing(error: BaseException) -> None:
    raise error


def opening() -> FakeConnection:
    return connect(new_hub(), phase=Phase.OPENING)


@pytest.mark.parametrize(
    ("error", "code", "reconnect"),
    [
        (Unauthenticated(), 4401, False),
        (Forbidden(), 4403, False),
        (RejectedByApp("no"), 4403, False),
        (TooMany(), 4409, True),
        (Unavailable(), 1013, True),
        (BellcastError(), 1013, True),
        (ZeroDivisionError(), 1013, True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_failed_start_closes_and_unregisters(error: Exception, code: int, reconnect: bool) -> None:
    connection = opening()
    with capture_logs():
        await guarded_start(connection, failing(error), partial(close_refused, connection))
    closed = connection.fake.frames[-1]
    assert (closed["type"], closed["code"], closed["reconnect"]) == ("close", code, reconnect)
    assert (connection.phase, list(connection.owner)) == (Phase.CLOSED, [])


@pytest.mark.parametrize(("seconds", "after"), [(1, 2000), (5, 5000)])
async def test_close_for_an_unavailable_store_has_the_documented_delay(seconds: int, after: int) -> None:
    connection = opening()
    await guarded_start(connection, failing(Unavailable(retry_after=seconds)), partial(close_refused, connection))
    assert connection.fake.frames[-1]["after"] == after


@pytest.mark.parametrize(("error", "count"), [(ZeroDivisionError(), 1), (Forbidden(), 0)])
async def test_only_an_unexpected_failure_is_logged(error: Exception, count: int) -> None:
    with capture_logs() as logs:
        await guarded_start(opening(), failing(error), lambda _: None)
    assert [entry["event"] for entry in logs] == ["connection_start_failed"] * count


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()], ids=["cancelled", "interrupted"])
async def test_cancelled_start_unregisters(error: BaseException) -> None:
    connection = opening()
    with pytest.raises(type(error)):
        await guarded_start(connection, failing(error), lambda _: None)
    assert list(connection.owner) == []


async def test_failing_refusal_unregisters_too() -> None:
    connection = opening()
    with pytest.raises(OSError, match="gone"):
        await guarded_start(connection, failing(Forbidden()), _raise_os_error)
    assert list(connection.owner) == []


def _raise_os_error(_: Any) -> None:
    raise OSError("gone")


async def test_successful_start_returns_its_result_and_stays_registered() -> None:
    async def start() -> int:
        return 7

    connection = opening()
    assert await guarded_start(connection, start(), partial(close_refused, connection)) == 7
    assert list(connection.owner) == [connection]
