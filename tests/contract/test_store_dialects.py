"""State of the foreign dialects: last events, device positions, durable jobs."""

import itertools

from bellcast.errors import Unavailable
from bellcast.jobs import RETRY_DEADLINE_MS, JobRunner
from bellcast.model.ids import Ids
from bellcast.model.inboxes import Position
from bellcast.ports import UNKNOWN, DevicePosition, Job, LastEvent
from tests.contract.app import App

NONE_CONNECTED: frozenset[str] = frozenset()


def link(
    name: str, revision: int = UNKNOWN, *, inbox: int = 1, device: bytes = b"phone", epoch: int = 7
) -> DevicePosition:
    return DevicePosition(inbox, device, name, epoch, revision)


# --- last events


async def test_last_event_of_a_topic_is_kept_until_it_is_too_old(app: App) -> None:
    topics = app.store.topics
    assert await topics.get("", "cache-a", 0) is None
    await topics.save("", "cache-a", LastEvent("one", "1", 1_000))
    await topics.save("", "cache-a", LastEvent("two", '{"a":"ü"}', 2_000))
    await topics.save("acme", "cache-a", LastEvent("theirs", "3", 2_000))
    assert await topics.get("", "cache-a", 2_000) == LastEvent("two", '{"a":"ü"}', 2_000)
    assert await topics.get("", "cache-a", 2_001) is None
    await topics.delete_older(2_001)
    assert await topics.get("", "cache-a", 0) is None


# --- devices


async def test_unknown_device_has_no_position(app: App) -> None:
    assert await app.store.devices.register(link("a"), NONE_CONNECTED, 0) is None
    assert await app.store.devices.register(link("b", device=b"laptop"), NONE_CONNECTED, 0) is None


async def test_returning_device_resumes_from_its_last_acknowledgement(app: App) -> None:
    devices = app.store.devices
    await devices.register(link("a"), NONE_CONNECTED, 0)
    await devices.acknowledge([link("a", 5)], 0)
    assert await devices.register(link("b"), NONE_CONNECTED, 0) == Position(7, 5)
    assert await devices.register(link("c"), NONE_CONNECTED, 0) == Position(7, 5)  # b has acknowledged nothing yet


async def test_device_that_never_acknowledged_is_unknown(app: App) -> None:
    await app.store.devices.register(link("a"), NONE_CONNECTED, 0)
    assert await app.store.devices.register(link("b"), NONE_CONNECTED, 0) is None


async def test_positions_of_connected_links_are_not_reused(app: App) -> None:
    devices = app.store.devices
    await devices.register(link("a"), NONE_CONNECTED, 0)
    await devices.acknowledge([link("a", 5)], 0)
    assert await devices.register(link("b"), frozenset({"a"}), 0) is None


async def test_devices_resume_from_the_lowest_position_in_any_order(app: App) -> None:
    devices = app.store.devices
    await devices.acknowledge([link("a", 5), link("b", 9)], 0)
    assert await devices.register(link("c"), NONE_CONNECTED, 0) == Position(7, 5)
    assert await devices.register(link("d"), frozenset({"c"}), 0) == Position(7, 5)
    assert await devices.register(link("e"), frozenset({"c", "d"}), 0) is None


async def test_old_positions_are_deleted(app: App) -> None:
    devices = app.store.devices
    await devices.acknowledge([link("a", 5)], 1_000)
    await devices.delete_older(1_001)
    assert await devices.register(link("b"), NONE_CONNECTED, 0) is None


# --- jobs


def job(id: str, run_at: int) -> Job:
    return Job(id=id, kind="k", payload=b"\x00bytes", run_at=run_at, created_at=0)


async def test_adding_a_pending_job_again_postpones_it(app: App) -> None:
    jobs = app.store.jobs
    await jobs.add([job("a", 10)])
    await jobs.add([job("a", 30)])
    assert await jobs.lease(20, 100, 10) == []
    assert [job_.id for job_ in await jobs.lease(30, 100, 10)] == ["a"]


async def test_leased_jobs_are_due_and_exclusive_until_the_lease_ends(app: App) -> None:
    jobs = app.store.jobs
    await jobs.add([job("a", 10), job("b", 20), job("c", 30)])
    leased = await jobs.lease(20, 100, 10)
    assert [(job_.id, job_.payload, job_.attempts) for job_ in leased] == [
        ("a", b"\x00bytes", 1),
        ("b", b"\x00bytes", 1),
    ]
    assert await jobs.lease(20, 100, 10) == []
    await jobs.done(["a"])
    assert [(job_.id, job_.attempts) for job_ in await jobs.lease(100, 200, 10)] == [("b", 2), ("c", 1)]


async def test_lease_takes_at_most_its_limit_and_the_longest_due_first(app: App) -> None:
    jobs = app.store.jobs
    await jobs.add([job("a", 30), job("b", 10), job("c", 20)])
    assert {job_.id for job_ in await jobs.lease(50, 100, 2)} == {"b", "c"}


async def test_unleased_job_can_be_cancelled(app: App) -> None:
    jobs = app.store.jobs
    await jobs.add([job("a", 10), job("b", 20)])
    await jobs.lease(10, 100, 10)
    assert await jobs.cancel(["a", "b", "c"]) == {"b"}
    assert [job_.id for job_ in await jobs.lease(1_000, 2_000, 10)] == ["a"]


async def test_job_added_again_during_its_lease_runs_once_more(app: App) -> None:
    jobs = app.store.jobs
    await jobs.add([job("a", 10)])
    await jobs.lease(10, 100, 10)
    await jobs.add([job("a", 50)])
    await jobs.done(["a"])
    assert [job_.id for job_ in await jobs.lease(50, 100, 10)] == ["a"]
    await jobs.add([job("a", 200)])
    assert await jobs.cancel(["a"]) == {"a"}


class FakeHandler:
    """A job handler that can be set to fail."""

    def __init__(self) -> None:
        self.done: list[bytes] = []
        self.remaining_failures = 0

    async def __call__(self, job: Job) -> None:
        self.remaining_failures -= 1
        if self.remaining_failures >= 0:
            raise Unavailable("away")
        self.done.append(job.payload)


def start_runner(app: App) -> tuple[JobRunner, FakeHandler]:
    jobs, handler = JobRunner(app.store.jobs, app.clock, Ids().new), FakeHandler()
    jobs.register("k", handler)
    return jobs, handler


async def test_job_runs_once_when_it_is_due(app: App) -> None:
    jobs, handler = start_runner(app)
    await jobs.add("k", b"now")
    await jobs.put_off("k", {"1": b"later"}, 5_000)
    assert [await jobs.run_due(), await jobs.run_due()] == [1, 0]
    app.clock.advance(5)
    await jobs.run_due()
    assert handler.done == [b"now", b"later"]


async def test_failed_job_is_retried_with_growing_pauses_until_its_deadline(app: App) -> None:
    jobs, handler = start_runner(app)
    handler.remaining_failures = 1_000
    await jobs.add("k", b"x")
    tries = []
    for second in range(RETRY_DEADLINE_MS // 1000 + 100):
        if await jobs.run_due():
            tries.append(second)
        app.clock.advance(1)
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert pauses[:4] == [1, 2, 4, 8]
    assert max(pauses) == 60
    assert tries[-1] <= RETRY_DEADLINE_MS // 1000
    assert await app.store.jobs.lease(app.now + 10**9, app.now + 10**9, 10) == []


async def test_job_of_a_killed_process_is_run_by_the_next(app: App) -> None:
    jobs, handler = start_runner(app)
    await jobs.add("k", b"x")
    await app.store.jobs.lease(app.now, app.now + 30_000, 10)  # and dies
    assert await jobs.run_due() == 0
    app.clock.advance(30)
    await jobs.run_due()
    assert handler.done == [b"x"]


async def test_job_of_unknown_kind_is_left_for_other_processes(app: App) -> None:
    jobs, _ = start_runner(app)
    await app.store.jobs.add([Job(id="z", kind="newer", payload=b"", run_at=app.now, created_at=app.now)])
    await jobs.run_due()
    assert [job_.id for job_ in await app.store.jobs.lease(app.now + 60_000, app.now + 90_000, 10)] == ["z"]
