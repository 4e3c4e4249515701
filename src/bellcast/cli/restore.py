"""`bellcast restore`: replaces the store with a backup."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bellcast.cli import console, options
from bellcast.cli.console import CommandError
from bellcast.cli.migrate import version
from bellcast.errors import Unavailable

if TYPE_CHECKING:  # imported when the command runs, not for --help
    from bellcast.settings import Settings

EPILOG = """\
[dim]Example[/]

  bellcast restore /backups/bellcast-2026-01-31.db --data /var/lib/bellcast

[dim]Stop the server first. The file is verified before anything is changed. A backup of an older version is upgraded. Live \
clients refetch their inboxes.[/]
"""

app = typer.Typer()


@app.command(cls=options.with_settings("DATA", "STORE"), rich_help_panel="Maintenance", epilog=EPILOG)
def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file created by `bellcast backup`.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing store. Its data is lost.")] = False,
    json: console.JsonFlag = False,
) -> None:
    """Replace the store with a backup."""
    settings = options.settings(ctx)
    if file.exists() and not file.is_file():
        raise CommandError(f"{file} is not a file", "pass a file created by `bellcast backup`")
    if checked_version(file) == 0:
        raise CommandError(f"{file} is empty or does not exist", "pass a file created by `bellcast backup`")
    if settings.store.is_file:
        _into_file(settings, file, force=force, json=json)
    else:
        _into_database(settings, file, force=force, json=json)


def checked_version(file: Path) -> int:
    """Return the version of a backup. Raises CommandError if it is damaged."""
    try:
        return version(file)
    except Unavailable as damaged:
        raise CommandError(f"{file}: {damaged.detail}", "pass another backup") from None


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
            conflict.detail, "pass another database with --store, or replace its data with --force"
        ) from None
    if json:
        console.json({"file": str(file), "rows": counts})
    else:
        console.done(f"{file} was restored to PostgreSQL: {sum(counts.values()):,} rows, counted on both sides.")


def _into_file(settings: "Settings", file: Path, *, force: bool, json: bool) -> None:
    from bellcast.cli import data_folder
    from bellcast.storage import backup as sqlite_backup

    path = settings.store.path
    if path.exists() and not force:
        raise CommandError(f"{path} already exists", "pass another folder with --data, or replace it with --force")
    data_folder.prepare(settings)
    with console.progress(f"Restoring {path}") as progress:
        sqlite_backup.restore(file, path, progress)
    if json:
        console.json({"file": str(file), "store": str(path), "bytes": path.stat().st_size})
    else:
        console.done(f"{file} was restored to {path} ({console.size(path.stat().st_size)}).")
