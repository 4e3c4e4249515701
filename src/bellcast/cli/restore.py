"""`bellcast restore`: replaces the store with a backup."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bellcast.cli import console, options
from bellcast.cli.console import CommandError
from bellcast.cli.migrate import version
from bellcast.kernel.errors import Unavailable

if TYPE_CHECKING:  # imported when the command runs, not for --help
    from bellcast.settings import Settings

EPILOG = """\
[dim]Example[/]

  bellcast restore /backups/bellcast-2026-01-31.db --data /var/lib/bellcast
  [dim]# after a restore by other tools, such as a disk snapshot[/]
  bellcast restore --positions

[dim]Stop the server first. The file is verified before anything is changed. A backup of an older version is upgraded. Live \
clients refetch their inboxes.[/]
"""

app = typer.Typer()


@app.command(cls=options.with_settings("DATA", "STORE"), rich_help_panel="Maintenance", epilog=EPILOG)
def restore(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A file created by `bellcast backup`.")] = None,
    positions: Annotated[
        bool, typer.Option("--positions", help="Only make clients refetch: the store was restored by other tools.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing store. Its data is lost.")] = False,
    json: console.JsonFlag = False,
) -> None:
    """Replace the store with a backup."""
    from bellcast.cli import logs

    settings = options.settings(ctx)
    logs.configure(settings.server)
    if (file is None) is not positions:
        raise typer.BadParameter("pass either a file or --positions", param_hint="FILE")
    if file is None:
        _renew_positions(settings, json=json)
        return
    if file.exists() and not file.is_file():
        raise CommandError(f"{file} is not a file", "pass a file created by `bellcast backup`")
    if checked_version(file) == 0:
        raise CommandError(f"{file} is empty or does not exist", "pass a file created by `bellcast backup`")
    if settings.store.is_file:
        _into_file(settings, file, force=force, json=json)
    else:
        _into_database(settings, file, force=force, json=json)


def _renew_positions(settings: "Settings", *, json: bool) -> None:
    import asyncio

    from bellcast.kernel.db import backup as sqlite_backup
    from bellcast.server import adapters

    if settings.store.is_file:
        sqlite_backup.renew_positions(settings.store.path)
    else:
        adapters.need_postgres()
        from bellcast.kernel.db import postgres_backup

        asyncio.run(postgres_backup.renew_positions(settings.store.url or ""))
    store = str(settings.store.path) if settings.store.is_file else "the PostgreSQL store"
    if json:
        console.json({"store": store})
    else:
        console.done(f"All positions in {store} are unknown now: each client refetches its inbox.")


def checked_version(file: Path) -> int:
    """Return the version of a backup. Raises CommandError if it is damaged."""
    try:
        return version(file)
    except Unavailable as damaged:
        raise CommandError(f"{file}: {damaged.detail}", "pass another backup") from None


def _into_database(settings: "Settings", file: Path, *, force: bool, json: bool) -> None:
    import asyncio

    from bellcast.kernel.errors import Conflict
    from bellcast.server import adapters

    adapters.need_postgres()
    from bellcast.kernel.db import postgres_backup

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
    from bellcast.kernel.db import backup as sqlite_backup

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
