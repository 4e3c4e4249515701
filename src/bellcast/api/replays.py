"""Failures by cause, and replays that retry them."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from bellcast.api import (
    audit,
    context,
    guards,
    list_positions,
    list_total,
    objects,
    request_body,
    responses,
    tenant_pages,
    tenants,
    viewers,
)
from bellcast.api.list_limit import ListLimit
from bellcast.api.objects import DryRunQuery
from bellcast.api.operations import operation
from bellcast.api.request_body import ApiRequest
from bellcast.api.tenants import TenantQuery
from bellcast.api.time_range import TimeRangeQuery
from bellcast.errors import BadRequest, Conflict, Invalid, NotFound
from bellcast.model import times
from bellcast.model.asgi import ASGIApp
from bellcast.model.messages import ExternalChannel
from bellcast.model.operators import ONE_BY_ONE, ROLES
from bellcast.model.times import Moment
from bellcast.ports.list_scan import ListScan, ListTotal
from bellcast.ports.messages import NEWEST
from bellcast.ports.replays import FailureKind, ReplayQuery, StoredFailure
from bellcast.replays import FailureFilter
from bellcast.replays.causes import cause_of
from bellcast.replays.failures import CauseGroup, webhook_of
from bellcast.replays.replays import MAX_REPLAY_IDS, FoundReplay, Replay, ReplayState, RetryCount

UNKNOWN = "There is no replay with this id."


class CausesQuery(TimeRangeQuery, frozen=True, kw_only=True):
    """Filters for failures. The tenant `*` means all tenants."""

    kind: FailureKind | None = None
    channel: ExternalChannel | None = None
    provider: str | None = None
    workflow: str | None = None
    job: str | None = None
    webhook: str | None = None
    cause: str | None = None

    @property
    def wanted(self) -> FailureFilter:
        """The query's filter."""
        fields = {name: getattr(self, name) for name in FIELDS}
        return FailureFilter(**fields, since=self.created_since, until=self.created_before)


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


class ReplayFilter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which failures to retry: those that match all fields that are set. An empty filter matches all. Times refer to
    the creation of a failure."""

    kind: FailureKind | None = None
    channel: ExternalChannel | None = None
    provider: str | None = None
    workflow: str | None = None
    job: str | None = None
    webhook: str | None = None
    cause: str | None = None
    start: Moment | None = msgspec.field(default=None, name="from")
    end: Moment | None = msgspec.field(default=None, name="to")

    @property
    def wanted(self) -> FailureFilter:
        """The filter with times in UTC milliseconds."""
        fields = {name: getattr(self, name) for name in FIELDS}
        since = 0 if self.start is None else max(0, times.milliseconds(self.start))
        until = None if self.end is None else max(0, times.milliseconds(self.end))
        return FailureFilter(**fields, since=since, until=until)


class StartReplayRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either `ids` of messages, runs and dead jobs, or a `filter`."""

    ids: Annotated[list[str], Meta(min_length=1, max_length=MAX_REPLAY_IDS)] | None = None
    filter: ReplayFilter | None = None
    dry_run: bool = False
    tenant: str | None = None


class ReplayEffect(Struct, frozen=True, kw_only=True):
    """A side effect of a replay: it sends `count` messages of a channel, continues runs of a workflow or repeats jobs of a kind."""

    kind: FailureKind
    channel: str | None
    workflow: str | None
    job: str | None
    count: int


class StartedReplay(Struct, frozen=True, kw_only=True):
    """A replay, without id in a dry run. `matched` counts at most 20,000 failures; unless it is `exact`, the replay covers
    more."""

    id: str | None
    matched: int
    exact: bool
    effects: list[ReplayEffect]


class ReplayObject(Struct, frozen=True, kw_only=True):
    """The progress of a replay. `examined` counts the matching failures so far, and `retried` the retries. Failures
    that changed since the search are skipped. `ids` is the number of ids of a replay without a filter."""

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


class ReplayPage(Struct, frozen=True):
    """A page of replays; pass `next` as `after` for the next page."""

    replays: list[ReplayObject]
    next: str | None


class ReplaysQuery(TimeRangeQuery, frozen=True, kw_only=True):
    """A page of replays, newest first. `from` and `to` limit the time of their start. The tenant `*` means all
    tenants."""

    limit: ListLimit = 50
    after: str | None = None


@operation(
    "GET",
    "/v1/failures",
    tag="Messages",
    required_scope="read",
    roles=ROLES,
    bound_by="list",
    query=FailuresQuery,
    is_exported=True,
    response_types={200: FailurePage},
    refusals=(BadRequest,),
)
async def failure_page(request: ApiRequest) -> ASGIApp:
    """List failures.

    Messages that failed or bounced, failed runs and dead jobs, by descending id: the newest first. The filters can be
    combined."""
    query = request_body.query(request, FailuresQuery)
    named, failures = tenant_pages.tenants_of(request, query.tenant), context.of(request).failures
    found = await failures.page(named, query.wanted, list_positions.failure_id(query.after), query.limit)

    async def count(limit: int) -> ListTotal:
        return list_total.up_to(limit, await failures.count(named, query.wanted, limit + 1))

    counts = None if query.wanted.compares_fields else count
    has_next = found.before is not None
    total = await list_total.of_first_page(len(found.failures), query.after, has_next=has_next, count=counts)
    listed = FailurePage(
        failures=[_failure(one) for one in found.failures],
        next=None if found.is_cut else found.before,
        scanned_until=found.before if found.is_cut else None,
        total=total,
    )
    return responses.json(viewers.page_for(request, listed))


@operation(
    "GET",
    "/v1/failures/causes",
    tag="Messages",
    required_scope="read",
    roles=ROLES,
    bound_by="list",
    query=CausesQuery,
    response_types={200: CausePage},
)
async def causes(request: ApiRequest) -> ASGIApp:
    """Count failures by cause.

    The most frequent cause comes first. Causes are counted per tenant. A cause is the error text of the provider, the
    step or the job, without addresses, ids and long numbers."""
    query = request_body.query(request, CausesQuery)
    named = tenant_pages.tenants_of(request, query.tenant)
    report = await context.of(request).failures.causes(named, query.wanted)
    total = ListTotal(report.total, report.is_exact)
    listed = CausePage(causes=[_cause(group) for group in report.groups], total=total)
    return responses.json(viewers.page_for(request, listed))


@operation(
    "POST",
    "/v1/replays",
    tag="Messages",
    required_scope="manage",
    roles=ONE_BY_ONE,
    is_audited=True,
    query=DryRunQuery,
    body=StartReplayRequest,
    response_types={200: StartedReplay, 202: StartedReplay},
    refusals=(Conflict,),
    example={"filter": {"channel": "email", "from": "2026-06-10T12:00:00Z"}},
)
async def start(request: ApiRequest) -> ASGIApp:
    """Replay failures.

    Retries messages that failed or bounced, failed runs and dead jobs: those with the given ids, or all current
    failures that match a filter. A dry run counts them. The replay runs in the background and survives a restart; each
    failure is retried at most once. Ten replays of a tenant can run at a time."""
    replays = context.of(request).replays
    body = await request_body.body(request, START)
    tenant = tenants.single_tenant(request, body.tenant)
    guards.require_one(request, is_one=body.ids is not None and len(body.ids) == 1)
    plan = await replays.plan(tenant, None if body.filter is None else body.filter.wanted, body.ids or ())
    started = StartedReplay(
        id=None, matched=plan.matched, exact=plan.is_exact, effects=list(map(_effect, plan.effects))
    )
    if body.dry_run or objects.is_dry_run(request):
        audit.note_changes(request, {}, {"dry_run": True})
        return responses.json(started)
    id, replay = await replays.start(tenant, plan)
    audited = {"filter": _filter(replay), "ids": len(plan.ids) or None, "matched": plan.matched}
    audit.note_changes(request, {}, {name: value for name, value in audited.items() if value is not None})
    return responses.json(msgspec.structs.replace(started, id=id), 202)


@operation(
    "GET",
    "/v1/replays",
    tag="Messages",
    required_scope="read",
    roles=ROLES,
    bound_by="list",
    query=ReplaysQuery,
    is_exported=True,
    response_types={200: ReplayPage},
    refusals=(BadRequest,),
)
async def page(request: ApiRequest) -> ASGIApp:
    """List replays.

    The last 100 of a tenant, newest first. With `?tenant=*`, those of all tenants."""
    query, replays = request_body.query(request, ReplaysQuery), context.of(request).replays
    tenant = tenant_pages.tenant_of(request, query.tenant)
    wanted = ReplayQuery(
        tenant=tenant,
        before=list_positions.item_id(query.after) or NEWEST,
        created_since=query.created_since,
        created_before=query.created_before,
        limit=query.limit + 1,
    )

    async def read(one: str) -> ListScan[FoundReplay]:
        return ListScan(await replays.newest(msgspec.structs.replace(wanted, tenant=one)), None)

    found = await tenant_pages.newest(request, tenant, wanted.limit, read, lambda one: one.id)
    shown, following = list_positions.split(found.rows, query.limit, lambda one: one.id)
    return responses.json(ReplayPage([_replay(*one) for one in shown], following))


@operation(
    "GET",
    "/v1/replays/{id:str}",
    tag="Messages",
    required_scope="read",
    other_scope="manage",
    query=TenantQuery,
    response_types={200: ReplayObject},
    refusals=(NotFound,),
)
async def read(request: ApiRequest) -> ASGIApp:
    """Read the progress of a replay.

    Keys with the scope `manage`, which starts replays, may read it too."""
    tenant, id = tenants.single_tenant(request), request_body.path(request, "id")
    replay = await context.of(request).replays.get(tenant, id)
    if replay is None:
        raise NotFound(UNKNOWN)
    return responses.json(_replay(tenant, id, replay))


@operation(
    "DELETE",
    "/v1/replays/{id:str}",
    tag="Messages",
    required_scope="manage",
    is_audited=True,
    query=TenantQuery,
    response_types={204: None},
    refusals=(NotFound, Conflict),
)
async def cancel(request: ApiRequest) -> ASGIApp:
    """Cancel a replay.

    After the response, nothing more is retried. Retries are not undone."""
    cancelled = await context.of(request).replays.cancel(
        tenants.single_tenant(request), request_body.path(request, "id")
    )
    if cancelled is None:
        raise NotFound(UNKNOWN)
    if not cancelled:
        raise Conflict("This replay has ended.")
    return responses.empty()


FIELDS = ("kind", "channel", "provider", "workflow", "job", "webhook", "cause")


def _failure(failure: StoredFailure) -> Failure:
    return Failure(
        kind=failure.kind,
        tenant=tenants.outside(failure.tenant),
        id=failure.id,
        state=failure.state,
        recipient=failure.recipient,
        channel=failure.channel,
        provider=failure.provider,
        workflow=failure.workflow,
        job=failure.job,
        webhook=webhook_of(failure),
        cause=cause_of(failure.reason),
        reason=failure.reason,
        created_at=times.to_rfc3339(failure.created_at),
    )


def _cause(group: CauseGroup) -> Cause:
    return Cause(
        **msgspec.structs.asdict(group.key) | {"tenant": tenants.outside(group.key.tenant)},
        count=group.count,
        oldest_at=times.to_rfc3339(group.oldest_at),
        newest=_failure(group.newest),
    )


def _effect(effect: RetryCount) -> ReplayEffect:
    return ReplayEffect(**msgspec.structs.asdict(effect))


def _filter(replay: Replay) -> dict[str, Any] | None:
    """Return the filter of a replay as it is in requests."""
    if replay.wanted is None:
        return None
    fields = {name: value for name in FIELDS if (value := getattr(replay.wanted, name)) is not None}
    if replay.wanted.since:
        fields["from"] = times.to_rfc3339(replay.wanted.since)
    return fields | {"to": times.to_rfc3339_or_null(replay.wanted.until)}


def _replay(tenant: str, id: str, replay: Replay) -> ReplayObject:
    return ReplayObject(
        id=id,
        tenant=tenants.outside(tenant),
        state=replay.state,
        filter=_filter(replay),
        ids=None if replay.wanted is not None else len(replay.ids),
        matched=replay.matched,
        exact=replay.is_exact,
        examined=replay.examined,
        retried=replay.retried,
        created_at=times.to_rfc3339(replay.created_at),
        ended_at=times.to_rfc3339_or_null(replay.ended_at),
    )


def _check(body: StartReplayRequest, ctx: context.ApiContext) -> None:
    if (body.ids is None) == (body.filter is None):
        raise Invalid.of("filter", "either ids or filter is required, not both")


START = request_body.Shape(StartReplayRequest, _check)
HANDLERS = [failure_page, causes, start, page, read, cancel]
