"""Migrations: one table, `bellcast_outbox`."""
