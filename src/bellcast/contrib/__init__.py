"""The outbox from Django and SQLAlchemy, and fixtures for pytest. Each module needs its framework and not the server."""
