"""The identity of a PostgreSQL database. It changes when rows may have been lost: the store and the log of live events
compare it with the one that they stored."""


def identity_of(table: str) -> str:
    """Return the SQL expression: the server's system identifier, its timeline, and the number of a table.

    A dump that is loaded elsewhere has another system identifier or table, a promoted standby or a recovery to a point in
    time has another timeline."""
    return f"""(SELECT system_identifier || '.' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '.'
  || '{table}'::regclass::oid FROM pg_control_system())"""  # noqa: S608  the name is a constant of the caller
