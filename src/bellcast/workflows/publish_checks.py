"""What authors should see before they publish: findings, errors and effects of a template where it applies, with the data of a send
or with examples; the variables that the triggers of a workflow lack, and its effects."""

import functools
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bellcast.channels import previews
from bellcast.channels.catalog import Catalog
from bellcast.channels.previews import Subject
from bellcast.channels.routing import Router
from bellcast.channels.types import ChannelConfig
from bellcast.documents.store import Documents, Versions
from bellcast.documents.types import PROJECT, TEMPLATES, TYPES, WORKFLOWS
from bellcast.inbox.types import NO_TYPE, NotificationType
from bellcast.kernel.concurrency import Pauses
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import FieldError, Invalid
from bellcast.preferences.types import CHANNEL_WORDS, CHANNELS
from bellcast.providers.directory import ProviderDirectory
from bellcast.rest.context import ApiContext
from bellcast.rest.kinds import SHOWN_USES, PublishEffect, listed
from bellcast.templates import content_checks, rendering, variables
from bellcast.templates.budget import in_thread
from bellcast.templates.email_checks import Finding
from bellcast.templates.types import Template
from bellcast.workflows import definitions, recent_data, usage, workflow_catalog
from bellcast.workflows.schedule_times import StoredSchedule
from bellcast.workflows.store import Runs
from bellcast.workflows.types.runs import SCHEDULES
from bellcast.workflows.workflow_catalog import steps_with_paths

# Versions that are searched for an older text of the default language, and languages that are rendered.
MAX_EARLIER, MAX_RENDERED = 10, 30


async def check(
    ctx: ApiContext, tenant: str, key: str, template: Template, data: Mapping[str, Any] | None
) -> list[Finding]:
    """Return the findings of a valid template. Without data, it is rendered with examples."""
    users = await usage.find_users(ctx, tenant, key)
    last = await recent_data.last_data(ctx, tenant, users)
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
            rendered, missing = await previews.preview(ctx[Router], subject)
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


async def template_effects(
    ctx: ApiContext, planned: ApiContext, tenant: str, key: str, value: Template
) -> list[PublishEffect]:
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
    user = (WORKFLOWS, key, await usage.schema_of(ctx, tenant, definition))
    last = await recent_data.last_data(ctx, tenant, [user])
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


# --- effects of workflows

# Schedules that are read to find those of a workflow: 0.1 s.
MAX_SCHEDULES = 10_000
OPEN = ("running", "waiting", "paused")


async def workflow_effects(
    ctx: ApiContext, planned: ApiContext, tenant: str, key: str, value: dict[str, Any]
) -> list[PublishEffect]:
    """Return what publishing a validated definition changes. `planned` reads the types and providers as they will be then."""
    db, then, providers = ctx.engines.db, planned.engines.db, ctx[ProviderDirectory]
    after, current = definitions.of_valid(value), await Documents(db).get(WORKFLOWS, tenant, key)
    before = current and definitions.of_valid(workflow_catalog.stored(current, tenant).current.definition)
    found = [await _kept_runs(db, tenant, key) if before else None]
    if (schema := await _schema(then, tenant, after)) is not None:
        found.append(await recent_data.refused(tenant, recent_data.of_workflow(db, tenant, key), schema, "triggers"))
        _, wrong = await recent_data.compared(tenant, _schedules(then, tenant, key), schema)
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
        async for run in recent_data.newest(Runs(db).page, tenant, {"workflow": key, "state": state}):
            count += run.state in OPEN and run.owner in (tenant, PROJECT)
    if not count:
        return None
    number = f"{count:,}" if count < recent_data.MAX_COMPARED else f"At least {count:,}"
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
    async for owner, document in Documents(db).every(SCHEDULES, tenant or None):
        await pauses.pause_if_due()
        seen += 1
        schedule = msgspec.json.decode(document.body, type=StoredSchedule)
        if schedule.active and schedule.workflow == key:
            if owner not in has_own:
                has_own[owner] = await recent_data.has_override(db, WORKFLOWS, owner, tenant, key)
            if not has_own[owner]:
                found += 1
                yield document.key, schedule.data
        if seen >= MAX_SCHEDULES or found >= recent_data.MAX_COMPARED:
            return
