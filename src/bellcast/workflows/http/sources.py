"""Event sources: live events of the app that become sends or triggers."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bellcast.documents.types import SOURCES
from bellcast.kernel import times, validation
from bellcast.kernel.errors import FieldError
from bellcast.rest import kinds, objects
from bellcast.rest.context import ApiContext
from bellcast.rest.resource import Recent
from bellcast.templates import http as templates
from bellcast.workflows import event_sources
from bellcast.workflows.event_sources import EventReactions
from bellcast.workflows.workflow_catalog import WorkflowCatalog


async def _reference_errors(
    value: event_sources.EventSource, ctx: ApiContext, tenant: str, key: str
) -> list[FieldError]:
    if value.notification is not None:
        return await templates.errors_of_send(ctx, tenant, value.notification)
    if value.workflow is None or await ctx[WorkflowCatalog].find(tenant, value.workflow) is not None:
        return []
    return [FieldError("workflow", await ctx[WorkflowCatalog].unknown_name(tenant, value.workflow))]


async def _describe(ctx: ApiContext, tenant: str, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    found = await ctx[EventReactions].last_failures(tenant, keys)
    never: dict[str, Any] = {"last_error": None, "last_error_at": None}
    failed = {key: {"last_error": why, "last_error_at": times.to_rfc3339(at)} for key, (why, at) in found.items()}
    return dict.fromkeys(keys, never) | failed


async def _written(ctx: ApiContext, changed: Sequence[tuple[str, str, bool]]) -> None:
    ctx[WorkflowCatalog].forget()  # which counts changes
    for owner, key, is_deleted in changed:
        if is_deleted:
            await ctx[EventReactions].recorder.forget(owner, key)


async def _find_recent_events(
    ctx: ApiContext, versions: Mapping[tuple[str, str], int], tenants: Sequence[str] | None
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the recent events of listed sources. One of the project has those of all tenants, which only a list that
    includes the project shows."""
    places = [place for place in versions if tenants is None or place[0] in tenants]
    recorder, now = ctx[EventReactions].recorder, ctx.engines.clock.now()
    found, dropped_at = await recorder.find(places)
    is_complete = dropped_at < now - times.DAY_MS
    shown = {place: Recent(0, exact=is_complete, last_at=None) for place in places}
    for place, use in found.items():
        value, is_exact = use.in_day(now)
        shown[place] = Recent(value, is_exact and is_complete, times.to_rfc3339(use.last_at))
    return {place: {"recent_events": shown[place]} for place in places}


KIND = kinds.Kind(
    plural=SOURCES,
    name="event source",
    tag="Workflows",
    type=event_sources.EventSource,
    rules=lambda value, ctx: validation.check(event_sources.errors(value, ctx.limits)),
    example={
        "event": "lead.assigned",
        "topic": "private-provider.{provider}",
        "notification": {"to": "{{ topic.provider }}", "title": "New lead from {{ event.data.client }}"},
    },
    check_references=_reference_errors,
    added={"last_error": str | None, "last_error_at": datetime | None},
    listed={"recent_events": Recent},
    describe_list=_find_recent_events,
    describe=_describe,
    written=_written,
)
OPERATIONS = objects.operations(KIND)
