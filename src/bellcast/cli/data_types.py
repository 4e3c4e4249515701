"""`bellcast types` and `schema`: types of the data of workflows and notification types, for apps in Python and TypeScript, and JSON
Schemas of objects."""

import json
import keyword
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from bellcast.cli import console, options
from bellcast.cli.console import CommandError

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
    language: Annotated[str, typer.Argument(metavar="LANGUAGE", help="python or typescript.", show_default=False)],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="DIR",
            help="The folder of the definitions. Default: those of the server.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The file to write. Default: standard output.", show_default=False),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if the file is not current.")] = False,
) -> None:
    """Write types of the data of workflows and notification types, as code."""
    if language not in LANGUAGES:
        raise CommandError(f"there are no types for {language!r}", f"choose one of: {', '.join(LANGUAGES)}")
    if check and out is None:
        raise typer.BadParameter("needs --out", param_hint="--check")
    workflows, of_types = _of_server(ctx) if source is None else _of_folder(source)
    without = {key: one["data"] for key, one in of_types.items()}
    # A workflow without a schema has that of its type.
    schemas = {key: one["data"] or without.get(one["type"]) for key, one in workflows.items()}
    code = LANGUAGES[language](schemas, without)
    if out is None:
        typer.echo(code, nl=False)
    elif not check:
        out.write_text(code, encoding="utf-8", newline="\n")
        console.done(f"Wrote {out}")
    elif not out.exists() or out.read_bytes() != code.encode():
        raise CommandError(f"{out} is not current", f"run bellcast types {language} --out {out}")


Definitions = tuple[Mapping[str, Any], Mapping[str, Any]]
"""The `data` and `type` of workflows, and the `data` of types, by key."""


def _of_server(ctx: typer.Context) -> Definitions:
    from bellcast.cli import objects, remote

    with remote.server(options.settings(ctx)) as client:
        workflows = objects.every_page(client.workflows.list, "workflows", None)
        types = objects.every_page(client.types.list, "types", None)
    return {one["key"]: _fields(one) for one in workflows}, {one["key"]: _fields(one) for one in types}


def _fields(one: Mapping[str, Any]) -> dict[str, Any]:
    return {"data": one.get("data"), "type": one.get("type")}


def _of_folder(folder: Path) -> Definitions:
    from bellcast.cli import objects

    found: list[dict[str, Any]] = []
    for kind in ("workflows", "types"):
        files = [file for file in sorted((folder / kind).glob("*")) if file.suffix in SUFFIXES]
        found.append({key: _fields(value) for key, value in map(objects.read_object, files)})
    if not any(found):
        raise CommandError(
            f"{folder} has no workflows and no types", "name the folder that contains workflows/ and types/"
        )
    return found[0], found[1]


WORDS = re.compile(r"[A-Za-z0-9]+")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SCALARS = {
    "python": {"string": "str", "number": "float", "integer": "int", "boolean": "bool", "null": "None"},
    "typescript": {"string": "string", "number": "number", "integer": "number", "boolean": "boolean", "null": "null"},
}


class DeclaredField(NamedTuple):
    """A field of an object: its name, the code of its type, and whether it must be present."""

    name: str
    type: str
    is_required: bool


class Language(NamedTuple):
    """How a language writes types. `declare` returns the declaration of an object with fields."""

    scalars: Mapping[str, str]
    anything: str
    reserved: Iterable[str]
    literal: Callable[[Sequence[Any]], str | None]
    list_of: Callable[[str], str]
    map_of: Callable[[str], str]
    declare: Callable[[str, list[DeclaredField]], str]


class TypedObject(NamedTuple):
    """A workflow or a notification type: its key, the code of the type of its data, and whether data must be passed."""

    key: str
    data: str | None
    is_required: bool


class Declarations:
    """Turns schemas into code. Objects get names; a name that is taken gets a number."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.declared: list[str] = []
        self._names = set(language.reserved)
        self._known: dict[str, str] = {}

    def subjects(self, schemas: Mapping[str, Any]) -> list[TypedObject]:
        """Return the types of the data of objects by key, in the order of their keys."""
        found = []
        for key, schema in sorted(schemas.items()):
            is_object = isinstance(schema, Mapping) and "properties" in schema and schema.get("type") == "object"
            data, text = None, json.dumps(schema, sort_keys=True)
            if is_object:  # equal schemas are declared once
                data = self._known.get(text) or self.type_of(schema, _pascal(key) or "Data")
                self._known[text] = data
            found.append(TypedObject(key, data, is_required=bool(data and schema.get("required"))))
        return found

    def type_of(self, schema: Any, name: str) -> str:
        """Return the code of a schema's type. `name` is that of an object without one."""
        language = self.language
        if not isinstance(schema, Mapping):
            return language.anything
        if "const" in schema or "enum" in schema:
            values = [schema["const"]] if "const" in schema else schema["enum"]
            if values and (literal := language.literal(values)) is not None:
                return literal
        for several in ("anyOf", "oneOf"):
            if schema.get(several):
                return self._union(self.type_of(one, name) for one in schema[several])
        types = schema.get("type")
        if types is None and "properties" in schema:
            types = "object"
        names = types if isinstance(types, list) else [types]
        return self._union(self._of_type(schema, one, name) for one in names)

    def _of_type(self, schema: Mapping[str, Any], type: Any, name: str) -> str:
        language = self.language
        if type == "array":
            return language.list_of(self.type_of(schema.get("items"), f"{name}Item"))
        if type != "object":
            return language.scalars.get(type, language.anything)
        if not schema.get("properties"):
            return language.map_of(self.type_of(schema.get("additionalProperties"), f"{name}Value"))
        # Another subject may have the same name.
        number, own = 1, name
        while own in self._names:
            number += 1
            own = f"{name}_{number}"
        self._names.add(own)
        required = schema.get("required", ())
        fields = [
            DeclaredField(key, self.type_of(inner, own + _pascal(key)), key in required)
            for key, inner in schema["properties"].items()
        ]
        self.declared.append(language.declare(own, fields))
        return own

    def _union(self, types: Iterable[str]) -> str:
        unique = list(dict.fromkeys(types))
        return self.language.anything if self.language.anything in unique else " | ".join(unique)


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


def _typed_dict(name: str, fields: list[DeclaredField]) -> str:
    shown = [(one.name, one.type if one.is_required else f"NotRequired[{one.type}]") for one in fields]
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
    scalars=SCALARS["python"],
    anything="Any",
    reserved=[
        *("Any", "Literal", "NotRequired", "TypedDict", "Unpack", "Mapping", "AsyncBellcast", "Bellcast", "Moment"),
        *("OtherContent", "Sent", "Target", "Triggered", "TriggerOptions", "TypedAsyncBellcast", "TypedBellcast"),
        *("None", "True", "False"),
    ],
    literal=_python_literal,
    list_of=lambda item: f"list[{item}]",
    map_of=lambda value: f"dict[str, {value}]",
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
    sends = [
        f"to: Target, title: str | None = None, *, type: Literal[{_python_text(one.key)}], {_python_data(one)}, "
        "idempotency_key: str | None = None, **content: Unpack[OtherContent]"
        for one in of_types
    ]
    sends += [_PYTHON_PLAIN] if of_types else []
    classes = []
    for name, base, start in (
        ("TypedBellcast", "Bellcast", "def"),
        ("TypedAsyncBellcast", "AsyncBellcast", "async def"),
    ):
        body = [
            text
            for method, result, signatures in (("trigger", "Triggered", triggers), ("notify", "Sent", sends))
            if signatures
            for text in _python_method(start, method, result, signatures)
        ]
        doc = f'    """{base}, whose triggers and sends have typed data."""\n'
        classes.append("\n".join([f"class {name}({base}):", doc, *body]).rstrip())
    return "\n\n".join([PYTHON_HEAD, *(f"{one}\n" for one in (*declarations.declared, *classes))])


_PYTHON_PLAIN = (
    "to: Target, title: str | None = None, *, idempotency_key: str | None = None, data: Mapping[str, Any] = ..., "
    "**content: Unpack[OtherContent]"
)


def _python_data(subject: TypedObject) -> str:
    return f"data: {subject.data or 'Mapping[str, Any]'}" + ("" if subject.is_required else " = ...")


def _python_method(start: str, name: str, result: str, signatures: Sequence[str]) -> list[str]:
    """Return the code of a method with these signatures. One alone is no overload."""
    call = f"{'await ' if start != 'def' else ''}super().{name}(*args, **kwargs)"
    ignore = "  # type: ignore[override]  # accepts the known keys only"
    if len(signatures) == 1:
        signatures = [*signatures, signatures[0]]
    lines = []
    for number, signature in enumerate(signatures):
        lines += [
            "    @overload" + ("" if number else ignore),
            f"    {start} {name}(self, {signature}) -> {result}: ...",
        ]
    return [*lines, f"    {start} {name}(self, *args: Any, **kwargs: Any) -> Any:", f"        return {call}", ""]


# --- TypeScript


def _typescript_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _typescript_literal(values: Sequence[Any]) -> str | None:
    if not all(value is None or isinstance(value, str | bool | int | float) for value in values):
        return None
    return " | ".join(_typescript_text(one) if isinstance(one, str) else json.dumps(one) for one in values)


def _type_alias(name: str, fields: list[DeclaredField]) -> str:
    names = [one.name if NAME.fullmatch(one.name) else _typescript_text(one.name) for one in fields]
    lines = [f"  {name}{'' if one.is_required else '?'}: {one.type};" for name, one in zip(names, fields, strict=True)]
    return "\n".join([f"export type {name} = {{", *lines, "};"])


TYPESCRIPT = Language(
    scalars=SCALARS["typescript"],
    anything="unknown",
    reserved=("Record", "Array"),
    literal=_typescript_literal,
    list_of=lambda item: f"Array<{item}>",
    map_of=lambda value: f"Record<string, {value}>",
    declare=_type_alias,
)


def typescript(workflows: Mapping[str, Any], types: Mapping[str, Any]) -> str:
    """Return the TypeScript module of the schemas of workflows and types, by their keys; None is no schema."""
    declarations = Declarations(TYPESCRIPT)
    of_both = {"TypeData": declarations.subjects(types), "WorkflowData": declarations.subjects(workflows)}
    interfaces = [
        "\n".join(
            [
                f"  interface {name} {{",
                *(f"    {_typescript_text(one.key)}: {one.data or 'Record<string, unknown>'};" for one in subjects),
                "  }",
            ]
        )
        for name, subjects in of_both.items()
    ]
    head = "// Types of the data of workflows and notification types. Written by `bellcast types typescript`."
    module = "\n".join(["declare module 'bellcast/server' {", *interfaces, "}"])
    return "\n\n".join([head, "import 'bellcast/server';", *declarations.declared, module]) + "\n"


LANGUAGES = {"python": python, "typescript": typescript}


@app.command(cls=options.CliCommand, rich_help_panel="Send and follow")
def schema(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="workflow, template, type, source, provider, webhook or bundle.", show_default=False
        ),
    ],
) -> None:
    """Print the JSON Schema of an object that you define."""
    from bellcast.workflows.http.schemas import SCHEMAS

    if name not in SCHEMAS:
        raise CommandError(f"there is no schema {name!r}", f"choose one of: {', '.join(SCHEMAS)}")
    console.json(SCHEMAS[name]())
