"""`bellcast migrate`: bring the store up to date without starting a server."""

from contextlib import closing
from typing import TYPE_CHECKING

import typer

from bellcast.cli import options, screen

if TYPE_CHECKING:  # the store is imported when there is one to migrate
    from pathlib import Path

EPILOG = """\
[dim]A server does this by itself when it starts. Use it to see that a new version can take over, before it must: stop \
the server, back up, migrate, start.[/]
"""

app = typer.Typer()


@app.command(cls=options.taking("DATA", "STORE"), rich_help_panel="Look after it", epilog=EPILOG)
def migrate(ctx: typer.Context, json: screen.Json = False) -> None:
    """Bring the store up to date."""
    import asyncio

    from bellcast.cli import folder
    from bellcast.storage.migrations import sqlite as migrations

    settings = options.settings(ctx)
    path = settings.store.path
    before = version(path)
    folder.prepare(settings)
    with screen.err.status(f"Migrating {path}"):
        asyncio.run(_migrate(path))
    after = len(migrations.steps())
    if json:
        screen.json({"store": str(path), "from": before, "to": after})
    elif before == after:
        screen.done(f"{path} is up to date (version {after}).")
    else:
        screen.done(f"{path} is at version {after} now; it was {before or 'not there'}.")


def version(path: "Path") -> int:
    """Which version the store has; 0 if there is none."""
    import sqlite3

    from bellcast.storage.connection import translated
    from bellcast.storage.migrations import sqlite as migrations

    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return migrations.version(connection)
    except sqlite3.Error as error:
        raise translated(error) from error


async def _migrate(path: "Path") -> None:
    from bellcast.server.clock import SystemClock
    from bellcast.storage.sqlite import SQLite

    engine = SQLite(path, SystemClock())
    await engine.open()
    await engine.close()
