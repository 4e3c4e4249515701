"""Outbox rows that are delivered repeatedly or late, on every store."""

from typing import Any

import msgspec
import pytest

from bellcast.kernel import times
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.limits import Limits
from bellcast.outbox.consumer import DeliveryResult, OutboxConsumer, OutboxRow
from tests.clock import FakeClock
from tests.contract.app import App
from tests.contract.workflows.test_live_events import AbsentHistory, live_topics, put_source
from tests.store import Store
from tests.workflows import WorkflowWorld

DAY = 86_400
WATCH = {"table": "tasks", "key": ["id"], "columns": ["id"], "kept": ["id", "room"], "names": {"update": "moved"}}
MOVED = {
    "change": "update",
    "watch": {**WATCH, "topic": "room.{room}", "reaching": ["room"]},
    "was": {"id": 1, "room": "a"},
    "is": {"id": 1, "room": "b"},
}
LEAD = {"topic": "leads", "name": "lead.assigned", "data": {"lead": 7}}
BELL = {"key": "bell", "type": "inbox", "title": "by workflow"}


@pytest.fixture
async def world(store: Store, clock: FakeClock) -> WorkflowWorld:
    return WorkflowWorld(store, clock)


async def deliver(world: WorkflowWorld, kind: str, payload: Any, key: str = "row-1") -> DeliveryResult:
    consumer = OutboxConsumer("", world.engines, Limits(), world.workflows.schedules.trigger)
    return await consumer.deliver([OutboxRow(1, key, kind, msgspec.json.encode(payload).decode())])


async def put_sources(world: WorkflowWorld) -> None:
    """Two sources of the same event: a send and a trigger."""
    await world.put("mail", BELL)
    await put_source(world, "a", topic="leads", notification={"to": "alice", "title": "by source"})
    await put_source(world, "b", topic="leads", workflow="mail", to="alice")


class TestSources:
    async def test_row_repeated_while_the_broker_is_unavailable_sends_and_triggers_once(
        self, world: WorkflowWorld, app: App
    ) -> None:
        history = AbsentHistory()
        world.engines = msgspec.structs.replace(world.engines, history=history)
        await put_sources(world)
        for _ in range(3):
            assert (await deliver(world, "publish", LEAD)).stopped is not None
        history.is_away = False
        assert (await deliver(world, "publish", LEAD)).sent == [1]
        await world.settle()
        assert sorted(await app.titles("alice")) == ["by source", "by workflow"]
        assert live_topics(world) == ["leads"]

    async def test_row_repeated_after_a_failing_source_sends_and_publishes_once(
        self, world: WorkflowWorld, app: App, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await put_sources(world)

        async def refuse(*_: Any) -> None:
            raise Unavailable("away")

        with monkeypatch.context() as patched:
            patched.setattr(type(world.store.runs), "start", refuse)
            assert (await deliver(world, "publish", LEAD)).stopped is not None
        assert live_topics(world) == []
        assert (await deliver(world, "publish", LEAD)).sent == [1]
        await world.settle()
        assert sorted(await app.titles("alice")) == ["by source", "by workflow"]
        assert live_topics(world) == ["leads"]

    async def test_repeated_row_schedules_once(self, world: WorkflowWorld, app: App) -> None:
        at = times.to_rfc3339(world.clock.now() + DAY * 1000).isoformat()
        await put_source(world, topic="leads", notification={"to": "alice", "title": "tomorrow", "send_at": at})
        for _ in range(2):
            assert (await deliver(world, "publish", LEAD)).sent == [1]
        await world.advance(2 * DAY)
        assert await app.titles("alice") == ["tomorrow"]

    async def test_source_with_its_own_idempotency_key_keeps_it(self, world: WorkflowWorld, app: App) -> None:
        notification = {"to": "alice", "title": "x", "idempotency_key": "lead-{{ event.data.lead }}"}
        await put_source(world, topic="leads", notification=notification)
        for key in ("row-1", "row-2"):
            assert (await deliver(world, "publish", LEAD, key)).sent == [1]
        assert await app.titles("alice") == ["x"]

    async def test_each_row_and_each_event_of_a_row_counts(self, world: WorkflowWorld, app: App) -> None:
        await put_source(world, topic="{room}", notification={"to": "alice", "title": "{{ topic.room }}"})
        several = {"topics": ["a", "b"], "name": "lead.assigned"}
        for key in ("row-1", "row-2", "row-2"):
            assert (await deliver(world, "publish", several, key)).sent == [1]
        assert sorted(await app.titles("alice")) == ["a", "a", "b", "b"]

    async def test_events_of_a_change_are_appended_together(self, world: WorkflowWorld) -> None:
        appended: list[list[str | None]] = []

        class Recorder(AbsentHistory):
            async def append(self, *events: LiveEvent) -> tuple[LiveEvent, ...]:
                appended.append([event.topic for event in events])
                return events

        world.engines = msgspec.structs.replace(world.engines, history=Recorder())
        assert (await deliver(world, "change", MOVED)).sent == [1]
        assert appended == [["room.a", "room.b"]]


class TestLateRows:
    @pytest.mark.parametrize("late", [90, 3 * DAY, 400 * DAY])
    async def test_row_past_its_time_is_sent_immediately(self, world: WorkflowWorld, app: App, late: int) -> None:
        row = {"to": "alice", "title": "late", "send_at": _at(world, -late)}
        for _ in range(2):
            assert (await deliver(world, "notify", row)).sent == [1]
        await world.settle()
        assert await app.titles("alice") == ["late"]

    @pytest.mark.parametrize("timezone", ["Europe/Vienna", "recipient"])
    async def test_row_past_its_local_time_is_sent_immediately(
        self, world: WorkflowWorld, app: App, timezone: str
    ) -> None:
        local = times.to_rfc3339(world.clock.now() - 2 * DAY * 1000).replace(tzinfo=None).isoformat()
        row = {"to": "alice", "title": "late", "send_at": local, "timezone": timezone}
        assert (await deliver(world, "notify", row)).sent == [1]
        await world.settle()
        assert await app.titles("alice") == ["late"]

    async def test_row_that_was_scheduled_before_it_was_repeated_late_is_sent_once(
        self, world: WorkflowWorld, app: App
    ) -> None:
        row = {"to": "alice", "title": "in time", "send_at": _at(world, 30)}
        for _ in range(2):
            assert (await deliver(world, "notify", row)).sent == [1]
            await world.advance(120)
        assert await app.titles("alice") == ["in time"]

    async def test_wrong_times_are_refused(self, world: WorkflowWorld) -> None:
        for send_at in ("yesterday", _at(world, 400 * DAY)):
            row = {"to": "alice", "title": "never", "send_at": send_at}
            assert (await deliver(world, "notify", row)).refused


def _at(world: WorkflowWorld, seconds: int) -> str:
    return times.to_rfc3339(world.clock.now() + seconds * 1000).isoformat()
