"""Failures with their causes, failed jobs, and replays: retries of many failures."""

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, Struct

from bellcast import replays
from bellcast.documents.store import Documents
from bellcast.kernel import times
from bellcast.kernel.db.lists import MAX_COUNTED_ITEMS, ListPage, ListTotal
from bellcast.kernel.errors import Conflict, Invalid, NotFound
from bellcast.kernel.field_limits import ANY_TENANT, LIST, NULL, TENANT_NAME, Schema, one_of, only
from bellcast.kernel.http import list_parameters, request_body, responses
from bellcast.kernel.http.list_parameters import AppListLimit, ListLimit, TimeRangeQuery
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.jobs import kind_of
from bellcast.kernel.jobs import store as jobs
from bellcast.kernel.jobs.store import Jobs
from bellcast.kernel.times import Moment
from bellcast.operators.types import ONE_BY_ONE
from bellcast.replays import store
from bellcast.replays.store import (
    FailureFields,
    FailureFilter,
    FailureKind,
    Replay,
    Replays,
    ReplayState,
    StoredFailure,
)
from bellcast.rest import audit, context, guards, tenants
from bellcast.rest.resource import Listing, Resource, ResourceCall
from bellcast.rest.tenants import TenantQuery

# A job's id is the id of what it runs, or a kind or an event with a name.
JOB = re.compile(r"[^ :]+[ :].+", re.DOTALL)


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


class Revived(Struct, frozen=True):
    """A job that is due again."""

    id: str


JOBS = Resource("jobs", "/{id:str}", tag="Server", unknown="There is no dead job with this id.")


@JOBS.page(jobs.DEAD, DeadJob, query=JobsQuery, shown="kind state attempts", id="jobs.page")
async def page_of_jobs(listing: Listing[JobsQuery]) -> ListPage[DeadJob]:
    """List dead jobs.

    Jobs that failed several times in a row, and webhook deliveries that failed permanently, by id, with their last error. With
    `?tenant=*`, those of all tenants."""
    found = await Jobs(listing.ctx.engines.db).dead(listing.list_query)
    return found.of([responses.item(DeadJob, job, kind=kind_of(job.kind), state="dead") for job in found.items])


@JOBS.act("/retry", Revived, status=202, id="jobs.retry")
async def retry(call: ResourceCall[None]) -> Revived | None:
    """Retry a dead job.

    It runs again soon, and its count of failures starts at zero."""
    (id,), engines = call.key, call.ctx.engines
    if call.is_dry_run:
        return Revived(id) if await Jobs(engines.db).is_dead(call.tenant, id) else None
    if not await Jobs(engines.db).revive(call.tenant, id, engines.clock.now()):
        return None
    engines.router.wake_jobs()
    return Revived(id)


@JOBS.delete(id="jobs.delete")
async def delete(call: ResourceCall[None]) -> bool:
    """Delete a dead job.

    It never runs again."""
    return await Jobs(call.ctx.engines.db).delete_dead(call.tenant, *call.key)


class ReplayFilter(FailureFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which failures to retry: those that match all fields that are set. An empty filter matches all. Times refer to
    the creation of a failure."""

    start: Moment | None = msgspec.field(default=None, name="from")
    end: Moment | None = msgspec.field(default=None, name="to")

    @property
    def wanted(self) -> FailureFilter:
        """The filter with times in UTC milliseconds."""
        fields = {name: getattr(self, name) for name in FailureFields.__struct_fields__}
        since = 0 if self.start is None else max(0, times.milliseconds(self.start))
        until = None if self.end is None else max(0, times.milliseconds(self.end))
        return FailureFilter(**fields, since=since, until=until)


class CausesQuery(ReplayFilter, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Filters for failures. The tenant `*` means all tenants."""

    tenant: Annotated[str | None, ANY_TENANT] = None


class FailuresQuery(CausesQuery, frozen=True, kw_only=True):
    """A page of failures, newest first, with filters."""

    limit: ListLimit = 50
    after: str | None = None


class Failure(Struct, frozen=True, kw_only=True):
    """A message that failed or bounced, a failed run, or a dead job. `cause` is its `reason` without addresses, ids and
    long numbers. A dead job that executed a run has the id of the run."""

    id: str
    tenant: str | None
    kind: FailureKind
    state: str
    recipient: str | None
    channel: str | None
    provider: str | None
    workflow: str | None
    job: str | None
    webhook: str | None
    cause: str
    reason: str | None
    created_at: datetime


class FailurePage(Struct, frozen=True, kw_only=True):
    """A page of failures. Pass `next` as `after`. If `scanned_until` is not null, the search stopped after 20,000
    failures: pass it as `after` to continue. Only the first page has a `total`; with a filter other than kind and time,
    it is a lower bound."""

    failures: list[Failure]
    next: str | None
    scanned_until: str | None = None
    total: ListTotal | None = None


class Cause(Struct, frozen=True, kw_only=True):
    """Failures of a tenant with the same cause. Use the other non-null fields as the filter of a replay."""

    tenant: str | None
    kind: FailureKind
    channel: str | None
    provider: str | None
    workflow: str | None
    job: str | None
    webhook: str | None
    cause: str
    count: int
    oldest_at: datetime
    newest: Failure


class CausePage(Struct, frozen=True, kw_only=True):
    """The 200 most frequent causes, of the newest 20,000 failed messages, bounced messages, failed runs and dead jobs each. The
    total is not exact if there are older failures."""

    causes: list[Cause]
    total: ListTotal


# The cause of a failure names no recipient, but its reason can.
SHOWN = "kind state recipient channel provider workflow job webhook cause"


FAILURES = Resource("failures", tag="Messages")


@FAILURES.listing(FailurePage, query=FailuresQuery, shown=SHOWN, id="failures.failure_page")
async def failure_page(request: ApiRequest, query: FailuresQuery) -> FailurePage:
    """List failures.

    Messages that failed or bounced, failed runs and dead jobs, by descending id: the newest first. The filters can be
    combined."""
    named, engines = tenants.tenants_of(request, query.tenant), context.of(request).engines
    before = query.after if query.after and JOB.fullmatch(query.after) else list_parameters.item_id(query.after)
    found = await replays.failure_page(engines.db, named, query.wanted, before, query.limit)
    following, total = found.next or found.scanned_until, None
    if not query.after:
        total = ListTotal(len(found.items) + (following is not None), exact=following is None)
        if following is not None and not query.wanted.compares_fields:
            number = await Replays(engines.db).count_failures(named, query.wanted, MAX_COUNTED_ITEMS + 1)
            total = ListTotal(min(number, MAX_COUNTED_ITEMS), exact=number <= MAX_COUNTED_ITEMS)
    return FailurePage(
        failures=[_failure(one) async for one in engines.pace.each(found.items)],
        next=None if found.next is None else found.next[0],
        scanned_until=None if found.scanned_until is None else found.scanned_until[0],
        total=total,
    )


@FAILURES.listing(
    CausePage,
    "/causes",
    query=CausesQuery,
    shown=f"{SHOWN} count oldest_at newest",
    is_exported=False,
    id="failures.causes",
)
async def causes(request: ApiRequest, query: CausesQuery) -> CausePage:
    """Count failures by cause.

    The most frequent cause comes first. Causes are counted per tenant. A cause is the error text of the provider, the
    step or the job, without addresses, ids and long numbers."""
    named = tenants.tenants_of(request, query.tenant)
    groups, total = await replays.failure_causes(context.of(request).engines.db, named, query.wanted)
    found = list[Cause]()
    for group in groups:
        newest = _failure(group.newest)
        found.append(responses.item(Cause, newest, newest=newest, count=group.number, oldest_at=group.oldest_at))
    return CausePage(causes=found, total=total)


def _failure(failure: StoredFailure) -> Failure:
    return responses.item(Failure, failure, webhook=replays.webhook_of(failure), cause=replays.cause_of(failure.reason))


REPLAYS = Resource("replays", "/{id:str}", tag="Messages", unknown="There is no replay with this id.")


class StartReplayRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either `ids` of messages, runs and dead jobs, or a `filter`."""

    ids: Annotated[list[str], Meta(min_length=1, max_length=replays.MAX_REPLAY_IDS)] | None = None
    filter: ReplayFilter | None = None
    dry_run: bool = False
    tenant: Annotated[str | None, TENANT_NAME] = None

    SCHEMA: ClassVar[Schema] = one_of(only("ids", LIST, filter=NULL), only("filter", {"type": "object"}))


class StartedReplay(Struct, frozen=True, kw_only=True):
    """A replay, without id in a dry run. `matched` counts at most 20,000 failures; unless it is `exact`, the replay covers
    more."""

    id: str | None
    matched: int
    exact: bool
    effects: list[replays.ReplayEffect]


class ReplayObject(Struct, frozen=True, kw_only=True):
    """The progress of a replay. `examined` counts the matching failures so far, and `retried` the retries. Failures
    that changed since the search, and messages whose template could not be rendered, are skipped. `ids` is the
    number of ids of a replay without a filter."""

    id: str
    tenant: str | None
    state: ReplayState
    filter: dict[str, Any] | None
    ids: int | None
    matched: int
    exact: bool
    examined: int
    retried: int
    created_at: datetime
    ended_at: datetime | None


class ReplaysQuery(TimeRangeQuery, frozen=True, kw_only=True):
    """A page of replays, newest first. `from` and `to` filter by start time. The tenant `*` means all
    tenants."""

    limit: ListLimit = 50
    after: str | None = None


def _check(body: StartReplayRequest, ctx: context.ApiContext) -> None:
    if (body.ids is None) == (body.filter is None):
        raise Invalid.of("filter", "either ids or filter is required, not both")


START = request_body.Shape(StartReplayRequest, _check)


@REPLAYS.create(
    START,
    StartedReplay,
    roles=ONE_BY_ONE,
    is_audited=True,
    response_types={200: StartedReplay, 202: StartedReplay},
    refusals=(Conflict,),
    example={"filter": {"channel": "email", "from": "2026-06-10T12:00:00Z"}},
)
async def start(call: ResourceCall[StartReplayRequest]) -> Any:
    """Replay failures.

    Retries messages that failed or bounced, failed runs and dead jobs: those with the given ids, or all current
    failures that match a filter. A dry run counts them. The replay runs in the background and survives a restart; each
    failure is retried at most once. Ten replays of a tenant can run at a time."""
    request, engines, tenant, body = call.request, call.ctx.engines, call.tenant, call.body
    guards.require_one(request, is_one=body.ids is not None and len(body.ids) == 1)
    plan, effects = await replays.plan(
        engines, tenant, None if body.filter is None else body.filter.wanted, body.ids or ()
    )
    started = StartedReplay(id=None, matched=plan.matched, exact=plan.is_exact, effects=effects)
    if call.is_dry_run or body.dry_run:
        audit.note_check(request)
        return responses.json(started)
    id, replay = await replays.start(engines, tenant, plan)
    audited = {"filter": _filter(replay), "ids": len(plan.ids) or None, "matched": plan.matched}
    audit.note_changes(request, {}, {name: value for name, value in audited.items() if value is not None})
    return responses.json(msgspec.structs.replace(started, id=id), 202)


@REPLAYS.page(
    store.LIST, ReplayObject, query=ReplaysQuery, shown="state filter ids matched exact examined retried ended_at"
)
async def page(listing: Listing[ReplaysQuery]) -> ListPage[ReplayObject]:
    """List replays.

    The last 100 of a tenant, newest first. With `?tenant=*`, those of all tenants."""
    found = await Replays(listing.ctx.engines.db).page(listing.list_query)
    return found.of([_shown(*one) for one in found.items])


@REPLAYS.get(ReplayObject, other_scope="manage")
async def read(call: ResourceCall[None]) -> ReplayObject | None:
    """Read the progress of a replay.

    Keys with the scope `manage`, which starts replays, may read it too."""
    (id,) = call.key
    found = await Documents(call.ctx.engines.db).get(store.REPLAYS, call.tenant, id)
    return None if found is None else _shown(call.tenant, id, store.decode(found.body))


@REPLAYS.delete(is_audited=True, refusals=(NotFound, Conflict))
async def cancel(call: ResourceCall[None]) -> bool:
    """Cancel a replay.

    After the response, nothing more is retried. Retries are not undone."""
    cancelled = await replays.cancel(call.ctx.engines, call.tenant, *call.key)
    if cancelled is False:
        raise Conflict("This replay has ended.")
    return cancelled is not None


def _filter(replay: Replay) -> dict[str, Any] | None:
    """Return the filter of a replay as it is in requests."""
    if replay.wanted is None:
        return None
    names = FailureFields.__struct_fields__
    fields = {name: value for name in names if (value := getattr(replay.wanted, name)) is not None}
    if replay.wanted.since:
        fields["from"] = times.to_rfc3339(replay.wanted.since)
    return fields | {"to": times.to_rfc3339_or_null(replay.wanted.until)}


def _shown(tenant: str, id: str, replay: Replay) -> ReplayObject:
    return responses.item(
        ReplayObject,
        replay,
        id=id,
        tenant=tenant,
        filter=_filter(replay),
        ids=None if replay.wanted is not None else len(replay.ids),
        exact=replay.is_exact,
    )
