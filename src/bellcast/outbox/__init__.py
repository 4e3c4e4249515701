"""The outbox in the app's own PostgreSQL: what the app writes in its transactions rings once they are committed."""
