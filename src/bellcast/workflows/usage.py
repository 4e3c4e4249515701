"""How templates, notification types and workflows are used: which objects name them, which therefore cannot be deleted, and the
schemas of the data that users of a template send."""

import contextlib
import functools
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec

from bellcast.channels.catalog import Catalog
from bellcast.documents.store import Documents
from bellcast.documents.types import PROJECT, SOURCES, TEMPLATES, TYPES, WORKFLOWS, Document, draft_kind
from bellcast.inbox.types import NotificationType
from bellcast.kernel.errors import Invalid
from bellcast.kernel.http import request_body
from bellcast.rest.context import ApiContext
from bellcast.rest.kinds import MAX_USES, decode_draft
from bellcast.templates.types import BASE_LAYOUT, Template
from bellcast.templates.variables import TemplateUser
from bellcast.workflows import definitions, schedule_times, workflow_catalog
from bellcast.workflows.definitions import Definition
from bellcast.workflows.event_sources import EventSource
from bellcast.workflows.schedule_times import StoredSchedule
from bellcast.workflows.schedules import Schedules
from bellcast.workflows.types.runs import SCHEDULES
from bellcast.workflows.workflow_catalog import WorkflowCatalog

# Maximum objects of each kind that an inexact search reads, those of the project first: 5,000 of each kind take about
# 0.1 s.
MAX_SEARCHED = 5_000

# How an object names another: a template for its content, or as the layout of e-mails, a workflow that it triggers, or the
# type of its notifications.
Reference = Literal["template", "layout", "workflow", "type"]
# A name, and how it is used.
Named = tuple[Reference, str]

OF_TEMPLATES: frozenset[Reference] = frozenset({"template", "layout"})
# The fields of steps that name objects; their `type` is that of the step.
STEP_REFERENCES = OF_TEMPLATES | frozenset[Reference]({"workflow"})
EVERY_REFERENCE = STEP_REFERENCES | frozenset[Reference]({"type"})
# The kinds of objects that name others, and in which ways.
USERS: Mapping[str, frozenset[Reference]] = {
    TYPES: frozenset({"template"}),
    TEMPLATES: frozenset({"layout"}),
    WORKFLOWS: EVERY_REFERENCE,
    SOURCES: EVERY_REFERENCE,
    SCHEDULES: EVERY_REFERENCE,
}


async def _find(
    references: frozenset[Reference],
    ctx: ApiContext,
    named: Sequence[tuple[str, str]],
    limit: int,
    *,
    is_exact: bool,
) -> dict[tuple[str, str], list[str]]:
    """Return at most `limit` objects that name each of these, by tenant and key, in one of these ways. Those that
    apply to the tenant are searched; for the project's own, those of every tenant. Unless `is_exact`, the search
    ends after MAX_SEARCHED of each kind."""
    found: dict[tuple[str, str], dict[str, None]] = {name: {} for name in named}
    tenants_of: dict[str, list[str]] = {}
    for tenant, key in found:
        tenants_of.setdefault(key, []).append(tenant)
    for plural, ways in USERS.items():
        if ways.isdisjoint(references):
            continue
        searched = 0
        async with contextlib.aclosing(_objects(ctx, plural, {tenant for tenant, _ in found})) as objects:
            async for owner, document in objects:
                keys = {key for reference, key in _named(plural, document) if reference in references}
                names = [
                    name
                    for name in ((tenant, key) for key in keys for tenant in tenants_of.get(key, ()))
                    if len(found[name]) < limit and _applies(plural, owner, document, name[0])
                ]
                if names and not (plural == SCHEDULES and await _has_fired(ctx, owner, document)):
                    for name in names:
                        suffix = "" if owner in (PROJECT, name[0]) else f"?tenant={owner}"
                        found[name][f"{plural}/{document.key}{suffix}"] = None
                    if all(len(users) == limit for users in found.values()):
                        break
                searched += 1
                if searched >= MAX_SEARCHED and not is_exact:
                    break
    return {name: list(users) for name, users in found.items()}


def _applies(plural: str, owner: str, document: Document, tenant: str) -> bool:
    """Return whether an object is the tenant's own, or one of the project that applies there. Tenants inherit no
    schedules; one of the project may name a tenant. What is the project's own applies everywhere."""
    if tenant == PROJECT:
        return True
    if plural != SCHEDULES:
        return owner in (PROJECT, tenant)
    return schedule_times.tenant_of(request_body.decoder(StoredSchedule).decode(document.body), owner) == tenant


async def _objects(ctx: ApiContext, plural: str, owners: Collection[str]) -> AsyncGenerator[tuple[str, Document]]:
    """Yield the objects of the project and these tenants with their owners, or of every tenant if the project is one of
    them."""
    for owner in (None,) if PROJECT in owners else (PROJECT, *sorted(owners)):
        async for one in Documents(ctx.engines.db).every(plural, owner):
            yield one


async def _has_fired(ctx: ApiContext, tenant: str, document: Document) -> bool:
    """Return whether a schedule is a send or trigger with `send_at` that has fired everywhere, and only remains as a record."""
    schedule = request_body.decoder(StoredSchedule).decode(document.body)
    world = schedule_times.world_times(schedule) if schedule.is_generated else None
    if world is None or world[1] > ctx.engines.clock.now():
        return False
    found = await ctx[Schedules].find(tenant, document.key)
    return found is None or found.progress.until >= world[1]


def _named(kind: str, document: Document) -> set[Named]:
    """Return the names in a stored object of one of the USERS."""
    if kind == TYPES:
        template = request_body.decoder(NotificationType).decode(document.body).template
        return set() if template is None else {("template", template)}
    if kind == TEMPLATES:
        return {("layout", name) for name in request_body.decoder(Template).decode(document.body).layouts()}
    if kind == WORKFLOWS:
        definition = msgspec.json.decode(document.body)["definition"]
        named: set[Named] = set() if definition.get("type") is None else {("type", definition["type"])}
        for _, step, _ in workflow_catalog.steps_with_paths(definition["steps"]):
            named |= {
                (reference, name) for reference in STEP_REFERENCES if isinstance(name := step.get(reference), str)
            }
        return named - {("layout", BASE_LAYOUT), ("workflow", document.key)}
    stored: type[EventSource | StoredSchedule] = EventSource if kind == SOURCES else StoredSchedule
    sender = request_body.decoder(stored).decode(document.body)
    if sender.workflow is not None:
        return {("workflow", sender.workflow)}
    send = sender.notification or {}
    of_type: set[Named] = {("type", send["type"])} if isinstance(send.get("type"), str) else set()
    return of_type | {(reference, name) for _, reference, name in named_by_send(send)}


def named_by_send(send: Mapping[str, Any]) -> list[tuple[str, Reference, str]]:
    """Return the templates that a send names, each with its field."""
    email = send.get("email")
    layout = email.get("layout") if isinstance(email, dict) else None
    named: list[tuple[str, Reference, Any]] = [
        ("template", "template", send.get("template")),
        ("email.layout", "layout", None if layout == BASE_LAYOUT else layout),
    ]
    return [(field, reference, name) for field, reference, name in named if isinstance(name, str)]


of_templates = functools.partial(_find, OF_TEMPLATES)
of_layouts = functools.partial(_find, frozenset[Reference]({"layout"}))
of_workflows = functools.partial(_find, frozenset[Reference]({"workflow"}))
of_types = functools.partial(_find, frozenset[Reference]({"type"}))


# --- users of a template

# Maximum number of drafts that are parsed for the users of a template.
MAX_DRAFTS = 50


async def find_users(ctx: ApiContext, tenant: str, key: str) -> list[TemplateUser]:
    """Return the types and workflows that use a template where it applies, and then the tenant's own valid drafts of workflows."""
    users, quoted, parsed = await published_users(ctx, tenant, key), msgspec.json.encode(key), 0
    # Authors of a tenant must not see the project's drafts.
    async for _, document in Documents(ctx.engines.db).every(draft_kind(WORKFLOWS), tenant):
        if quoted not in document.body:
            continue
        if parsed == MAX_DRAFTS:
            break
        parsed += 1
        try:
            definition = definitions.parse(decode_draft(document).values)
        except Invalid:
            continue
        if any(step.fields.get("template") == key for step in definition.ordered):
            users.append((WORKFLOWS, document.key, await schema_of(ctx, tenant, definition)))
    return users


async def published_users(ctx: ApiContext, tenant: str, key: str) -> list[TemplateUser]:
    named = await of_templates(ctx, [(tenant, key)], MAX_USES, is_exact=False)
    users: dict[tuple[str, str], TemplateUser] = {}
    for plural, _, name in (user.partition("?")[0].partition("/") for user in named[tenant, key]):
        if plural == "types":
            users[plural, name] = (plural, name, (await ctx[Catalog].type(tenant, name)).data)
        elif plural == "workflows" and (found := await ctx[WorkflowCatalog].find(tenant, name)) is not None:
            definition = definitions.of_valid(found.current.definition)
            users[plural, name] = (plural, name, await schema_of(ctx, tenant, definition))
    return list(users.values())


async def schema_of(ctx: ApiContext, tenant: str, definition: Definition) -> Mapping[str, Any] | None:
    """Return the schema of a workflow's data: its own, else that of its type."""
    schema: Mapping[str, Any] | None = definition.schema
    if schema is None and definition.type is not None:
        schema = (await ctx[Catalog].type(tenant, definition.type)).data
    return schema
