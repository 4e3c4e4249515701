"""Checks of a template where it applies, with the data of a send or with examples, and of the texts that stand in the steps of a
workflow: the variables that its triggers lack. What authors see of its use: masked data of its last sends."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bellcast.channels.catalog import Catalog
from bellcast.channels.previews import Previews, Subject
from bellcast.channels.types import ChannelConfig
from bellcast.documents.store import Documents, Versions
from bellcast.documents.types import PROJECT, TEMPLATES, WORKFLOWS, draft_kind
from bellcast.inbox.store.sent_items import SentItems
from bellcast.kernel import times
from bellcast.kernel.db.lists import ListQuery
from bellcast.kernel.errors import FieldError, Invalid
from bellcast.preferences.types import CHANNEL_WORDS, CHANNELS
from bellcast.rest.context import ApiContext
from bellcast.rest.kinds import MAX_USES, SHOWN_USES, PublishEffect, decode_draft, listed
from bellcast.templates import content_checks, rendering, variables
from bellcast.templates.budget import in_thread
from bellcast.templates.email_checks import Finding
from bellcast.templates.masking import masked, masked_text
from bellcast.templates.types import Template
from bellcast.templates.variables import TemplateUser
from bellcast.workflows import definitions, usage
from bellcast.workflows.definitions import Definition
from bellcast.workflows.store import Runs
from bellcast.workflows.types import runs
from bellcast.workflows.workflow_catalog import WorkflowCatalog, steps_with_paths

# Versions that are searched for an older text of the default language, and languages that are rendered.
MAX_EARLIER, MAX_RENDERED = 10, 30


async def check(
    ctx: ApiContext, tenant: str, key: str, template: Template, data: Mapping[str, Any] | None
) -> list[Finding]:
    """Return the findings of a valid template. Without data, it is rendered with examples."""
    users = await find_users(ctx, tenant, key)
    last = await last_data(ctx, tenant, users)
    config = ctx[ChannelConfig]
    earlier: list[Template] = []
    versions = Versions(ctx.engines.db)
    for info in await versions.infos(TEMPLATES, tenant, key, MAX_EARLIER) if template.translations else ():
        stored = await versions.find(TEMPLATES, tenant, key, info.version)
        if stored is not None:
            earlier.append(msgspec.json.decode(stored.body, type=Template))

    def written() -> tuple[dict[str, Any], list[Finding]]:
        paths, used = variables.schema_paths(users), variables.used(template)
        return variables.examples(variables.declared(paths, template)), [
            *content_checks.of_languages(template, config.locales, config.locale),
            *content_checks.of_stale(template, earlier),
            *content_checks.of_variables(used, content_checks.DeclaredPaths(paths)),
            *content_checks.of_last_data(used, last),
            *content_checks.of_source(template),
            *content_checks.of_code(template),
        ]

    examples, found = await in_thread(tenant, written)
    layouts = await ctx[Catalog].layouts(tenant, template, None)
    values = examples if data is None else dict(data)
    for locale in [None, *template.translations][:MAX_RENDERED]:
        own = template if locale is None else template.translations[locale]
        base = msgspec.structs.replace(template, translations={})
        alone = base if locale is None else Template(translations={locale: own})
        subject = Subject(
            tenant=tenant,
            template=alone,
            recipient="",
            locale=locale,
            data=values,
            now=ctx.engines.clock.now(),
        )
        try:
            rendered, missing = await ctx[Previews].preview(subject)
        except Invalid as refusal:
            # Examples may have another form than the data of sends.
            if data is not None:
                text = "; ".join(error.message for error in refusal.errors)
                found.append(Finding("error", "template_error", text, None, locale))
            continue
        layout = None if own.email is None else layouts.get(own.email.layout or "")
        found += await in_thread(tenant, content_checks.of_rendered, own, locale, rendered, layout)
        for path in missing if data is not None else ():
            text = f"{path} has no value in this data: the send would be refused."
            found.append(Finding("error", "missing_variable", text, None, None))
    return content_checks.sort(found)


async def errors(ctx: ApiContext, tenant: str, key: str, template: Template) -> list[FieldError]:
    """Return why a valid template must not be published."""
    return [
        FieldError(
            ".".join(part for part in (one.locale and f"translations.{one.locale}", one.channel) if part),
            one.message,
            one.line,
        )
        for one in await check(ctx, tenant, key, template, None)
        if one.severity == "error"
    ]


async def effects(ctx: ApiContext, planned: ApiContext, tenant: str, key: str, value: Template) -> list[PublishEffect]:
    """Return what publishing a valid template changes where it applies. `planned` reads the other objects as they will be
    then."""
    stored = await _stored(ctx, key, PROJECT, tenant)
    if not stored:
        return []
    before = functools.reduce(Template.overridden_by, stored)
    bases = [] if tenant == PROJECT else await _stored(planned, key, PROJECT)
    after = functools.reduce(Template.overridden_by, [*bases, value])
    found = []
    for locale in sorted(before.translations.keys() - after.translations.keys()):
        found.append(
            PublishEffect("language_lost", f"There is no text in {locale} any more: recipients get another language.")
        )
    for channel in CHANNELS:
        if before.has(channel) and not after.has(channel):
            found.append(PublishEffect("channel_removed", f"There is no text for {CHANNEL_WORDS[channel]} any more."))
    added = await in_thread(tenant, lambda: sorted(variables.required(after) - variables.required(before)))
    if added:
        text = f"Sends without {listed(added)} are refused."
        found.append(PublishEffect("required_changed", text, n=len(added)))
    lost = rendering.lost_layout(before, after)
    if lost is not None:  # a write is then refused, if it is a layout of others
        users = (await usage.of_layouts(planned, [(tenant, key)], SHOWN_USES + 1, is_exact=True))[tenant, key]
        language = rendering.in_language(lost)
        text = f"It is the layout of {listed(users)}, and would have no HTML with {{{{ content }}}}{language}."
        found += [PublishEffect("breaks_use", text, n=len(users))] if users else []
    return found


async def _stored(ctx: ApiContext, key: str, *owners: str) -> list[Template]:
    found = [await Documents(ctx.engines.db).get(TEMPLATES, one, key) for one in dict.fromkeys(owners)]
    return [msgspec.json.decode(one.body, type=Template) for one in found if one is not None]


# --- texts of workflows


class StepFinding(Struct, frozen=True):
    """A variable that triggers do not have, or may leave out. `field` is the path of the text, such as `steps.1.subject`;
    `code` is `unknown_variable` or `missing_variable`."""

    field: str
    code: str
    message: str


async def of_workflow(ctx: ApiContext, tenant: str, key: str, value: Mapping[str, Any]) -> list[StepFinding]:
    """Return what the author of a valid definition should see in its texts."""
    definition = definitions.of_valid(value)
    user = (WORKFLOWS, key, await schema_of(ctx, tenant, definition))
    last = await last_data(ctx, tenant, [user])
    contents = {step.key: step.content for step in definition.ordered if step.content is not None}

    def of_texts() -> Iterator[StepFinding]:
        declared = content_checks.DeclaredPaths(variables.schema_paths([user]))
        for path, step, tested in steps_with_paths(value["steps"]):
            # An author knows that variables that conditions test before can be absent.
            present = {*variables.of_conditions(tested)}
            for field, text in contents[step["key"]].texts() if step["key"] in contents else ():
                used = [
                    replace(one, is_required=one.is_required and one.path not in present)
                    for one in variables.used_in([(text, field == "email.html")])
                ]
                for one in (*content_checks.of_variables(used, declared), *content_checks.of_last_data(used, last)):
                    yield StepFinding(f"{path}.{field.partition('.')[2]}", one.code, one.message)

    return await in_thread(tenant, lambda: list(islice(of_texts(), content_checks.MAX_FINDINGS)))


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
    for plural, name, schema in [(TEMPLATES, key, None), *await _published(ctx, tenant, key)]:
        query = ListQuery(tenants=[tenant], limit=MAX_SAMPLES, filters={FILTERS[plural]: name})
        if plural == "workflows":
            for run in (await Runs(ctx.engines.db).page(query)).items:
                data, at = masked(runs.decode(run.body).data, schema), times.to_rfc3339(run.created_at)
                found[run.id] = Sample(run.id, at, masked_text(run.recipient), data)
            continue
        for one in (await SentItems(ctx.engines.db).notifications(query)).items:
            sent = one.notification
            if one.has_row:
                private = (await ctx[Catalog].type(tenant, sent.type)).data if plural == TEMPLATES else schema
                to = masked_text(one.recipient or "")
                found[sent.id] = Sample(sent.id, sent.created_at, to, masked(sent.data, private))
    return sorted(found.values(), key=lambda one: (one.at, one.id), reverse=True)[:MAX_SAMPLES]


async def find_users(ctx: ApiContext, tenant: str, key: str) -> list[TemplateUser]:
    """Return the types and workflows that use a template where it applies, and then the tenant's own valid drafts of workflows."""
    users, quoted, parsed = await _published(ctx, tenant, key), msgspec.json.encode(key), 0
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


async def _published(ctx: ApiContext, tenant: str, key: str) -> list[TemplateUser]:
    named = await usage.of_templates(ctx, [(tenant, key)], MAX_USES, is_exact=False)
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


async def last_data(ctx: ApiContext, tenant: str, users: Iterable[TemplateUser]) -> dict[str, Mapping[str, Any]]:
    """Return the data of the last run of each workflow without a schema among the users of a template, by workflow."""
    found: dict[str, Mapping[str, Any]] = {}
    for plural, name, schema in users:
        if plural == WORKFLOWS and schema is None and name not in found:
            query = ListQuery(tenants=[tenant], limit=1, filters={"workflow": name})
            for run in (await Runs(ctx.engines.db).page(query)).items:
                found[name] = runs.decode(run.body).data
    return found
