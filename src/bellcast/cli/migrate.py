"""`bellcast migrate`: upgrades the store without starting a server, or moves it to PostgreSQL."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bellcast.cli import console, options

if TYPE_CHECKING:  # imported when the command runs, not for --help
    from bellcast.settings import Settings

EPILOG = """\
[dim]A server upgrades its store when it starts. To test the upgrade first: stop the server, back up, migrate, start.[/]

  bellcast migrate --store postgresql://db/bell --from ./bellcast-data

[dim]moves the SQLite store of a data folder into an empty PostgreSQL database in one transaction, and compares the row \
counts. Stop the server first. Clients resume at their position on the new store.[/]
"""

From = Annotated[
    Path | None, typer.Option("--from", metavar="FOLDER", help="Move the SQLite store of this data folder.")
]

app = typer.Typer()


@app.command(cls=options.with_settings("DATA", "STORE"), rich_help_panel="Maintenance", epilog=EPILOG)
def migrate(ctx: typer.Context, source: From = None, json: console.JsonFlag = False) -> None:
    """Upgrade the store, or move it to PostgreSQL."""
    from bellcast.cli import logs

    settings = options.settings(ctx)
    logs.configure(settings.server)
    if source is not None:
        _move(source, settings, json=json)
    elif settings.store.is_file:
        _migrate_file(settings, json=json)
    else:
        _migrate_database(settings, json=json)


def _migrate_file(settings: "Settings", *, json: bool) -> None:
    import asyncio

    from bellcast.cli import data_folder
    from bellcast.kernel.db.migrations import sqlite as migrations

    path = settings.store.path
    before = version(path)
    data_folder.prepare(settings)
    with console.err().status(f"Migrating {path}"):
        asyncio.run(_open(settings))
    _report(str(path), before, max(migrations.steps()), json=json)


def _migrate_database(settings: "Settings", *, json: bool) -> None:
    import asyncio

    from bellcast.server import adapters

    adapters.need_postgres()
    from bellcast.kernel.db import copy_to_postgres

    url = settings.store.url or ""
    with console.err().status("Migrating the PostgreSQL store"):
        before, after = asyncio.run(copy_to_postgres.bring_up_to_date(url))
    _report("the PostgreSQL store", before, after, json=json)


def _report(store: str, before: int, after: int, *, json: bool) -> None:
    if json:
        console.json({"store": store, "from": before, "to": after})
    elif before == after:
        console.done(f"{store} is up to date (version {after}).")
    else:
        console.done(
            f"{store} was upgraded from version {before} to {after}."
            if before
            else f"{store} was created at version {after}."
        )


def _move(source: Path, settings: "Settings", *, json: bool) -> None:
    import asyncio

    from bellcast.server import adapters
    from bellcast.settings.groups import FILE

    if settings.store.is_file:
        raise console.CommandError(
            "--from moves a store to PostgreSQL", "pass the database with --store postgresql://…"
        )
    adapters.need_postgres()
    from bellcast.kernel.db import copy_to_postgres

    file = source / FILE if source.is_dir() else source
    with console.progress(f"Moving {file}") as progress:
        counts = asyncio.run(copy_to_postgres.transfer(file, settings.store.url or "", progress))
    if json:
        console.json({"moved": str(file), "rows": counts})
    else:
        console.done(f"{file} was moved to PostgreSQL: {sum(counts.values()):,} rows, counted on both sides.")


def version(path: Path) -> int:
    """Return the version of the SQLite store; 0 if it does not exist."""
    import sqlite3

    from bellcast.kernel.db.migrations import sqlite as migrations
    from bellcast.kernel.db.sqlite_connection import translated

    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return migrations.version(connection)
    except sqlite3.Error as error:
        raise translated(error) from error


async def _open(settings: "Settings") -> None:
    from bellcast.kernel.db.sqlite import SqliteEngine
    from bellcast.server.clock import SystemClock

    engine = SqliteEngine(settings.store.path, SystemClock())
    await engine.open()
    await engine.close()
