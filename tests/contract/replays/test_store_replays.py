"""Failures and replays on every engine."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from bellcast import replays
from bellcast.channels.types import MessageUpdate, NewMessage
from bellcast.engines import Engines
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.db.lists import ListQuery
from bellcast.kernel.errors import Conflict
from bellcast.kernel.ids import NEWEST
from bellcast.kernel.jobs import Job
from bellcast.kernel.jobs.runner import JobRunner
from bellcast.replays import store as replay_store
from bellcast.replays.store import MAX_RUNNING_REPLAYS, REPLAYS, FailureFilter, Replay
from bellcast.webhooks.types import WebhookDelivery, WebhookEvent
from bellcast.webhooks.webhooks import DELIVERY_JOB_KIND
from bellcast.workflows.types import runs
from bellcast.workflows.types.runs import StoredRun, TriggerRequest
from tests.clock import FakeClock
from tests.contexts import idle_context
from tests.contract.app import App
from tests.due_jobs import run_due

NOW = FakeClock().now()
DIGITS = f"{NOW:012x}"


def id_of(number: int) -> str:
    """Return an id with the current time, like a UUIDv7."""
    return f"{DIGITS[:8]}-{DIGITS[8:]}-7000-8000-{number:012}"


def message(number: int, **fields: Any) -> NewMessage:
    base = {
        "id": id_of(number),
        "tenant": "",
        "recipient": "alice",
        "notification": None,
        "channel": "email",
        "type": "booking",
        "priority": "normal",
        "address": "alice@example.com",
        "due_at": NOW,
        "created_at": NOW,
        "content": b'{"subject":"Hi"}',
    }
    return NewMessage(**{**base, **fields})


async def fail(app: App, *ids: str, state: str = "failed", reason: str | None = "HTTP 500", **fields: Any) -> None:
    """Make delivery attempts fail."""
    begun = await app.store.messages.begin(ids, NOW)
    updates = [MessageUpdate(message=replace(one, state=state, reason=reason, **fields)) for one in begun]
    await app.store.messages.finish(updates, NOW)


async def add_failed(app: App, *numbers: int, tenant: str = "", **fields: Any) -> list[str]:
    """Add messages that failed; return their ids."""
    added = [message(number, tenant=tenant) for number in numbers]
    await app.store.messages.add(added)
    await fail(app, *(one.id for one in added), **fields)
    return [one.id for one in added]


async def add_run(app: App, number: int, **fields: Any) -> StoredRun:
    state = runs.RunState(steps={"call": runs.StepState(state="failed", reason="HTTP 502")}).ended("failed", "HTTP 502")
    base = {
        "id": id_of(number),
        "trigger": id_of(number),
        "tenant": "",
        "workflow": "welcome",
        "owner": "",
        "version": 1,
        "recipient": "alice",
        "state": "failed",
        "reason": "HTTP 502",
        "created_at": NOW,
        "ended_at": NOW,
        "body": runs.encode(state),
    }
    run = StoredRun(**{**base, **fields})
    await app.store.runs.start(TriggerRequest(tenant=run.tenant, created_at=NOW, runs=(run,)))
    return run


async def set_dead_delivery(app: App, id: str, webhook: str) -> None:
    """Add the delivery of an event to a webhook as a dead job."""
    payload = msgspec.json.encode(WebhookDelivery("", webhook, f"event-{id}"))
    await set_dead(app, id, kind=DELIVERY_JOB_KIND, payload=payload)


async def set_dead(
    app: App, id: str, tenant: str = "", kind: str = "broken", payload: bytes = b"{}", error: str = "KeyError: 'x'"
) -> None:
    jobs = app.store.jobs
    await jobs.add([Job(id=id, kind=kind, payload=payload, run_at=NOW, created_at=NOW, tenant=tenant)])
    leased = await app.lease(NOW, NOW, 100)
    await jobs.set_dead([replace(one, error=error) for one in leased if one.id == id])
    await jobs.retry([one for one in leased if one.id != id], NOW)


async def states(app: App, ids: Sequence[str]) -> dict[str, str]:
    return {one.id: one.state for one in await app.store.messages.find(ids)}


def engines_of(app: App) -> Engines:
    return idle_context(app.store, MemoryBroker(), app.clock, lambda _: app.new_id())


def runner_of(app: App) -> JobRunner:
    """Return the runner of a new process."""
    runner = JobRunner(app.store.jobs, app.clock, lambda _: app.new_id())
    runner.register(replays.JOB_KIND, partial(replays.run, engines_of(app)), concurrency=replays.REPLAY_SLOTS)
    return runner


async def start(app: App, wanted: FailureFilter | None, ids: Sequence[str] = (), tenant: str = "") -> str:
    planned, _ = await replays.plan(engines_of(app), tenant, wanted, ids)
    id, _ = await replays.start(engines_of(app), tenant, planned)
    return id


async def stored(app: App, id: str, tenant: str = "") -> Replay | None:
    found = await app.store.documents.get(REPLAYS, tenant, id)
    return None if found is None else replay_store.decode(found.body)


async def test_failures_of_every_kind_are_paged_by_descending_id(app: App) -> None:
    await add_failed(app, 1, 3, reason="550 No such user", state="bounced", provider="env-email-1")
    await add_failed(app, 2)
    await add_failed(app, 7, tenant="acme")
    await app.store.messages.add([message(8)])
    await add_run(app, 4)
    await set_dead(app, id_of(5))
    store = app.store.replays
    first = await store.failures([""], FailureFilter(), NEWEST, 3)
    assert [(one.kind, one.id) for one in first] == [("job", id_of(5)), ("run", id_of(4)), ("message", id_of(3))]
    assert [(one.reason, one.provider, one.workflow, one.job) for one in first] == [
        ("KeyError: 'x'", None, None, "broken"),
        ("HTTP 502", None, "welcome", None),
        ("550 No such user", "env-email-1", None, None),
    ]
    rest = await store.failures([""], FailureFilter(), first[-1].id, 3)
    assert [one.id for one in rest] == [id_of(2), id_of(1)]
    assert await store.failures([""], FailureFilter(until=NOW), NEWEST, 3) == []
    assert len(await store.failures([""], FailureFilter(since=NOW), NEWEST, 9)) == 5


async def test_failures_of_several_tenants_are_merged_and_counted(app: App) -> None:
    await add_failed(app, 1, 4)
    await add_failed(app, 2, 6, tenant="acme", state="bounced")
    await add_run(app, 3, tenant="globex")
    await set_dead(app, id_of(5), tenant="globex")
    store = app.store.replays

    async def found(*tenants: str, before: str = NEWEST, limit: int = 100) -> list[tuple[str, int]]:
        page = await store.failures(tenants, FailureFilter(), before, limit)
        return [(one.tenant, int(one.id[-1])) for one in page]

    assert await found("*") == [("acme", 6), ("globex", 5), ("", 4), ("globex", 3), ("acme", 2), ("", 1)]
    assert await found("*", before=id_of(5), limit=2) == [("", 4), ("globex", 3)]
    assert await found("acme", "globex") == [("acme", 6), ("globex", 5), ("globex", 3), ("acme", 2)]
    counts = [
        await store.count_failures(tenants, wanted, limit)
        for tenants, wanted, limit in (
            (["*"], FailureFilter(), 100),
            (["*"], FailureFilter(), 4),
            (["acme", "globex"], FailureFilter(), 100),
            (["globex"], FailureFilter(kind="run"), 100),
            (["*"], FailureFilter(since=NOW + 1), 100),
        )
    ]
    assert counts == [6, 4, 4, 1, 0]


async def test_newest_failures_are_grouped_by_reason_with_their_number_and_times(app: App) -> None:
    await add_failed(app, 1, 3, reason="550 No such user")
    await add_failed(app, 2, 4, tenant="acme", reason="550 No such user")
    await add_failed(app, 5, reason="550 No such user", state="bounced")
    await add_failed(app, 6, reason="Mailbox full", provider="mail")
    await add_run(app, 7)
    await set_dead(app, id_of(8))
    await app.store.messages.add([message(9)])  # not failed
    for webhook in ("w1", "w2"):
        await set_dead_delivery(app, id_of(10 + int(webhook[1])), webhook)
    store = app.store.replays

    async def grouped(tenant: str, limit: int = 100, **wanted: Any) -> tuple[set[tuple[int, str, int]], bool]:
        groups, is_exact = await store.group_failures([tenant], FailureFilter(**wanted), limit)
        assert {group.oldest_at for group in groups} <= {NOW}
        return {(int(one.newest.id[-2:]), one.newest.tenant, one.number) for one in groups}, is_exact

    own = {(3, "", 2), (5, "", 1), (6, "", 1), (7, "", 1), (8, "", 1), (11, "", 1), (12, "", 1)}
    assert await grouped("") == (own, True)
    assert await grouped("*") == (own | {(4, "acme", 2)}, True)
    assert await grouped("", 2, kind="message") == ({(6, "", 1), (3, "", 1), (5, "", 1)}, False)
    assert await grouped("", since=NOW + 1) == (set(), True)


async def test_page_of_failures_has_all_with_the_last_id(app: App) -> None:
    await add_run(app, 1)
    await set_dead(app, id_of(1))
    page = await app.store.replays.failures([""], FailureFilter(), NEWEST, 1)
    assert {one.kind for one in page} == {"run", "job"}


async def test_failures_are_found_by_id_within_their_tenant(app: App) -> None:
    (failed,) = await add_failed(app, 1)
    await app.store.messages.add([message(2)])
    await add_run(app, 3)
    await set_dead(app, "digest:x")
    found = await app.store.replays.find("", [failed, id_of(2), id_of(3), "digest:x", "unknown"])
    assert [one.id for one in found] == ["digest:x", id_of(3), failed]
    assert await app.store.replays.find("acme", [failed, id_of(3), "digest:x"]) == []


async def test_step_of_a_replay_that_changed_retries_nothing(app: App) -> None:
    (failed,) = await add_failed(app, 1)
    id = await start(app, FailureFilter())
    failures = await app.store.replays.find("", [failed])
    assert not await app.store.replays.retry([], failures, "", id, b"{}", lambda _: b"{}", NOW)
    assert await states(app, [failed]) == {failed: "failed"}


async def test_replay_retries_what_matches_and_reports_its_progress(app: App) -> None:
    wanted, other, foreign = (
        await add_failed(app, 1, 2, reason="451 busy, id 4XJ1k20Qqz12"),
        await add_failed(app, 3, reason="550 No such user", state="bounced"),
        await add_failed(app, 4, tenant="acme", reason="451 busy, id 4XJ1k20Qqz12"),
    )
    engines, runner = engines_of(app), runner_of(app)
    plan, effects = await replays.plan(engines, "", FailureFilter(cause="451 busy, id ID"), ())
    assert (plan.matched, plan.is_exact, [(one.channel, one.count) for one in effects]) == (
        2,
        True,
        [("email", 2)],
    )
    id, _ = await replays.start(engines, "", plan)
    while await run_due(runner):
        pass
    replay = await stored(app, id)
    assert replay is not None
    assert (replay.state, replay.matched, replay.examined, replay.retried, replay.ended_at) == ("done", 2, 2, 2, NOW)
    assert set((await states(app, wanted)).values()) == {"queued"}
    assert set((await states(app, [*other, *foreign])).values()) == {"bounced", "failed"}
    assert await stored(app, id, "acme") is None


async def test_replay_continues_runs_and_revives_jobs(app: App) -> None:
    run = await add_run(app, 1)
    await set_dead(app, "broken-1")
    await start(app, None, [run.id, "broken-1", "unknown"])
    runner = runner_of(app)
    while await run_due(runner):
        pass
    ((_, _, replay),) = (await app.store.replays.page(ListQuery(tenants=[""]))).items
    assert (replay.state, replay.matched, replay.retried) == ("done", 2, 2)
    retried = await app.store.runs.get(run.id)
    assert retried is not None
    assert (retried.state, runs.decode(retried.body).step("call")) == ("running", runs.PENDING_AGAIN)
    assert not await app.store.jobs.is_dead("", "broken-1")


async def test_replay_of_a_killed_worker_continues_and_retries_each_failure_once(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "REPLAY_BATCH_ROWS", 2)
    failed = await add_failed(app, 1, 2, 3, 4, 5)
    id = await start(app, FailureFilter(kind="message"))
    (job,) = [job for job in await app.lease(NOW, NOW + 1, 10) if job.kind == "replay"]
    # The worker dies after its step was committed and before the job's outcome was.
    assert await replays.run(engines_of(app), job) == NOW
    assert sorted((await states(app, failed)).values()) == ["failed"] * 3 + ["queued"] * 2
    await fail(app, failed[4])
    app.clock.advance(1)
    runner = runner_of(app)
    while await run_due(runner):
        pass
    assert await states(app, failed) == dict.fromkeys(failed[:4], "queued") | {failed[4]: "failed"}
    replay = await stored(app, id)
    assert replay is not None
    assert (replay.state, replay.examined, replay.retried) == ("done", 5, 5)


async def test_cancelled_replay_retries_nothing_further(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "REPLAY_BATCH_ROWS", 1)
    failed = await add_failed(app, 1, 2)
    id = await start(app, None, failed)
    engines, runner = engines_of(app), runner_of(app)
    await run_due(runner)
    assert [await replays.cancel(engines, tenant, id) for tenant in ("", "", "acme")] == [True, False, None]
    while await run_due(runner):
        pass
    assert sorted((await states(app, failed)).values()) == ["failed", "queued"]
    replay = await stored(app, id)
    assert replay is not None
    assert (replay.state, replay.retried) == ("cancelled", 1)


async def test_running_and_kept_replays_of_a_tenant_are_bounded(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_store, "KEPT_REPLAYS", MAX_RUNNING_REPLAYS + 1)
    runner = runner_of(app)
    first = await start(app, FailureFilter())
    for _ in range(MAX_RUNNING_REPLAYS - 1):
        await start(app, FailureFilter())
    with pytest.raises(Conflict):
        await start(app, FailureFilter())
    await start(app, FailureFilter(), tenant="acme")
    while await run_due(runner):
        pass
    newest = [await start(app, FailureFilter()) for _ in range(2)]
    known = [id for _, id, _ in (await app.store.replays.page(ListQuery(tenants=[""]))).items]
    assert (len(known), known[:2], first in known) == (MAX_RUNNING_REPLAYS + 1, newest[::-1], False)


async def test_replays_that_several_nodes_start_at_once_are_bounded(app: App) -> None:
    planned, _ = await replays.plan(engines_of(app), "", FailureFilter(), ())
    nodes = [engines_of(app) for _ in range(MAX_RUNNING_REPLAYS + 2)]
    started = await asyncio.gather(*(replays.start(node, "", planned) for node in nodes), return_exceptions=True)
    assert [type(one) for one in started].count(Conflict) == 2
    assert len((await app.store.replays.page(ListQuery(tenants=[""]))).items) == MAX_RUNNING_REPLAYS


async def test_replay_with_the_id_of_another_is_refused_without_a_job(app: App) -> None:
    id = await start(app, FailureFilter())
    ((_, _, replay),) = (await app.store.replays.page(ListQuery(tenants=[""]))).items
    before = await app.store.jobs.counts()
    job = Job(id="other", kind=replays.JOB_KIND, payload=b"[]", run_at=NOW, created_at=NOW)
    with pytest.raises(Conflict, match="this id"):
        await app.store.replays.add("", id, replay, job)
    assert await app.store.jobs.counts() == before


async def test_dead_delivery_is_deleted_with_its_event(app: App) -> None:
    await app.store.webhook_events.add([WebhookEvent(id=id_of(1), tenant="", type="message.sent", body=b"{}")], NOW)
    await set_dead(app, f"{id_of(1)}:hook")
    await set_dead(app, f"{id_of(2)}:hook")
    await app.store.maintenance.delete_messages(NOW + 1, 100)
    page = await app.store.replays.failures([""], FailureFilter(), NEWEST, 100)
    assert [one.id for one in page] == [f"{id_of(2)}:hook"]
