"""What authors of a template see of its use: the data of its last sends, masked, and the variables that its senders give."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from bellcast.channels.catalog import Catalog
from bellcast.channels.previews import EXAMPLE_ACTOR, EXAMPLE_NAME
from bellcast.documents.store import Documents
from bellcast.documents.types import draft_kind
from bellcast.inbox.store.sent import SentItems
from bellcast.kernel import times
from bellcast.kernel.db.lists import ListQuery
from bellcast.kernel.errors import Invalid
from bellcast.rest.context import ApiContext
from bellcast.rest.objects import MAX_USES, decode_draft
from bellcast.templates import variables
from bellcast.templates.types import Template
from bellcast.templates.variables import EACH, VariableType
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
EXAMPLES: Mapping[VariableType, Any] = {
    "number": 7,
    "boolean": True,
    "time": "2030-06-10T14:00:00Z",
    "list": [],
    "object": {},
}
# Variables of every send.
COMMON: Mapping[str, str] = {
    "recipient.name": EXAMPLE_NAME,
    "recipient.key": "ann",
    "actor.name": EXAMPLE_ACTOR,
    "tenant.name": "Acme",
    "preferences_url": "https://…",
    "unsubscribe_url": "https://…",
}
TYPES: Mapping[str, VariableType] = {
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "array": "list",
    "object": "object",
}


# By path: the user that declares it, its schema, and whether a send must have it.
SchemaPaths: TypeAlias = dict[str, tuple[str, Mapping[str, Any], bool]]
# A type or a workflow that uses a template: plural, key, and the schema of its data.
TemplateUser: TypeAlias = tuple[str, str, Mapping[str, Any] | None]


class Sample(Struct, frozen=True):
    """A send or a run, its recipient, and its data without what identifies a person."""

    id: str
    at: datetime
    recipient: str
    data: dict[str, Any]


class SampleList(Struct, frozen=True):
    """The last sends that a template could have rendered, newest first."""

    samples: list[Sample]


class TemplateVariable(Struct, frozen=True):
    """A variable that a template reads or that one of its users declares. `from` is `template`, a user such as
    `types/booking`, or `send` for those of every send. A send without one that is `required` is refused."""

    path: str
    type: VariableType
    required: bool
    example: Any
    source: str = msgspec.field(name="from")


async def samples(ctx: ApiContext, tenant: str, key: str) -> list[Sample]:
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


async def declared(schemas: SchemaPaths, template: Template) -> list[TemplateVariable]:
    """Return the variables of a valid template by path, with those that the schemas of its users declare."""
    # In a thread: parsing the texts of a large template takes tens of milliseconds.
    used = {one.path: one for one in await asyncio.to_thread(variables.used, template)}
    shown: list[TemplateVariable] = []
    for path in sorted({*used, *schemas, *COMMON}):
        root, one = path.partition(".")[0], used.get(path)
        if path not in COMMON and root != "data":
            continue
        source, schema, is_required = schemas.get(path, ("send" if path in COMMON else "template", {}, False))
        of_schema = schema.get("type")
        type: VariableType = "string" if one is None else one.type
        if of_schema == "string":
            type = "time" if schema.get("format") in ("date", "date-time", "time") else "string"
        elif isinstance(of_schema, str):
            type = TYPES.get(of_schema, type)
        example = COMMON.get(path) or _example(path, type, schema)
        shown.append(
            TemplateVariable(path, type, is_required or (one is not None and one.is_required), example, source)
        )
    return shown


def schema_paths(users: Iterable[TemplateUser]) -> SchemaPaths:
    """Return the paths that the users of a template declare."""
    schemas: SchemaPaths = {}
    for plural, name, schema in users:
        for path, of_path, is_required in _paths("data", schema or {}):
            schemas.setdefault(path, (f"{plural}/{name}", of_path, is_required))
    return schemas


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


def _paths(path: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Yield the paths that a schema declares, with the schema of each, and whether it is required."""
    needed = schema.get("required") or ()
    for name, one in (schema.get("properties") or {}).items():
        if not isinstance(one, Mapping):
            continue
        here = f"{path}.{name}"
        if one.get("properties"):
            yield from ((inner, of, is_needed and name in needed) for inner, of, is_needed in _paths(here, one))
            continue
        yield here, one, name in needed
        items = one.get("items")
        if isinstance(items, Mapping):
            yield from ((inner, of, False) for inner, of, _ in _paths(here + EACH, items))


def _example(path: str, type: VariableType, schema: Mapping[str, Any]) -> Any:
    """Return an example: that of the schema, else one of the type."""
    for values in (schema.get("examples"), schema.get("enum")):
        if isinstance(values, list) and values:
            return values[0]
    for name in ("default", "const"):
        if name in schema:
            return schema[name]
    return EXAMPLES.get(type, path.rpartition(".")[2])


# Names of fields about a person, and of secrets.
PRIVATE_FIELD = re.compile(
    r"name$|^(client|customer|guest|host|user|person|contact|owner|author|sender|recipient)$|mail|phone|mobile|address|"
    r"street|birth|iban|passport|ssn|password|secret|token|otp|card|authorization|cookie|session|api_?key|pin$",
    re.IGNORECASE,
)
# A word, which is an e-mail address if it has the group. A search for addresses only would begin at each character of a word.
WORD = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]++(@[\w-]+(?:\.[\w-]+)+)?")
# Seven digits or more, in groups: shorter numbers are those of orders. A date or a time is none.
PHONE = re.compile(r"(?<![\w:.-])\+?\(?\d(?:[ ()/.-]{0,2}\d){6,}(?![\w:])")
TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[T ][\d:.]+(?:Z|[+-]\d\d:\d\d)?)?")
# The user, the password and the query of a URL.
URL_SECRETS = re.compile(r"(?<=://)[^/@\s]+(?=@)|(?<=\?)[^\s\"'<>]+")
HIDDEN = "•••"
# Maximum depth of data that is shown.
MAX_DEPTH = 20


def masked_text(text: str) -> str:
    """Return a text without e-mail addresses and phone numbers."""
    text = WORD.sub(lambda word: _address(word[0]) if word[1] else word[0], URL_SECRETS.sub(HIDDEN, text))
    if TIME.fullmatch(text):
        return text
    return PHONE.sub(lambda match: match[0] if TIME.fullmatch(match[0]) else HIDDEN + match[0][-2:], text)


def masked(value: Any, private: Mapping[str, Any] | None = None, depth: int = 0) -> Any:
    """Return data without addresses, phone numbers, names, and values of fields that are named like secrets or that their
    JSON Schema `private` marks as `x-private`."""
    schema = private or {}
    if schema.get("x-private") or depth > MAX_DEPTH:
        return _hidden(value)
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        return {
            masked_text(name): _hidden(one)
            if PRIVATE_FIELD.search(name) and not isinstance(one, dict | list)
            else masked(one, properties.get(name), depth + 1)
            for name, one in value.items()
        }
    if isinstance(value, list):
        items = schema.get("items")
        return [masked(one, items if isinstance(items, dict) else None, depth + 1) for one in value]
    return masked_text(value) if isinstance(value, str) else value


def _hidden(value: Any) -> Any:
    """Return a value of the same type that tells nothing but its first character."""
    if isinstance(value, str):
        if (word := WORD.fullmatch(value)) is not None and word[1]:
            return _address(value)
        return value[:1] + HIDDEN if value and value[0].isalpha() else HIDDEN
    if isinstance(value, dict):
        return {masked_text(name): _hidden(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_hidden(one) for one in value]
    return value if isinstance(value, bool) or value is None else 0


def _address(text: str) -> str:
    local, _, domain = text.partition("@")
    return f"{local[:1]}{HIDDEN}@{domain[:1]}{HIDDEN}.{domain.rpartition('.')[2]}"
