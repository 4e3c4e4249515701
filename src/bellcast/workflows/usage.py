"""How templates, notification types and workflows are used: which objects name them, which therefore cannot be deleted; and the
data of their recent sends and triggers: what a new schema would refuse of it, and a schema that fits it."""

import asyncio
import contextlib
import functools
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from time import thread_time
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from bellcast.documents.store import Documents
from bellcast.documents.types import PROJECT, SOURCES, TEMPLATES, TYPES, WORKFLOWS, Document
from bellcast.inbox.store.sent_items import SentItems
from bellcast.inbox.types.notifications import NO_TYPE, NotificationType
from bellcast.kernel import data_schemas
from bellcast.kernel.concurrency import Pauses
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.lists import ListPage, ListQuery
from bellcast.kernel.http import request_body
from bellcast.preferences.types import CHANNEL_WORDS, CHANNELS
from bellcast.providers.directory import ProviderDirectory
from bellcast.rest.context import ApiContext
from bellcast.rest.kinds import PublishEffect, listed
from bellcast.templates.budget import budget_of
from bellcast.templates.types import BASE_LAYOUT, Template
from bellcast.workflows import definitions, schedule_times, workflow_catalog
from bellcast.workflows.event_sources import EventSource
from bellcast.workflows.schedule_times import StoredSchedule
from bellcast.workflows.schedules import Schedules
from bellcast.workflows.store import Runs
from bellcast.workflows.types import runs
from bellcast.workflows.types.runs import SCHEDULES

T = TypeVar("T")

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


# --- recent data

# Data that is compared with a schema, the newest first: 20 ms.
MAX_COMPARED = 1_000
# Schedules that are read to find those of a workflow: 0.1 s.
MAX_SCHEDULES = 10_000
# Bytes of its JSON: a thousand items of 16 KB took a second to read and infer from, and five to check.
MAX_COMPARED_BYTES = 2_000_000
# CPU time for a schema that takes long to check, 0.2 s of each item at most.
MAX_COMPARED_SECONDS = 0.5
PAGE = 100
# Maximum names that become properties: an object with more is a map, whose names are values.
MAX_PROPERTIES = 100
MAX_DEPTH = 10
# Maximum items of a list that are compared: a long list repeats its shapes.
MAX_ITEMS = 100
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
# A name with as many digits identifies something, such as an order.
IDENTIFIER = re.compile(r"\d{3,}|[0-9a-f]{8,}")


class InferredSchema(Struct, frozen=True):
    """A JSON Schema that the data of the last sends or triggers matches, and how many of them were seen. It has their
    shapes, not their values."""

    schema: dict[str, Any]
    seen: int


Data = AsyncIterator[Mapping[str, Any]]


async def of_workflow(db: Engine, tenant: str, key: str) -> Data:
    """Yield the data of the last triggers of a workflow: of a tenant, or of all for the project."""
    seen = set[str]()
    async for run in _newest(Runs(db).page, tenant, {"workflow": key}):
        if run.trigger not in seen:
            seen.add(run.trigger)
            yield runs.decode(run.body).data


async def of_type(db: Engine, tenant: str, key: str) -> Data:
    """Yield the data of the last sends of a type: to recipients of a tenant, or of all for the project."""
    async for item in _newest(SentItems(db).notifications, tenant, {"type": key}):
        if item.has_row:  # else its data is not stored
            yield item.notification.data


async def _newest(
    read: Callable[[ListQuery], Awaitable[ListPage[T]]], tenant: str, filters: Mapping[str, Any]
) -> AsyncIterator[T]:
    """Yield the newest items of a list, read as they are needed."""
    pauses = Pauses()
    query = ListQuery(tenants=[tenant] if tenant else None, limit=PAGE, filters=filters)
    for _ in range(MAX_COMPARED // PAGE):
        page = await read(query)
        for item in page.items:
            await pauses.pause_if_due()
            yield item
        if page.next is None:
            return
        query = msgspec.structs.replace(query, after=page.next)


async def _bounded(data: Data) -> Data:
    """Yield data up to MAX_COMPARED_BYTES."""
    size = 0
    async for one in data:
        yield one
        size += len(msgspec.json.encode(one))
        if size > MAX_COMPARED_BYTES:
            return


async def refused(tenant: str, data: Data, schema: Any, noun: str) -> PublishEffect | None:
    """Return the effect of a new schema of a tenant on data such as the last; `noun` names its origin, such as `triggers`."""
    seen, wrong = await _compared(tenant, (("", one) async for one in _bounded(data)), schema)
    if not wrong:
        return None
    some = f"The last {noun.removesuffix('s')}" if seen == 1 else f"Of the last {seen:,} {noun}, {len(wrong):,}"
    text = f"{some} would be refused: {wrong[0][1]}."
    return PublishEffect("data_refused", text, n=len(wrong))


async def _compared(
    tenant: str, named: AsyncIterator[tuple[str, Mapping[str, Any]]], schema: Any
) -> tuple[int, list[tuple[str, str]]]:
    """Compare data with a schema, at the expense of the tenant. Return how many were seen, and the names of those that it refuses
    with the reasons."""
    seen, wrong, seconds, budget = 0, list[tuple[str, str]](), 0.0, budget_of(tenant)
    await budget.wait()
    async for name, one in named:
        seen, started = seen + 1, thread_time()
        if (error := next(data_schemas.errors_of("data", one, schema), None)) is not None:
            wrong.append((name, f"{error.field} {error.message}"))
        seconds += (spent := thread_time() - started)
        budget.charge(spent)
        if seconds > MAX_COMPARED_SECONDS:
            break
    return seen, wrong


async def inferred(data: Data) -> InferredSchema | None:
    """Return the schema of the data; None without data."""
    found = [one async for one in _bounded(data)]
    # In a thread: large data takes 0.1 s.
    return InferredSchema(await asyncio.to_thread(infer, found), len(found)) if found else None


def infer(values: Sequence[Any], depth: int = 0) -> dict[str, Any]:
    """Return the schema that all these values match."""
    schema: dict[str, Any] = {}
    types = sorted({TYPE_NAMES[type(value)] for value in values})
    if "number" in types and "integer" in types:
        types.remove("integer")
    if types and depth <= MAX_DEPTH:
        schema["type"] = types[0] if len(types) == 1 else types
    if depth >= MAX_DEPTH:
        return schema
    objects = [value for value in values if isinstance(value, Mapping)]
    names = list(dict.fromkeys(name for value in objects for name in value))
    if len(names) > MAX_PROPERTIES or any(not NAME.fullmatch(name) or IDENTIFIER.search(name) for name in names):
        schema["additionalProperties"] = infer([one for value in objects for one in value.values()], depth + 1)
    elif names:
        schema["properties"] = {
            name: infer([value[name] for value in objects if name in value], depth + 1) for name in names
        }
        if required := [name for name in names if all(name in value for value in objects)]:
            schema["required"] = required
    items = [item for value in values if isinstance(value, list | tuple) for item in value[:MAX_ITEMS]]
    if items:
        schema["items"] = infer(items, depth + 1)
    return schema


# Names of types in JSON Schema.
TYPE_NAMES: Mapping[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    dict: "object",
    list: "array",
}
OPEN = ("running", "waiting", "paused")


async def effects(
    ctx: ApiContext, planned: ApiContext, tenant: str, key: str, value: dict[str, Any]
) -> list[PublishEffect]:
    """Return what publishing a validated definition changes. `planned` reads the types and providers as they will be then."""
    db, then, providers = ctx.engines.db, planned.engines.db, ctx[ProviderDirectory]
    after, current = definitions.of_valid(value), await Documents(db).get(WORKFLOWS, tenant, key)
    before = None
    if current is not None:
        before = definitions.of_valid(workflow_catalog.stored(current, tenant).current.definition)
    found = [await _kept_runs(db, tenant, key) if before else None]
    if (schema := await _schema(then, tenant, after)) is not None:
        found.append(await refused(tenant, of_workflow(db, tenant, key), schema, "triggers"))
        _, wrong = await _compared(tenant, _schedules(then, tenant, key), schema)
        if wrong:
            noun, (name, reason) = "schedule" if len(wrong) == 1 else "schedules", wrong[0]
            text = f"Triggers of {len(wrong):,} {noun} would be refused: {name}, {reason}."
            found.append(PublishEffect("triggers_refused", text, n=len(wrong)))
        if before and (added := sorted(_required(schema) - _required(await _schema(db, tenant, before)))):
            text = f"Triggers without {listed(added)} are refused."
            found.append(PublishEffect("required_changed", text, n=len(added)))
    channels = before.channels if before else frozenset()
    for name in CHANNELS:
        if name in channels - after.channels:
            found.append(PublishEffect("channel_removed", f"No step sends by {CHANNEL_WORDS[name]} any more."))
    for name in CHANNELS:
        if name != "inbox" and name in after.channels and not await providers.can_deliver(tenant, name, then):
            found.append(PublishEffect("credentials_missing", f"No provider is configured for {CHANNEL_WORDS[name]}."))
    return [one for one in found if one is not None]


async def _kept_runs(db: Engine, tenant: str, key: str) -> PublishEffect | None:
    """Return how many runs are current: of a tenant, or for the project those of all tenants that have no workflow of their own."""
    count = 0
    # The runs of all tenants have no index by workflow: a search by state would examine the same rows again.
    for state in OPEN if tenant else (None,):
        async for run in _newest(Runs(db).page, tenant, {"workflow": key, "state": state}):
            count += run.state in OPEN and run.owner in (tenant, PROJECT)
    if not count:
        return None
    number = f"{count:,}" if count < MAX_COMPARED else f"At least {count:,}"
    text = "1 current run keeps its version." if count == 1 else f"{number} current runs keep their version."
    return PublishEffect("runs_keep_version", text, n=count)


async def _schema(planned: Engine, tenant: str, after: definitions.Definition) -> Any:
    """Return the schema that will refuse data; None without one."""
    if after.schema is not None or after.type is None:
        return after.schema
    table = Documents(planned)
    found = await table.get(TYPES, tenant, after.type) or await table.get(TYPES, PROJECT, after.type)
    type = NO_TYPE if found is None else msgspec.json.decode(found.body, type=NotificationType)
    return type.data if type.data_check == "refuse" else None


def _required(schema: Any) -> frozenset[str]:
    return frozenset(f"data.{name}" for name in schema.get("required", ())) if isinstance(schema, dict) else frozenset()


async def _schedules(db: Engine, tenant: str, key: str) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
    """Yield the keys of the active schedules of a workflow, with their data: of a tenant, or for the project of all tenants that have
    no workflow of their own with this key."""
    pauses, seen, found, has_own = Pauses(), 0, 0, dict[str, bool]()
    async for owner, document in Documents(db).every(runs.SCHEDULES, tenant or None):
        await pauses.pause_if_due()
        seen += 1
        schedule = msgspec.json.decode(document.body, type=StoredSchedule)
        if schedule.active and schedule.workflow == key:
            if owner not in has_own:
                has_own[owner] = owner != tenant and await Documents(db).get(WORKFLOWS, owner, key) is not None
            if not has_own[owner]:
                found += 1
                yield document.key, schedule.data
        if seen >= MAX_SCHEDULES or found >= MAX_COMPARED:
            return
