"""Migrations of the outbox, oldest first. Its tables are in the schema `bellcast`, with or without a store's tables."""
