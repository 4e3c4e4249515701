"""Subcommands of objects that the app defines by key: `list`, `show`, `put FILE` and `delete`."""

import json as json_text
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from bellcast.cli import console, options
from bellcast.cli.console import CommandError

OwnerOption = Annotated[str | None, typer.Option(metavar="TENANT", help="The tenant. Default: the project's own.")]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The object as JSON; - reads standard input.")]
DataOption = Annotated[str | None, typer.Option(metavar="JSON", help="The variables.", show_default=False)]


def add_commands(commands: typer.Typer, plural: str, name: str) -> None:
    """Add the subcommands of a kind of object."""
    article = "an" if name[0] in "aeiou" else "a"

    @commands.command("list", cls=options.RequestCommand, help=f"List the {plural}.")
    def list_(ctx: typer.Context, tenant: OwnerOption = None, json: console.JsonFlag = False) -> None:
        from bellcast.cli import remote

        with remote.server(options.settings(ctx)) as client:
            show_list(every_page(getattr(client, plural).list, plural, tenant), lambda one: str(one["key"]), json=json)

    @commands.command(cls=options.RequestCommand, help=f"Show {article} {name} as JSON.")
    def show(
        ctx: typer.Context,
        key: Annotated[str, typer.Argument(metavar="KEY", help=f"The key of the {name}.")],
        tenant: OwnerOption = None,
    ) -> None:
        from bellcast.cli import remote

        with remote.server(options.settings(ctx)) as client:
            console.json(getattr(client, plural).get(key, tenant=tenant))

    @commands.command(
        cls=options.RequestCommand, help=f"Write {article} {name}. Its key is the file's `key`, else the file's name."
    )
    def put(
        ctx: typer.Context,
        file: FileArgument,
        tenant: OwnerOption = None,
        dry_run: console.DryRunOption = False,
        json: console.JsonFlag = False,
    ) -> None:
        write(ctx, file, plural, tenant, dry_run=dry_run, json=json)

    @commands.command(cls=options.RequestCommand, help=f"Delete {article} {name}.")
    def delete(
        ctx: typer.Context,
        key: Annotated[str, typer.Argument(metavar="KEY", help=f"The key of the {name}.")],
        tenant: OwnerOption = None,
    ) -> None:
        from bellcast.cli import remote

        with remote.server(options.settings(ctx)) as client:
            getattr(client, plural).delete(key, tenant=tenant)
        console.done(f"Deleted {key}")


def write(
    ctx: typer.Context, file: Path, plural: str, tenant: str | None, *, dry_run: bool, json: bool, of: str = ""
) -> None:
    """Write the object in a file, and report it. `of` precedes its key in the report."""
    from bellcast.cli import remote

    key, body = read_object(file)
    with remote.server(options.settings(ctx), file) as client:
        written = getattr(client, plural).put(key, body, tenant=tenant, dry_run=dry_run)
    console.json(written) if json else console.done(f"{wrote(dry_run=dry_run)} {of}{key}")


def wrote(*, dry_run: bool) -> str:
    """Return the text that reports a write."""
    return "Would write" if dry_run else "Wrote"


def every_page(list_: Callable[..., Any], plural: str, tenant: str | None) -> list[dict[str, Any]]:
    """Return all objects of a list."""
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = list_(after=after, tenant=tenant)
        found += page[plural]
        after = page["next"]
        if after is None:
            return found


def show_list(items: list[dict[str, Any]], line: Callable[[dict[str, Any]], str], *, json: bool) -> None:
    """Print objects as JSON, or a line for each."""
    if json:
        console.json(items)
        return
    for one in items:
        console.out().print(console.plain(line(one)), markup=False, soft_wrap=True)


def read_object(file: Path) -> tuple[str, dict[str, Any]]:
    """Return the key and the body of an object in a file."""
    try:
        text = typer.get_text_stream("stdin").read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise typer.BadParameter(f"{file} cannot be read: {reason}", param_hint="FILE") from None
    try:
        value = json_text.loads(text)
    except ValueError as error:
        raise CommandError(f"{file} is not JSON: {error}", "correct the file") from None
    if not isinstance(value, dict):
        raise CommandError(f"{file} has no JSON object", "write an object in braces")
    key = value.pop("key", None) or file.stem
    return str(key), value
