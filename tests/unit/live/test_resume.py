"""Replays that fail."""

import asyncio
from typing import Any, cast

import pytest
from tests.clock import FakeClock

from bellcast.brokers.memory import MemoryBroker
from bellcast.errors import Unavailable
from bellcast.live import resume
from bellcast.live.census import ClusterState
from bellcast.live.connection import Connection, Phase
from bellcast.live.following import HubCallbacks
from bellcast.live.hub import Hub
from bellcast.live.presence import Presence
from bellcast.live.protocols import native
from bellcast.live.reasons import UNAVAILABLE, CloseReason
from bellcast.model.limits import Limits
from bellcast.model.people import Principal
from bellcast.ports import Store


class Heard(Connection):
    """Remembers how it ended."""

    ended: CloseReason | None = None

    def say_goodbye(self, end: CloseReason) -> None:
        self.ended = end


class FailingStore:
    """A store whose inboxes cannot be read."""

    def __init__(self, failure: BaseException) -> None:
        self.inboxes = self
        self._failure = failure

    async def changes(self, *asked: Any) -> Any:
        raise self._failure


def held_connection() -> tuple[Hub, Heard]:
    clock = FakeClock()
    broker = MemoryBroker()
    hub = Hub(Presence(()), ClusterState(broker, clock))

    def ignore(*_: Any) -> None: ...

    hub.callbacks = HubCallbacks(*[ignore] * len(HubCallbacks._fields))
    connection = Heard("1", native.MESSAGE, Principal(recipient="alice"), hub, 0, None)
    hub.add(connection)
    return hub, connection


@pytest.mark.parametrize("failure", [Unavailable(), ArithmeticError()])
async def test_a_replay_that_fails_ends_the_connection(failure: Exception) -> None:
    hub, connection = held_connection()
    await resume.catch_up(cast(Store, FailingStore(failure)), connection, Limits())
    assert (connection.phase, connection.ended, len(hub)) == (Phase.CLOSED, UNAVAILABLE, 0)


async def test_a_cancelled_replay_leaves_a_connection_that_fills_its_gap_later() -> None:
    _, connection = held_connection()
    with pytest.raises(asyncio.CancelledError):
        await resume.catch_up(cast(Store, FailingStore(asyncio.CancelledError())), connection, Limits())
    assert connection.phase is Phase.LIVE
