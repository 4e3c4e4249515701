"""The growth of the store is measured from the page counts of its databases."""

import sqlite3

from benchmarks.announcement import stored


def test_size_counts_database_pages_and_ignores_other_files(tmp_path):
    database = sqlite3.connect(tmp_path / "bell.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE rows (text)")
    (tmp_path / "log.txt").write_bytes(b"x" * 100_000)
    before = stored(tmp_path)
    database.execute("INSERT INTO rows VALUES (?)", ["y" * 1_000_000])
    memory_kib = stored(tmp_path) - before
    database.execute("DELETE FROM rows")
    freed = stored(tmp_path)
    database.close()
    assert 990_000 <= memory_kib <= 1_010_000
    assert freed == before
