"""Schedules on every store: weeks of the fake clock in a second."""

import contextlib
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from bellcast.inbox import sending
from bellcast.inbox.types import Audience, Draft
from bellcast.kernel import times
from bellcast.kernel.errors import IdempotencyMismatch, Invalid, Unavailable
from bellcast.kernel.limits import Limits
from bellcast.tenants import erasure
from bellcast.workflows import schedule_firing, schedule_times, schedules
from bellcast.workflows.schedule_times import Schedule
from bellcast.workflows.types.runs import TriggerDraft
from tests.clock import FakeClock
from tests.contract.app import App
from tests.contract.workflows.schedules import DAY, START, ZONES, daily, populate, put
from tests.store import Store
from tests.workflows import WorkflowWorld


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
async def world(store: Store, clock: FakeClock) -> WorkflowWorld:
    return WorkflowWorld(store, clock)


async def sent_at(app: App) -> list[str]:
    return [str(one.created_at.isoformat()) for one in (await app.page("alice"))[::-1]]


async def test_each_day_fires_once_also_when_the_clocks_change(world: WorkflowWorld, app: App) -> None:
    await put(world, daily())
    await world.advance(3 * DAY)
    # The skipped 02:30 fires right after the gap.
    assert await sent_at(app) == [
        "2025-03-30T01:00:00+00:00",
        "2025-03-31T00:30:00+00:00",
        "2025-04-01T00:30:00+00:00",
    ]


async def test_time_fires_once_and_has_no_next(world: WorkflowWorld, app: App) -> None:
    await put(world, daily(cron=None, at="2025-03-29T20:00:00"))
    await world.advance(2 * DAY)
    assert await sent_at(app) == ["2025-03-29T19:00:00+00:00"]
    found = await world.workflows.schedules.find("", "s")
    assert found is not None
    shown = await world.workflows.schedules.shown(found)
    assert (shown["next_at"], shown["last_error"]) == (None, None)


@pytest.mark.parametrize(("missed", "number"), [("latest", 1), ("all", 3), ("skip", 0)])
async def test_missed_times_are_made_up_for_as_configured(
    world: WorkflowWorld, app: App, missed: Any, number: int
) -> None:
    await put(world, daily(missed=missed))
    world.clock.advance(3 * DAY)
    await world.settle()
    assert len(await sent_at(app)) == number
    await world.advance(DAY)
    assert len(await sent_at(app)) == number + 1


async def test_repeated_firing_sends_once(world: WorkflowWorld, app: App) -> None:
    """The process dies between the send and the record of it."""
    await put(world, daily())
    before = await world.store.documents.get(schedules.PROGRESS, "", "s")
    assert before is not None
    world.clock.advance(14 * 3_600)
    (job,) = await app.lease(app.now, app.now + 1, 10)
    following = await schedule_firing.run(world.workflows.schedules, job)
    await world.store.documents.put(schedules.PROGRESS, "", "s", before.body, app.now)
    assert await schedule_firing.run(world.workflows.schedules, job) == following
    assert len(await sent_at(app)) == 1


async def test_workflow_is_triggered_and_errors_are_kept(world: WorkflowWorld) -> None:
    await world.put("hello", {"key": "bell", "type": "inbox", "title": "Hello"})
    await put(world, daily(notification=None, workflow="hello", to=["alice", "bob"]))
    await world.advance(DAY)
    assert len(await world.runs(workflow="hello")) == 2
    await world.workflows.workflow_catalog.change("", "hello", active=False, version=None)
    await world.advance(DAY)
    found = await world.workflows.schedules.find("", "s")
    assert found is not None
    assert found.progress.last_error == "This workflow is not active."
    await world.workflows.workflow_catalog.change("", "hello", active=True, version=None)
    await world.advance(DAY)
    assert len(await world.runs(workflow="hello")) == 4


async def test_inactive_changed_and_deleted_schedules_do_not_fire(world: WorkflowWorld, app: App) -> None:
    await put(world, daily())
    await put(world, daily(active=False))
    await world.advance(2 * DAY)
    assert await sent_at(app) == []
    await put(world, daily(cron="0 12 * * *"))
    await world.advance(DAY)
    assert len(await sent_at(app)) == 1
    assert await world.workflows.schedules.delete("", "s")
    await world.advance(2 * DAY)
    assert len(await sent_at(app)) == 1


# --- sends and triggers with `send_at`


async def test_interrupted_deletion_of_a_fired_schedule_sends_nothing_again(
    world: WorkflowWorld, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sending.send(world.engines, Limits(), Draft(to="alice", title="Later", send_at="2025-03-29T20:00:00Z"))
    await world.advance(DAY)
    assert await app.titles("alice") == ["Later"]
    delete, failures = world.store.runs.delete_schedule, [1]

    async def fail(*schedule: Any) -> bool:
        is_deleted = await delete(*schedule)
        if failures:  # the answer of the first deletion is lost
            failures.pop()
            raise Unavailable
        return is_deleted

    monkeypatch.setattr(type(world.store.runs), "delete_schedule", staticmethod(fail))
    await world.advance(32 * DAY)
    assert failures == []
    assert await app.titles("alice") == ["Later"]


async def test_send_waits_for_its_time_and_its_schedule_is_deleted(world: WorkflowWorld, app: App) -> None:
    draft = Draft(
        to="alice", title="Later", send_at="2025-03-29T20:00:00", timezone="Europe/Vienna", idempotency_key="k"
    )
    first = await sending.send(world.engines, Limits(), draft)
    assert await sending.send(world.engines, Limits(), draft) == first
    with pytest.raises(IdempotencyMismatch):
        await sending.send(world.engines, Limits(), replace(draft, send_at="2025-03-29T21:00:00"))
    scheduled = msgspec.json.decode(first)["schedule"]
    assert scheduled["next_at"] == "2025-03-29T19:00:00Z"
    await world.advance(DAY)
    assert await sent_at(app) == ["2025-03-29T19:00:00+00:00"]
    found = await world.workflows.schedules.find("", scheduled["key"])
    assert found is not None
    assert found.progress.last_error is None
    await world.advance(31 * DAY)
    assert await world.workflows.schedules.find("", scheduled["key"]) is None


async def test_trigger_waits_for_its_time_and_keeps_its_actor_and_key(world: WorkflowWorld, app: App) -> None:
    await world.put("hello", {"key": "bell", "type": "inbox", "title": "{{ actor.name }}"})
    draft = TriggerDraft(to="alice", actor="Bob", cancel_key="c", send_at="2025-03-30T12:00:00Z")
    await world.workflows.schedules.trigger("hello", draft)
    await world.advance(DAY)
    assert await app.titles("alice") == []
    await world.advance(DAY)
    assert await app.titles("alice") == ["Bob"]
    (run,) = await world.runs()
    assert run.cancel_key == "c"


async def wait_for_noon(world: WorkflowWorld, to: Any, cancel_key: str = "c", **fields: Any) -> str:
    """Trigger a workflow for the next day; return the key of the schedule."""
    draft = TriggerDraft(to=to, cancel_key=cancel_key, **{"send_at": "2025-03-30T12:00:00Z", **fields})
    response = await world.workflows.schedules.trigger("hello", draft)
    key: str = msgspec.json.decode(response)["schedule"]["key"]
    return key


async def cancel(world: WorkflowWorld, cancel_key: str = "c", to: list[str] | None = None, tenant: str = "") -> int:
    """Cancel waiting triggers and runs. A dry run counts the same."""
    planned = await world.workflows.schedules.cancel(tenant, "hello", cancel_key, to, is_dry_run=True)
    cancelled = await world.workflows.schedules.cancel(tenant, "hello", cancel_key, to)
    assert planned == cancelled
    return cancelled


@pytest.fixture
async def hello(world: WorkflowWorld) -> None:
    await world.put("hello", {"key": "bell", "type": "inbox", "title": "Hello"}, HOUR)


HOUR = {"key": "pause", "type": "delay", "for": "1h"}


@pytest.mark.usefixtures("hello")
@pytest.mark.parametrize("by", ["key", "cancel_key"])
async def test_schedule_is_deleted_with_all_that_is_stored_of_it(
    world: WorkflowWorld, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """The process ends after the first write."""
    key = await wait_for_noon(world, "alice")
    write, written = world.store.engine.write, list[object]()

    async def once(command: Any) -> Any:
        if written:
            raise Unavailable
        written.append(command)
        return await write(command)

    monkeypatch.setattr(world.store.engine, "write", once)
    with contextlib.suppress(Unavailable):
        if by == "key":
            assert await world.workflows.schedules.delete("", key)
        else:
            assert await world.workflows.schedules.cancel("", "hello", "c", None) == 1
    kinds = schedules.SCHEDULES, schedules.PROGRESS, schedules.CANCEL_NAMES
    assert [await world.store.documents.page(kind, "", "", 1) for kind in kinds] == [[], [], []]


@pytest.mark.usefixtures("hello")
async def test_cancel_key_cancels_triggers_that_wait_for_their_time(world: WorkflowWorld, app: App) -> None:
    keys = [await wait_for_noon(world, "alice"), await wait_for_noon(world, ["alice", "bob"])]
    await wait_for_noon(world, "carol", cancel_key="d")
    await wait_for_noon(world, Audience(all=True), cancel_key="e")
    await wait_for_noon(world, "dora", tenant="acme")
    assert await cancel(world, "C") == 0
    assert await cancel(world) == 3
    assert await cancel(world) == 0
    assert await cancel(world, "e") == 1
    assert [await world.workflows.schedules.find("", key) for key in keys] == [None, None]
    await world.advance(2 * DAY)
    assert [run.recipient for run in await world.runs()] == ["carol"]
    assert [run.recipient for run in await world.runs(tenant="acme")] == ["dora"]
    # Nothing but the two that fired is left.
    left = [one async for one in world.store.documents.every(schedules.CANCEL_NAMES)]
    assert [tenant for tenant, _ in left] == ["", "acme"]
    await world.advance(31 * DAY)
    assert [one async for one in world.store.documents.every(schedules.CANCEL_NAMES)] == []


@pytest.mark.usefixtures("hello")
async def test_waiting_triggers_of_an_erased_tenant_are_deleted(world: WorkflowWorld, app: App) -> None:
    await wait_for_noon(world, "alice")
    await world.store.tenants.put("acme", None, {}, world.clock.now())
    await wait_for_noon(world, "dora", tenant="acme")
    await erasure.delete_tenant(world.engines, world.clock, "acme")
    for kind in (schedules.SCHEDULES, schedules.PROGRESS, schedules.CANCEL_NAMES):
        left = [one async for one in world.store.documents.every(kind)]
        assert [tenant for tenant, _ in left] == [""], kind


@pytest.mark.usefixtures("hello")
async def test_cancel_key_cancels_some_recipients_of_a_waiting_trigger(world: WorkflowWorld, app: App) -> None:
    await wait_for_noon(world, ["alice", "bob", "carol"])
    await wait_for_noon(world, Audience(all=True), cancel_key="e")
    assert await cancel(world, to=["alice", "stranger"]) == 1
    assert await cancel(world, to=["alice"]) == 0
    assert await cancel(world, "e", to=["alice"]) == 0  # an audience is cancelled as a whole
    await world.advance(DAY + 3_600 + 60)
    assert sorted(run.recipient for run in await world.runs() if run.cancel_key == "c") == ["bob", "carol"]


@pytest.mark.usefixtures("hello")
async def test_fired_trigger_is_cancelled_by_its_runs_only(world: WorkflowWorld, app: App) -> None:
    key = await wait_for_noon(world, ["alice", "bob"])
    await world.advance(DAY + 3_600 + 60)
    assert await cancel(world) == 2
    assert {run.state for run in await world.runs()} == {"cancelled"}
    assert await world.workflows.schedules.find("", key) is not None


@pytest.mark.usefixtures("hello")
async def test_waiting_trigger_by_zone_is_cancelled_where_it_has_not_fired(world: WorkflowWorld, app: App) -> None:
    await populate(world)
    await wait_for_noon(world, list(ZONES), send_at="2025-03-29T20:00:00", timezone="recipient")
    await world.advance(8.5 * 3_600)  # 20:30 in Vienna; in Auckland, where it is the next day, it fired immediately
    assert sorted(run.recipient for run in await world.runs()) == ["alice", "zoe"]
    assert await cancel(world) == 3  # the run of zoe has ended
    await world.advance(2 * DAY)
    assert sorted(run.recipient for run in await world.runs()) == ["alice", "zoe"]


@pytest.mark.usefixtures("hello")
async def test_trigger_that_is_cancelled_while_it_fires_starts_nothing(
    world: WorkflowWorld, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job has read the schedule when the cancellation commits."""
    await wait_for_noon(world, ["alice", "bob"])
    await wait_for_noon(world, ["carol", "dora"], cancel_key="d")
    world.clock.advance(2 * DAY)
    jobs = await app.lease(app.now, app.now + 1, 10)
    fire, cancelled = schedule_firing.fire, []

    async def cancel_then_fire(*args: Any, **kwargs: Any) -> bytes:
        if not cancelled:
            cancelled.append(await cancel(world))
            cancelled.append(await cancel(world, "d", to=["carol"]))
        return await fire(*args, **kwargs)

    monkeypatch.setattr(schedule_firing, "fire", cancel_then_fire)
    for job in jobs:
        if await schedule_firing.run(world.workflows.schedules, job) == app.now:
            await schedule_firing.run(world.workflows.schedules, job)
    assert cancelled == [2, 1]
    assert [run.recipient for run in await world.runs()] == ["dora"]


async def test_object_is_changed_only_as_it_was_read(store: Store) -> None:
    documents = store.documents
    await documents.put("kind", "", "k", b'{"a":1}', 1)
    assert not await documents.change("kind", "", "k", b'{"a":2}', b'{"a":3}', 2)
    assert not await documents.change("kind", "", "other", b'{"a":1}', None, 2)
    assert await documents.change("kind", "", "k", b'{"a":1}', b'{"a":3}', 2)
    found = await documents.get("kind", "", "k")
    assert found is not None
    assert (found.body, found.created_at, found.updated_at) == (b'{"a":3}', 1, 2)
    assert await documents.change("kind", "", "k", b'{"a":3}', None, 3)
    assert await documents.get("kind", "", "k") is None


@pytest.mark.usefixtures("hello")
async def test_send_and_trigger_repeated_after_their_time_get_the_first_response(
    world: WorkflowWorld, app: App
) -> None:
    at = times.to_rfc3339(START + 30_000).isoformat()
    draft = Draft(to="alice", title="Reminder", send_at=at, idempotency_key="send")
    trigger = TriggerDraft(to="bob", send_at=at, idempotency_key="trigger")
    schedules = world.workflows.schedules
    first = [await sending.send(world.engines, Limits(), draft), await schedules.trigger("hello", trigger)]
    await world.advance(120)
    again = [await sending.send(world.engines, Limits(), draft), await schedules.trigger("hello", trigger)]
    assert again == first
    assert await sending.BulkSend(world.engines, Limits()).send([draft]) == first[:1]
    await world.advance(120)
    assert (await app.titles("alice"), len(await world.runs())) == (["Reminder"], 1)
    with pytest.raises(IdempotencyMismatch):
        await sending.send(world.engines, Limits(), replace(draft, title="Another"))
    with pytest.raises(IdempotencyMismatch):
        await schedules.trigger("hello", replace(trigger, to="carol"))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"send_at": "noon"}, "send_at"),
        ({"send_at": "2025-03-30T12:00:00"}, "send_at"),
        ({"send_at": "2025-03-29T10:00:00Z"}, "send_at"),
        ({"send_at": "2027-03-29T10:00:00Z"}, "send_at"),
        ({"send_at": "2025-03-30T12:00:00Z", "timezone": "recipient"}, "send_at"),
        ({"timezone": "recipient"}, "timezone"),
        ({"send_at": "2025-03-30T12:00:00", "timezone": "Mars"}, "timezone"),
        ({"send_at": "2025-03-30T12:00:00Z", "template": "none"}, "template"),
    ],
)
async def test_wrong_times_of_sends_are_refused(world: WorkflowWorld, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        await sending.send(world.engines, Limits(), Draft(**{"to": "alice", "title": "x", **fields}))
    assert [error.field for error in refused.value.errors] == [field]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"at": "2025-04-01T00:00:00Z"}, "cron"),
        ({"cron": None}, "cron"),
        ({"cron": "* *"}, "cron"),
        ({"cron": None, "at": "noon"}, "at"),
        ({"cron": None, "at": "2025-04-01T00:00:00", "timezone": None}, "at"),
        ({"cron": None, "at": "2025-03-29T10:58:00Z"}, "at"),
        ({"cron": None, "at": "2026-04-01T00:00:00Z"}, "at"),
        ({"timezone": "Mars"}, "timezone"),
        ({"cron": None, "at": "2025-03-30T00:00:00Z", "timezone": "recipient"}, "at"),
        ({"timezone": "recipient", "notification": {"to": {"tenant": "*"}, "title": "x"}}, "notification.to.tenant"),
        ({"notification": {"to": "a", "title": "x", "send_at": "2025-04-01T00:00:00Z"}}, "notification.send_at"),
        ({"notification": None}, "workflow"),
        ({"workflow": "x"}, "workflow"),
        ({"notification": None, "workflow": "x"}, "to"),
        ({"notification": {"title": "x"}}, "notification.to"),
        ({"notification": {"to": "", "title": "x"}}, "notification.to"),
    ],
)
def test_wrong_schedules_are_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        schedule_times.check(daily(**fields), START, Limits())
    assert field in [error.field for error in refused.value.errors]


def test_schedule_survives_json() -> None:
    schedule = daily()
    assert msgspec.json.decode(msgspec.json.encode(schedule), type=Schedule) == schedule


async def test_schedule_by_zone_waits_for_its_first_recipient(world: WorkflowWorld, app: App) -> None:
    notification = {"to": {"all": True}, "title": "Good morning"}
    await put(world, daily(timezone="recipient", notification=notification))
    await world.settle()
    await world.recipient("alice", timezone="Europe/Vienna")
    await world.advance(DAY)
    assert len(await sent_at(app)) == 1


async def test_key_of_a_client_does_not_stop_a_firing(world: WorkflowWorld, app: App) -> None:
    at = times.to_rfc3339(START + 10_000).isoformat()
    for number in range(2):
        once = Schedule(at=at, notification={"to": "alice", "title": f"Fired {number}"})
        await put(world, once)
        moment = START + 10_000
        taken = Draft(to="alice", title="Client", idempotency_key=f"schedule s {moment}")
        await sending.send(world.engines, Limits(), taken)
        await world.advance(20)
    assert await app.titles("alice") == ["Fired 1", "Fired 0", "Client"]
