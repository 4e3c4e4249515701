"""`bellcast restore`: put a backup in the place of the store."""

from pathlib import Path
from typing import Annotated

import typer

from bellcast.cli import options, screen
from bellcast.cli.migrate import version
from bellcast.cli.screen import Stop

EPILOG = """\
[dim]Example[/]

  bellcast restore /backups/bellcast-2026-01-31.db --data /var/lib/bellcast

[dim]Stop the server first. The file is checked before anything is touched, and one made by an older version is brought \
up to date. Live clients fetch their inboxes anew.[/]
"""

app = typer.Typer()


@app.command(cls=options.taking("DATA", "STORE"), rich_help_panel="Look after it", epilog=EPILOG)
def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `bellcast backup` made.")],
    force: Annotated[bool, typer.Option("--force", help="Even if there is a store already: it is lost.")] = False,
    json: screen.Json = False,
) -> None:
    """Put a backup in the place of the store."""
    from bellcast.cli import folder
    from bellcast.storage import backup as copies

    settings = options.settings(ctx)
    path = settings.store.path
    if path.exists() and not force:
        raise Stop(f"{path} has data already", "name another folder with --data, or replace it with --force")
    if version(file) == 0:
        raise Stop(f"{file} is empty, or not there", "name a file that `bellcast backup` made")
    folder.prepare(settings)
    with screen.progress(f"Restoring {path}") as progress:
        copies.restore(file, path, progress)
    if json:
        screen.json({"file": str(file), "store": str(path), "bytes": path.stat().st_size})
    else:
        screen.done(f"{file} is restored to {path} ({screen.size(path.stat().st_size)}).")
