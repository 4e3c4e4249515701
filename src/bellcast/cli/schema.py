"""`bellcast schema`: the JSON Schemas of objects, for editors and checks."""

from typing import Annotated

import typer

from bellcast.cli import console, options
from bellcast.cli.console import CommandError

app = typer.Typer()


@app.command(cls=options.CliCommand, rich_help_panel="Send and follow")
def schema(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="workflow, template, type, source, provider or bundle.", show_default=False
        ),
    ],
) -> None:
    """Print the JSON Schema of an object that you define."""
    from bellcast.workflows.http.schemas import SCHEMAS

    if name not in SCHEMAS:
        raise CommandError(f"there is no schema {name!r}", f"choose one of: {', '.join(SCHEMAS)}")
    console.json(SCHEMAS[name]())
