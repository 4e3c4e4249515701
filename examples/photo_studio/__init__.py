"""A photography studio's booking site: a client books, the front desk assigns a photographer, the photographer delivers.

A FastAPI application that uses Bellcast for notifications. `notifications` writes them to the outbox, `bells` has the endpoints
for the pages, and `app` creates the application. Run it with `python -m bellcast.examples.photo_studio`.
"""

from .app import create_app

__all__ = ["KEEPS_DATA", "create_app"]

# The demo passes a folder for the database.
KEEPS_DATA = True
