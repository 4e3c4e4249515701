"""The data of recent sends and triggers: masked for authors, what a new schema would refuse of it, and a schema that fits it."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from time import thread_time
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from bellcast.channels.catalog import Catalog
from bellcast.documents.store import Documents
from bellcast.documents.types import PROJECT, TEMPLATES, TYPES, WORKFLOWS
from bellcast.inbox.store.sent_items import SentItems
from bellcast.inbox.types.sends import SentItem
from bellcast.kernel import data_schemas, times
from bellcast.kernel.concurrency import Pauses
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.lists import ListPage, ListQuery
from bellcast.rest.context import ApiContext
from bellcast.rest.kinds import PublishEffect
from bellcast.templates.budget import budget_of
from bellcast.templates.masking import masked, masked_text
from bellcast.templates.variables import TemplateUser
from bellcast.workflows import usage
from bellcast.workflows.store import Runs
from bellcast.workflows.types import runs

T = TypeVar("T")

MAX_SAMPLES = 10


class Sample(Struct, frozen=True):
    """A send or a run, its recipient, and its data without what identifies a person."""

    id: str
    at: datetime
    recipient: str
    data: dict[str, Any]


async def last_sends(ctx: ApiContext, tenant: str, key: str) -> list[Sample]:
    """Return the last sends that named a template, and those of the types and runs of the workflows that use it."""
    found: dict[str, Sample] = {}
    # Without drafts: the schema of a draft does not say what is private in the data of earlier runs.
    for plural, name, schema in [(TEMPLATES, key, None), *await usage.published_users(ctx, tenant, key)]:
        query = ListQuery(tenants=[tenant], limit=MAX_SAMPLES, filters={plural.removesuffix("s"): name})
        if plural == WORKFLOWS:
            for run in (await Runs(ctx.engines.db).page(query)).items:
                data, at = masked(runs.decode(run.body).data, schema), times.to_rfc3339(run.created_at)
                found[run.id] = Sample(run.id, at, masked_text(run.recipient), data)
            continue
        for one in (await SentItems(ctx.engines.db).notifications(query)).items:
            sent = one.notification
            if one.has_row:
                private = (await ctx[Catalog].type(tenant, sent.type)).data if plural == TEMPLATES else schema
                data = masked(sent.data, private)
                found[sent.id] = Sample(sent.id, sent.created_at, masked_text(one.recipient or ""), data)
    return sorted(found.values(), key=lambda one: (one.at, one.id), reverse=True)[:MAX_SAMPLES]


async def last_data(ctx: ApiContext, tenant: str, users: Iterable[TemplateUser]) -> dict[str, Mapping[str, Any]]:
    """Return the data of the last run of each workflow without a schema among the users of a template, by workflow."""
    found: dict[str, Mapping[str, Any]] = {}
    for plural, name, schema in users:
        if plural == WORKFLOWS and schema is None and name not in found:
            query = ListQuery(tenants=[tenant], limit=1, filters={"workflow": name})
            for run in (await Runs(ctx.engines.db).page(query)).items:
                found[name] = runs.decode(run.body).data
    return found


# --- compared with a schema, and a schema of it

# Data that is compared with a schema, the newest first: 20 ms.
MAX_COMPARED = 1_000
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
    """Yield the data of the last triggers of a workflow: of a tenant, or for the project of all that have no workflow of their own
    with this key."""
    seen = set[str]()
    async for run in newest(Runs(db).page, tenant, {"workflow": key}):
        if run.owner in (tenant, PROJECT) and run.trigger not in seen:
            seen.add(run.trigger)
            yield runs.decode(run.body).data


async def of_type(db: Engine, tenant: str, key: str) -> Data:
    """Yield the data of the last sends of a type: to recipients of a tenant, or for the project of all that have no type of their
    own with this key."""
    overrides = set[str]()

    async def find_overrides(page: Iterable[SentItem]) -> None:
        others = {(item.tenant, key) for item in page if item.tenant != tenant}
        if others:
            overrides.update(owner for owner, _ in await Documents(db).bodies(TYPES, others))

    async for item in newest(SentItems(db).notifications, tenant, {"type": key}, find_overrides):
        if item.has_row and item.tenant not in overrides:  # without a row, its data is not stored
            yield item.notification.data


async def has_override(db: Engine, plural: str, owner: str, tenant: str, key: str) -> bool:
    """Return whether another tenant than the one with an object has an object of its own with this key."""
    return owner != tenant and await Documents(db).get(plural, owner, key) is not None


async def newest(
    read: Callable[[ListQuery], Awaitable[ListPage[T]]],
    tenant: str,
    filters: Mapping[str, Any],
    page_read: Callable[[Sequence[T]], Awaitable[None]] | None = None,
) -> AsyncIterator[T]:
    """Yield the newest items of a list, read as they are needed, after `page_read` with all items of their page."""
    pauses = Pauses()
    query = ListQuery(tenants=[tenant] if tenant else None, limit=PAGE, filters=filters)
    for _ in range(MAX_COMPARED // PAGE):
        page = await read(query)
        if page_read is not None:
            await page_read(page.items)
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
    seen, wrong = await compared(tenant, (("", one) async for one in _bounded(data)), schema)
    if not wrong:
        return None
    some = f"The last {noun.removesuffix('s')}" if seen == 1 else f"Of the last {seen:,} {noun}, {len(wrong):,}"
    text = f"{some} would be refused: {wrong[0][1]}."
    return PublishEffect("data_refused", text, n=len(wrong))


async def compared(
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
TYPE_NAMES = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    dict: "object",
    list: "array",
}
