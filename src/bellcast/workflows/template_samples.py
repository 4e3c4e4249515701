"""What authors of a template see of its use: the data of its last sends, masked, and the variables that its senders give."""

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from bellcast.channels.catalog import Catalog
from bellcast.documents.store import Documents
from bellcast.documents.types import draft_kind
from bellcast.inbox.store.sent import SentItems
from bellcast.kernel import times
from bellcast.kernel.db.lists import ListQuery
from bellcast.kernel.errors import Invalid
from bellcast.rest.context import ApiContext
from bellcast.rest.kinds import MAX_USES, decode_draft
from bellcast.templates.masking import masked, masked_text
from bellcast.templates.variables import TemplateUser
from bellcast.workflows import definitions, references
from bellcast.workflows.definitions import Definition
from bellcast.workflows.store.runs import Runs
from bellcast.workflows.types import runs
from bellcast.workflows.workflow_catalog import WORKFLOWS, WorkflowCatalog

MAX_SAMPLES = 10
# Maximum number of drafts that are parsed for the users of a template.
MAX_DRAFTS = 50
# What names the users of a template in a list of sends or runs.
FILTERS = {"templates": "template", "types": "type", "workflows": "workflow"}


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
    for plural, name, schema in [("templates", key, None), *await _published(ctx, tenant, key)]:
        query = ListQuery(tenants=[tenant], limit=MAX_SAMPLES, filters={FILTERS[plural]: name})
        if plural == "workflows":
            for run in (await Runs(ctx.engines.db).page(query)).items:
                data, at = masked(runs.decode(run.body).data, schema), times.to_rfc3339(run.created_at)
                found[run.id] = Sample(run.id, at, masked_text(run.recipient), data)
            continue
        for one in (await SentItems(ctx.engines.db).notifications(query)).items:
            sent = one.notification
            if one.has_row:
                private = (await ctx[Catalog].type(tenant, sent.type)).data if plural == "templates" else schema
                to = masked_text(one.recipient or "")
                found[sent.id] = Sample(sent.id, sent.created_at, to, masked(sent.data, private))
    return sorted(found.values(), key=lambda one: (one.at, one.id), reverse=True)[:MAX_SAMPLES]


async def find_users(ctx: ApiContext, tenant: str, key: str) -> list[TemplateUser]:
    """Return the types and workflows that use a template where it applies, and then the tenant's own drafts of workflows."""
    return [*await _published(ctx, tenant, key), *[one async for one in _drafted(ctx, tenant, key)]]


async def _published(ctx: ApiContext, tenant: str, key: str) -> list[TemplateUser]:
    named = await references.of_templates(ctx, [(tenant, key)], MAX_USES, is_exact=False)
    users: dict[tuple[str, str], TemplateUser] = {}
    for plural, _, name in (user.partition("?")[0].partition("/") for user in named[tenant, key]):
        if plural == "types":
            users[plural, name] = (plural, name, (await ctx[Catalog].type(tenant, name)).data)
        elif plural == "workflows" and (found := await ctx[WorkflowCatalog].find(tenant, name)) is not None:
            definition = definitions.of_valid(found.current.definition)
            users[plural, name] = (plural, name, await schema_of(ctx, tenant, definition))
    return list(users.values())


async def _drafted(ctx: ApiContext, tenant: str, key: str) -> AsyncIterator[TemplateUser]:
    """Yield the workflows with valid drafts that use a template. Authors of a tenant must not see the project's drafts."""
    quoted, parsed = msgspec.json.encode(key), 0
    async for _, document in Documents(ctx.engines.db).every(draft_kind(WORKFLOWS), tenant):
        if quoted not in document.body:
            continue
        if parsed == MAX_DRAFTS:
            return
        parsed += 1
        try:
            definition = definitions.parse(decode_draft(document).values)
        except Invalid:
            continue
        if any(step.fields.get("template") == key for step in definition.ordered):
            yield WORKFLOWS, document.key, await schema_of(ctx, tenant, definition)


async def schema_of(ctx: ApiContext, tenant: str, definition: Definition) -> Mapping[str, Any] | None:
    """Return the schema of a workflow's data: its own, else that of its type."""
    schema: Mapping[str, Any] | None = definition.schema
    if schema is None and definition.type is not None:
        schema = (await ctx[Catalog].type(tenant, definition.type)).data
    return schema


async def last_data(ctx: ApiContext, tenant: str, users: Iterable[TemplateUser]) -> dict[str, Mapping[str, Any]]:
    """Return the data of the last run of each workflow without a schema among the users of a template, by workflow."""
    found: dict[str, Mapping[str, Any]] = {}
    for plural, name, schema in users:
        if plural == WORKFLOWS and schema is None and name not in found:
            query = ListQuery(tenants=[tenant], limit=1, filters={"workflow": name})
            for run in (await Runs(ctx.engines.db).page(query)).items:
                found[name] = runs.decode(run.body).data
    return found
