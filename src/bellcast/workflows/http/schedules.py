"""Schedules: triggers and notifications at a given time, or at the times of a cron expression."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from bellcast.documents import store as documents
from bellcast.inbox.http import notifications
from bellcast.kernel import times
from bellcast.kernel.db.lists import ListPage
from bellcast.kernel.errors import Conflict, Invalid, NotFound, PreconditionFailed
from bellcast.kernel.http import entity_tags, request_body, responses
from bellcast.rest import objects
from bellcast.rest.context import ApiContext
from bellcast.rest.resource import Listing, ObjectsQuery, Resource, ResourceCall, Written
from bellcast.rest.tenants import TenantQuery
from bellcast.templates import http as templates
from bellcast.workflows import schedule_firing, schedule_times, schedules
from bellcast.workflows.schedule_times import Schedule
from bellcast.workflows.schedules import FoundSchedule, Schedules
from bellcast.workflows.types.runs import SCHEDULES

FIRING_FIELDS = {"next_at", "last_at", "last_error"}
READ_ADDS = {*objects.ADDED, *FIRING_FIELDS}
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


class CountQuery(TenantQuery, frozen=True, kw_only=True):
    """`count` times."""

    count: Annotated[int, Meta(ge=1, le=100)] = 10


class ScheduleTimes(Struct, frozen=True):
    """The next times, in order."""

    times: list[datetime]


KIND = Resource(
    "schedules", "/{key:str}", objects.restricted_key, tag="Workflows", unknown="There is no schedule with this key."
)


@KIND.page(documents.LIST, ScheduleObject)
async def page(listing: Listing[ObjectsQuery]) -> ListPage[Any]:
    """List the schedules of a tenant.

    By key. With `?tenant=*`, those of all tenants, by tenant and key."""
    schedules, of_kind = listing.ctx[Schedules], structs.replace(listing.list_query, filters={"kind": SCHEDULES})
    found = await documents.Documents(listing.ctx.engines.db).owned(of_kind)
    return found.of(
        [
            await schedules.shown(one)
            for tenant, document in found.items
            if (one := await schedules.find(tenant, document.key)) is not None
        ]
    )


@KIND.get(ScheduleObject, response_headers=("ETag",))
async def read(call: ResourceCall[None]) -> Any:
    """Read a schedule.

    With the next and the last time."""
    shown = await call.ctx[Schedules].shown(await _find(call.ctx, call.tenant, *call.key))
    return responses.json(shown, headers=entity_tags.tagged(_content(shown), shown))


@KIND.put(
    Schedule,
    ScheduleObject,
    reads=lambda request: objects.read_body(request, READ_ADDS),
    body_types=objects.BODY_TYPES,
    headers=objects.CONDITIONS,
    refusals=(PreconditionFailed,),
    example=EXAMPLE,
)
async def write(call: ResourceCall[Any]) -> Written[Any]:
    """Write a schedule.

    As JSON or YAML. It takes effect immediately; 201 when it is new. A time without an offset needs a `timezone`. With
    `?tenant=`, or `tenant` in the body, the request writes a tenant's schedule."""
    ctx, (key,), (tenant, value, yaml) = call.ctx, call.key, call.body
    try:
        schedule = request_body.json(msgspec.json.encode(value), SCHEDULE, ctx)
        await ctx[Schedules].check_references(tenant, schedule)
        if errors := await templates.errors_of_send(ctx, tenant, schedule.notification or {}):
            raise Invalid.fields(errors)
    except Invalid as refusal:
        raise objects.with_lines(refusal, yaml) from None
    replaces = await _condition(ctx, call.request, tenant, key)
    if call.is_dry_run:
        stored, progress = schedules.stored_of(schedule), schedules.new_progress(schedule, ctx.engines.clock.now())
        return await ctx[Schedules].shown(FoundSchedule(tenant, key, b"", stored, progress, None)), False
    is_new = await ctx[Schedules].put(tenant, key, schedule, replaces)
    shown = await ctx[Schedules].shown(await _find(ctx, tenant, key))
    return shown, is_new, _content(shown)


@KIND.delete(headers=objects.CONDITION_OF_CHANGE, refusals=(NotFound, PreconditionFailed))
async def delete(call: ResourceCall[None]) -> bool:
    """Delete a schedule.

    It no longer fires."""
    ctx, tenant, (key,) = call.ctx, call.tenant, call.key
    return await ctx[Schedules].delete(tenant, key, await _condition(ctx, call.request, tenant, key))


@KIND.act(
    "/run",
    notifications.SendPlan,
    required_scope="send",
    response_types={200: notifications.SendPlan, 202: dict[str, Any]},
    refusals=(NotFound, Conflict),
)
async def run(call: ResourceCall[None]) -> Any:
    """Fire a schedule now.

    In addition to its scheduled times. The response is that of the trigger or the send, even for a dry run."""
    ctx, tenant = call.ctx, call.tenant
    schedule = (await _find(ctx, tenant, *call.key)).schedule
    if call.is_dry_run:
        limit = notifications.plan_limit(call.request, None)
        return notifications.plan_of(*await schedule_firing.plan_firing(ctx[Schedules], tenant, schedule, limit))
    return responses.complete(202, await schedule_firing.fire(ctx[Schedules], tenant, schedule, None))


@KIND.get(ScheduleTimes, "/next", query=CountQuery)
async def following(call: ResourceCall[None]) -> ScheduleTimes:
    """List the next times of a schedule.

    In UTC."""
    schedule = (await _find(call.ctx, call.tenant, *call.key)).schedule
    count = request_body.query(call.request, CountQuery).count
    found = await call.ctx[Schedules].next_times(call.tenant, schedule, call.ctx.engines.clock.now(), count)
    return ScheduleTimes([times.to_rfc3339(one) for one in found])


async def _find(ctx: ApiContext, tenant: str, key: str) -> FoundSchedule:
    found = await ctx[Schedules].find(tenant, key)
    if found is None:
        raise NotFound(KIND.unknown)
    return found


async def _condition(
    ctx: ApiContext, request: request_body.ApiRequest, tenant: str, key: str
) -> bytes | UnsetType | None:
    """Return the body that a conditional write replaces; None for no schedule. Raises PreconditionFailed."""
    if not entity_tags.is_conditional(request):
        return UNSET
    found = await ctx[Schedules].find(tenant, key)
    shown = None if found is None else _content(await ctx[Schedules].shown(found))
    entity_tags.check(request, None if shown is None else entity_tags.tag_of(shown))
    return None if found is None else found.body


def _content(shown: dict[str, Any]) -> dict[str, Any]:
    """Return what a write replaces."""
    return {name: value for name, value in shown.items() if name not in FIRING_FIELDS}


SCHEDULE = request_body.Shape(
    Schedule, lambda schedule, ctx: schedule_times.check(schedule, ctx.engines.clock.now(), ctx.limits)
)
