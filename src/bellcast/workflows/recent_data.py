"""The data of recent sends and triggers: what a new schema would refuse of it, and a schema that fits it."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from msgspec import Struct

from bellcast.inbox.store.sent import SentItems
from bellcast.kernel import data_schemas
from bellcast.kernel.contention import Pauses
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.lists import ListQuery
from bellcast.kernel.inferred_schemas import infer
from bellcast.rest.objects import PublishEffect
from bellcast.workflows.store.runs import Runs
from bellcast.workflows.types import runs

# Data that is compared with a schema, the newest first: 20 ms.
MAX_COMPARED = 1_000


class InferredSchema(Struct, frozen=True):
    """A JSON Schema that the data of the last sends or triggers matches, and how many of them were seen. It has their
    shapes, not their values."""

    schema: dict[str, Any]
    seen: int


Data = AsyncIterator[Mapping[str, Any]]


async def of_workflow(db: Engine, tenant: str, key: str) -> Data:
    """Yield the data of the last triggers of a workflow: of a tenant, or of all for the project."""
    tenants, pauses, seen = [tenant] if tenant else None, Pauses(), set[str]()
    for run in (await Runs(db).page(ListQuery(tenants=tenants, limit=MAX_COMPARED, filters={"workflow": key}))).items:
        await pauses.pause_if_due()
        if run.trigger not in seen:
            seen.add(run.trigger)
            yield runs.decode(run.body).data


async def of_type(db: Engine, tenant: str, key: str) -> Data:
    """Yield the data of the last sends of a type: to recipients of a tenant, or of all for the project."""
    pauses, wanted = (
        Pauses(),
        ListQuery(tenants=[tenant] if tenant else None, limit=MAX_COMPARED, filters={"type": key}),
    )
    for item in (await SentItems(db).notifications(wanted)).items:
        await pauses.pause_if_due()
        if item.has_row:  # else its data is not stored
            yield item.notification.data


async def refused(data: Data, schema: Any, noun: str) -> PublishEffect | None:
    """Return the effect of a new schema on data such as the last; `noun` names its origin, such as `triggers`."""
    seen, number, reason = 0, 0, ""
    async for one in data:
        seen += 1
        if (error := next(data_schemas.errors_of("data", one, schema), None)) is not None:
            number += 1
            reason = reason or f"{error.field} {error.message}"
    if not number:
        return None
    text = f"Of the last {seen:,} {noun}, {number:,} would be refused: {reason}."
    return PublishEffect("data_refused", text, n=number)


async def inferred(data: Data) -> InferredSchema | None:
    """Return the schema of the data; None without data."""
    found = [one async for one in data]
    return InferredSchema(infer(found), len(found)) if found else None
