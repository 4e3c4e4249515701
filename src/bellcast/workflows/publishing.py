"""What a new version of a workflow changes for its runs, triggers and recipients."""

from typing import Any

import msgspec

from bellcast.channels.catalog import NO_TYPE, TYPES, NotificationType
from bellcast.documents.store import Documents
from bellcast.documents.types import PROJECT
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.lists import ListQuery
from bellcast.preferences.types import CHANNEL_WORDS, CHANNELS
from bellcast.providers.directory import ProviderDirectory
from bellcast.rest.objects import PublishEffect
from bellcast.workflows import definitions, recent_data, workflow_catalog
from bellcast.workflows.definitions import Definition
from bellcast.workflows.store.runs import Runs
from bellcast.workflows.workflow_catalog import WORKFLOWS

OPEN = ("running", "waiting", "paused")


async def effects(
    db: Engine, planned: Engine, providers: ProviderDirectory, tenant: str, key: str, value: dict[str, Any]
) -> list[PublishEffect]:
    """Return what publishing a validated definition changes. `planned` reads the types and providers as they will be then."""
    after, current = definitions.of_valid(value), await Documents(db).get(WORKFLOWS, tenant, key)
    before = None if current is None else workflow_catalog.stored(current, tenant).current.definition
    found = [await _kept_runs(db, tenant, key), await _refused_data(db, planned, tenant, key, after)]
    channels = frozenset() if before is None else definitions.of_valid(before).channels
    for name in CHANNELS:
        if name in channels - after.channels:
            found.append(PublishEffect("channel_removed", f"No step sends by {CHANNEL_WORDS[name]} any more."))
    for name in CHANNELS:
        if name != "inbox" and name in after.channels and not await providers.will_deliver(planned, tenant, name):
            found.append(PublishEffect("credentials_missing", f"No provider is configured for {CHANNEL_WORDS[name]}."))
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


async def _refused_data(db: Engine, planned: Engine, tenant: str, key: str, after: Definition) -> PublishEffect | None:
    schema = after.schema
    if schema is None and after.type is not None:
        table = Documents(planned)
        found = await table.get(TYPES, tenant, after.type) or await table.get(TYPES, PROJECT, after.type)
        type = NO_TYPE if found is None else msgspec.json.decode(found.body, type=NotificationType)
        schema = type.data if type.data_check == "refuse" else None
    return (
        None
        if schema is None
        else await recent_data.refused(recent_data.of_workflow(db, tenant, key), schema, "triggers")
    )
