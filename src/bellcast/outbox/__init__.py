"""Transactional outbox in the app's PostgreSQL: rows are sent once the app's transaction has committed."""

from pathlib import Path

from bellcast.kernel.db import statements

SQL = statements.of_file(Path(__file__).with_name("outbox.sql"))
