"""Dead jobs. After several crashes or unexpected errors in a row, or after the last attempt to deliver an event to a
webhook, a job does not run again until it is retried or deleted."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from bellcast.kernel import times
from bellcast.kernel.db.lists import ListPage
from bellcast.kernel.http.list_parameters import AppListLimit
from bellcast.kernel.jobs import store as jobs
from bellcast.kernel.jobs.store import Jobs
from bellcast.kernel.jobs.types import Job, kind_of
from bellcast.operators.types import ROLES
from bellcast.rest import tenants
from bellcast.rest.resource import Change, Listing, Resource
from bellcast.rest.tenants import TenantQuery


class JobsQuery(TenantQuery, frozen=True, kw_only=True):
    """A page of dead jobs, by id. The tenant `*` means all tenants."""

    state: Literal["dead"] = "dead"
    limit: AppListLimit = 100
    after: str | None = None


class DeadJob(Struct, frozen=True):
    """A dead job. A job of the kind `message` or `run` has the id of its message or run."""

    id: str
    tenant: str | None
    kind: str
    state: str
    attempts: int
    error: str | None
    created_at: datetime


class JobPage(Struct, frozen=True):
    """A page of jobs; pass `next` as `after` for the next page."""

    jobs: list[DeadJob]
    next: str | None


class Revived(Struct, frozen=True):
    """A job that is due again."""

    id: str


JOBS = Resource("jobs", "/{id:str}", tag="Server", unknown="There is no dead job with this id.")


@JOBS.page(jobs.DEAD, JobPage, query=JobsQuery, roles=ROLES)
async def page(listing: Listing[JobsQuery]) -> ListPage[DeadJob]:
    """List dead jobs.

    Jobs that failed several times in a row, and webhook deliveries that failed permanently, by id, with their last error. With
    `?tenant=*`, those of all tenants."""
    found = await Jobs(listing.ctx.engines.db).dead(listing.wanted)
    return found.of([_outside(job) for job in found.items])


@JOBS.act("/retry", Revived, status=202)
async def retry(job: Change[None]) -> Revived | None:
    """Retry a dead job.

    It runs again soon, and its count of failures starts at zero."""
    (id,), engines = job.key, job.ctx.engines
    if job.is_dry_run:
        return Revived(id) if await Jobs(engines.db).is_dead(job.tenant, id) else None
    if not await Jobs(engines.db).revive(job.tenant, id, engines.clock.now()):
        return None
    engines.router.messages_added()
    return Revived(id)


@JOBS.delete()
async def delete(change: Change[None]) -> bool:
    """Delete a dead job.

    It never runs again."""
    return await Jobs(change.ctx.engines.db).delete_dead(change.tenant, *change.key)


def _outside(job: Job) -> DeadJob:
    return DeadJob(
        id=job.id,
        tenant=tenants.outside(job.tenant),
        kind=kind_of(job.kind),
        state="dead",
        attempts=job.attempts,
        error=job.error,
        created_at=times.to_rfc3339(job.created_at),
    )


HANDLERS = [page, retry, delete]
