"""Runs of workflows on every store, with the fake clock."""

import asyncio
import threading
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from bellcast.channels.delivery import outdated
from bellcast.channels.routing import Router
from bellcast.channels.types import MessageUpdate
from bellcast.documents.store import Versions
from bellcast.documents.types import SOURCES
from bellcast.inbox.types import Audience
from bellcast.inbox.types.sends import SendRequest
from bellcast.kernel import concurrency
from bellcast.kernel.errors import Invalid, NotFound, Unavailable
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.jobs import Job, slots
from bellcast.kernel.jobs.slots import MAX_TIMEOUTS
from bellcast.kernel.outbound import Response
from bellcast.tenants.erasure import ERASURE_JOB_KIND
from bellcast.workflows import step_calls
from bellcast.workflows.types import runs
from bellcast.workflows.types.runs import RunCommit, restarted
from tests.clock import FakeClock
from tests.contract.app import App, engine_of
from tests.due_jobs import run_due
from tests.store import Store
from tests.workflows import WorkflowWorld, ended

BELL = {"key": "bell", "type": "inbox", "title": "Booked by {{ data.client }}"}
MAIL = {"key": "mail", "type": "email", "subject": "Booked", "text": "By {{ data.client }} for {{ recipient.name }}"}
LATER = {"key": "later", "type": "delay", "for": "1h"}


@pytest.fixture
async def world(store: Store, clock: FakeClock) -> WorkflowWorld:
    world = WorkflowWorld(store, clock)
    await world.recipient("alice", name="Alice", email="alice@example.com")
    return world


async def test_message_that_is_sent_while_its_run_is_cancelled_is_not_tried_again(world: WorkflowWorld) -> None:
    store, now, world.leaves_messages = world.store, world.clock.now(), True
    await world.put("booking", MAIL, LATER)
    id = await world.trigger("booking", data={"client": "Bob"})
    await world.execute(Job(id=id, kind="run", payload=id.encode(), run_at=now, created_at=now))
    (message,) = await world.messages()
    (begun,) = await store.messages.begin([message.id], now)
    await store.runs.cancel("", id, now)
    failed = replace(begun, state="queued", reason="busy", rounds=1)
    await store.messages.finish([MessageUpdate(message=failed)], now)
    (again,) = await store.messages.begin([message.id], now)
    update = outdated(again, now)
    assert update is not None
    assert (update.message.state, update.message.reason) == ("cancelled", "cancelled")


async def test_inbox_delay_and_email_run_in_order(world: WorkflowWorld, app: App) -> None:
    button = {"key": "open", "label": "Call {{ data.client }}", "url": "/clients/{{ data.client }}"}
    await world.put("booking", {**BELL, "actions": [button]}, LATER, MAIL, type="booking")
    id = await world.trigger("booking", data={"client": "Bob"})
    began = world.clock.now()
    await world.settle()
    (bell,) = await app.page("alice")
    assert (bell.title, bell.actions[0].label, bell.actions[0].url) == ("Booked by Bob", "Call Bob", "/clients/Bob")
    run, _ = await world.run(id)
    assert (run.state, run.wakes_at) == ("waiting", began + 3_600_000)
    assert await world.messages() == []
    await world.advance(3_600)
    (message,) = await world.messages(run=id)
    assert (message.state, message.type, message.run) == ("simulated", "booking", id)
    assert msgspec.json.decode(message.content)["text"].startswith("By Bob for Alice")
    assert (await world.status(id), await world.steps(id)) == (
        "completed",
        {"bell": "done", "later": "done", "mail": "done"},
    )
    steps = runs.decode((await world.run(id))[0].body).steps
    ended = world.clock.now()
    assert [(step.started_at, step.ended_at) for step in steps.values()] == [
        (began, began),
        (began, ended),
        (ended, ended),
    ]
    assert await world.store.jobs.due(2**52) == []


async def test_published_inbox_row_has_the_new_state(world: WorkflowWorld) -> None:
    await world.put("booking", BELL)
    await world.trigger("booking", data={"client": "Bob"})
    await world.settle()
    assert [type(event).__name__ for event in world.published] == ["NotificationAdded"]


async def test_step_without_address_is_skipped_and_the_run_continues(world: WorkflowWorld, app: App) -> None:
    await world.put("booking", MAIL, BELL)
    id = await world.trigger("booking", "bob", data={"client": "x"})
    await world.settle()
    _, state = await world.run(id)
    assert (state.step("mail").state, state.step("mail").reason) == ("skipped", "no_address")
    assert (state.status, await app.titles("bob")) == ("completed", ["Booked by x"])


async def test_missing_variable_fails_the_step_and_the_run(world: WorkflowWorld) -> None:
    await world.put("booking", BELL, MAIL)
    id = await world.trigger("booking")
    await world.settle()
    run, state = await world.run(id)
    assert (run.state, state.step("bell").state) == ("failed", "failed")
    assert (run.reason or "").startswith("invalid: data.client: ")


async def test_failed_template_has_its_code_first_in_the_reason(world: WorkflowWorld) -> None:
    await world.put("booking", {**BELL, "title": "{{ 'x' * data.size }}"})
    id = await world.trigger("booking", data={"size": 600_000})
    await world.settle()
    run, _ = await world.run(id)
    assert (run.reason or "").startswith("template_error: template: inbox.title ")


async def test_conditions_skip_and_branches_choose(world: WorkflowWorld, app: App) -> None:
    rich = {"var": "data.total", "op": "gte", "value": 100}
    await world.put(
        "booking",
        {"key": "vip", "type": "inbox", "title": "Rich", "if": rich},
        {
            "key": "size",
            "type": "branch",
            "branches": [{"if": rich, "steps": [{"key": "a", "type": "inbox", "title": "A"}]}],
            "else": [{"key": "b", "type": "inbox", "title": "B"}],
        },
        {"key": "end", "type": "stop", "if": rich},
        {"key": "c", "type": "inbox", "title": "C"},
    )
    poor = await world.trigger("booking", "bob", data={"total": 1})
    wealthy = await world.trigger("booking", data={"total": 100})
    await world.settle()
    assert await app.titles("bob") == ["C", "B"]
    assert await app.titles("alice") == ["A", "Rich"]
    assert await world.steps(poor) == {
        "vip": "skipped", "size": "done", "a": "skipped", "b": "done", "end": "skipped", "c": "done",
    }  # fmt: skip
    assert await world.status(wealthy) == "completed"


async def test_wait_for_seen_completes_the_run(world: WorkflowWorld, app: App) -> None:
    await world.put("booking", BELL, {"key": "looked", "type": "wait_for", "event": "seen", "step": "bell"}, MAIL)
    id = await world.trigger("booking", data={"client": "Bob"})
    await world.settle()
    assert await world.status(id) == "waiting"
    await app.mark("alice", "read")
    await world.settle()
    assert (await world.status(id), await world.messages()) == ("completed", [])


async def test_run_continues_after_the_timeout_of_its_wait(world: WorkflowWorld) -> None:
    wait = {"key": "looked", "type": "wait_for", "event": "seen", "step": "bell", "timeout": "30m"}
    await world.put("booking", BELL, wait, MAIL)
    id = await world.trigger("booking", data={"client": "Bob"})
    await world.advance(1_800)
    _, state = await world.run(id)
    assert (state.status, state.step("looked").reason) == ("completed", "timeout")
    assert len(await world.messages(run=id)) == 1


async def test_event_before_the_wait_counts(world: WorkflowWorld, app: App) -> None:
    wait = {"key": "looked", "type": "wait_for", "event": "read", "step": "bell", "on_match": "continue"}
    mail = {**MAIL, "if": {"var": "steps.looked.matched", "value": False}}
    await world.put("booking", BELL, LATER, wait, mail)
    id = await world.trigger("booking", data={"client": "Bob"})
    await world.settle()
    await app.mark("alice", "read")
    await world.advance(3_600)
    assert await world.steps(id) == {"bell": "done", "later": "done", "looked": "done", "mail": "skipped"}


async def test_throttle_lets_a_number_of_runs_through_per_window(world: WorkflowWorld) -> None:
    throttle = {"key": "few", "type": "throttle", "limit": 2, "window": "1h", "by": "{{ data.client }}"}
    await world.put("booking", throttle, BELL)
    ids = [await world.trigger("booking", data={"client": "Bob"}) for _ in range(5)]
    other = await world.trigger("booking", data={"client": "Eve"})
    await world.settle()
    assert sorted([await world.status(id) for id in ids]) == ["completed"] * 2 + ["throttled"] * 3
    assert await world.status(other) == "completed"
    await world.advance(3_600)
    again = await world.trigger("booking", data={"client": "Bob"})
    await world.settle()
    assert await world.status(again) == "completed"


async def test_throttle_ignores_runs_of_a_clock_that_was_ahead(world: WorkflowWorld) -> None:
    await world.put("booking", {"key": "one", "type": "throttle", "window": "1h"}, BELL)
    ids = [await world.trigger("booking", data={"client": "Bob"})]
    await world.settle()
    world.clock.advance(-3 * 3_600)
    ids += [await world.trigger("booking", data={"client": "Bob"}) for _ in range(2)]
    await world.settle()
    assert [await world.status(id) for id in ids] == ["completed", "completed", "throttled"]


async def test_digest_collects_runs_until_its_window_ends(world: WorkflowWorld, app: App) -> None:
    title = "{{ digest.count }} from {% for item in digest.items %}{{ item.client }} {% endfor %}"
    await world.put("booking", {"key": "all", "type": "digest", "window": "10m"}, {**BELL, "title": title})
    ids = []
    for name in ("Bob", "Eve", "Mia"):
        ids.append(await world.trigger("booking", data={"client": name}))
        await world.settle()
    await world.advance(600)
    assert await app.titles("alice") == ["3 from Bob Eve Mia "]
    assert [await world.status(id) for id in ids] == ["completed", "merged", "merged"]


async def test_sliding_digest_is_extended_up_to_its_maximum(world: WorkflowWorld, app: App) -> None:
    digest = {"key": "all", "type": "digest", "window": "10m", "mode": "sliding", "max_window": "25m"}
    await world.put("booking", digest, {**BELL, "title": "{{ digest.count }}"})
    for _ in range(4):
        await world.trigger("booking")
        await world.advance(480)
    assert await app.titles("alice") == ["4"]


async def test_sliding_digest_is_never_longer_than_its_maximum(world: WorkflowWorld, app: App) -> None:
    digest = {"key": "all", "type": "digest", "window": "10m", "mode": "sliding", "max_window": "5m"}
    await world.put("booking", digest, {**BELL, "title": "{{ digest.count }}"})
    await world.trigger("booking")
    await world.advance(240)
    assert await app.titles("alice") == []
    await world.trigger("booking")
    await world.advance(60)
    assert await app.titles("alice") == ["2"]


async def test_repeating_digest_passes_the_first_and_collects_the_others(world: WorkflowWorld, app: App) -> None:
    digest = {"key": "all", "type": "digest", "window": "10m", "mode": "repeats"}
    await world.put("booking", digest, {**BELL, "title": "{{ digest.count }}"})
    for _ in range(3):
        await world.trigger("booking")
        await world.settle()
    assert await app.titles("alice") == ["1"]
    await world.advance(600)
    assert await app.titles("alice") == ["2", "1"]


async def test_cancel_stops_runs_and_their_queued_messages(world: WorkflowWorld) -> None:
    world.leaves_messages = True
    await world.put("booking", MAIL, LATER, BELL)
    id = await world.trigger("booking", data={"client": "x"}, cancel_key="b7")
    other = await world.trigger("booking", "bob", data={"client": "x"}, cancel_key="b7")
    await run_due(world.runner)
    assert await world.store.runs.cancel_by_key("", "booking", "b7", ["alice"], world.clock.now()) == 1
    assert await world.store.runs.cancel_by_key("", "booking", "b7", ["alice"], world.clock.now()) == 0
    assert [m.state for m in await world.messages(run=id)] == ["cancelled"]
    await world.advance(3_600)
    assert (await world.status(id), await world.status(other)) == ("cancelled", "completed")


async def test_cancel_reads_each_run_once_and_only_those_of_its_recipients(
    world: WorkflowWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bellcast.workflows.store.CANCEL_BATCH_ROWS", 10)
    await world.put("booking", LATER, BELL)
    everyone = [f"r{number:02}" for number in range(60)]
    await world.trigger("booking", everyone, data={"client": "x"}, cancel_key="b7")
    await world.settle()
    engine = engine_of(world.store)
    read, results = engine.read, []

    async def counted(*args: Any) -> Any:
        results.append(await read(*args))
        return results[-1]

    monkeypatch.setattr(engine, "read", counted)
    now = world.clock.now()
    assert await world.store.runs.cancel_by_key("", "booking", "b7", everyone[1::2], now) == 30
    assert [len(found) for found in results] == [10, 10, 10, 0]
    results.clear()
    assert await world.store.runs.cancel_by_key("", "booking", "b7", None, now) == 30
    assert [len(found) for found in results] == [10, 10, 10, 0]


async def test_cancel_of_a_trigger_cancels_all_its_runs(world: WorkflowWorld) -> None:
    await world.put("booking", LATER, BELL)
    id = await world.trigger("booking", ["alice", "bob"], data={"client": "x"})
    await world.settle()
    assert await world.store.runs.cancel("acme", id, world.clock.now()) is None
    assert await world.store.runs.cancel("", id, world.clock.now()) == 2
    assert await world.store.runs.cancel("", id, world.clock.now()) == 0
    assert await world.store.runs.counts("", id) == {"cancelled": 2}


async def test_run_keeps_its_version_after_a_change_and_a_deletion(world: WorkflowWorld, app: App) -> None:
    await world.put("booking", LATER, BELL)
    id = await world.trigger("booking", data={"client": "x"})
    await world.settle()
    await world.put("booking", LATER, MAIL)
    assert [one.version for one in await Versions(world.store).infos("workflows", "", "booking", 10)] == [2, 1]
    await world.put("booking", LATER, MAIL)
    assert len(await Versions(world.store).infos("workflows", "", "booking", 10)) == 2
    await world.delete("booking")
    await world.advance(3_600)
    assert (await world.status(id), await app.titles("alice")) == ("completed", ["Booked by x"])
    with pytest.raises(NotFound):
        await world.trigger("booking")


async def test_nested_triggers_end_below_the_third_level(world: WorkflowWorld, app: App) -> None:
    again = {"key": "again", "type": "trigger", "workflow": "loop", "to": {"var": "recipient.key"}}
    await world.put("loop", {**BELL, "title": "Again"}, again)
    await world.trigger("loop")
    await world.settle()
    assert await app.titles("alice") == ["Again"] * 4
    assert sorted([(run.state, run.reason) for run in await world.runs()])[-1] == ("failed", "too_deep")


async def test_audience_gets_a_run_per_subscriber(world: WorkflowWorld, app: App) -> None:
    await world.put("booking", BELL)
    keys = [f"r{number:03}" for number in range(300)]
    for key in keys:
        await world.store.subscriptions.subscribe("", "room", key, world.clock.now())
    id = await world.trigger("booking", Audience(topic="room"), data={"client": "x"})
    await world.store.subscriptions.subscribe("", "room", "later", world.clock.now() + 1)
    await world.settle()
    assert await world.store.runs.counts("", id) == {"completed": 300}
    assert await app.titles("r299") == ["Booked by x"]
    fanout = await world.store.fanouts.get(id)
    assert fanout is not None
    assert fanout.state == "done"


async def test_other_tasks_run_between_the_steps_of_a_run(
    world: WorkflowWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[concurrency.Pauses] = []
    pause = concurrency.Pauses.pause_if_due

    async def counted(pauses: concurrency.Pauses) -> None:
        waited.append(pauses)
        await pause(pauses)

    monkeypatch.setattr(concurrency.Pauses, "pause_if_due", counted)
    await world.put("booking", *({**MAIL, "key": f"m{number}", "text": "Hi"} for number in range(10)))
    await world.trigger("booking")
    await world.settle()
    assert max(map(waited.count, waited)) >= 10


async def test_idempotency_key_starts_one_run(world: WorkflowWorld) -> None:
    await world.put("booking", LATER)
    first = await world.trigger("booking", idempotency_key="k")
    assert await world.trigger("booking", idempotency_key="k") == first
    assert len(await world.runs()) == 1
    with pytest.raises(Invalid):
        await world.trigger("booking", "bob", idempotency_key="k")


async def test_http_step_is_signed_retried_and_has_a_result(world: WorkflowWorld) -> None:
    body = {"who": "{{ data.client }}", "all": [{"var": "data"}, 7]}
    step = {"key": "call", "type": "http", "url": "https://app.example/{{ data.client }}", "body": body}
    await world.put("booking", step, {**MAIL, "text": "{{ steps.call.result.score }}"})
    world.http.responses = [
        Unavailable("away"),
        Response(503, {"retry-after": "60"}, b""),
        Response(200, {}, b'{"score":7}'),
    ]
    data = {"client": "bob", "text": "{{ no template }}"}
    id = await world.trigger("booking", data=data)
    await world.advance(200)
    assert await world.status(id) == "completed"
    assert [request[1] for request in world.http.requests] == ["https://app.example/bob"] * 3
    assert msgspec.json.decode(world.http.requests[0][3]) == {"who": "bob", "all": [data, 7]}
    ids = {request[2]["webhook-id"] for request in world.http.requests}
    assert ids == {f"{id}.call"}
    (message,) = await world.messages()
    assert msgspec.json.decode(message.content)["text"].startswith("7")


@pytest.mark.parametrize(("on_error", "status"), [("stop", "failed"), ("continue", "completed")])
async def test_http_step_fails_immediately_on_another_client_error(
    world: WorkflowWorld, on_error: str, status: str
) -> None:
    await world.put("booking", {"key": "call", "type": "http", "url": "https://app.example/", "on_error": on_error})
    world.http.responses = [Response(404, {}, b"")]
    id = await world.trigger("booking")
    await world.settle()
    run, state = await world.run(id)
    assert (run.state, state.step("call").reason) == (status, "HTTP status 404")


async def test_http_server_that_hangs_skips_no_other_beyond_those_with_slots(
    world: WorkflowWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "MAX_SERVERS", 0)
    await world.put("booking", {"key": "call", "type": "http", "url": "https://{{ data.client }}.example/"})
    world.http.responses = [Unavailable("slow", is_timeout=True)] * MAX_TIMEOUTS + [Response(200, {}, b"")]
    await world.trigger("booking", data={"client": "slow"})
    while len(world.http.requests) < MAX_TIMEOUTS:
        await world.advance(10)
    id = await world.trigger("booking", "bob", data={"client": "quick"})
    await world.settle()
    assert (await world.status(id), world.http.requests[-1][1]) == ("completed", "https://quick.example/")


@pytest.mark.parametrize("client", ["a\r\nX-Other: 1", "€"])
async def test_header_that_cannot_be_sent_fails_the_step_immediately(world: WorkflowWorld, client: str) -> None:
    step = {"key": "call", "type": "http", "url": "https://app.example/", "headers": {"X-Client": "{{ data.client }}"}}
    await world.put("booking", step)
    id = await world.trigger("booking", data={"client": client})
    await world.settle()
    run, state = await world.run(id)
    assert (run.state, state.step("call").state, world.http.requests) == ("failed", "failed", [])
    assert "headers.X-Client" in (state.step("call").reason or "")


async def test_python_step_waits_for_its_function(store: Store, clock: FakeClock) -> None:
    functions: dict[str, Any] = {}
    world = WorkflowWorld(store, clock, functions)
    await world.put("booking", {"key": "risk", "type": "python", "function": "score"})
    id = await world.trigger("booking", data={"total": 3})
    await run_due(world.runner)
    assert await world.status(id) == "running"
    assert await world.runner.next_due() is None  # no polling
    clock.advance(3 * 86_400)
    assert await run_due(world.runner) == 0
    functions["score"] = lambda run: {"double": run.data["total"] * 2, "key": run.idempotency_key}
    await world.advance(10)
    _, state = await world.run(id)
    assert state.step("risk").result == {"double": 6, "key": f"{id}.risk"}


async def test_workflow_of_a_tenant_cannot_call_functions_of_the_app(store: Store, clock: FakeClock) -> None:
    """Neither a new definition nor one that is already stored, whether or not this process has the function."""
    called: list[Any] = []
    functions: dict[str, Any] = {"pay": called.append}
    world = WorkflowWorld(store, clock, functions)
    step = {"key": "p", "type": "python", "function": "pay"}
    branch = {"key": "b", "type": "branch", "branches": [{"if": {"var": "data.x", "op": "exists"}, "steps": [step]}]}
    with pytest.raises(Invalid) as refusal:
        await world.put("mine", branch, tenant="acme")
    assert [error.field for error in refusal.value.errors] == ["steps.0.branches.0.steps.0.type"]
    for key, on_error, function in (
        ("stops", "stop", "pay"),
        ("continues", "continue", "pay"),
        ("absent", "stop", "x"),
    ):
        stored = {"steps": [{**step, "function": function, "on_error": on_error}]}
        await world.workflows.workflow_catalog.put("acme", key, stored)
        await world.trigger(key, "mallory", tenant="acme")
        await world.settle()
        (run,) = await world.runs(tenant="acme", workflow=key)
        reason = runs.decode(run.body).step("p").reason or ""
        assert run.state == ("completed" if on_error == "continue" else "failed")
        assert "only workflows of the project" in reason
    assert called == []


async def test_tenants_settings_cannot_replace_the_key_of_a_runs_tenant(store: Store, clock: FakeClock) -> None:
    seen: list[Any] = []
    world = WorkflowWorld(store, clock, {"pay": lambda run: seen.append(dict(run.tenant))})
    await world.put("pay-out", {"key": "p", "type": "python", "function": "pay"}, MAIL | {"text": "{{ tenant.key }}"})
    spoof = {"key": "globex", "name": "Globex", "plan": "team"}
    await store.tenants.put("acme", "Acme", spoof, clock.now())
    for tenant in ("acme", "neverseen", ""):
        await world.recipient("mallory", tenant, email="m@example.com")
        await world.trigger("pay-out", "mallory", tenant=tenant or None)
        await world.settle()
    assert seen[0] == {"key": "acme", "name": "Acme", "plan": "team"}
    assert [one["key"] for one in seen] == ["acme", "neverseen", None]
    sent = {one: await world.messages(tenant=one) for one in ("acme", "neverseen")}
    assert {one: msgspec.json.decode(sent[one][0].content)["text"].split("\n")[0] for one in sent} == {
        one: one for one in sent
    }


async def test_failed_run_is_retried_from_its_failed_step(world: WorkflowWorld, app: App) -> None:
    await world.put("booking", {**BELL, "title": "One"}, {"key": "call", "type": "http", "url": "https://a.example/"})
    world.http.responses = [Response(400, {}, b""), Response(200, {}, b"")]
    id = await world.trigger("booking")
    await world.settle()
    run, _ = await world.run(id)
    assert await world.store.runs.retry(restarted(run), world.clock.now())
    await world.settle()
    assert (await world.status(id), await app.titles("alice")) == ("completed", ["One"])


async def test_lost_commit_repeats_no_effect(world: WorkflowWorld, app: App) -> None:
    """The process dies after the commit and before the job's outcome: the next lease repeats nothing."""
    await world.put("booking", BELL, MAIL)
    id = await world.trigger("booking", data={"client": "x"})
    (job,) = [job for job in await app.lease(world.clock.now(), world.clock.now() + 1, 10) if job.id == id]
    assert await world.execute(job) == [None]
    await world.advance(1)
    assert (await app.titles("alice"), len(await world.messages())) == (["Booked by x"], 1)
    assert await world.execute(job) == [None]


async def test_concurrent_executions_of_a_run_commit_once(world: WorkflowWorld, app: App) -> None:
    await world.put("booking", BELL, MAIL)
    id = await world.trigger("booking", data={"client": "x"})
    (job,) = [job for job in await app.lease(world.clock.now(), world.clock.now() + 1, 10) if job.id == id]
    await asyncio.gather(*(world.execute(job) for _ in range(5)))
    assert (await app.titles("alice"), len(await world.messages())) == (["Booked by x"], 1)


async def test_second_event_during_a_step_does_not_repeat_its_call(world: WorkflowWorld, app: App) -> None:
    """The event makes the run due again while its job is leased."""
    wait = {"key": "looked", "type": "wait_for", "event": "seen", "step": "bell", "on_match": "continue"}
    await world.put("booking", BELL, wait, {"key": "sync", "type": "http", "url": "https://crm.example/"})
    id = await world.trigger("booking", data={"client": "Bob"})
    await world.settle()
    leased = []
    for word in ("seen", "read"):
        await app.mark("alice", word)
        leased += await app.lease(app.now, app.now + 30_000, 10)
    world.http.responses += [Response(200, {}, b"")] * 2
    handler = world.runner._kinds["run"].handler
    late, current = [(await handler([job]))[0] for job in leased]
    await asyncio.gather(ended(late), ended(current))
    assert (len(world.http.requests), await world.status(id)) == (1, "completed")


async def test_erasing_a_recipient_deletes_its_runs(world: WorkflowWorld) -> None:
    await world.put("booking", LATER, BELL)
    id = await world.trigger("booking")
    await world.settle()
    await world.store.recipients.delete("", "alice", world.clock.now())
    assert await world.store.runs.get(id) is None
    await world.advance(3_600)


DIGEST = {"key": "sum", "type": "digest", "window": "10m"}
COUNT = {"key": "bell", "type": "inbox", "title": "{{ digest.count }} {{ digest.items | length }}"}


async def test_digest_of_large_runs_keeps_the_items_that_fit(world: WorkflowWorld, app: App) -> None:
    await world.put("news", DIGEST, COUNT)
    for number in range(10):
        await world.trigger("news", data={"n": number, "text": "x" * 30_000})
        await world.settle()
    await world.trigger("news", data={"n": 10})
    await world.advance(600)
    await world.trigger("news")
    await world.advance(600)
    assert await app.titles("alice") == ["1 1", "11 2"]


async def test_digest_keeps_its_group_while_the_recipient_changes(world: WorkflowWorld, app: App) -> None:
    await world.put("news", {**DIGEST, "by": "{{ recipient.name }}"}, COUNT)
    await world.trigger("news")
    await world.trigger("news")
    await world.settle()
    await world.recipient("alice", name="Alicia")
    await world.advance(600)
    assert await app.titles("alice") == ["2 2"]


async def test_dead_run_collects_nothing(world: WorkflowWorld, app: App) -> None:
    await world.put("news", DIGEST, COUNT)
    dead = await world.trigger("news")
    await world.settle()
    (job,) = await app.lease(2**52, 2**52 + 1, 10)
    assert job.id == dead
    await world.store.jobs.set_dead([job])
    await world.trigger("news")
    await world.advance(600)
    assert await app.titles("alice") == ["1 1"]


async def test_failed_run_leaves_no_counter(world: WorkflowWorld, app: App) -> None:
    await world.put("news", DIGEST, COUNT)
    id = await world.trigger("news")
    await world.settle()
    run, state = await world.run(id)
    failed = runs.encode(state.ended("failed", "too_large"))
    now = world.clock.now()
    ended = msgspec.structs.replace(run, state="failed", ended_at=now, wakes_at=None, body=failed)
    assert await world.store.runs.commit([RunCommit(run=ended, now=now, has_counters=True)]) == [()]
    await world.trigger("news")
    await world.advance(600)
    assert await app.titles("alice") == ["1 1"]


@pytest.mark.parametrize(
    "step",
    [
        {"key": "a", "type": "inbox", "title": "{{ '\\ud800' }}"},
        {"key": "a", "type": "throttle", "window": "1m", "by": "{{ '\\x00' }}"},
        {"key": "a", "type": "http", "url": "https://example.com", "timeout": {"var": "data.timeout"}},
        {"key": "a", "type": "python", "function": "f", "timeout": {"var": "data.timeout"}},
    ],
)
async def test_wrong_value_fails_the_step_and_the_run(store: Store, clock: FakeClock, step: dict[str, Any]) -> None:
    world = WorkflowWorld(store, clock, {"f": lambda run: None})
    await world.put("booking", step)
    id = await world.trigger("booking", data={"timeout": "2h"})
    await world.settle()
    run, state = await world.run(id)
    assert (run.state, state.step("a").state) == ("failed", "failed")


async def test_unforeseen_error_fails_its_run_only(
    world: WorkflowWorld, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.recipient("bob", name="Bob")
    route = world.router.decide

    async def broken(shared: Any, request: SendRequest, *more: Any) -> SendRequest:
        if request.recipients == ("alice",):
            raise ZeroDivisionError
        return await route(shared, request, *more)

    monkeypatch.setattr(Router, "decide", staticmethod(broken))
    await world.put("booking", BELL)
    await world.trigger("booking", ["alice", "bob"], data={"client": "x"})
    await world.settle()
    assert {run.recipient: run.state for run in await world.runs()} == {"alice": "failed", "bob": "completed"}
    assert await world.store.jobs.due(2**52) == []


async def test_python_step_uses_no_thread_of_asyncio(store: Store, clock: FakeClock) -> None:
    world = WorkflowWorld(store, clock, {"f": lambda run: threading.current_thread().name})
    await world.put("booking", {"key": "a", "type": "python", "function": "f"})
    id = await world.trigger("booking")
    await world.settle()
    _, state = await world.run(id)
    assert state.step("a").result.startswith("bellcast-function")


async def test_function_that_hangs_is_skipped_like_a_server(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_calls, "FUNCTION_TIMEOUT_MS", 1)

    async def hang(run: Any) -> None:
        await asyncio.Event().wait()

    async def count(run: Any) -> int:
        return 7

    world = WorkflowWorld(store, clock, {"f": hang, "g": count})
    for key in ("f", "g"):
        await world.put(key, {"key": "a", "type": "python", "function": key})
    hanging = []
    for _ in range(MAX_TIMEOUTS + 1):
        hanging.append(await world.trigger("f"))
        await run_due(world.runner)
    healthy = await world.trigger("g")
    await run_due(world.runner)
    reasons = [(await world.run(id))[1].step("a").reason for id in hanging]
    assert reasons[:-1] == ["no result within 0.001 s"] * MAX_TIMEOUTS
    assert "did not respond to the last calls" in (reasons[-1] or "")
    assert (await world.run(healthy))[1].step("a").result == 7


async def test_timeout_that_a_function_raises_is_its_error(store: Store, clock: FakeClock) -> None:
    async def fetch(run: Any) -> None:
        raise TimeoutError("the database")

    world = WorkflowWorld(store, clock, {"f": fetch})
    await world.put("booking", {"key": "a", "type": "python", "function": "f"})
    ids = []
    for _ in range(MAX_TIMEOUTS + 1):
        ids.append(await world.trigger("booking"))
        await run_due(world.runner)
    reasons = {(await world.run(id))[1].step("a").reason for id in ids}
    assert len(reasons) == 1
    assert "the database" in (reasons.pop() or "")


async def test_error_of_a_source_is_shown_to_the_tenant_of_the_event_only(world: WorkflowWorld) -> None:
    source = {"event": "moved", "topic": "{a}", "notification": {"to": "", "title": "{{ event.data }}"}}
    await world.store.documents.put(SOURCES, "", "s", msgspec.json.encode(source), world.clock.now())
    await world.workflows.sources.react([LiveEvent(tenant="shop", name="moved", topic="x", data="secret")], None)
    assert "s" in await world.workflows.sources.last_failures("shop", ["s"])
    for tenant in ("", "other"):
        assert await world.workflows.sources.last_failures(tenant, ["s"]) == {}


async def test_error_of_a_source_refuses_no_event_of_a_tenant_that_is_being_erased(world: WorkflowWorld) -> None:
    source = {"event": "moved", "topic": "{a}", "notification": {"to": "", "title": "{{ event.data }}"}}
    await world.store.documents.put(SOURCES, "", "s", msgspec.json.encode(source), world.clock.now())
    await world.recipient("alice", "shop")
    job = Job(id="erasure", kind=ERASURE_JOB_KIND, payload=b"shop", run_at=2**50, created_at=world.clock.now())
    await world.store.tenants.begin_erasure("shop", world.clock.now(), job, lambda tenant: None)
    await world.workflows.sources.react([LiveEvent(tenant="shop", name="moved", topic="x", data="secret")], None)
    assert await world.workflows.sources.last_failures("shop", ["s"]) == {}


async def test_trigger_step_reaches_no_other_tenant(world: WorkflowWorld) -> None:
    """Only runs of the default tenant start runs in others."""
    inner = {"key": "again", "type": "trigger", "workflow": "inner", "to": {"var": "data.to"}}
    await world.put("inner", BELL)
    await world.put("outer", inner)
    await world.recipient("eve", tenant="other")
    data = {"to": {"tenant": "other"}, "client": "x"}
    for tenant, state, reached in (("shop", "failed", 0), ("", "done", 1)):
        id = await world.trigger("outer", data=data, tenant=tenant or None)
        await world.settle()
        assert await world.steps(id) == {"again": state}
        assert len(await world.runs(tenant="other")) == reached
    with pytest.raises(Invalid, match=r"to\.tenant"):
        await world.trigger("inner", Audience(tenant="other"), tenant="shop")
