"""`bellcast migrate`: bring the store up to date without starting a server, or move it into PostgreSQL."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bellcast.cli import console, options

if TYPE_CHECKING:  # the store is imported when there is one to migrate
    from bellcast.settings import Settings

EPILOG = """\
[dim]A server does this by itself when it starts. Use it to see that a new version can take over, before it must: stop \
the server, back up, migrate, start.[/]

  bellcast migrate --store postgresql://db/bell --from ./bellcast-data

[dim]moves everything of a SQLite data folder into an empty PostgreSQL database, in one transaction, and counts it on both \
sides. Stop the server first; clients resume on the new store where they were.[/]
"""

From = Annotated[
    Path | None, typer.Option("--from", metavar="FOLDER", help="Move the SQLite store of this data folder.")
]

app = typer.Typer()


@app.command(cls=options.with_settings("DATA", "STORE"), rich_help_panel="Look after it", epilog=EPILOG)
def migrate(ctx: typer.Context, source: From = None, json: console.Json = False) -> None:
    """Bring the store up to date, or move it."""
    settings = options.settings(ctx)
    if source is not None:
        _move(source, settings, json=json)
    elif settings.store.is_file:
        _migrate_file(settings, json=json)
    else:
        _migrate_database(settings, json=json)


def _migrate_file(settings: "Settings", *, json: bool) -> None:
    import asyncio

    from bellcast.cli import data_folder
    from bellcast.storage.migrations import sqlite as migrations

    path = settings.store.path
    before = version(path)
    data_folder.prepare(settings)
    with console.err.status(f"Migrating {path}"):
        asyncio.run(_open(settings))
    _tell(str(path), before, len(migrations.steps()), json=json)


def _migrate_database(settings: "Settings", *, json: bool) -> None:
    import asyncio

    from bellcast.server import adapters

    adapters.need_postgres()
    from bellcast.storage import copy_to_postgres

    url = settings.store.url or ""
    with console.err.status("Migrating the PostgreSQL store"):
        before, after = asyncio.run(copy_to_postgres.bring_up_to_date(url))
    _tell("the PostgreSQL store", before, after, json=json)


def _tell(store: str, before: int, after: int, *, json: bool) -> None:
    if json:
        console.json({"store": store, "from": before, "to": after})
    elif before == after:
        console.done(f"{store} is up to date (version {after}).")
    else:
        console.done(f"{store} is at version {after} now; it was {before or 'not there'}.")


def _move(source: Path, settings: "Settings", *, json: bool) -> None:
    import asyncio

    from bellcast.server import adapters
    from bellcast.settings.groups import FILE

    if settings.store.is_file:
        raise console.CommandError(
            "--from moves a store into PostgreSQL", "name the database with --store postgresql://…"
        )
    adapters.need_postgres()
    from bellcast.storage import copy_to_postgres

    file = source / FILE if source.is_dir() else source
    with console.progress(f"Moving {file}") as progress:
        counts = asyncio.run(copy_to_postgres.transfer(file, settings.store.url or "", progress))
    if json:
        console.json({"moved": str(file), "rows": counts})
    else:
        console.done(f"{file} is in PostgreSQL: {sum(counts.values()):,} rows, counted on both sides.")


def version(path: Path) -> int:
    """Which version the store has; 0 if there is none."""
    import sqlite3

    from bellcast.storage.migrations import sqlite as migrations
    from bellcast.storage.sqlite_connection import translated

    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return migrations.version(connection)
    except sqlite3.Error as error:
        raise translated(error) from error


async def _open(settings: "Settings") -> None:
    from bellcast.server.clock import SystemClock
    from bellcast.storage.sqlite import SqliteEngine

    engine = SqliteEngine(settings.store.path, SystemClock())
    await engine.open()
    await engine.close()
