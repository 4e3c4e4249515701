"""Erasure of tenants: in the request that asks for it, then in a job."""

from collections.abc import Callable

import msgspec

from bellcast.engines import Engines
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import NotFound
from bellcast.kernel.jobs import Job
from bellcast.kernel.jobs.store import Jobs
from bellcast.tenants.store import Tenants
from bellcast.tenants.types import Tenant

# Recipients erased per step, so that other writers run in between.
ERASE_BATCH_RECIPIENTS = 100
ERASURE_JOB_KIND = "tenant_erasure"
# Time for which a request erases a tenant. A job continues after it, or after an interrupted request's `ERASE_RESUME_MS`.
ERASE_REQUEST_MS = 5_000
ERASE_RESUME_MS = 7_000


async def delete_tenant(
    engines: Engines, token_clock: Clock, key: str, check: Callable[[Tenant], None] = lambda tenant: None
) -> Tenant | None:
    """Erase a tenant that passes the check and its data, close its connections and revoke its sessions. Return the tenant if that
    takes longer than a request may: a job then continues."""
    now = engines.clock.now()
    name = f"{ERASURE_JOB_KIND}.{key}"
    job = Job(id=name, kind=ERASURE_JOB_KIND, payload=key.encode(), run_at=now + ERASE_RESUME_MS, created_at=now)
    tenant = await Tenants(engines.db).begin_erasure(key, now, job, check)
    if tenant is None:
        raise NotFound("There is no tenant with this key.")
    if await _erase(engines, token_clock, key, token_clock.now() + ERASE_REQUEST_MS):
        await Jobs(engines.db).cancel([name])
        return None
    await Jobs(engines.db).add([msgspec.structs.replace(job, run_at=now)])
    return tenant


async def continue_erasure(engines: Engines, token_clock: Clock, job: Job) -> None:
    """Complete the erasure of a tenant, unless it is complete. A tenant with the same key may exist again."""
    key = job.payload.decode()
    tenant = await Tenants(engines.db).get(key)
    if tenant is not None and tenant.erasing_since is not None:
        await _erase(engines, token_clock, key, None)


async def _erase(engines: Engines, token_clock: Clock, key: str, until: int | None) -> bool:
    """Erase a tenant in steps; return whether it was erased before `until`."""
    await engines.quotas.load()  # refuses sends
    await engines.history.clear(key, None)
    erased = ERASE_BATCH_RECIPIENTS
    while erased:
        if until is not None and token_clock.now() >= until:
            return False
        erased, events = await Tenants(engines.db).erase(
            key, token_clock.now() + 1, engines.clock.now(), ERASE_BATCH_RECIPIENTS
        )
        await engines.broker.publish(*events)
    engines.router.forget()
    await engines.quotas.load()
    await engines.history.clear(key, None)  # events that were published in the meantime
    return True
