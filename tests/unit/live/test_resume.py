"""Replays that fail."""

import asyncio
from typing import Any, cast

import pytest
from tests.clock import FakeClock

from bellcast.brokers.memory import MemoryBroker
from bellcast.errors import Unavailable
from bellcast.live.connection.close_reasons import UNAVAILABLE, CloseReason
from bellcast.live.connection.connection import Connection, Phase
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.hub.hub import Hub
from bellcast.live.hub.presence import Presence
from bellcast.live.native import protocol
from bellcast.live.sync import resume
from bellcast.model.identities import Principal
from bellcast.model.limits import Limits
from bellcast.ports import Store


class Heard(Connection):
    """Remembers how it ended."""

    ended: CloseReason | None = None

    def send_close(self, end: CloseReason) -> None:
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
    hub = Hub(Presence(()), broker, clock, HubCallbacks())
    connection = Heard("1", protocol.MESSAGE, Principal(recipient="alice"), hub, 0, None)
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
