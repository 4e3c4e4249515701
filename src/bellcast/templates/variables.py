"""The variables that a template reads and that its users declare: their paths, types and examples, and which of them a send
must have."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from bellcast.templates import rendering
from bellcast.templates.types import EACH, Template, UsedVariable, VariableType

# Who the example of a send is for, and who causes it.
EXAMPLE_NAME, EXAMPLE_ACTOR = "Ann", "Ben"


def required(template: Template) -> set[str]:
    """Return the paths in the data that every send of a valid template must have."""
    return {one.path for one in used(template) if one.is_required and one.path.startswith("data.")}


def used(template: Template) -> list[UsedVariable]:
    """Return the variables that a valid template reads, by path."""
    all_parts = (template, *template.translations.values())
    texts = [(text, field == "email.html") for parts in all_parts for field, text in parts.texts()]
    texts += [(parts.email.compiled, True) for parts in all_parts if parts.email and parts.email.compiled is not None]
    blocks = [parts.email.blocks for parts in all_parts if parts.email is not None]
    return used_in(texts, of_conditions(msgspec.to_builtins(blocks)))


def used_in(texts: Iterable[tuple[str, bool]], conditions: Iterable[str] = ()) -> list[UsedVariable]:
    """Return the variables that valid texts read, each with whether it is HTML, and the paths that conditions read."""
    from bellcast.templates import syntax_trees  # with the first text that has a tag: it imports Jinja

    found: dict[str, UsedVariable] = {}
    for source, is_html in texts:
        for one in syntax_trees.used_variables(rendering.parse(source, is_html=is_html), {}, is_required=True):
            before = found.get(one.path, one)
            type = one.type if before.type == "string" else before.type
            found[one.path] = UsedVariable(one.path, type, before.is_required or one.is_required)
    for path in conditions:
        found.setdefault(path, UsedVariable(path, "string", is_required=False))
    parents = {path.rpartition(".")[0] for path in found}
    outer = parents | {path.removesuffix(EACH) for path in parents | found.keys() if path.endswith(EACH)}
    return [found[path] for path in sorted(found) if path not in outer or found[path].type == "list"]


def of_conditions(value: Any) -> Iterator[str]:
    """Yield the paths that conditions in a JSON value read: `{"var": "data.total"}`."""
    if isinstance(value, dict):
        path = value.get("var")
        if isinstance(path, str):
            yield path
        value = list(value.values())
    for one in value if isinstance(value, list | tuple) else ():
        yield from of_conditions(one)


# --- with what the users of a template declare


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
SCHEMA_TYPES: Mapping[str, VariableType] = {
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


class TemplateVariable(Struct, frozen=True):
    """A variable that a template reads or that one of its users declares. `from` is `template`, a user such as
    `types/booking`, or `send` for those of every send. A send without one that is `required` is refused."""

    path: str
    type: VariableType
    required: bool
    example: Any
    source: str = msgspec.field(name="from")


def declared(schemas: SchemaPaths, template: Template) -> list[TemplateVariable]:
    """Return the variables of a valid template by path, with those that the schemas of its users declare."""
    of_texts = {one.path: one for one in used(template)}
    shown: list[TemplateVariable] = []
    for path in sorted({*of_texts, *schemas, *COMMON}):
        root, one = path.partition(".")[0], of_texts.get(path)
        if path not in COMMON and root != "data":
            continue
        source, schema, is_required = schemas.get(path, ("send" if path in COMMON else "template", {}, False))
        of_schema = schema.get("type")
        type: VariableType = "string" if one is None else one.type
        if of_schema == "string":
            type = "time" if schema.get("format") in ("date", "date-time", "time") else "string"
        elif isinstance(of_schema, str):
            type = SCHEMA_TYPES.get(of_schema, type)
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


def examples(declared: list[TemplateVariable]) -> dict[str, Any]:
    """Return data with an example for each variable, and one element in each list."""
    data: dict[str, Any] = {}
    for variable in declared:
        root, *parts = variable.path.split(".")
        if root != "data" or not parts:
            continue
        place: Any = data
        for number, part in enumerate(parts):
            name, is_list = part.removesuffix(EACH), part.endswith(EACH)
            is_last = number == len(parts) - 1
            if not isinstance(place, dict):
                break
            if is_list:
                items = place.get(name)
                if not isinstance(items, list) or not items:
                    items = place[name] = [variable.example if is_last else {}]
                place = items[0]
            elif is_last:
                place.setdefault(name, variable.example)
            else:
                inner = place.get(name)
                place = place[name] = inner if isinstance(inner, dict) else {}
    return data
