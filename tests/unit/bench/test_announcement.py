"""What an announcement adds to the store is read from the store's own pages."""

import sqlite3

from bellcast.bench.announcement import stored


def test_the_pages_of_every_database_count_and_other_files_do_not(tmp_path):
    link = sqlite3.connect(tmp_path / "bell.db", isolation_level=None)
    link.execute("PRAGMA journal_mode=WAL")
    link.execute("CREATE TABLE rows (text)")
    (tmp_path / "log.txt").write_bytes(b"x" * 100_000)
    before = stored(tmp_path)
    link.execute("INSERT INTO rows VALUES (?)", ["y" * 1_000_000])
    grown = stored(tmp_path) - before
    link.execute("DELETE FROM rows")
    freed = stored(tmp_path)
    link.close()
    assert 990_000 <= grown <= 1_010_000
    assert freed == before
