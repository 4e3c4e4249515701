"""A shop suite: a Django app for several shops, with sales, stock and customers, that notifies with Bellcast."""

from pathlib import Path
from typing import Any

# The server needs no settings except the origin of the pages, which every demo app needs.
SERVER_SETTINGS: dict[str, str] = {}
# The demo passes a folder for the database.
KEEPS_DATA = True


def create_app(bellcast: str, secret: str, data: Path = Path("bellcast-demo")) -> Any:
    """Return the ASGI application; its database is `suite.db` in the folder."""
    from . import project

    return project.create_app(bellcast, secret, data)
