"""Transactional outbox in the app's PostgreSQL: rows are sent once the app's transaction has committed."""
