"""The steps for SQLite. The version of a store is its `user_version`."""

import sqlite3
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


def migrate(connection: sqlite3.Connection) -> None:
    """Run what is missing in one transaction nobody else can look into."""
    connection.execute("BEGIN EXCLUSIVE")
    try:
        known = steps()
        for number in range(version(connection), len(known)):
            for statement in _statements(known[number]):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(known)}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _statements(text: str) -> list[str]:
    """`executescript` would commit before it begins, so the text is cut at the ends of its statements."""
    found, statement = [], ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            found.append(statement)
            statement = ""
    return found
