"""Replays, which retry failures."""

from datetime import datetime
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta, Struct

from bellcast.channels.types import ExternalChannel
from bellcast.kernel import times
from bellcast.kernel.db.lists import ListPage
from bellcast.kernel.errors import BadRequest, Conflict, Invalid, NotFound
from bellcast.kernel.field_limits import LIST, NULL, TENANT_NAME, Schema, one_of, only
from bellcast.kernel.http import request_body, responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.list_parameters import ListLimit, TimeRangeQuery
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.times import Moment
from bellcast.operators.types import ONE_BY_ONE, ROLES
from bellcast.replays import store
from bellcast.replays.failures import FailureFilter
from bellcast.replays.http.failures import FIELDS
from bellcast.replays.replays import MAX_REPLAY_IDS, Replay, ReplayEffect, ReplayRunner, ReplayState, decode
from bellcast.replays.store import Replays
from bellcast.replays.types import FailureKind
from bellcast.rest import audit, context, guards, objects, tenants
from bellcast.rest.operations import operation
from bellcast.rest.resource import Change, DryRunQuery, Listing, Resource

REPLAYS = Resource("replays", "/{id:str}", tag="Messages", unknown="There is no replay with this id.")


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
    tenant: Annotated[str | None, TENANT_NAME] = None

    SCHEMA: ClassVar[Schema] = one_of(only("ids", LIST, filter=NULL), only("filter", {"type": "object"}))


class StartedReplay(Struct, frozen=True, kw_only=True):
    """A replay, without id in a dry run. `matched` counts at most 20,000 failures; unless it is `exact`, the replay covers
    more."""

    id: str | None
    matched: int
    exact: bool
    effects: list[ReplayEffect]


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


class ReplayPage(Struct, frozen=True):
    """A page of replays; pass `next` as `after` for the next page."""

    replays: list[ReplayObject]
    next: str | None


class ReplaysQuery(TimeRangeQuery, frozen=True, kw_only=True):
    """A page of replays, newest first. `from` and `to` filter by start time. The tenant `*` means all
    tenants."""

    limit: ListLimit = 50
    after: str | None = None


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
    replays = context.of(request)[ReplayRunner]
    body = await request_body.body(request, START)
    tenant = tenants.single_tenant(request, body.tenant)
    guards.require_one(request, is_one=body.ids is not None and len(body.ids) == 1)
    plan = await replays.plan(tenant, None if body.filter is None else body.filter.wanted, body.ids or ())
    started = StartedReplay(id=None, matched=plan.matched, exact=plan.is_exact, effects=plan.effects)
    # The query is checked whatever the body says.
    if objects.is_dry_run(request) or body.dry_run:
        audit.note_changes(request, {}, {"dry_run": True})
        return responses.json(started)
    id, replay = await replays.start(tenant, plan)
    audited = {"filter": _filter(replay), "ids": len(plan.ids) or None, "matched": plan.matched}
    audit.note_changes(request, {}, {name: value for name, value in audited.items() if value is not None})
    return responses.json(msgspec.structs.replace(started, id=id), 202)


@REPLAYS.page(store.LIST, ReplayPage, query=ReplaysQuery, roles=ROLES, refusals=(BadRequest,))
async def page(listing: Listing[ReplaysQuery]) -> ListPage[ReplayObject]:
    """List replays.

    The last 100 of a tenant, newest first. With `?tenant=*`, those of all tenants."""
    found = await Replays(listing.ctx.engines.db).page(listing.wanted)
    return found.of([_replay(one.tenant, one.id, decode(one.body)) for one in found.items])


@REPLAYS.get(ReplayObject, other_scope="manage")
async def read(wanted: Change[None]) -> ReplayObject | None:
    """Read the progress of a replay.

    Keys with the scope `manage`, which starts replays, may read it too."""
    (id,) = wanted.key
    replay = await wanted.ctx[ReplayRunner].get(wanted.tenant, id)
    return None if replay is None else _replay(wanted.tenant, id, replay)


@REPLAYS.delete(is_audited=True, refusals=(NotFound, Conflict))
async def cancel(change: Change[None]) -> bool:
    """Cancel a replay.

    After the response, nothing more is retried. Retries are not undone."""
    cancelled = await change.ctx[ReplayRunner].cancel(change.tenant, *change.key)
    if cancelled is False:
        raise Conflict("This replay has ended.")
    return cancelled is not None


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
HANDLERS = [start, page, read, cancel]
