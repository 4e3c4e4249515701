"""`bellcast restore`: put a backup in the place of the store."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bellcast.cli import console, options
from bellcast.cli.console import CommandError
from bellcast.cli.migrate import version

if TYPE_CHECKING:  # settings are read when a command runs: help need not wait
    from bellcast.settings import Settings

EPILOG = """\
[dim]Example[/]

  bellcast restore /backups/bellcast-2026-01-31.db --data /var/lib/bellcast

[dim]Stop the server first. The file is checked before anything is touched, and one made by an older version is brought \
up to date. Live clients fetch their inboxes anew.[/]
"""

app = typer.Typer()


@app.command(cls=options.with_settings("DATA", "STORE"), rich_help_panel="Look after it", epilog=EPILOG)
def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `bellcast backup` made.")],
    force: Annotated[bool, typer.Option("--force", help="Even if there is a store already: it is lost.")] = False,
    json: console.Json = False,
) -> None:
    """Put a backup in the place of the store."""
    settings = options.settings(ctx)
    if version(file) == 0:
        raise CommandError(f"{file} is empty, or not there", "name a file that `bellcast backup` made")
    if settings.store.is_file:
        _into_file(settings, file, force=force, json=json)
    else:
        _into_database(settings, file, force=force, json=json)


def _into_database(settings: "Settings", file: Path, *, force: bool, json: bool) -> None:
    import asyncio

    from bellcast.errors import Conflict
    from bellcast.server import adapters

    adapters.need_postgres()
    from bellcast.storage import postgres_backup

    try:
        with console.progress("Restoring the PostgreSQL store") as progress:
            counts = asyncio.run(postgres_backup.restore(file, settings.store.url or "", progress, replace=force))
    except Conflict as conflict:
        raise CommandError(
            conflict.detail, "name another database with --store, or replace what is there with --force"
        ) from None
    if json:
        console.json({"file": str(file), "rows": counts})
    else:
        console.done(f"{file} is restored to PostgreSQL: {sum(counts.values()):,} rows, counted on both sides.")


def _into_file(settings: "Settings", file: Path, *, force: bool, json: bool) -> None:
    from bellcast.cli import data_folder
    from bellcast.storage import backup as copies

    path = settings.store.path
    if path.exists() and not force:
        raise CommandError(f"{path} has data already", "name another folder with --data, or replace it with --force")
    data_folder.prepare(settings)
    with console.progress(f"Restoring {path}") as progress:
        copies.restore(file, path, progress)
    if json:
        console.json({"file": str(file), "store": str(path), "bytes": path.stat().st_size})
    else:
        console.done(f"{file} is restored to {path} ({console.size(path.stat().st_size)}).")
