"""What the foreign dialects keep: last events, how far devices were told, durable work."""

import itertools

from bellcast.errors import Unavailable
from bellcast.jobs import RETRY_DEADLINE_MS, JobRunner
from bellcast.model.ids import Ids
from bellcast.model.inboxes import Position
from bellcast.ports import UNKNOWN, DevicePosition, Job, LastEvent
from tests.contract.app import App

NOBODY: frozenset[str] = frozenset()


def link(
    name: str, revision: int = UNKNOWN, *, inbox: int = 1, device: bytes = b"phone", epoch: int = 7
) -> DevicePosition:
    return DevicePosition(inbox, device, name, epoch, revision)


# --- last events


async def test_the_last_event_of_a_topic_is_kept_until_it_is_too_old(app: App) -> None:
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


async def test_a_device_nobody_knows_has_no_position(app: App) -> None:
    assert await app.store.devices.register(link("a"), NOBODY, 0) is None
    assert await app.store.devices.register(link("b", device=b"laptop"), NOBODY, 0) is None


async def test_one_that_returns_goes_on_from_where_it_was_heard(app: App) -> None:
    devices = app.store.devices
    await devices.register(link("a"), NOBODY, 0)
    await devices.acknowledge([link("a", 5)], 0)
    assert await devices.register(link("b"), NOBODY, 0) == Position(7, 5)
    assert await devices.register(link("c"), NOBODY, 0) == Position(7, 5)  # b has answered nothing yet


async def test_one_that_never_answered_is_not_known(app: App) -> None:
    await app.store.devices.register(link("a"), NOBODY, 0)
    assert await app.store.devices.register(link("b"), NOBODY, 0) is None


async def test_those_still_here_do_not_count(app: App) -> None:
    devices = app.store.devices
    await devices.register(link("a"), NOBODY, 0)
    await devices.acknowledge([link("a", 5)], 0)
    assert await devices.register(link("b"), frozenset({"a"}), 0) is None


async def test_two_that_return_in_any_order_are_told_from_the_lowest(app: App) -> None:
    devices = app.store.devices
    await devices.acknowledge([link("a", 5), link("b", 9)], 0)
    assert await devices.register(link("c"), NOBODY, 0) == Position(7, 5)
    assert await devices.register(link("d"), frozenset({"c"}), 0) == Position(7, 5)
    assert await devices.register(link("e"), frozenset({"c", "d"}), 0) is None


async def test_what_was_noted_long_ago_is_forgotten(app: App) -> None:
    devices = app.store.devices
    await devices.acknowledge([link("a", 5)], 1_000)
    await devices.delete_older(1_001)
    assert await devices.register(link("b"), NOBODY, 0) is None


# --- jobs


def job(id: str, run_at: int) -> Job:
    return Job(id=id, kind="k", payload=b"\x00bytes", run_at=run_at, created_at=0)


async def test_a_job_that_waits_already_is_put_off(app: App) -> None:
    jobs = app.store.jobs
    await jobs.add([job("a", 10)])
    await jobs.add([job("a", 30)])
    assert await jobs.lease(20, 100, 10) == []
    assert [one.id for one in await jobs.lease(30, 100, 10)] == ["a"]


async def test_a_lease_takes_what_is_due_and_nobody_else_gets_it_until_it_ends(app: App) -> None:
    jobs = app.store.jobs
    await jobs.add([job("a", 10), job("b", 20), job("c", 30)])
    leased = await jobs.lease(20, 100, 10)
    assert [(one.id, one.payload, one.attempts) for one in leased] == [("a", b"\x00bytes", 1), ("b", b"\x00bytes", 1)]
    assert await jobs.lease(20, 100, 10) == []
    await jobs.done(["a"])
    assert [(one.id, one.attempts) for one in await jobs.lease(100, 200, 10)] == [("b", 2), ("c", 1)]


async def test_a_lease_takes_no_more_than_it_may_and_the_longest_due_first(app: App) -> None:
    jobs = app.store.jobs
    await jobs.add([job("a", 30), job("b", 10), job("c", 20)])
    assert {one.id for one in await jobs.lease(50, 100, 2)} == {"b", "c"}


async def test_a_job_that_nobody_has_begun_can_be_cancelled(app: App) -> None:
    jobs = app.store.jobs
    await jobs.add([job("a", 10), job("b", 20)])
    await jobs.lease(10, 100, 10)
    assert await jobs.cancel(["a", "b", "c"]) == {"b"}
    assert [one.id for one in await jobs.lease(1_000, 2_000, 10)] == ["a"]


async def test_a_job_added_again_while_it_is_done_is_done_once_more(app: App) -> None:
    jobs = app.store.jobs
    await jobs.add([job("a", 10)])
    await jobs.lease(10, 100, 10)
    await jobs.add([job("a", 50)])
    await jobs.done(["a"])
    assert [one.id for one in await jobs.lease(50, 100, 10)] == ["a"]
    await jobs.add([job("a", 200)])
    assert await jobs.cancel(["a"]) == {"a"}


class Doer:
    """Does jobs, or fails."""

    def __init__(self) -> None:
        self.done: list[bytes] = []
        self.fails = 0

    async def __call__(self, job: Job) -> None:
        self.fails -= 1
        if self.fails >= 0:
            raise Unavailable("away")
        self.done.append(job.payload)


def working(app: App) -> tuple[JobRunner, Doer]:
    jobs, doer = JobRunner(app.store.jobs, app.clock, Ids().new), Doer()
    jobs.register("k", doer)
    return jobs, doer


async def test_work_is_done_once_when_it_is_due(app: App) -> None:
    jobs, doer = working(app)
    await jobs.add("k", b"now")
    await jobs.put_off("k", {"1": b"later"}, 5_000)
    assert [await jobs.run_due(), await jobs.run_due()] == [1, 0]
    app.clock.advance(5)
    await jobs.run_due()
    assert doer.done == [b"now", b"later"]


async def test_failed_work_is_tried_again_with_growing_pauses_and_given_up(app: App) -> None:
    jobs, doer = working(app)
    doer.fails = 1_000
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


async def test_work_another_process_died_over_is_done_by_the_next(app: App) -> None:
    jobs, doer = working(app)
    await jobs.add("k", b"x")
    await app.store.jobs.lease(app.now, app.now + 30_000, 10)  # and dies
    assert await jobs.run_due() == 0
    app.clock.advance(30)
    await jobs.run_due()
    assert doer.done == [b"x"]


async def test_work_nobody_here_knows_is_left_for_who_does(app: App) -> None:
    jobs, _ = working(app)
    await app.store.jobs.add([Job(id="z", kind="newer", payload=b"", run_at=app.now, created_at=app.now)])
    await jobs.run_due()
    assert [one.id for one in await app.store.jobs.lease(app.now + 60_000, app.now + 90_000, 10)] == ["z"]
