"""Reads the SQLite database of an example app that is running."""

import sqlite3
from contextlib import closing
from pathlib import Path


def sqlite_dump(database: Path) -> str:
    """Return all rows as SQL text.

    Do not read its files directly: the journal or the write-ahead log is deleted when the app closes its last
    connection.
    """
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)) as connection:
        return "\n".join(connection.iterdump())
