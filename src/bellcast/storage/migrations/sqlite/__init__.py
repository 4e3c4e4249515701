"""The steps for SQLite. The version of a store is its `user_version`."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from importlib import resources

from bellcast.errors import Conflict

# In the file's header, so that another program's database is not taken for a store ("Bell").
APPLICATION_ID = 0x42656C6C


def steps() -> list[str]:
    """Every migration, oldest first; the n-th leads to version n."""
    files = resources.files(__name__).iterdir()
    return [
        file.read_text(encoding="utf-8")
        for file in sorted(files, key=lambda file: file.name)
        if file.name.endswith(".sql")
    ]


def version(connection: sqlite3.Connection) -> int:
    """Which version a store has; 0 for an empty file. Conflict for a file that is no store."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (number or tables):
        raise Conflict("This database file was not made by Bellcast: choose another.")
    return int(number)


def pending(connection: sqlite3.Connection) -> bool:
    """Whether there is something to migrate. Conflict if the store is newer than this version of Bellcast."""
    found, known = version(connection), len(steps())
    if found > known:
        raise Conflict(
            f"This store was made by a newer Bellcast (version {found} of its tables, this one knows {known}):"
            " run that version, or restore a backup made by this one."
        )
    return found < known


def check_schema(connection: sqlite3.Connection) -> None:
    """Conflict unless every table, index, view and trigger is one that the steps made, as they made it.

    The file may come from somebody else: nothing in it runs before this check, and no name is taken from it."""
    known, found = _schema(min(version(connection), len(steps()))), _objects(connection)
    for kind, name in sorted({*known, *found}):
        if known.get((kind, name)) != found.get((kind, name)):
            raise Conflict(
                f"The {kind} {name[:100]!r} of this database file is not as Bellcast makes it: use a file that"
                " `bellcast backup` made, and remove from it whatever else was added."
            )


@cache
def tables() -> Mapping[str, tuple[str, ...]]:
    """The columns of each table of this version, by name."""
    with closing(_new_store(len(steps()))) as store:
        names = sorted(name for kind, name in _objects(store) if kind == "table")
        return {name: tuple(row[1] for row in store.execute(f'PRAGMA table_info("{name}")')) for name in names}


@cache
def _schema(number: int) -> Mapping[tuple[str, str], str | None]:
    """The objects of a store of that version."""
    with closing(_new_store(number)) as store:
        return _objects(store)


def _new_store(number: int) -> sqlite3.Connection:
    store = sqlite3.connect(":memory:", isolation_level=None)
    _run(store, 0, number)
    return store


def _objects(connection: sqlite3.Connection) -> dict[tuple[str, str], str | None]:
    """The text of each object by kind and name. SQLite makes tables and indexes of its own."""
    found = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    own = ("table", "index")
    return {(kind, name): sql for kind, name, sql in found if kind not in own or not name.startswith("sqlite_")}


def migrate(connection: sqlite3.Connection) -> None:
    """Run what is missing in one transaction nobody else can look into."""
    connection.execute("BEGIN EXCLUSIVE")
    try:
        known = steps()
        _run(connection, version(connection), len(known))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(known)}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _run(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Run the steps that lead from one version to another."""
    for step in steps()[first:last]:
        for statement in _statements(step):
            connection.execute(statement)


def _statements(text: str) -> list[str]:
    """`executescript` would commit before it begins, so the text is cut at the ends of its statements."""
    found, statement = [], ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            found.append(statement)
            statement = ""
    return found
