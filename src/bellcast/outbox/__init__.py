"""Transactional outbox in the app's PostgreSQL: rows are sent once the app's transaction has committed."""

from bellcast.kernel.db import statements

SQL = statements.of_file(__package__, "outbox.sql")
