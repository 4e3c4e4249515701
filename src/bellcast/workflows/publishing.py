"""What a new version of a workflow changes for its runs, triggers and recipients."""

from typing import Any

from bellcast.channels.catalog import Catalog
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.lists import ListQuery
from bellcast.preferences.types import CHANNELS
from bellcast.providers.directory import ProviderDirectory
from bellcast.rest.objects import PublishEffect
from bellcast.workflows import definitions, recent_data
from bellcast.workflows.definitions import Definition
from bellcast.workflows.store.runs import Runs
from bellcast.workflows.workflow_catalog import WorkflowCatalog

OPEN = ("running", "waiting", "paused")


async def effects(
    db: Engine,
    catalog: WorkflowCatalog,
    types: Catalog,
    providers: ProviderDirectory,
    tenant: str,
    key: str,
    value: dict[str, Any],
) -> list[PublishEffect]:
    """Return what publishing a validated definition changes."""
    after, current = definitions.of_valid(value), await catalog.current(tenant, key)
    before = None if current is None else definitions.of_valid(current.definition)
    found = [await _kept_runs(db, tenant, key), await _refused_data(db, types, tenant, key, after)]
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


async def _refused_data(db: Engine, types: Catalog, tenant: str, key: str, after: Definition) -> PublishEffect | None:
    schema = after.schema
    if schema is None and after.type is not None:
        type = await types.type(tenant, after.type)
        schema = type.data if type.data_check == "refuse" else None
    return (
        None
        if schema is None
        else await recent_data.refused(recent_data.of_workflow(db, tenant, key), schema, "triggers")
    )
