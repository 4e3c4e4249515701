"""`bellcast types`: writes types of the data of workflows and notification types, for apps in Python and TypeScript."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

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
    from bellcast.cli.type_declarations import LANGUAGES

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
    from bellcast.kernel.errors import BadRequest
    from bellcast.kernel.yaml_text import YamlText

    found: list[dict[str, Any]] = []
    for kind in ("workflows", "types"):
        definitions: dict[str, Any] = {}
        for file in sorted((folder / kind).glob("*")):
            if file.suffix not in SUFFIXES:
                continue
            try:
                value = YamlText(file.read_bytes()).value
            except BadRequest as error:
                raise CommandError(f"{file}: {error.detail}", "correct the file") from None
            if not isinstance(value, dict):
                raise CommandError(f"{file} has no definition", "write an object")
            definitions[str(value.get("key") or file.stem)] = _fields(value)
        found.append(definitions)
    if not any(found):
        raise CommandError(
            f"{folder} has no workflows and no types", "name the folder that contains workflows/ and types/"
        )
    return found[0], found[1]
