"""Migrations for SQLite. The version of a store is its `user_version`."""

import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from functools import cache, partial
from pathlib import Path

from bellcast.kernel.db.engine import StoreSchema
from bellcast.kernel.db.migrations import begin_step, check_version, load
from bellcast.kernel.errors import Conflict

# In the file header, to recognize databases of other programs ("Bell").
APPLICATION_ID = 0x42656C6C
steps = partial(load, Path(__file__).parent)
SPACE = re.compile(r" ?([(),]) ?")


def version(connection: sqlite3.Connection) -> int:
    """Return the version of a store; 0 for an empty file. Raises Conflict for a database of another program."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (number or tables):
        raise Conflict("This database file was not created by Bellcast: choose another.")
    return int(number)


def pending(connection: sqlite3.Connection) -> bool:
    """Return whether migrations are pending. Raises Conflict if the store is newer than this version of Bellcast, or too
    old for it."""
    found, known = version(connection), steps()
    check_version(found, known)
    return found < max(known)


def check_schema(connection: sqlite3.Connection) -> None:
    """Raise Conflict unless all tables, indexes, views and triggers are exactly those of the migrations.

    The file may be hostile: its triggers and views do not run before this check, and its names are not used."""
    with closing(_new_store(min(version(connection), max(steps())))) as store:
        known, found = _objects(store), _objects(connection)
    for kind, name in sorted({*known, *found}):
        if known.get((kind, name)) != found.get((kind, name)):
            raise Conflict(
                f"The {kind} {name[:100]!r} of this database file differs from the one that Bellcast creates: use a file that"
                " `bellcast backup` made, and remove any other objects from it."
            )


@cache
def tables() -> Mapping[str, tuple[str, ...]]:
    """Return the columns of each table of this version, by name."""
    with closing(_new_store(max(steps()))) as store:
        names = sorted(name for kind, name in _objects(store) if kind == "table")
        return {name: tuple(row[1] for row in store.execute(f'PRAGMA table_info("{name}")')) for name in names}


def _new_store(number: int) -> sqlite3.Connection:
    store = sqlite3.connect(":memory:", isolation_level=None)
    _run(store, 0, number)
    return store


def _objects(connection: sqlite3.Connection) -> dict[tuple[str, str], str | None]:
    """Return the text of each object by kind and name, without SQLite's internal tables and indexes. The space between
    words does not count: SQLite adds a column to a table's text in a form of its own."""
    found = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    own = ("table", "index")
    return {
        (kind, name): sql and SPACE.sub(r"\1", " ".join(sql.split()))
        for kind, name, sql in found
        if kind not in own or not name.startswith("sqlite_")
    }


def migrate(connection: sqlite3.Connection, schema: StoreSchema | None = None) -> None:
    """Run pending migrations in one exclusive transaction."""
    connection.execute("BEGIN EXCLUSIVE")
    try:
        newest = max(steps())
        _run(connection, version(connection), newest, schema or StoreSchema(newest))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {newest}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _run(connection: sqlite3.Connection, first: int, last: int, schema: StoreSchema | None = None) -> None:
    """Run the migrations from one version to another."""
    for number, step in steps().items():
        if not first < number <= last:
            continue
        if first and schema is not None:
            begin_step(schema, first, number)
        statement = ""
        for line in step.splitlines(keepends=True):  # not by `executescript`, which would commit first
            statement += line
            if sqlite3.complete_statement(statement):
                connection.execute(statement)
                statement = ""
