"""Events that are kept in a log of several processes: one tenant's log that cannot be written delays no other."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from bellcast.kernel.brokers.history import DEFAULT_HISTORY, EventId, parse_rules
from bellcast.kernel.brokers.nats_log import NatsLog
from bellcast.kernel.brokers.port import NewEntry, TopicLog
from bellcast.kernel.brokers.remote import RemoteBroker
from bellcast.kernel.brokers.remote_history import RemoteHistory
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import LiveEvent
from bellcast.live.types import AnyEvent
from tests.clock import FakeClock
from tests.unit.kernel.brokers.test_remote_broker import Transport


class Log(TopicLog):
    """A log in which tenants named `stuck` have no leader until `fails` is set."""

    max_appends = NatsLog.max_appends

    def __init__(self) -> None:
        self.appends: list[tuple[str, int]] = []
        self.began = asyncio.Event()
        self.fails = asyncio.Event()

    async def append(self, tenant: str, entries: Sequence[NewEntry], now: int) -> Sequence[EventId]:
        self.appends.append((tenant, len(entries)))
        self.began.set()
        if tenant.startswith("stuck"):
            await self.fails.wait()
            self.fails.clear()
            raise Unavailable("no leader")
        return [EventId(1, number + 1) for number in range(len(entries))]


def history_of(log: Log) -> RemoteHistory:
    clock = FakeClock()
    broker = RemoteBroker(Transport(), clock, AnyEvent)
    return RemoteHistory(cast(TopicLog, log), broker, clock, lambda: parse_rules(DEFAULT_HISTORY))


def append(history: RemoteHistory, tenant: str) -> "asyncio.Task[Any]":
    return asyncio.create_task(history.append(LiveEvent(tenant, "n", None, topic="a")))


async def test_tenant_that_cannot_be_written_delays_no_other() -> None:
    log = Log()
    history = history_of(log)
    stuck = append(history, "stuck")
    for _ in range(3):
        (event,) = await asyncio.wait_for(append(history, "acme"), 60)
        assert event.id is not None
    assert not stuck.done()
    log.fails.set()
    with pytest.raises(Unavailable, match="no leader"):
        await stuck


async def test_many_tenants_that_cannot_be_written_delay_no_other() -> None:
    log = Log()
    history = history_of(log)
    stuck = [append(history, f"stuck{number}") for number in range(NatsLog.max_appends - 1)]
    (event,) = await asyncio.wait_for(append(history, "acme"), 60)
    assert event.id is not None
    for one in stuck:
        one.cancel()


async def test_events_that_waited_for_a_failed_append_fail_with_it() -> None:
    log = Log()
    history = history_of(log)
    first = append(history, "stuck")
    await log.began.wait()
    waiting = [append(history, "stuck") for _ in range(2)]
    await asyncio.sleep(0)
    log.fails.set()
    failures = await asyncio.wait_for(asyncio.gather(first, *waiting, return_exceptions=True), 60)
    assert [str(one) for one in failures] == ["no leader"] * 3
    assert log.appends == [("stuck", 1)]


async def test_events_of_one_moment_share_an_append() -> None:
    log = Log()
    history = history_of(log)
    await asyncio.gather(*(append(history, "acme") for _ in range(3)))
    assert log.appends == [("acme", 3)]
