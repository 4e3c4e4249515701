"""A photography studio's booking site: a client books, the front desk assigns a photographer, the photographer delivers.

A plain Starlette application that uses Bellcast for notifications. `notifications` sends them, `bells` has the endpoints
for the pages, and `app` creates the application. Run it with `python -m examples.photo_studio`.
"""

from .app import create_app

__all__ = ["create_app"]
