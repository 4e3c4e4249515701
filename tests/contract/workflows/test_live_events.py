"""Reactions to live events of the app: the end of waits, and event sources, on every store."""

import asyncio
import gc
from typing import Any

import msgspec
import pytest

from bellcast.documents.types import SOURCES
from bellcast.kernel import validation
from bellcast.kernel.brokers.history import NoHistory
from bellcast.kernel.errors import Invalid, Unavailable
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.limits import Limits
from bellcast.kernel.outbound import Response
from bellcast.topics import publishing as events
from bellcast.workflows import event_sources
from bellcast.workflows.event_sources import EventSource
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import Store
from tests.workflows import WorkflowWorld

BELL = {"key": "bell", "type": "inbox", "title": "{{ event.data.name | default('a client') }}"}


@pytest.fixture
async def world(store: Store, clock: FakeClock) -> WorkflowWorld:
    return WorkflowWorld(store, clock)


async def publish(world: WorkflowWorld, name: str, data: Any = None, **target: Any) -> None:
    await events.publish(world.engines, LiveEvent(**{"tenant": "", "name": name, "data": data, **target}))


async def put_waiting(world: WorkflowWorld, **fields: Any) -> None:
    wait = {"key": "wait", "type": "wait_for", "event": "accepted", "on_match": "continue", "timeout": "1h", **fields}
    await world.put("booking", wait, BELL)


class TestWaits:
    async def test_event_to_the_recipient_ends_the_wait(self, world: WorkflowWorld, app: App) -> None:
        await put_waiting(world)
        run, other = await world.trigger("booking"), await world.trigger("booking", "bob")
        await world.settle()
        await publish(world, "accepted", {"name": "Ann"}, recipient="alice")
        await publish(world, "accepted", {"name": "Eve"}, recipient="alice")
        await world.settle()
        assert await world.status(run) == "completed"
        assert (await world.run(run))[1].step("wait").reason == "matched"
        assert await app.titles("alice") == ["Ann"]
        assert await world.status(other) == "waiting"
        assert await world.store.runs.waits(run) == {}

    async def test_many_names_of_awaited_events_stay_out_of_memory(
        self, world: WorkflowWorld, app: App, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each edit of a workflow may add names, and none is deleted: events are then looked up one by one."""
        monkeypatch.setattr(event_sources, "MAX_AWAITED", 2)
        for name in ("a", "b"):
            await put_waiting(world, event=name)
        unknown = LiveEvent(tenant="", name="unknown", data=None, recipient="alice")
        assert not await world.workflows.sources.matches([unknown])
        await put_waiting(world, event="z")
        assert await world.workflows.sources.matches([unknown])
        run = await world.trigger("booking")
        await world.settle()
        await publish(world, "z", {"name": "Ann"}, recipient="alice")
        await world.settle()
        assert await world.status(run) == "completed"
        assert await app.titles("alice") == ["Ann"]

    async def test_event_counts_from_the_start_of_the_run(self, world: WorkflowWorld, app: App) -> None:
        pause = {"key": "pause", "type": "delay", "for": "10m"}
        wait = {"key": "wait", "type": "wait_for", "event": "accepted", "topic": "b.{{ data.id }}"}
        await world.put("booking", pause, {**wait, "on_match": "continue"}, BELL)
        await world.trigger("booking", data={"id": 7})
        await publish(world, "accepted", {"name": "Ann"}, topic="b.7")
        await world.advance(600)
        assert await app.titles("alice") == ["Ann"]

    async def test_match_decides_which_event_ends_the_wait(self, world: WorkflowWorld) -> None:
        await put_waiting(world, topic="bookings", match={"var": "event.data.id", "value": {"var": "data.id"}})
        runs = [await world.trigger("booking", data={"id": number}) for number in (1, 2)]
        await world.settle()
        await publish(world, "accepted", {"id": 2}, topic="bookings")
        await world.settle()
        assert [await world.status(run) for run in runs] == ["waiting", "completed"]
        await world.advance(3600)
        assert (await world.run(runs[0]))[1].step("wait").reason == "timeout"

    async def test_topic_of_an_earlier_result_is_awaited_from_its_step(self, world: WorkflowWorld, app: App) -> None:
        world.http.responses.append(_response({"topic": "t.1"}))
        call = {"key": "call", "type": "http", "url": "https://example.com"}
        wait = {"key": "wait", "type": "wait_for", "event": "accepted", "topic": "{{ steps.call.result.topic }}"}
        await world.put("booking", call, {**wait, "on_match": "continue"}, BELL)
        run = await world.trigger("booking")
        await publish(world, "accepted", {"name": "early"}, topic="t.1")
        await world.settle()
        assert await world.status(run) == "waiting"
        await publish(world, "accepted", {"name": "Ann"}, topic="t.1")
        await world.settle()
        assert await app.titles("alice") == ["Ann"]

    async def test_cancelled_run_no_longer_waits(self, world: WorkflowWorld) -> None:
        await put_waiting(world)
        run = await world.trigger("booking")
        await world.settle()
        assert await world.store.runs.cancel("", run, world.clock.now()) == 1
        await publish(world, "accepted", recipient="alice")
        await world.settle()
        assert await world.status(run) == "cancelled"
        assert await world.store.runs.waits(run) == {}

    async def test_event_reaches_all_runs_of_an_audience_in_batches(
        self, world: WorkflowWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(event_sources, "WAKE_BATCH_ROWS", 2)
        await put_waiting(world, topic="bookings")
        runs = [await world.trigger("booking", key) for key in "abcde"]
        await world.settle()
        await publish(world, "accepted", topic="bookings")
        await world.settle()
        assert {await world.status(run) for run in runs} == {"completed"}


def live_topics(world: WorkflowWorld) -> list[str | None]:
    """The topics of the published live events, in order."""
    return [event.topic for event in world.published if isinstance(event, LiveEvent)]


class AbsentHistory(NoHistory):
    """The history of an unavailable broker."""

    is_away = True

    async def append(self, *events: LiveEvent) -> tuple[LiveEvent, ...]:
        if self.is_away:
            raise Unavailable("The broker is not connected.")
        return events


def _response(body: Any) -> Response:
    return Response(200, {}, msgspec.json.encode(body))


async def put_source(world: WorkflowWorld, key: str = "s", tenant: str = "", **fields: Any) -> None:
    source = msgspec.convert({"event": "lead.assigned", **fields}, EventSource)
    validation.check(event_sources.errors(source, Limits()))
    await world.store.documents.put(SOURCES, tenant, key, msgspec.json.encode(source), world.clock.now())
    world.workflows.workflow_catalog.forget()


LEAD = {"to": "{{ topic.provider }}", "title": "Lead of {{ event.data.client }}"}


class TestSources:
    async def test_events_of_a_tenant_do_not_wait_for_the_sources_of_others(
        self, world: WorkflowWorld, app: App
    ) -> None:
        await put_source(world, topic="a", notification=LEAD | {"to": "alice"})
        # A read of it fails, so that nothing would be sent.
        await world.store.documents.put(SOURCES, "globex", "unreadable", b"[]", world.clock.now())
        await publish(world, "lead.assigned", {"client": "Ann"}, topic="a", tenant="acme")
        await world.settle()
        assert await app.titles("alice", tenant="acme") == ["Lead of Ann"]

    async def test_failed_read_of_sources_that_took_too_long_is_not_logged(
        self, world: WorkflowWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        logged: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
        is_failing = asyncio.Event()

        async def page(*_: object) -> None:
            await is_failing.wait()
            raise Unavailable

        monkeypatch.setattr(event_sources, "READ_TIMEOUT_SECONDS", 0)
        monkeypatch.setattr(world.store.engine, "read", page)
        with pytest.raises(Unavailable):
            await publish(world, "lead.assigned", recipient="alice")
        is_failing.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.collect()
        assert logged == []

    async def test_event_on_a_topic_becomes_a_notification(self, world: WorkflowWorld, app: App) -> None:
        await put_source(world, topic="private-provider.{provider}", notification=LEAD)
        await publish(world, "lead.assigned", {"client": "Bob"}, topic="private-provider.alice")
        await publish(world, "lead.assigned", {"client": "Eve"}, topic="private-other.alice")
        await publish(world, "lead.lost", {"client": "Eve"}, topic="private-provider.alice")
        await publish(world, "lead.assigned", {"client": "Eve"}, recipient="alice")
        assert await app.titles("alice") == ["Lead of Bob"]

    async def test_event_to_a_recipient_triggers_a_workflow(self, world: WorkflowWorld) -> None:
        await world.put("hello", {"key": "bell", "type": "inbox", "title": "{{ data.total }}"})
        condition = {"var": "event.data.total", "op": "gte", "value": 100}
        fields = {"workflow": "hello", "to": "{{ event.recipient }}", "data": {"total": {"var": "event.data.total"}}}
        await put_source(world, **{"if": condition}, **fields)
        await publish(world, "lead.assigned", {"total": 100}, recipient="alice")
        await publish(world, "lead.assigned", {"total": 99}, recipient="alice")
        (run,) = await world.runs()
        assert (run.recipient, (await world.run(run.id))[1].data) == ("alice", {"total": 100})

    async def test_failing_rule_is_recorded_and_blocks_nothing(self, world: WorkflowWorld, app: App) -> None:
        await put_source(world, "a", notification={"to": "{{ event.data.nothing }}", "title": "x"})
        await put_source(world, "b", workflow="none", to="alice")
        await put_source(world, "c", notification={"to": "{{ event.recipient }}", "title": "fine"})
        await publish(world, "lead.assigned", {}, recipient="alice")
        assert await app.titles("alice") == ["fine"]
        failures = await world.workflows.sources.last_failures("", ["a", "b", "c"])
        assert "nothing" in failures["a"][0]
        assert failures["b"] == ("not_found: There is no workflow with this key.", world.clock.now())
        assert "c" not in failures

    async def test_source_has_no_failure_of_an_earlier_one_with_its_key(self, world: WorkflowWorld, app: App) -> None:
        wrong = {"to": "{{ event.data.nothing }}", "title": "x"}
        await put_source(world, "a", notification=wrong)
        for tenant in ("", "acme"):
            await publish(world, "lead.assigned", {}, recipient="alice", tenant=tenant)
            assert list(await world.workflows.sources.last_failures(tenant, ["a"])) == ["a"]
        world.clock.advance(1)
        await put_source(world, "a", tenant="acme", notification=wrong)
        assert await world.workflows.sources.last_failures("acme", ["a"]) == {}
        await world.store.documents.delete(SOURCES, "", "a")
        assert await world.workflows.sources.last_failures("", ["a"]) == {}
        await put_source(world, "a", notification=wrong)
        assert await world.workflows.sources.last_failures("", ["a"]) == {}

    async def test_source_of_a_tenant_replaces_the_projects(self, world: WorkflowWorld, app: App) -> None:
        await put_source(world, notification={"to": "alice", "title": "project"})
        await put_source(world, tenant="acme", notification={"to": "alice", "title": "acme"})
        await publish(world, "lead.assigned", recipient="x", tenant="acme")
        await publish(world, "lead.assigned", recipient="x", tenant="globex")
        assert await app.titles("alice", tenant="acme") == ["acme"]
        assert await app.titles("alice", tenant="globex") == ["project"]

    async def test_unavailable_store_refuses_only_matched_events(
        self, world: WorkflowWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await put_source(world, notification={"to": "alice", "title": "x"})
        await publish(world, "other", recipient="alice")

        def refuse(*_: Any) -> Any:
            raise Unavailable("away")

        monkeypatch.setattr(type(world.store.sends), "add", refuse)
        monkeypatch.setattr(type(world.store.documents), "every", refuse)
        world.workflows.workflow_catalog.forget()
        await publish(world, "other", recipient="alice")
        with pytest.raises(Unavailable):
            await publish(world, "lead.assigned", recipient="alice")
        # The app publishes it again, and then it counts.
        assert await world.workflows.sources.recorder.find([("", "s")]) == ({}, 0)

    @pytest.mark.parametrize("fault", ["hangs", "fails"])
    async def test_event_is_refused_while_sources_that_were_never_read_cannot_be_read(
        self, world: WorkflowWorld, app: App, monkeypatch: pytest.MonkeyPatch, fault: str
    ) -> None:
        await put_source(world, tenant="acme", topic="leads", notification={"to": "alice", "title": "x"})
        await publish(world, "lead.assigned", topic="leads")  # reads the project's sources

        async def read(*_: Any) -> None:
            if fault == "hangs":
                await asyncio.Event().wait()
            raise Unavailable("away")

        monkeypatch.setattr(event_sources, "READ_TIMEOUT_SECONDS", 0.01)
        with monkeypatch.context() as patched:
            patched.setattr(world.store.engine, "read", read)
            world.workflows.workflow_catalog.forget()
            await publish(world, "lead.assigned", topic="others")
            with pytest.raises(Unavailable, match="sources of the tenant"):
                await publish(world, "lead.assigned", topic="leads", tenant="acme")
        assert (live_topics(world), await app.titles("alice", tenant="acme")) == (["leads", "others"], [])

    async def test_source_counts_although_an_earlier_read_has_not_ended(
        self, world: WorkflowWorld, app: App, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read, has_begun, goes_on = type(world.store.documents).page, asyncio.Event(), asyncio.Event()

        async def page(*args: Any) -> Any:
            has_begun.set()
            await goes_on.wait()
            return await read(*args)

        monkeypatch.setattr(type(world.store.documents), "page", page)
        earlier = asyncio.ensure_future(publish(world, "lead.lost", recipient="bob"))
        await has_begun.wait()  # the sources are read, the names of awaited events are not
        await put_source(world, notification={"to": "alice", "title": "x"})
        event = LiveEvent(tenant="", name="lead.assigned", data=None, recipient="alice")
        later = asyncio.ensure_future(events.publish(world.engines, event, key="k"))
        for _ in range(10):
            await asyncio.sleep(0)
        goes_on.set()
        await asyncio.gather(earlier, later)
        assert await app.titles("alice") == ["x"]

    async def test_event_that_the_broker_refuses_sends_nothing(self, world: WorkflowWorld, app: App) -> None:
        history = AbsentHistory()
        world.engines = msgspec.structs.replace(world.engines, history=history)
        await put_source(world, notification={"to": "alice", "title": "x"})
        for _ in range(2):
            with pytest.raises(Unavailable):
                await publish(world, "lead.assigned", recipient="alice")
        assert await app.titles("alice") == []
        history.is_away = False
        await publish(world, "lead.assigned", recipient="alice")
        assert await app.titles("alice") == ["x"]

    async def test_matched_event_is_not_published_while_the_store_is_unavailable(
        self, world: WorkflowWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await put_source(world, topic="leads", notification={"to": "alice", "title": "x"})
        await put_waiting(world)
        await world.trigger("booking")
        await world.settle()

        async def refuse(*_: Any) -> None:
            raise Unavailable("away")

        with monkeypatch.context() as patched:
            patched.setattr(type(world.store), "ping", refuse)
            for name, target in (("lead.assigned", {"topic": "leads"}), ("accepted", {"recipient": "alice"})):
                with pytest.raises(Unavailable):
                    await publish(world, name, **target)
            await publish(world, "lead.assigned", topic="others")
        await publish(world, "lead.assigned", topic="leads")
        assert live_topics(world) == ["others", "leads"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "workflow"),
        ({"workflow": "x"}, "to"),
        ({"workflow": "x", "notification": {"to": "a"}}, "workflow"),
        ({"notification": {"title": "x"}}, "notification.to"),
        ({"notification": {"to": None, "title": "x"}}, "notification.to"),
        ({"notification": {"to": "a", "typo": 1}}, "notification.typo"),
        ({"notification": {"to": "{{", "title": "x"}}, "notification.to"),
        ({"event": "", "workflow": "x", "to": "a"}, "event"),
        ({"topic": "{a}.{a}", "workflow": "x", "to": "a"}, "topic"),
        ({"topic": "a b", "workflow": "x", "to": "a"}, "topic"),
        ({"if": {"var": "data.x", "value": 1}, "workflow": "x", "to": "a"}, "if.var"),
        ({"workflow": "x", "to": {"var": "data.x"}}, "to"),
        ({"workflow": "x", "to": {"recipient": "{{ event.recipient }}"}}, "to.recipient"),
        ({"workflow": "x", "to": {"recipient": "a"}}, "to.recipient"),
        ({"workflow": "x", "to": {"all": True, "tenant": "*"}}, "to.tenant"),
        ({"workflow": "x", "to": []}, "to"),
        ({"notification": {"to": {"role": "a", "all": True}, "title": "x"}}, "notification.to"),
    ],
)
def test_wrong_sources_are_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        validation.check(event_sources.errors(msgspec.convert({"event": "e", **fields}, EventSource), Limits()))
    assert field in [error.field for error in refused.value.errors]


@pytest.mark.parametrize(
    ("pattern", "topic", "names"),
    [
        ("a.{x}", "a.b.c", {"x": "b.c"}),
        ("a.{x}.c", "a.b.c", {"x": "b"}),
        ("a.{x}.c", "a.b.b.c", None),
        ("{x}-{y}", "a-b", {"x": "a", "y": "b"}),
        ("a.+", "a.x", None),
        ("a", "a", {}),
    ],
)
def test_placeholders_match_topics(pattern: str, topic: str, names: dict[str, str] | None) -> None:
    source = EventSource(event="e", topic=pattern)
    found = event_sources.values_of(source, LiveEvent(tenant="", name="e", data=None, topic=topic))
    assert (None if found is None else found["topic"]) == names
