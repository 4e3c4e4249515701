"""The outbox from Django and SQLAlchemy. Each module needs its framework and not the server."""
