"""`bellcast backup`: back up the store, even while a server is running."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bellcast.cli import console, options

if TYPE_CHECKING:  # imported when the command runs, not for --help
    from bellcast.settings.groups import StoreSettings

EPILOG = """\
[dim]Examples[/]

  bellcast backup /backups/bellcast-$(date +%F).db
  bellcast backup /backups/now.db --data /var/lib/bellcast

[dim]The copy is a consistent snapshot in one SQLite file, also of a store on PostgreSQL. It does not contain the credentials: back up[/] project.json \
[dim]of the data folder separately, or set[/] BELLCAST_PROJECT[dim].[/]
"""

app = typer.Typer()


@app.command(cls=options.with_settings("DATA", "STORE"), rich_help_panel="Maintenance", epilog=EPILOG)
def backup(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file. An existing file is never overwritten.")],
    json: console.JsonFlag = False,
) -> None:
    """Copy the store into a file, even while a server is running."""
    store = options.settings(ctx).store
    os.umask(0o077)  # the copy contains the notifications of all recipients
    label = str(store.path) if store.is_file else "the PostgreSQL store"
    with console.progress(f"Copying {label}") as progress:
        _copy(store, file, progress)
    size = file.stat().st_size
    if json:
        console.json({"store": label, "file": str(file), "bytes": size})
    else:
        console.done(f"Copied {label} to {file} ({console.size(size)}).")


def _copy(store: "StoreSettings", file: Path, progress: Callable[[int, int], None]) -> None:
    import asyncio

    from bellcast.kernel.db import backup as sqlite_backup
    from bellcast.server import adapters

    if store.is_file:
        sqlite_backup.backup(store.path, file, progress)
        return
    adapters.need_postgres()
    from bellcast.kernel.db import postgres_backup

    asyncio.run(postgres_backup.dump(store.url or "", file, progress))
