"""`bellcast backup`: a copy of the store, also while a server works on it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bellcast.cli import console, options

if TYPE_CHECKING:  # settings are read when a command runs: help need not wait
    from bellcast.settings.groups import StoreSettings

EPILOG = """\
[dim]Examples[/]

  bellcast backup /backups/bellcast-$(date +%F).db
  bellcast backup /backups/now.db --data /var/lib/bellcast

[dim]The copy is of one moment, and one SQLite file, also of a store on PostgreSQL. The credentials are not in it: keep[/] project.json [dim]of the \
data folder apart, or set[/] BELLCAST_PROJECT[dim].[/]
"""

app = typer.Typer()


@app.command(cls=options.with_settings("DATA", "STORE"), rich_help_panel="Look after it", epilog=EPILOG)
def backup(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file. An old one is never written over.")],
    json: console.Json = False,
) -> None:
    """Copy the store into a file, also while a server works on it."""
    store = options.settings(ctx).store
    os.umask(0o077)  # everybody's notifications are in it
    named = str(store.path) if store.is_file else "the PostgreSQL store"
    with console.progress(f"Copying {named}") as progress:
        _copy(store, file, progress)
    size = file.stat().st_size
    if json:
        console.json({"store": named, "file": str(file), "bytes": size})
    else:
        console.done(f"{named} is copied to {file} ({console.size(size)}).")


def _copy(store: "StoreSettings", file: Path, progress: Callable[[int, int], None]) -> None:
    import asyncio

    from bellcast.server import adapters
    from bellcast.storage import backup as copies

    if store.is_file:
        copies.backup(store.path, file, progress)
        return
    adapters.need_postgres()
    from bellcast.storage import postgres_backup

    asyncio.run(postgres_backup.dump(store.url or "", file, progress))
