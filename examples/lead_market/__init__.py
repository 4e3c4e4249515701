"""A lead marketplace: an app written for Pusher that uses Bellcast instead."""

from .app import create_app

__all__ = ["KEEPS_DATA", "SERVER_SETTINGS", "SPEAKS_PUSHER", "create_app"]

# Settings that the server needs: `admin` is a public channel, as at Pusher, and a provider's own channel also carries the
# provider's inbox.
SERVER_SETTINGS = {
    "public_topics": "admin",
    "pusher_aliases": "private-App.Models.User.{recipient},private-provider.{recipient}",
}
# The demo also passes the app id and the key, and a folder for the database.
SPEAKS_PUSHER = True
KEEPS_DATA = True
