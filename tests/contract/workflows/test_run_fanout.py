"""Fan-outs of triggers on every store: pages of runs that execute their first steps with their commit."""

from collections import Counter
from typing import Any

import msgspec
import pytest

from bellcast.channels.audiences import COMMIT_PAGE
from bellcast.inbox.types import Audience
from bellcast.kernel.db.lists import ListTotal
from bellcast.kernel.jobs import Job, kind_of
from bellcast.workflows.execution import BACKLOG_MS
from bellcast.workflows.store import FANOUT_JOB_KIND, Runs
from bellcast.workflows.types.runs import RunState, restarted
from tests.clock import FakeClock
from tests.contexts import NoFeed
from tests.contract.app import App, wanted
from tests.due_jobs import run_due
from tests.store import Store
from tests.workflows import WorkflowWorld

RECIPIENTS = COMMIT_PAGE + 10
KEYS = [f"r{number:03}" for number in range(RECIPIENTS)]
LAST = KEYS[-1]
ROOM = Audience(topic="room")
BELL = {"key": "bell", "type": "inbox", "title": "Booked by {{ data.client }}"}
MAIL = {"key": "mail", "type": "email", "subject": "Booked", "text": "By {{ data.client }} for {{ recipient.name }}"}


@pytest.fixture
async def world(store: Store, clock: FakeClock) -> WorkflowWorld:
    world = WorkflowWorld(store, clock)
    await subscribe_all(world)
    return world


async def subscribe_all(world: WorkflowWorld) -> None:
    for key in KEYS:
        await world.recipient(key, name=f"Name of {key}", email=f"{key}@example.com")
        await world.store.subscriptions.subscribe("", "room", key, world.clock.now())


def fanout_job(trigger: str, now: int) -> Job:
    return Job(id=trigger, kind=FANOUT_JOB_KIND, payload=trigger.encode(), run_at=now, created_at=now)


async def counts(world: WorkflowWorld, trigger: str) -> dict[str, int]:
    return await world.store.runs.counts("", trigger)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What is counted for the statistics."""
    counted = Counter[str]()
    monkeypatch.setattr(NoFeed, "count", lambda _, kind, tenant, number: counted.update({kind: number}))
    return counted


@pytest.mark.parametrize("to", [ROOM, ["alice", "bob"]], ids=["audience", "recipients"])
async def test_each_run_is_counted_once_as_it_starts(
    world: WorkflowWorld, counted: Counter[str], to: Audience | list[str]
) -> None:
    await world.put("booking", BELL, {"key": "wait", "type": "delay", "for": "30m"}, {**BELL, "key": "again"})
    await world.trigger("booking", to, data={"client": "Ann"})
    await world.advance(3600)
    started = RECIPIENTS if to is ROOM else 2
    assert counted == {"start": started, "send": 2 * started}


@pytest.mark.parametrize("to", [ROOM, "alice"], ids=["audience", "recipient"])
async def test_run_that_was_paused_before_its_first_step_is_counted_once(
    world: WorkflowWorld, counted: Counter[str], to: Audience | str
) -> None:
    await world.put("booking", BELL)
    trigger = await world.trigger("booking", to, data={"client": "Ann"})
    started = RECIPIENTS if to is ROOM else 1
    for active, state in [(False, "paused"), (True, "completed")]:
        await world.workflows.workflow_catalog.change("", "booking", active=active, version=None)
        await world.settle()
        assert await counts(world, trigger) == {state: started}
        assert counted["start"] == started


@pytest.mark.parametrize("to", [ROOM, "alice"], ids=["audience", "recipient"])
async def test_runs_of_a_digest_and_restarted_runs_are_counted_once(
    world: WorkflowWorld, counted: Counter[str], to: Audience | str
) -> None:
    await world.put("booking", {"key": "all", "type": "digest", "window": "1h"}, {**BELL, "title": "{{ data.client }}"})
    triggers = [await world.trigger("booking", to, data={}, idempotency_key=key) for key in ("a", "b", "b")]
    await world.advance(3600)
    started = RECIPIENTS if to is ROOM else 1
    assert len({*triggers}) == 2
    assert await counts(world, triggers[0]) == {"failed": started}
    assert counted == {"start": 2 * started}
    for run in await world.runs(trigger=triggers[0]):
        assert await world.store.runs.retry(restarted(run), world.clock.now())
    await world.settle()
    assert counted == {"start": 2 * started}


async def test_page_decodes_the_state_of_its_runs_once(world: WorkflowWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = list[bytes]()

    def decode(body: bytes) -> RunState:
        decoded.append(body)
        return msgspec.json.decode(body, type=RunState)

    monkeypatch.setattr("bellcast.workflows.types.runs.decode", decode)
    await world.put("booking", BELL)
    id = await world.trigger("booking", ROOM, data={"client": "Ann"})
    assert await run_due(world.runner) == 1
    assert await counts(world, id) == {"completed": RECIPIENTS}
    assert len(decoded) <= 2  # pages


@pytest.mark.parametrize("leaves_messages", [False, True])
async def test_page_executes_the_first_steps_without_jobs(
    world: WorkflowWorld, app: App, leaves_messages: bool
) -> None:
    world.leaves_messages = leaves_messages
    await world.put("booking", BELL, MAIL)
    id = await world.trigger("booking", ROOM, data={"client": "Ann"})
    assert await run_due(world.runner) == 1
    assert await counts(world, id) == {"completed": RECIPIENTS}
    assert await app.titles(LAST) == ["Booked by Ann"]
    jobs = await app.lease(app.now, app.now + 1, 1000)
    assert {kind_of(job.kind) for job in jobs} == ({"message"} if leaves_messages else set())
    assert world.reports.ended == ({} if leaves_messages else {("email", "simulated"): RECIPIENTS})
    texts = {message.recipient: message.content for message in await world.messages()}
    assert len(texts) == RECIPIENTS
    assert f"By Ann for Name of {LAST}".encode() in texts[LAST]


async def test_rows_of_a_page_are_published_once(world: WorkflowWorld) -> None:
    await world.put("booking", BELL)
    await world.trigger("booking", ROOM, data={"client": "Ann"})
    await world.settle()
    assert len(world.published) == RECIPIENTS


async def test_waiting_runs_of_a_page_continue_by_their_jobs(world: WorkflowWorld, app: App) -> None:
    looked = {"key": "looked", "type": "wait_for", "step": "bell", "event": "seen", "timeout": "1h"}
    await world.put("booking", BELL, looked, {**BELL, "key": "again", "title": "Again"})
    id = await world.trigger("booking", ROOM, data={"client": "Ann"})
    await world.settle()
    assert await counts(world, id) == {"waiting": RECIPIENTS}
    await app.mark(LAST, "seen")
    await world.settle()
    assert await counts(world, id) == {"waiting": RECIPIENTS - 1, "completed": 1}
    await world.advance(3600)
    assert await counts(world, id) == {"completed": RECIPIENTS}
    assert await app.titles(KEYS[0]) == ["Again", "Booked by Ann"]
    assert await app.titles(LAST) == ["Booked by Ann"]


async def test_recipient_that_subscribed_after_a_trigger_has_no_run(world: WorkflowWorld) -> None:
    await world.put("booking", BELL)
    id = await world.trigger("booking", ROOM, data={"client": "Ann"})
    await world.store.subscriptions.subscribe("", "room", "late", world.clock.now())
    await world.settle()
    assert await counts(world, id) == {"completed": RECIPIENTS}


async def test_steps_that_count_are_executed_by_jobs(world: WorkflowWorld, app: App) -> None:
    await world.put("booking", {"key": "few", "type": "throttle", "window": "1h", "limit": 1}, BELL)
    triggers = [await world.trigger("booking", ROOM, data={"client": "Ann"}) for _ in range(2)]
    await world.advance(60)  # a busy PostgreSQL may end a statement by its time limit: its jobs are due again later
    ended = sum([Counter(await counts(world, id)) for id in triggers], Counter[str]())
    assert ended == {"completed": RECIPIENTS, "throttled": RECIPIENTS}


async def test_failing_step_fails_the_run_of_that_recipient_only(world: WorkflowWorld) -> None:
    await world.recipient(LAST, data={"none": True})
    await world.put(
        "booking", {**BELL, "title": "{% if recipient.data.none %}{{ data.missing }}{% else %}A{% endif %}"}
    )
    id = await world.trigger("booking", ROOM)
    await world.settle()
    assert await counts(world, id) == {"completed": RECIPIENTS - 1, "failed": 1}


async def test_preferences_of_each_recipient_decide(world: WorkflowWorld, app: App) -> None:
    await world.store.preferences.put("", LAST, b'{"channels":{"inbox":false}}', switches_inbox=True, now=0)
    await world.put("booking", BELL)
    await world.trigger("booking", ROOM, data={"client": "Ann"})
    await world.settle()
    assert await app.titles(LAST) == []
    assert await app.titles(KEYS[0]) == ["Booked by Ann"]


async def test_repeated_fanout_job_adds_nothing(world: WorkflowWorld, app: App) -> None:
    await world.put("booking", BELL, MAIL)
    id = await world.trigger("booking", ROOM, data={"client": "Ann"})
    for _ in range(3):
        await world.execute(fanout_job(id, app.now))
    assert await counts(world, id) == {"completed": RECIPIENTS}
    assert len(await world.messages()) == RECIPIENTS


class LosingRuns:
    """Runs that loses commits of pages, or the responses to them."""

    def __init__(self, runs: Any, *, is_committed: bool) -> None:
        self._runs = runs
        self._is_committed = is_committed
        self.pages = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runs, name)

    async def add_page(self, *page: Any) -> Any:
        self.pages += 1
        if self.pages != 2:
            return await self._runs.add_page(*page)
        if self._is_committed:
            await self._runs.add_page(*page)
        raise KeyboardInterrupt


@pytest.mark.parametrize("is_committed", [False, True])
async def test_process_that_dies_at_a_page_repeats_no_effect(
    world: WorkflowWorld, app: App, is_committed: bool
) -> None:
    await world.put("booking", BELL, MAIL)
    id = await world.trigger("booking", ROOM, data={"client": "Ann"})
    runs = world.store.runs
    world.store.replaced[Runs] = LosingRuns(runs, is_committed=is_committed)
    with pytest.raises(KeyboardInterrupt):
        await world.execute(fanout_job(id, app.now))
    world.store.replaced.clear()
    await world.execute(fanout_job(id, app.now))
    assert await counts(world, id) == {"completed": RECIPIENTS}
    assert {len(await app.titles(key)) for key in KEYS} == {1}
    assert len(await world.messages()) == RECIPIENTS


async def test_page_that_cannot_be_executed_is_left_to_the_jobs_of_its_runs(
    world: WorkflowWorld, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_page, failures = world.store.runs.add_page, [1]

    async def fail_once(*page: Any) -> Any:
        if failures:
            failures.pop()
            raise ZeroDivisionError
        return await add_page(*page)

    monkeypatch.setattr(type(world.store.runs), "add_page", staticmethod(fail_once))
    await world.put("booking", BELL)
    id = await world.trigger("booking", ROOM, data={"client": "Ann"})
    await world.advance(120)
    assert failures == []
    assert await counts(world, id) == {"completed": RECIPIENTS}
    assert await app.titles(LAST) == ["Booked by Ann"]


async def test_cancelled_fanout_adds_no_page(world: WorkflowWorld, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.put("booking", BELL)
    id = await world.trigger("booking", ROOM, data={"client": "Ann"})
    add_page, pages = world.store.runs.add_page, []

    async def cancel_before_the_second_page(*page: Any) -> Any:
        pages.append(page)
        if len(pages) == 2:
            await world.store.runs.cancel("", id, app.now)
        return await add_page(*page)

    monkeypatch.setattr(type(world.store.runs), "add_page", staticmethod(cancel_before_the_second_page))
    await world.execute(fanout_job(id, app.now))
    assert await counts(world, id) == {"completed": COMMIT_PAGE}
    assert await app.titles(LAST) == []


async def cancel_for(world: WorkflowWorld, *keys: str) -> int:
    return await world.store.runs.cancel_by_key("", "booking", "b7", list(keys), world.clock.now())


async def test_recipients_of_a_cancel_get_no_run_of_a_running_fanout(world: WorkflowWorld, app: App) -> None:
    await world.put("booking", BELL)
    id = await world.trigger("booking", ROOM, data={"client": "Ann"}, cancel_key="b7")
    other = await world.trigger("booking", ROOM, data={"client": "Eve"}, cancel_key="b8")
    assert [await cancel_for(world, KEYS[0]), await cancel_for(world, LAST, "unknown")] == [0, 0]
    await world.settle()
    assert await counts(world, id) == {"completed": RECIPIENTS - 2}
    assert await counts(world, other) == {"completed": RECIPIENTS}
    assert [await app.titles(key) for key in (KEYS[0], LAST)] == [["Booked by Eve"]] * 2
    fanout = await world.store.fanouts.get(id)
    assert fanout is not None
    assert fanout.state == "done"


@pytest.mark.parametrize("steps", [[BELL], [{"key": "few", "type": "throttle", "window": "1h"}, BELL]])
async def test_cancel_before_the_commit_of_a_page_holds_for_its_recipients(
    world: WorkflowWorld, app: App, monkeypatch: pytest.MonkeyPatch, steps: list[dict[str, Any]]
) -> None:
    await world.put("booking", *steps)
    id = await world.trigger("booking", ROOM, data={"client": "Ann"}, cancel_key="b7")
    add_page, pages, cancelled = world.store.runs.add_page, [], []

    async def cancel_before_the_second_page(*page: Any) -> Any:
        pages.append(page)
        if len(pages) == 2:
            cancelled.append(await cancel_for(world, LAST))
        return await add_page(*page)

    monkeypatch.setattr(type(world.store.runs), "add_page", staticmethod(cancel_before_the_second_page))
    await world.settle()
    assert (cancelled, await counts(world, id)) == ([0], {"completed": RECIPIENTS - 1})
    assert await app.titles(LAST) == []
    assert len(world.published) == RECIPIENTS - 1


@pytest.mark.parametrize("steps", [[BELL], [{"key": "few", "type": "throttle", "window": "1h"}, BELL]])
async def test_recipient_that_is_erased_before_the_commit_of_its_page_is_not_created_again(
    world: WorkflowWorld, monkeypatch: pytest.MonkeyPatch, steps: list[dict[str, Any]]
) -> None:
    await world.put("booking", *steps)
    id = await world.trigger("booking", ROOM, data={"client": "Ann"})
    add_page, pages = world.store.runs.add_page, []

    async def erase_before_the_second_page(*page: Any) -> Any:
        pages.append(page)
        if len(pages) == 2:
            assert await world.store.recipients.delete("", LAST, world.clock.now()) is not None
        return await add_page(*page)

    monkeypatch.setattr(type(world.store.runs), "add_page", staticmethod(erase_before_the_second_page))
    await world.settle()
    assert await counts(world, id) == {"completed": RECIPIENTS - 1}
    assert await world.store.exports.recipient("", LAST) is None


async def test_cancel_counts_the_runs_that_a_fanout_has_added(world: WorkflowWorld) -> None:
    await world.put("booking", {"key": "later", "type": "delay", "for": "1h"})
    id = await world.trigger("booking", ROOM, cancel_key="b7")
    await world.settle()
    assert await cancel_for(world, KEYS[0], LAST) == 2
    assert await counts(world, id) == {"cancelled": 2, "waiting": RECIPIENTS - 2}


async def test_fanout_of_excluded_recipients_only_ends(world: WorkflowWorld) -> None:
    await world.put("booking", BELL)
    id = await world.trigger("booking", ROOM, data={"client": "Ann"}, cancel_key="b7")
    await cancel_for(world, *KEYS)
    await world.settle()
    fanout = await world.store.fanouts.get(id)
    assert fanout is not None
    assert (fanout.state, await counts(world, id), world.published) == ("done", {}, [])


async def test_ended_fanout_names_no_recipient(world: WorkflowWorld) -> None:
    await world.put("booking", BELL)
    id = await world.trigger("booking", ROOM, data={"client": "Ann"}, cancel_key="b7")
    await cancel_for(world, KEYS[0])
    await world.settle()
    fanout = await world.store.fanouts.get(id)
    assert fanout is not None
    assert (fanout.state, fanout.position, fanout.excluded) == ("done", "", frozenset())


async def test_process_that_lost_its_job_repeats_no_recipient(
    world: WorkflowWorld, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it commits a page, the next process commits a smaller one, and dies."""
    await world.put("booking", BELL)
    id = await world.trigger("booking", ROOM, data={"client": "Ann"})
    add_page, pages = world.store.runs.add_page, []

    async def commit_after_another(*page: Any) -> Any:
        pages.append(page)
        if len(pages) == 1:
            monkeypatch.setattr("bellcast.channels.audiences.COMMIT_PAGE", 50)
            with pytest.raises(KeyboardInterrupt):
                await world.execute(fanout_job(id, app.now))
        elif len(pages) == 3:
            raise KeyboardInterrupt
        return await add_page(*page)

    monkeypatch.setattr(type(world.store.runs), "add_page", staticmethod(commit_after_another))
    assert await world.execute(fanout_job(id, app.now)) == [app.now]
    assert await counts(world, id) == {"completed": 50}
    await world.settle()
    assert await counts(world, id) == {"completed": RECIPIENTS}
    assert len(world.published) == RECIPIENTS


async def test_shared_fanout_leaves_runs_to_others_until_they_have_enough(
    store: Store, clock: FakeClock, app: App
) -> None:
    world = WorkflowWorld(store, clock, shares_runs=True)
    await subscribe_all(world)
    await world.put("booking", BELL)
    first = await world.trigger("booking", ROOM, data={"client": "Ann"})
    await world.execute(fanout_job(first, app.now))
    assert await counts(world, first) == {"running": RECIPIENTS}
    clock.advance(BACKLOG_MS / 1000 + 1)
    second = await world.trigger("booking", ROOM, data={"client": "Ann"})
    await world.execute(fanout_job(second, app.now))
    assert await counts(world, second) == {"completed": RECIPIENTS}


async def test_states_of_fanouts_are_found_by_id(world: WorkflowWorld) -> None:
    await world.put("booking", BELL)
    ended = await world.trigger("booking", ROOM, data={"client": "Ann"})
    await world.settle()
    running = await world.trigger("booking", ROOM, data={"client": "Ann"})
    states = await world.store.fanouts.states([ended, running, "absent"])
    assert states == {ended: "done", running: "running"}


async def test_runs_of_all_tenants_are_listed_and_counted(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, ids = WorkflowWorld(store, clock), []
    for tenant in ("acme", "globex", "acme"):
        await world.put("later", {"key": "wait", "type": "delay", "for": "1h"}, tenant=tenant)
        ids.append(await world.trigger("later", tenant=tenant))
        clock.advance(1)
    assert [run.id for run in (await store.runs.page(wanted("*"))).items] == ids[::-1]
    assert [run.id for run in (await store.runs.page(wanted("globex"))).items] == [ids[1]]
    totals = [(await store.runs.page(wanted(tenant, limit=1))).total for tenant in ("*", "acme", "globex", "else")]
    assert totals == [ListTotal(number, exact=True) for number in (3, 2, 1, 0)]
    of_both = msgspec.structs.replace(wanted("*", limit=2), tenants=["acme", "globex"])
    page = await store.runs.page(of_both)
    assert ([run.id for run in page.items], page.next, page.total) == (ids[:0:-1], (ids[1],), ListTotal(3, exact=True))
    rest = await store.runs.page(msgspec.structs.replace(of_both, after=page.next))
    assert ([run.id for run in rest.items], rest.next, rest.total) == ([ids[0]], None, None)
    monkeypatch.setattr("bellcast.kernel.db.lists.MAX_SCANNED_ROWS", 2)
    page = await store.runs.page(wanted("*", workflow="absent"))
    assert (page.items, page.scanned_until) == ([], (ids[1],))
