"""A clock that was a day ahead for a while, on every store: what was planned meanwhile waits no longer than it was meant to."""

from typing import Any

import pytest
from msgspec.structs import replace

from bellcast.documents.types import CACHE_SECONDS
from bellcast.kernel.jobs.runner import LEASE_MS
from bellcast.kernel.outbound import Response
from bellcast.workflows.workflow_catalog import WorkflowCatalog
from tests.clock import FakeClock
from tests.contract.app import App
from tests.contract.channels.test_digest_jobs import MAX_BYTES, held
from tests.contract.kernel.test_store_jobs import job
from tests.contract.workflows.schedules import DAY, daily, put
from tests.store import Store
from tests.workflows import WorkflowWorld

HOUR = 3_600
WAITING_STEPS = [
    {"key": "later", "type": "delay", "for": "1h"},
    {"key": "later", "type": "wait_for", "event": "came", "timeout": "1h"},
    {"key": "later", "type": "digest", "window": "1h"},
    {"key": "later", "type": "digest", "window": "1h", "mode": "sliding", "max_window": "2h"},
]


@pytest.fixture
async def world(store: Store, clock: FakeClock) -> WorkflowWorld:
    return WorkflowWorld(store, clock)


async def set_back(world: WorkflowWorld) -> None:
    """Set the clock back by a day, as the job runner notices it."""
    world.clock.advance(-DAY)
    jobs, now = world.store.jobs, world.clock.now()
    await jobs.replan(await jobs.planned_after(now, LEASE_MS, 100), now, LEASE_MS)
    await world.settle()


@pytest.mark.parametrize("step", WAITING_STEPS)
async def test_waiting_step_ends_in_time(world: WorkflowWorld, step: dict[str, Any]) -> None:
    await world.put("booking", step)
    world.clock.advance(DAY)
    id = await world.trigger("booking")
    await world.settle()
    assert await world.status(id) == "waiting"
    await set_back(world)
    await world.advance(HOUR - 1)
    assert await world.status(id) == "waiting"
    await world.advance(1)
    assert await world.status(id) == "completed"


async def test_http_step_is_retried_at_once(world: WorkflowWorld) -> None:
    await world.put("booking", {"key": "call", "type": "http", "url": "https://app.example/"})
    world.http.responses = [Response(503, {"retry-after": "3600"}, b""), Response(200, {}, b"")]
    world.clock.advance(DAY)
    id = await world.trigger("booking")
    await world.settle()
    assert await world.status(id) == "waiting"
    await set_back(world)
    assert await world.status(id) == "completed"


async def test_schedule_fires_at_its_next_times_once_each(world: WorkflowWorld, app: App) -> None:
    await put(world, daily(cron="0 * * * *", missed="skip"))
    await world.advance(2 * HOUR)
    world.clock.advance(DAY)
    await world.settle()
    await set_back(world)
    before = len(await app.page("alice"))
    await world.advance(2 * HOUR)
    assert len(await app.page("alice")) == before + 2
    await world.advance(DAY - 2 * HOUR)
    fired = [one.created_at for one in await app.page("alice")]
    assert len(fired) == len(set(fired))


async def test_email_digest_is_sent_with_its_job(store: Store, clock: FakeClock) -> None:
    now = clock.now()
    message = replace(held(1, "", "alice"), created_at=now + DAY * 1_000, due_at=now + (DAY + HOUR) * 1_000)
    await store.messages.add([message])
    ids = await store.jobs.planned_after(now, LEASE_MS, 10)
    assert await store.jobs.replan(ids, now, LEASE_MS) == 1
    (group,) = await store.jobs.due(now + HOUR * 1_000)
    assert group.run_at == now + HOUR * 1_000
    (member,) = await store.messages.digest_members("", "alice", group.run_at, 10, MAX_BYTES)
    assert member.id == message.id


async def test_job_of_a_killed_process_is_leased_again_in_time(app: App) -> None:
    jobs, ahead = app.store.jobs, app.now + DAY * 1_000
    await jobs.add([job("k", app.now)])
    await app.lease(ahead, ahead + LEASE_MS, 10)
    ids = await jobs.planned_after(app.now, LEASE_MS, 10)
    assert await jobs.replan(ids, app.now, LEASE_MS) == 1
    assert await jobs.planned_after(app.now, LEASE_MS, 10) == []
    assert await app.lease(app.now + LEASE_MS - 1, app.now + DAY, 10) == []
    assert [one.id for one in await app.lease(app.now + LEASE_MS, app.now + DAY, 10)] == ["k"]


async def test_cached_object_is_read_again(store: Store, clock: FakeClock) -> None:
    here, there = WorkflowCatalog(store, clock), WorkflowCatalog(store, clock)
    clock.advance(DAY)
    await here.put("", "booking", {"steps": [{"key": "later", "type": "delay", "for": "1h"}]})
    assert await there.current("", "booking")
    clock.advance(-DAY)
    await here.put("", "booking", {"steps": [{"key": "later", "type": "delay", "for": "2h"}]})
    clock.advance(CACHE_SECONDS)
    current = await there.current("", "booking")
    assert current is not None
    assert current.version == 2
