"""What a new version of a workflow changes for its runs, triggers and recipients."""

from typing import Any

from bellcast.kernel.contention import Pauses
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.lists import ListQuery
from bellcast.preferences.types import CHANNELS
from bellcast.providers.types import ProviderDirectory
from bellcast.rest.drafts import PublishEffect
from bellcast.workflows import definitions, schemas
from bellcast.workflows.definitions import Definition
from bellcast.workflows.store.runs import Runs
from bellcast.workflows.types import runs
from bellcast.workflows.workflow_catalog import WorkflowCatalog

# Runs whose data is compared with a new schema, the newest first: 20 ms.
COMPARED_RUNS = 1_000
OPEN = ("running", "waiting", "paused")


async def effects(
    db: Engine, catalog: WorkflowCatalog, providers: ProviderDirectory, tenant: str, key: str, value: dict[str, Any]
) -> list[PublishEffect]:
    """Return what publishing a validated definition changes."""
    after, current = definitions.of_valid(value), await catalog.current(tenant, key)
    before = None if current is None else definitions.of_valid(current.definition)
    found = [await _kept_runs(db, tenant, key), await _refused_data(db, tenant, key, after)]
    removed = [] if before is None else [name for name in CHANNELS if name in before.channels - after.channels]
    found += [PublishEffect("channel_removed", f"No step sends by {name} any more.") for name in removed]
    for name in CHANNELS:
        if name != "inbox" and name in after.channels and not await providers.can_deliver(tenant, name):
            found.append(PublishEffect("credentials_missing", f"No provider is configured for {name}."))
    return [one for one in found if one is not None]


async def _kept_runs(db: Engine, tenant: str, key: str) -> PublishEffect | None:
    count = 0
    for state in OPEN:
        wanted = ListQuery(tenants=[tenant], limit=1, filters={"workflow": key, "state": state}, is_counted=True)
        total = (await Runs(db).page(wanted)).total
        count += 0 if total is None else total.value
    if not count:
        return None
    text = "1 current run keeps its version." if count == 1 else f"{count} current runs keep their version."
    return PublishEffect("runs_keep_version", text, n=count)


async def _refused_data(db: Engine, tenant: str, key: str, after: Definition) -> PublishEffect | None:
    if after.schema is None:
        return None
    wanted = ListQuery(tenants=[tenant], limit=COMPARED_RUNS, filters={"workflow": key})
    refused: set[str] = set()
    seen: set[str] = set()
    reason, pauses = "", Pauses()
    for run in (await Runs(db).page(wanted)).items:
        await pauses.pause_if_due()
        if run.trigger in seen:
            continue
        seen.add(run.trigger)
        error = next(schemas.errors_of("data", runs.decode(run.body).data, after.schema), None)
        if error is not None:
            refused.add(run.trigger)
            reason = reason or f"{error.field} {error.message}"
    if not refused:
        return None
    text = f"Of the last {len(seen)} triggers, {len(refused)} would be refused: {reason}."
    return PublishEffect("data_refused", text, n=len(refused))
