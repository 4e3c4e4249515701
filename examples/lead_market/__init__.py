"""A market of leads: an app made for Pusher, with Bellcast in its place."""

from .app import create_app

__all__ = ["SERVER_SETTINGS", "SPEAKS_PUSHER", "create_app"]

# What the server must be told: that everybody may listen on `admin`, as with Pusher itself, and that a provider's own
# channel carries the provider's inbox too.
SERVER_SETTINGS = {
    "public_topics": "admin",
    "pusher_aliases": "private-App.Models.User.{recipient},private-provider.{recipient}",
}
# It is given the app id and the key beside the secret.
SPEAKS_PUSHER = True
