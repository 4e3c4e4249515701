"""Dead jobs. After several crashes or unexpected errors in a row, or after the last attempt to deliver an event to a
webhook, a job does not run again until it is retried or deleted."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from bellcast.kernel import times
from bellcast.kernel.db.lists import ListPage
from bellcast.kernel.errors import NotFound
from bellcast.kernel.http import request_body, responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.list_limit import AppListLimit
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.jobs import store as jobs
from bellcast.kernel.jobs.store import Jobs
from bellcast.kernel.jobs.types import Job, kind_of
from bellcast.operators.types import ROLES
from bellcast.rest import context, objects, tenants
from bellcast.rest.operations import operation
from bellcast.rest.resource import Change, DryRunQuery, Listing, Resource
from bellcast.rest.tenants import TenantQuery

UNKNOWN = "There is no dead job with this id."


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


JOBS = Resource("jobs", "/{id:str}", lambda request: (request_body.path(request, "id"),), tag="Server")


@JOBS.page(jobs.DEAD, JobPage, query=JobsQuery, roles=ROLES)
async def page(listing: Listing[JobsQuery]) -> ListPage[DeadJob]:
    """List dead jobs.

    Jobs that failed several times in a row, and webhook deliveries that failed permanently, by id, with their last error. With
    `?tenant=*`, those of all tenants."""
    found = await Jobs(listing.ctx.engines.db).dead(listing.wanted)
    return found.of([_outside(job) for job in found.items])


@operation(
    "POST",
    "/v1/jobs/{id:str}/retry",
    tag="Server",
    required_scope="manage",
    query=DryRunQuery,
    response_types={200: Revived, 202: Revived},
    refusals=(NotFound,),
)
async def retry(request: ApiRequest) -> ASGIApp:
    """Retry a dead job.

    It runs again soon, and its count of failures starts at zero."""
    engines = context.of(request).engines
    tenant, id = tenants.single_tenant(request), request_body.path(request, "id")
    if objects.is_dry_run(request):
        if not await Jobs(engines.db).is_dead(tenant, id):
            raise NotFound(UNKNOWN)
        return responses.json(Revived(id))
    if not await Jobs(engines.db).revive(tenant, id, engines.clock.now()):
        raise NotFound(UNKNOWN)
    engines.router.messages_added()
    return responses.json(Revived(id), 202)


@JOBS.delete(UNKNOWN)
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
