"""`bellcast types` and `schema`: types of the data of workflows and notification types, for apps in Python and TypeScript, and JSON
Schemas of objects."""

import json
import keyword
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from bellcast.cli import objects, options, output
from bellcast.cli.output import CommandError

SUFFIXES = (".yaml", ".yml", ".json")
EPILOG = """\
[dim]Examples[/]

  bellcast types python --out app/bellcast_types.py
  bellcast types typescript --from bellcast --out src/bellcast.ts --check
"""

app = typer.Typer()


@app.command(cls=options.with_settings("URL"), rich_help_panel="Send and follow", epilog=EPILOG)
def types(
    ctx: typer.Context,
    language: Annotated[str, options.argument("LANGUAGE", "python or typescript.", show_default=False)],
    source: Annotated[
        Path | None, options.option("DIR", "The folder of the definitions. Default: those of the server.", "--from")
    ] = None,
    out: Annotated[Path | None, options.option("FILE", "The file to write. Default: standard output.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if the file is not current.")] = False,
) -> None:
    """Write types of the data of workflows and notification types, as code."""
    if language not in LANGUAGES:
        raise CommandError(f"there are no types for {language!r}", f"choose one of: {', '.join(LANGUAGES)}")
    if check and out is None:
        raise typer.BadParameter("needs --out", param_hint="--check")
    kinds = ("workflows", "types")
    if source is None:
        with options.server(ctx) as client:
            lists = [objects.every_page(getattr(client, kind).list, kind, None) for kind in kinds]
        workflows, of_types = ({one["key"]: one for one in of_kind} for of_kind in lists)
    else:
        files = [[file for file in sorted((source / kind).glob("*")) if file.suffix in SUFFIXES] for kind in kinds]
        if not any(files):
            raise CommandError(
                f"{source} has no workflows and no types", "name the folder that contains workflows/ and types/"
            )
        workflows, of_types = (dict(map(objects.read_object, of_kind)) for of_kind in files)
    without = {key: one.get("data") for key, one in of_types.items()}
    # A workflow without a schema has that of its type.
    schemas = {key: one.get("data") or without.get(one.get("type")) for key, one in workflows.items()}
    code = LANGUAGES[language](schemas, without)
    if out is None:
        typer.echo(code, nl=False)
    elif not check:
        out.write_text(code, encoding="utf-8", newline="\n")
        output.done(f"Wrote {out}")
    elif not out.exists() or out.read_bytes() != code.encode():
        raise CommandError(f"{out} is not current", f"run bellcast types {language} --out {out}")


WORDS = re.compile(r"[A-Za-z0-9]+")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The name of a field, the code of its type, and whether it must be present.
FieldOfType = tuple[str, str, bool]


class TypedObject(NamedTuple):
    """A workflow or a notification type: its key, the code of the type of its data, and whether data must be passed."""

    key: str
    data: str | None
    is_required: bool


class Language(NamedTuple):
    """How a language writes types. `literal` returns the type of these values, None if it has none, and `declare` the declaration
    of an object with fields."""

    scalars: Mapping[str, str]
    anything: str
    list_of: str
    map_of: str
    reserved: Iterable[str]
    literal: Callable[[Sequence[Any]], str | None]
    declare: Callable[[str, Sequence[FieldOfType]], str]


class Declarations:
    """Turns schemas into code of a language. Objects get names; a name that is taken gets a number."""

    def __init__(self, language: Language) -> None:
        self.declared: list[str] = []
        self._language = language
        self._names = set(language.reserved)
        self._known: dict[str, str] = {}

    def subjects(self, schemas: Mapping[str, Any]) -> list[TypedObject]:
        """Return the types of the data of objects by key, in the order of their keys."""
        found = []
        for key, schema in sorted(schemas.items()):
            data, text = None, json.dumps(schema, sort_keys=True)
            if isinstance(schema, Mapping) and "properties" in schema and schema.get("type") == "object":
                # Equal schemas are declared once.
                data = self._known.get(text) or self.type_of(schema, _pascal(key) or "Data")
                self._known[text] = data
            found.append(TypedObject(key, data, is_required=bool(data and schema.get("required"))))
        return found

    def type_of(self, schema: Any, name: str) -> str:
        """Return the code of a schema's type. `name` is that of an object without one."""
        if not isinstance(schema, Mapping):
            return self._language.anything
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        if values and (literal := self._language.literal(values)) is not None:
            return literal
        several = schema.get("anyOf") or schema.get("oneOf")
        types = schema.get("type") or ("object" if "properties" in schema else None)
        if several:
            parts = [self.type_of(one, name) for one in several]
        else:
            parts = [self._of_type(schema, one, name) for one in (types if isinstance(types, list) else [types])]
        anything = self._language.anything
        return anything if anything in parts else " | ".join(dict.fromkeys(parts))

    def _of_type(self, schema: Mapping[str, Any], type: Any, name: str) -> str:
        if type == "array":
            return self._language.list_of.format(self.type_of(schema.get("items"), f"{name}Item"))
        if type != "object":
            return self._language.scalars.get(type, self._language.anything)
        if not schema.get("properties"):
            return self._language.map_of.format(self.type_of(schema.get("additionalProperties"), f"{name}Value"))
        # Another subject may have the same name.
        number, own = 1, name
        while own in self._names:
            number += 1
            own = f"{name}_{number}"
        self._names.add(own)
        required = schema.get("required", ())
        fields = [
            (key, self.type_of(inner, own + _pascal(key)), key in required)
            for key, inner in schema["properties"].items()
        ]
        self.declared.append(self._language.declare(own, fields))
        return own


def _pascal(key: str) -> str:
    name = "".join(word[:1].upper() + word[1:] for word in WORDS.findall(key))
    return f"_{name}" if name[:1].isdigit() else name


# --- Python


def _python_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if text.isprintable() else ascii(text)


def _python_literal(values: Sequence[Any]) -> str | None:
    if not all(value is None or isinstance(value, str | bool | int) for value in values):
        return None
    return f"Literal[{', '.join(_python_text(one) if isinstance(one, str) else repr(one) for one in values)}]"


def _typed_dict(name: str, fields: Sequence[FieldOfType]) -> str:
    shown = [(key, type if is_required else f"NotRequired[{type}]") for key, type, is_required in fields]
    if all(NAME.fullmatch(key) and not keyword.iskeyword(key) and not key.startswith("__") for key, _ in shown):
        return "\n".join([f"class {name}(TypedDict):", *(f"    {key}: {type}" for key, type in shown)])
    lines = [f"    {_python_text(key)}: {type}," for key, type in shown]
    return "\n".join([f'{name} = TypedDict("{name}", {{', *lines, "})"])


PYTHON_HEAD = '''\
"""Types of the data of workflows and notification types. Written by `bellcast types python`."""

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict, Unpack, overload

from bellcast import AsyncBellcast, Bellcast
from bellcast.client.notifications import Moment, OtherContent, Target
from bellcast.client.responses import Sent, Triggered

__all__ = ["TypedAsyncBellcast", "TypedBellcast"]


class TriggerOptions(TypedDict, total=False):
    actor: str | Mapping[str, Any] | None
    cancel_key: str | None
    send_at: Moment | None
    timezone: str | None
    idempotency_key: str | None
    tenant: str | None
'''


PYTHON = Language(
    scalars={"string": "str", "number": "float", "integer": "int", "boolean": "bool", "null": "None"},
    anything="Any",
    list_of="list[{}]",
    map_of="dict[str, {}]",
    reserved=(
        *("Any", "Literal", "NotRequired", "TypedDict", "Unpack", "Mapping", "AsyncBellcast", "Bellcast", "Moment"),
        *("OtherContent", "Sent", "Target", "Triggered", "TriggerOptions", "TypedAsyncBellcast", "TypedBellcast"),
        *("None", "True", "False"),
    ),
    literal=_python_literal,
    declare=_typed_dict,
)


def python(workflows: Mapping[str, Any], types: Mapping[str, Any]) -> str:
    """Return the Python module of the schemas of workflows and types, by their keys; None is no schema."""
    declarations = Declarations(PYTHON)
    of_types, of_workflows = declarations.subjects(types), declarations.subjects(workflows)
    triggers = [
        f"workflow: Literal[{_python_text(one.key)}], to: Target, {_python_data(one)}, **options: Unpack[TriggerOptions]"
        for one in of_workflows
    ]
    content = "idempotency_key: str | None = None, {}**content: Unpack[OtherContent]"
    sends = [
        f"to: Target, title: str | None = None, *, type: Literal[{_python_text(one.key)}], {_python_data(one)}, "
        + content.format("")
        for one in of_types
    ]
    if of_types:  # and a notification without a type
        sends.append("to: Target, title: str | None = None, *, " + content.format("data: Mapping[str, Any] = ..., "))
    parts = [PYTHON_HEAD, *(f"{one}\n" for one in declarations.declared)]
    for base, start in (("Bellcast", "def"), ("AsyncBellcast", "async def")):
        methods = [
            *_python_method(start, "trigger", "Triggered", triggers),
            *_python_method(start, "notify", "Sent", sends),
        ]
        doc = f'    """{base}, whose triggers and sends have typed data."""\n'
        parts.append("\n".join([f"class Typed{base}({base}):", doc, *methods]).rstrip() + "\n")
    return "\n\n".join(parts)


def _python_data(subject: TypedObject) -> str:
    return f"data: {subject.data or 'Mapping[str, Any]'}" + ("" if subject.is_required else " = ...")


def _python_method(start: str, name: str, result: str, signatures: Sequence[str]) -> Iterator[str]:
    """Yield the code of a method with these signatures. One alone is no overload."""
    ignore = "  # type: ignore[override]  # accepts the known keys only"
    for number, signature in enumerate(signatures if len(signatures) != 1 else [*signatures, *signatures]):
        yield "    @overload" + ("" if number else ignore)
        yield f"    {start} {name}(self, {signature}) -> {result}: ..."
    if signatures:
        yield f"    {start} {name}(self, *args: Any, **kwargs: Any) -> Any:"
        yield f"        return {'await ' if start != 'def' else ''}super().{name}(*args, **kwargs)"
        yield ""


# --- TypeScript


def _typescript_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _typescript_literal(values: Sequence[Any]) -> str | None:
    if not all(value is None or isinstance(value, str | bool | int | float) for value in values):
        return None
    return " | ".join(_typescript_text(one) if isinstance(one, str) else json.dumps(one) for one in values)


def _type_alias(name: str, fields: Sequence[FieldOfType]) -> str:
    lines = [
        f"  {key if NAME.fullmatch(key) else _typescript_text(key)}{'' if is_required else '?'}: {type};"
        for key, type, is_required in fields
    ]
    return "\n".join([f"export type {name} = {{", *lines, "};"])


TYPESCRIPT = Language(
    scalars={"string": "string", "boolean": "boolean", "null": "null"} | dict.fromkeys(("number", "integer"), "number"),
    anything="unknown",
    list_of="Array<{}>",
    map_of="Record<string, {}>",
    reserved=("Record", "Array"),
    literal=_typescript_literal,
    declare=_type_alias,
)


def typescript(workflows: Mapping[str, Any], types: Mapping[str, Any]) -> str:
    """Return the TypeScript module of the schemas of workflows and types, by their keys; None is no schema."""
    declarations = Declarations(TYPESCRIPT)
    lines = ["declare module 'bellcast/server' {"]
    for name, schemas in (("TypeData", types), ("WorkflowData", workflows)):
        fields = [
            f"    {_typescript_text(one.key)}: {one.data or 'Record<string, unknown>'};"
            for one in declarations.subjects(schemas)
        ]
        lines += [f"  interface {name} {{", *fields, "  }"]
    head = "// Types of the data of workflows and notification types. Written by `bellcast types typescript`."
    module = "\n".join([*lines, "}"])
    return "\n\n".join([head, "import 'bellcast/server';", *declarations.declared, module]) + "\n"


LANGUAGES = {"python": python, "typescript": typescript}


@app.command(cls=options.CliCommand, rich_help_panel="Send and follow")
def schema(
    name: Annotated[
        str,
        options.argument("NAME", "workflow, template, type, source, provider, webhook or bundle.", show_default=False),
    ],
) -> None:
    """Print the JSON Schema of an object that you define."""
    from bellcast.workflows.http.schemas import SCHEMAS

    if name not in SCHEMAS:
        raise CommandError(f"there is no schema {name!r}", f"choose one of: {', '.join(SCHEMAS)}")
    output.json(SCHEMAS[name]())
