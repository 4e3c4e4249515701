"""Schedules that fire at the local time of each recipient, on every store."""

from typing import Any

import msgspec
import pytest

from bellcast.channels import audiences
from bellcast.inbox.quotas import Quotas
from bellcast.kernel.limits import Limits
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.workflows import schedule_firing, schedules
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


async def times_of(app: App, key: str) -> list[str]:
    return [one.created_at.isoformat()[5:16] for one in (await app.page(key))[::-1]]


async def test_each_recipient_gets_a_local_time_in_its_own_zone(world: WorkflowWorld, app: App) -> None:
    await populate(world)
    everyone = {"to": {"all": True}, "title": "Good morning"}
    await put(world, daily(cron="0 8 * * *", timezone="recipient", notification=everyone))
    await world.advance(2 * DAY)
    # In Vienna, the clocks went forward.
    assert await times_of(app, "alice") == ["03-30T06:00", "03-31T06:00"]
    assert await times_of(app, "bob") == ["03-29T12:00", "03-30T12:00"]
    assert await times_of(app, "mia") == ["03-30T08:00", "03-31T08:00"]
    assert await times_of(app, "zoe") == ["03-29T19:00", "03-30T19:00"]


async def test_recipient_that_moves_gets_no_local_time_twice(world: WorkflowWorld, app: App) -> None:
    await populate(world)
    await put(world, daily(cron="0 8 * * *", timezone="recipient", notification={"to": ["zoe"], "title": "Hi"}))
    await world.advance(DAY / 2)
    assert len(await times_of(app, "zoe")) == 1
    await world.recipient("zoe", timezone="America/New_York")
    await world.advance(DAY)  # past 8:00 of the same day in New York
    assert len(await times_of(app, "zoe")) == 1
    await world.advance(DAY)
    assert await times_of(app, "zoe") == ["03-29T19:00", "03-31T12:00"]


async def test_time_in_each_zone_fires_immediately_where_it_has_passed(world: WorkflowWorld, app: App) -> None:
    await populate(world)
    await world.put("hello", {"key": "bell", "type": "inbox", "title": "Hello"})
    at = {"cron": None, "at": "2025-03-29T12:30:00", "timezone": "recipient"}
    await put(world, daily(**at, notification=None, workflow="hello", to={"all": True}))
    await world.advance(2 * DAY)
    assert await times_of(app, "zoe") == ["03-29T11:00"]
    assert await times_of(app, "alice") == ["03-29T11:30"]
    assert await times_of(app, "mia") == ["03-29T12:30"]
    assert await times_of(app, "bob") == ["03-29T16:30"]
    assert await world._next_due() is None


async def test_firing_that_is_repeated_in_the_middle_reaches_each_recipient_once(
    world: WorkflowWorld, app: App
) -> None:
    await populate(world)
    everyone = {"to": {"all": True}, "title": "Good morning", "channels": ["inbox", "email"]}
    await put(world, daily(cron="0 8 * * *", timezone="recipient", notification=everyone))
    before = await world.store.documents.get(schedules.PROGRESS, "", "s")
    assert before is not None
    await world.advance(DAY)
    await world.store.documents.put(schedules.PROGRESS, "", "s", before.body, app.now)
    (job,) = await app.lease(2**52, 2**52 + 1, 10)
    await schedule_firing.run(world.workflows.schedules, job)
    assert [len(await times_of(app, key)) for key in ZONES] == [1, 1, 1, 1]


async def test_schedule_by_zone_reaches_the_tenant_of_its_notification(world: WorkflowWorld, app: App) -> None:
    for tenant, key in (("", "bob"), ("acme", "eve")):
        await world.store.subscriptions.subscribe(tenant, "news", key, app.now)
    notification = {"tenant": "acme", "to": {"topic": "news"}, "title": "Good morning"}
    await put(world, daily(cron="0 8 * * *", timezone="recipient", notification=notification))
    await world.advance(DAY)
    assert await app.titles("eve", tenant="acme") == ["Good morning"]
    assert await app.titles("bob", tenant="acme") == []
    assert await app.titles("bob") == []


async def test_schedule_that_is_deleted_while_it_fires_reaches_no_further_recipients(
    world: WorkflowWorld, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audiences, "READ_PAGE", 1)
    add, sends = world.store.sends.add, 0

    async def add_and_delete(requests: Any) -> Any:
        nonlocal sends
        async for committed in add(requests):
            yield committed
        sends += 1
        await world.workflows.schedules.delete("", "s")

    monkeypatch.setattr(type(world.store.sends), "add", staticmethod(add_and_delete))
    notification = {"to": ["alice", "bob", "carol"], "title": "Hi"}
    await put(world, daily(cron="0 8 * * *", timezone="recipient", notification=notification))
    await world.advance(DAY)
    assert sends == 1
    assert sum([len(await app.titles(key)) for key in ("alice", "bob", "carol")]) == 1


# --- recipients that are refused


async def test_schedule_by_zone_reaches_more_recipients_than_one_send_may_name(
    world: WorkflowWorld, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"r{number}" for number in range(5)]
    for key in keys:
        await world.recipient(key, timezone="Europe/Vienna")
    monkeypatch.setattr(world.workflows.schedules, "limits", Limits(to=2))
    notification = {"to": {"all": True}, "title": "Hi"}
    await put(world, daily(cron="0 8 * * *", timezone="recipient", notification=notification))
    await world.advance(DAY)
    assert [await app.titles(key) for key in keys] == [["Hi"]] * 5


async def test_template_that_fails_for_one_recipient_is_sent_to_the_others_in_its_zone(
    world: WorkflowWorld, app: App
) -> None:
    for key in ("alice", "bob", "carol"):
        await world.recipient(key, timezone="Europe/Vienna", data={} if key == "bob" else {"plan": "x"})
    template = b'{"inbox":{"title":"{{ recipient.data.plan }}"}}'
    await world.store.documents.put("templates", "", "plan", template, app.now)
    notification = {"to": {"all": True}, "template": "plan"}
    await put(world, daily(cron="0 8 * * *", timezone="recipient", notification=notification))
    await world.advance(DAY)
    found = await world.workflows.schedules.find("", "s")
    assert found is not None
    assert [await app.titles(key) for key in ("alice", "bob", "carol")] == [["x"], [], ["x"]]
    assert "recipient.data.plan" in str(found.progress.last_error)


@pytest.mark.thorough
async def test_schedule_by_zone_uses_what_is_left_of_the_daily_quota(world: WorkflowWorld, app: App) -> None:
    keys = ("alice", "bob", "carol")
    for key in keys:
        await world.recipient(key, timezone="Europe/Vienna")
    quotas = Quotas(world.store, TokenBuckets(), Limits(sends_per_day=2), world.clock)
    world.engines = msgspec.structs.replace(world.engines, quotas=quotas)
    await put(world, daily(cron="0 8 * * *", timezone="recipient", notification={"to": {"all": True}, "title": "Hi"}))
    await world.advance(DAY / 2)
    assert [len(await app.titles(key)) for key in keys] == [0, 0, 0]
    await world.advance(DAY / 3)
    assert [len(await app.titles(key)) for key in keys] == [1, 1, 0]
    await quotas.save()
    await world.advance(DAY * 0.8)  # past midnight
    assert [len(await app.titles(key)) for key in keys] == [1, 1, 1]


# --- a schedule that is written while it fires


async def test_firing_does_not_overwrite_the_progress_of_a_schedule_written_meanwhile(
    world: WorkflowWorld, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new `at` has just passed, so it must still fire."""
    daily_at_noon = daily(cron="0 12 * * *", timezone="UTC")
    await put(world, daily_at_noon)
    change, changed = world.store.documents.change, 0

    async def put_then_change(*args: Any) -> bool:
        nonlocal changed
        changed += 1
        if changed == 1:
            await put(world, daily(cron=None, at="2025-03-29T11:59:59Z", timezone=None))
        return await change(*args)

    monkeypatch.setattr(type(world.store.documents), "change", staticmethod(put_then_change))
    await world.advance(2 * DAY)
    assert changed > 1
    assert await app.titles("alice") == ["Good morning"] * 2
