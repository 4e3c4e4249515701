"""A marketplace for home services: a client books, a provider accepts, the client pays, and both use a private chat.

A plain Starlette application that uses Bellcast for notifications and live updates. `notifications` writes them to the outbox, `sign_in`
connects session cookies to Bellcast, and `chat_api` relays end-to-end encrypted messages. Run it with
`python -m bellcast.examples.service_marketplace`.
"""

from .app import create_app
from .sign_in import SESSION_PATH

__all__ = ["KEEPS_DATA", "SESSION_PATH", "create_app"]

# The demo passes a folder for the database.
KEEPS_DATA = True
