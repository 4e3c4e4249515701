"""Schedules: triggers and notifications at a given time, or at the times of a cron expression."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from bellcast.inbox.http import notifications
from bellcast.inbox.http.notifications import SendPlan
from bellcast.kernel import times
from bellcast.kernel.errors import Conflict, Invalid, NotFound
from bellcast.kernel.http import request_body, responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.rest import context, definition_body, objects, tenants
from bellcast.rest.context import ApiContext
from bellcast.rest.objects import ADDED
from bellcast.rest.operations import operation
from bellcast.rest.resource import DryRunQuery, ObjectsQuery
from bellcast.rest.tenants import TenantQuery
from bellcast.templates.http import templates
from bellcast.workflows import schedule_times, schedules
from bellcast.workflows.schedule_firing import ScheduleFiring
from bellcast.workflows.schedule_times import Schedule, ScheduleProgress, StoredSchedule
from bellcast.workflows.schedules import Schedules
from bellcast.workflows.types.runs import SCHEDULES

UNKNOWN = "There is no schedule with this key."
READ_ADDS = {*ADDED, "next_at", "last_at", "last_error"}
EXAMPLE = {
    "cron": "0 8 * * 1",
    "timezone": "Europe/Vienna",
    "notification": {"to": {"topic": "team"}, "title": "Plan the week"},
}


class ScheduleObject(Schedule, frozen=True, kw_only=True):
    """A schedule with its key. `next_at` is null for one that is not active, and for an `at` that has fired."""

    key: str
    tenant: str | None
    next_at: datetime | None
    last_at: datetime | None
    last_error: str | None


class SchedulePage(Struct, frozen=True):
    """A page of schedules; pass `next` as `after` for the next page."""

    schedules: list[ScheduleObject]
    next: str | None


class CountQuery(TenantQuery, frozen=True, kw_only=True):
    """`count` times."""

    count: Annotated[int, Meta(ge=1, le=100)] = 10


class ScheduleTimes(Struct, frozen=True):
    """The next times, in order."""

    times: list[datetime]


@operation(
    "GET",
    "/v1/schedules",
    tag="Workflows",
    required_scope="read",
    bound_by="list",
    query=ObjectsQuery,
    is_exported=True,
    response_types={200: SchedulePage},
)
async def page(request: ApiRequest) -> ASGIApp:
    """List the schedules of a tenant.

    By key. With `?tenant=*`, those of all tenants, by tenant and key."""
    ctx, query = context.of(request), request_body.query(request, ObjectsQuery)
    found, following = await objects.own_page(request, SCHEDULES, query)
    shown = [
        await ctx[Schedules].shown(document.key, tenant, *schedule)
        for document, tenant in found
        if (schedule := await ctx[Schedules].find(tenant, document.key)) is not None
    ]
    return responses.json({"schedules": shown, "next": following})


@operation(
    "GET",
    "/v1/schedules/{key:str}",
    tag="Workflows",
    required_scope="read",
    query=TenantQuery,
    response_types={200: ScheduleObject},
    refusals=(NotFound,),
)
async def read(request: ApiRequest) -> ASGIApp:
    """Read a schedule.

    With the next and the last time."""
    return responses.json(
        await _shown(context.of(request), tenants.single_tenant(request), objects.restricted_key(request))
    )


@operation(
    "PUT",
    "/v1/schedules/{key:str}",
    tag="Workflows",
    required_scope="manage",
    query=DryRunQuery,
    body=Schedule,
    response_types={200: ScheduleObject, 201: ScheduleObject},
    example=EXAMPLE,
)
async def write(request: ApiRequest) -> ASGIApp:
    """Write a schedule.

    It takes effect immediately; 201 when it is new. A time without an offset needs a `timezone`. With `?tenant=`, or
    `tenant` in the body, the request writes a tenant's schedule."""
    ctx, key = context.of(request), objects.restricted_key(request)
    sent = request_body.plain_json(await request_body.json_text(request))
    tenant, value = definition_body.split(request, sent, READ_ADDS)
    schedule = request_body.json(msgspec.json.encode(value), SCHEDULE, ctx)
    await ctx[Schedules].check_references(tenant, schedule)
    if errors := await templates.errors_of_send(ctx, tenant, schedule.notification or {}, "notification"):
        raise Invalid.fields(errors)
    if objects.is_dry_run(request):
        progress = schedules.new_progress(schedule, ctx.engines.clock.now())
        return responses.json(await ctx[Schedules].shown(key, tenant, schedule, progress))
    is_new = await ctx[Schedules].put(tenant, key, schedule)
    return responses.json(await _shown(ctx, tenant, key), 201 if is_new else 200)


@operation(
    "DELETE",
    "/v1/schedules/{key:str}",
    tag="Workflows",
    required_scope="manage",
    query=TenantQuery,
    response_types={204: None},
    refusals=(NotFound,),
)
async def delete(request: ApiRequest) -> ASGIApp:
    """Delete a schedule.

    It no longer fires."""
    if not await context.of(request)[Schedules].delete(tenants.single_tenant(request), objects.restricted_key(request)):
        raise NotFound(UNKNOWN)
    return responses.empty()


@operation(
    "POST",
    "/v1/schedules/{key:str}/run",
    tag="Workflows",
    required_scope="send",
    query=DryRunQuery,
    response_types={200: SendPlan, 202: dict[str, Any]},
    refusals=(NotFound, Conflict),
)
async def run(request: ApiRequest) -> ASGIApp:
    """Fire a schedule now.

    In addition to its scheduled times. The response is that of the trigger or the send, even for a dry run."""
    ctx, tenant, key = context.of(request), tenants.single_tenant(request), objects.restricted_key(request)
    schedule, _ = await _find(ctx, tenant, key)
    if objects.is_dry_run(request):
        limit = notifications.plan_limit(request, None)
        return responses.json(notifications.plan_of(*await ctx[ScheduleFiring].plan_firing(tenant, schedule, limit)))
    return responses.complete(202, await ctx[ScheduleFiring].fire(tenant, schedule, None))


@operation(
    "GET",
    "/v1/schedules/{key:str}/next",
    tag="Workflows",
    required_scope="read",
    query=CountQuery,
    response_types={200: ScheduleTimes},
    refusals=(NotFound,),
)
async def following(request: ApiRequest) -> ASGIApp:
    """List the next times of a schedule.

    In UTC."""
    ctx, tenant, key = context.of(request), tenants.single_tenant(request), objects.restricted_key(request)
    schedule, _ = await _find(ctx, tenant, key)
    count = request_body.query(request, CountQuery).count
    found = await ctx[Schedules].times_after(tenant, schedule, ctx.engines.clock.now(), count)
    return responses.json(ScheduleTimes([times.to_rfc3339(one) for one in found]))


async def _find(ctx: ApiContext, tenant: str, key: str) -> tuple[StoredSchedule, ScheduleProgress]:
    found = await ctx[Schedules].find(tenant, key)
    if found is None:
        raise NotFound(UNKNOWN)
    return found


async def _shown(ctx: ApiContext, tenant: str, key: str) -> dict[str, object]:
    schedule, progress = await _find(ctx, tenant, key)
    return await ctx[Schedules].shown(key, tenant, schedule, progress)


def _check(schedule: Schedule, ctx: ApiContext) -> None:
    schedule_times.check(schedule, ctx.engines.clock.now(), ctx.limits)


SCHEDULE = request_body.Shape(Schedule, _check)
HANDLERS = [page, read, write, delete, run, following]
