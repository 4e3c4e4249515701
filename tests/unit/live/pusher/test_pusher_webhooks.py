"""Pending webhook events while the store is unavailable."""

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from bellcast.auth.permissions import Grant
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import topic_stream
from bellcast.kernel.identities import Project
from bellcast.kernel.jobs import Job
from bellcast.kernel.jobs.runner import JobRunner
from bellcast.live.hub import Hub
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.hub.presence import PresenceTracker
from bellcast.live.pusher import webhooks
from bellcast.live.pusher.plugin import PusherConfig
from bellcast.live.pusher.webhooks import SEND, PusherWebhooks
from bellcast.live.types import GroupAnswer, GroupState
from tests.clock import FakeClock
from tests.unit.live import fakes


class AwayStore:
    """Stores jobs once it is available again."""

    def __init__(self) -> None:
        self.is_away = True
        self.has_room = asyncio.Event()  # not set: writes wait
        self.has_room.set()
        self.kept: dict[str, Job] = {}

    async def add(self, jobs: list[Job]) -> None:
        await self._check()
        self.kept |= {job.id: job for job in jobs}

    async def cancel(self, ids: list[str]) -> frozenset[str]:
        await self._check()
        return frozenset(id for id in ids if self.kept.pop(id, None) is not None)

    async def _check(self) -> None:
        if self.is_away:
            raise Unavailable
        await self.has_room.wait()

    def reported(self) -> list[str]:
        payloads = [job.payload for job in self.kept.values() if job.kind == SEND]
        return [happening["name"] for payload in payloads for happening in msgspec.json.decode(payload)]


class World:
    def __init__(self) -> None:
        self.clock, self.store = FakeClock(), AwayStore()
        self.tasks: set[asyncio.Task[None]] = set()
        self.hub = Hub(PresenceTracker(tuple), MemoryBroker(), self.clock, self.clock, HubCallbacks())
        self.jobs = JobRunner(cast(Any, self.store), self.clock, lambda now: f"{now} {len(self.store.kept)}")
        live = SimpleNamespace(
            settings={"pusher": PusherConfig(webhook_url="http://127.0.0.1/")},
            project=Project("1", "key", "secret"),
            jobs=self.jobs,
            hub=self.hub,
            http=None,
            engines=SimpleNamespace(clock=self.clock),
            spawn=self._spawn,
        )
        self.webhooks = PusherWebhooks(cast(Any, live))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> object:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        return task

    async def after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for _ in range(10):
            await asyncio.sleep(0)


async def test_events_during_an_outage_of_the_store_are_sent_after_it() -> None:
    world = World()
    world.webhooks.began("a", "")
    await world.after(0)
    for _ in range(3):
        await world.after(webhooks.RETRY_SECONDS)
    world.webhooks.began("presence-b", "u")
    world.store.is_away = False
    for _ in range(3):
        await world.after(webhooks.RETRY_SECONDS)
    assert world.store.reported() == ["channel_occupied", "member_added"]


async def test_cache_miss_is_sent_once_and_again_after_the_clock_was_set_back() -> None:
    world = World()
    world.store.is_away = False
    for step, sent in ((0, 1), (60, 1), (-10_800, 2), (60, 2)):
        await world.after(step)
        world.webhooks.missed("cache-a", world.clock.now() - 1_800_000)
        await world.after(0)
        await world.after(webhooks.BATCH_WINDOW_SECONDS)
        assert world.store.reported() == ["cache_miss"] * sent


async def test_end_that_could_not_be_stored_suppresses_no_later_start() -> None:
    world = World()
    world.webhooks.ended("a", "")
    await world.after(0)
    await world.after(webhooks.BATCH_WINDOW_SECONDS)
    world.tasks.pop().cancel()  # as if the server had stopped
    await world.after(0)
    world.store.is_away = False
    world.webhooks.began("a", "")
    await world.after(0)
    await world.after(webhooks.BATCH_WINDOW_SECONDS)
    assert world.store.reported() == ["channel_occupied"]


async def test_pending_events_are_stored_when_the_server_stops() -> None:
    world = World()
    world.store.is_away = False
    world.webhooks.began("a", "")
    await world.webhooks.close()
    assert world.store.reported() == ["channel_occupied"]
    world.store.is_away = True
    world.webhooks.began("b", "")
    await world.webhooks.close()  # and does not wait for an unavailable store


async def test_batch_that_is_being_stored_when_the_server_stops_is_complete() -> None:
    world = World()
    world.store.is_away = False
    world.store.has_room.clear()
    world.webhooks.began("a", "")
    await world.after(0)
    await world.after(webhooks.BATCH_WINDOW_SECONDS)
    world.tasks.pop().cancel()
    await world.after(0)
    asyncio.get_running_loop().call_soon(world.store.has_room.set)
    await world.webhooks.close()
    assert world.store.reported() == ["channel_occupied"]


async def test_immediately_undone_move_is_reported_once_or_not_at_all() -> None:
    world = World()
    world.store.is_away = False
    world.webhooks.began("a", "")
    world.webhooks.ended("a", "")
    world.webhooks.began("a", "")
    world.webhooks.ended("b", "")
    world.webhooks.began("b", "")
    await world.webhooks.close()
    assert world.store.reported() == ["channel_occupied"]
    assert [job.kind for job in world.store.kept.values()] == [SEND]


async def test_return_while_the_job_of_the_end_runs_is_not_reported() -> None:
    world = World()
    world.store.is_away = False
    world.webhooks.ended("a", "")
    await world.webhooks.flush()
    (job,) = world.store.kept.values()
    world.store.kept.clear()  # leased, so that it cannot be cancelled
    running = asyncio.ensure_future(world.jobs._kinds[job.kind].handler([job]))
    await world.after(0)
    connection = fakes.connect(world.hub)
    world.hub.subscriptions.follow(connection, {"a": Grant.APP})
    world.webhooks.began("a", "")
    await world.webhooks.close()
    assert (world.store.reported(), await running) == ([], [None])


async def test_job_of_an_end_lasts_until_its_event_is_stored() -> None:
    world, running = await _ending()
    assert (running.done(), world.store.reported()) == (False, [])
    await world.after(webhooks.BATCH_WINDOW_SECONDS)
    assert (await running, world.store.reported()) == ([None], ["channel_vacated"])


async def test_job_of_an_end_runs_again_if_the_server_stops_before_it_is_stored() -> None:
    world, running = await _ending()
    world.tasks.pop().cancel()
    with pytest.raises(Unavailable):
        await running
    await world.webhooks.close()
    assert world.store.reported() == []


async def test_end_is_postponed_while_the_state_of_another_node_is_unknown() -> None:
    world = World()
    world.hub.members.note("other")  # whose state is not known yet
    world, running = await _ending(world)
    assert await running == [world.clock.now() + webhooks.POSTPONED_MS]
    stream, groups = topic_stream("", "a"), world.hub.groups
    groups.follow(stream)
    groups.mark_suspect([stream])
    await world.hub.members.send()  # the question
    groups.receive(GroupAnswer(world.hub.members.id, 2**62, stream, (GroupState("other", 1, None, 1),), is_whole=True))
    (job,) = world.store.kept.values()
    running = asyncio.ensure_future(world.jobs._kinds[job.kind].handler([job]))
    await world.after(0)
    await world.after(webhooks.BATCH_WINDOW_SECONDS)
    assert (await running, world.store.reported()) == ([None], [])


async def _ending(world: World | None = None) -> tuple[World, "asyncio.Future[Any]"]:
    """Run the job of a channel's end, up to the batch."""
    world = world or World()
    world.store.is_away = False
    world.webhooks.ended("a", "")
    await world.webhooks.flush()
    await world.after(0)
    await world.after(webhooks.BATCH_WINDOW_SECONDS)
    world.tasks.clear()
    (job,) = world.store.kept.values()
    running = asyncio.ensure_future(world.jobs._kinds[job.kind].handler([job]))
    await world.after(0)
    return world, running
