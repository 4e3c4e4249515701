"""`bellcast backup`: a copy of the store, also while a server works on it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from bellcast.cli import options, screen

EPILOG = """\
[dim]Examples[/]

  bellcast backup /backups/bellcast-$(date +%F).db
  bellcast backup /backups/now.db --data /var/lib/bellcast

[dim]The copy is of one moment, and one SQLite file. The credentials are not in it: keep[/] project.json [dim]of the \
data folder apart, or set[/] BELLCAST_PROJECT[dim].[/]
"""

app = typer.Typer()


@app.command(cls=options.taking("DATA", "STORE"), rich_help_panel="Look after it", epilog=EPILOG)
def backup(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file. An old one is never written over.")],
    json: screen.Json = False,
) -> None:
    """Copy the store into a file, also while a server works on it."""
    from bellcast.storage import backup as copies

    path = options.settings(ctx).store.path
    os.umask(0o077)  # everybody's notifications are in it
    with screen.progress(f"Copying {path}") as progress:
        copies.backup(path, file, progress)
    size = file.stat().st_size
    if json:
        screen.json({"store": str(path), "file": str(file), "bytes": size})
    else:
        screen.done(f"{path} is copied to {file} ({screen.size(size)}).")
