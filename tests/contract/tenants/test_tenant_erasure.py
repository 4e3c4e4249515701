"""An erasure of a tenant that is interrupted is completed by a job; until then the tenant accepts no data."""

import asyncio
from collections.abc import Awaitable

import pytest
from structlog.testing import capture_logs

from bellcast.documents.store import Versions, replace
from bellcast.documents.types import StoredVersion
from bellcast.engines import Engines
from bellcast.inbox.imports import BulkImport
from bellcast.inbox.quotas import Quotas
from bellcast.inbox.sending import BulkSend
from bellcast.inbox.types import Audience, Draft, ImportedDraft
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.db.lists import ListQuery
from bellcast.kernel.errors import Conflict, NotFound, TenantErased
from bellcast.kernel.jobs import Job
from bellcast.kernel.limits import Limits
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.recipients.types import RecipientFields
from bellcast.tenants import erasure
from bellcast.workflows.types.runs import NewSchedule, TriggerRequest
from tests.clock import FakeClock
from tests.contexts import idle_context
from tests.contract.app import App
from tests.store import Store
from tests.workflows import WorkflowWorld

RECIPIENTS = erasure.ERASE_BATCH_RECIPIENTS + 1


@pytest.fixture
def engines(app: App) -> Engines:
    quotas = Quotas(app.store, TokenBuckets(), Limits(), app.clock)
    return idle_context(app.store, MemoryBroker(), app.clock, lambda _: app.new_id(), quotas=quotas)


async def interrupted(app: App, engines: Engines) -> None:
    """Begin to erase acme, and stop after the first step."""
    await app.send("other", tenant="globex")
    await app.add_all([app.send_request(f"r{number}", tenant="acme") for number in range(RECIPIENTS)])
    app.clock.advance(1)
    erased_at = app.clock.now()
    times = iter((erased_at, erased_at, erased_at + erasure.ERASE_REQUEST_MS + 1))
    slow = type("Slow", (), {"now": lambda self: next(times, erased_at + erasure.ERASE_REQUEST_MS + 1)})()
    left = await erasure.delete_tenant(engines, slow, "acme")
    assert left is not None
    assert left.erasing_since is not None


async def test_interrupted_erasure_is_completed_by_its_job(app: App, engines: Engines) -> None:
    await interrupted(app, engines)
    (shown,) = [one for one, _ in (await app.store.tenants.page(ListQuery(prefix="acme"))).items]
    assert shown.erasing_since is not None
    (job,) = await app.lease(app.now, app.now + 1000, 10)
    assert job.kind == erasure.ERASURE_JOB_KIND
    await erasure.continue_erasure(engines, app.clock, job)
    assert await app.store.tenants.get("acme") is None
    assert await app.store.recipients.after("acme", None, 1) == []
    assert await app.titles("other", tenant="globex") == ["Hello"]
    await app.send("alice", "New", tenant="acme")
    await erasure.continue_erasure(engines, app.clock, job)  # as after a crash before its outcome was saved
    assert await app.titles("alice", tenant="acme") == ["New"]


async def test_tenant_under_erasure_accepts_no_sends_recipients_or_changes(app: App, engines: Engines) -> None:
    await interrupted(app, engines)
    with pytest.raises(Conflict, match="being erased"):
        engines.quotas.take("acme", 1)
    engines.quotas.take("globex", 1)
    now = app.now
    for refused in (
        lambda: app.send("new", tenant="acme"),
        lambda: app.announce(tenant="acme"),
        lambda: app.store.recipients.put("acme", "new", RecipientFields(), now, replace=True),
        lambda: app.store.subscriptions.subscribe("acme", "topic", "new", now),
        lambda: app.store.tenants.put("acme", "Acme", {}, now),
        lambda: app.store.documents.put("types", "acme", "new", b"{}", now),
    ):
        with pytest.raises(Conflict, match="being erased"):
            await refused()
    await app.send("other", tenant="globex")


async def test_sends_to_a_tenant_under_erasure_do_not_refuse_those_to_others_at_the_same_time(
    app: App, engines: Engines
) -> None:
    await interrupted(app, engines)
    tenants = ["acme", "globex"] * 20
    sends = [app.send(f"new {number}", tenant=tenant) for number, tenant in enumerate(tenants)]
    results = await asyncio.gather(*sends, return_exceptions=True)
    assert [isinstance(one, TenantErased) for one in results] == [tenant == "acme" for tenant in tenants]


async def test_erasure_that_is_repeated_while_objects_of_the_tenant_remain_continues(
    app: App, engines: Engines
) -> None:
    await app.store.documents.put("templates", "acme", "welcome", b"{}", app.now)
    await interrupted(app, engines)
    assert await erasure.delete_tenant(engines, app.clock, "acme") is None
    assert await app.store.tenants.get("acme") is None
    assert await app.store.documents.get("templates", "acme", "welcome") is None


async def test_bulk_send_in_flight_does_not_create_its_erased_tenant_again(app: App, engines: Engines) -> None:
    await app.send("alice", tenant="acme")
    await engines.quotas.load()
    bulk = BulkSend(engines, Limits())
    assert isinstance((await bulk.send([Draft(to="alice", title="First", tenant="acme")]))[0], bytes)
    app.clock.advance(1)
    assert await erasure.delete_tenant(engines, app.clock, "acme") is None
    drafts = [
        Draft(to=to, title="Second", tenant="acme") for to in ("alice", "new", Audience(topic="room", tenant="acme"))
    ]
    other = Draft(to="other", title="Second", tenant="globex")
    refused = await bulk.send([other, *drafts, other])
    assert [isinstance(one, TenantErased) for one in refused] == [False, True, True, True, False]
    assert await app.store.tenants.get("acme") is None
    assert isinstance((await BulkSend(engines, Limits()).send(drafts[:1]))[0], bytes)
    assert await app.titles("alice", tenant="acme") == ["Second"]


async def test_object_of_a_request_that_began_before_the_erasure_is_refused(app: App, engines: Engines) -> None:
    began, documents, versions = app.now, app.store.documents, Versions(app.store.engine)
    await app.send("alice", tenant="acme")
    app.clock.advance(1)
    assert await erasure.delete_tenant(engines, app.clock, "acme") is None

    def writes(now: int) -> list[Awaitable[object]]:
        added, name = StoredVersion(0, b"{}", now), {"kind": "types", "tenant": "acme", "key": "pushed"}
        later = TriggerRequest(tenant="acme", created_at=now, schedules=(NewSchedule("later", b"{}", b"{}", None),))
        return [
            documents.put("webhooks", "acme", "put", b"{}", now),
            documents.change("providers", "acme", "changed", None, b"{}", now),
            versions.publish("templates", "acme", "published", added, replaces=None),
            documents.apply({("types", "acme", "pushed"): lambda: replace(name, None, b"{}", now)}),
            app.store.runs.start(later),
        ]

    results = await asyncio.gather(*writes(began), return_exceptions=True)
    assert [type(one) for one in results] == [TenantErased] * len(results)
    kinds = ("webhooks", "providers", "templates", "types", "schedules")
    assert [await documents.page(kind, "acme", "", 10) for kind in kinds] == [[], [], [], [], []]
    await asyncio.gather(*writes(app.now))
    assert [len(await documents.page(kind, "acme", "", 10)) for kind in kinds] == [1, 1, 1, 1, 1]


async def test_report_of_a_request_that_began_before_the_erasure_suppresses_no_address(
    app: App, engines: Engines
) -> None:
    began, suppressions = app.now, app.store.suppressions
    await app.send("alice", tenant="acme")
    app.clock.advance(1)
    assert await erasure.delete_tenant(engines, app.clock, "acme") is None
    for now, stored in ((began, []), (app.now, ["a@x.at"])):
        await suppressions.add_reported("acme", "email", "A@x.at", "bounce", now)
        assert [one.address for one in (await suppressions.page(ListQuery(tenants=["acme"]))).items] == stored


async def test_import_in_flight_does_not_create_its_erased_tenant_again(app: App, engines: Engines) -> None:
    load = BulkImport(engines, Limits())
    assert isinstance((await load.send([ImportedDraft(to="alice", title="First", tenant="acme")]))[0], bytes)
    app.clock.advance(1)
    assert await erasure.delete_tenant(engines, app.clock, "acme") is None
    drafts = [ImportedDraft(to="alice", title="Second", tenant=tenant) for tenant in ("globex", "acme", "globex")]
    assert [isinstance(one, TenantErased) for one in await load.send(drafts)] == [False, True, False]
    assert await app.store.tenants.get("acme") is None


async def test_job_of_a_tenant_under_erasure_waits_for_its_end_without_an_error_in_the_log(
    store: Store, clock: FakeClock
) -> None:
    world = WorkflowWorld(store, clock)
    await world.put("booking", {"key": "mail", "type": "email", "subject": "Booked", "text": "For you"})
    for key in ("alice", "bob"):
        await world.recipient(key, "acme", email=f"{key}@example.com")
        await store.subscriptions.subscribe("acme", "room", key, clock.now())
    trigger = await world.trigger("booking", Audience(topic="room", tenant="acme"), tenant="acme")
    job = Job(id="erasure", kind=erasure.ERASURE_JOB_KIND, payload=b"acme", run_at=2**50, created_at=clock.now())
    await store.tenants.begin_erasure("acme", clock.now(), job, lambda tenant: None)
    with capture_logs() as logs:
        await world.settle()
        while (await store.tenants.erase("acme", clock.now(), clock.now(), 10))[0]:
            pass
        await world.advance(3600)
    assert [(one["event"], one["job"]) for one in logs] == [("job_retried", trigger)]
    assert {group.kind for group in await store.jobs.due(2**52)} == {erasure.ERASURE_JOB_KIND}


async def test_complete_erasure_leaves_no_job(app: App, engines: Engines) -> None:
    await app.send("alice", tenant="acme")
    assert await erasure.delete_tenant(engines, app.clock, "acme") is None
    assert await app.store.jobs.counts() == {}
    engines.quotas.take("acme", 1)
    with pytest.raises(NotFound):
        await erasure.delete_tenant(engines, app.clock, "acme")
