"""An erasure of a tenant that is interrupted is completed by a job; until then the tenant accepts no data."""

import pytest

from bellcast.engines import Engines
from bellcast.inbox.quotas import Quotas
from bellcast.kernel.brokers.memory import MemoryBroker
from bellcast.kernel.db.lists import ListQuery
from bellcast.kernel.errors import Conflict, NotFound
from bellcast.kernel.limits import Limits
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.recipients.types import RecipientFields
from bellcast.tenants import erasure
from tests.contexts import idle_context
from tests.contract.app import App

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
    ):
        with pytest.raises(Conflict, match="being erased"):
            await refused()
    await app.send("other", tenant="globex")


async def test_complete_erasure_leaves_no_job(app: App, engines: Engines) -> None:
    await app.send("alice", tenant="acme")
    assert await erasure.delete_tenant(engines, app.clock, "acme") is None
    assert await app.store.jobs.counts() == {}
    engines.quotas.take("acme", 1)
    with pytest.raises(NotFound):
        await erasure.delete_tenant(engines, app.clock, "acme")
