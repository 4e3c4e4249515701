"""The Pusher dialect: its configuration from the settings `BELLCAST_PUSHER_…`, and the apps that use it."""

from typing import Literal

from msgspec import Struct

from bellcast.kernel.identities import DEFAULT_TENANT, Project

RECIPIENT = "{recipient}"
# Maximum characters of the device in a signature.
MAX_DEVICE = 64
# A secret has the size of an HMAC-SHA256 key.
SECRET_BYTES = 32


class PusherConfig(Struct, kw_only=True):
    """Durations in seconds. The limits are Pusher's own; 0 means no limit. Operators can change some settings while the
    server runs."""

    enabled: bool = True
    activity_timeout: float = 120.0
    client_events: bool = True
    client_events_per_second: int = 10
    subscription_count: bool = True
    watchlists: bool = True
    watchlist: int = 100
    authorized_within: float = 0.0
    presence_members: int = 0
    channels_per_event: int = 100
    batch: int = 10
    cache_ttl: float = 1_800.0
    webhook_url: str | None = None
    aliases: tuple[str, ...] = (f"private-App.Models.User.{RECIPIENT}",)


class PusherApp(Struct, frozen=True, kw_only=True):
    """An app with its credentials. Its connections and events belong to its tenant; apps of one tenant share their channels.
    The `previous` credentials, with the secret before the last rotation, are valid until `previous_until` (UTC
    milliseconds)."""

    credentials: Project
    name: str = ""
    tenant: str = DEFAULT_TENANT
    enabled: bool = True
    origins: tuple[str, ...] = ()  # origins of pages that may connect; none: those of BELLCAST_ORIGINS
    previous: Project | None = None
    previous_until: int = 0
    created_at: int = 0
    # the only channel it may use, without sign-in: for credentials that are being tested, not stored
    only_channel: str | None = None
    # `overridden`: the project's app or an older app has the same id or key. `unreadable`: its secret was encrypted with a key
    # that the server does not have.
    state: Literal["active", "disabled", "overridden", "unreadable"] = "active"
    is_project: bool = False

    @property
    def is_readable(self) -> bool:
        """False if its secret was encrypted with a key that this node does not have: another node may have it."""
        return bool(self.credentials.secret)

    def valid_credentials(self, now: int) -> tuple[Project, ...]:
        """Return the app's credentials that are valid at this time (UTC milliseconds)."""
        if self.previous is not None and now < self.previous_until:
            return self.credentials, self.previous
        return (self.credentials,)


def alias(pattern: str, recipient: str) -> str:
    """Return the channel for a recipient's inbox changes under this alias."""
    return pattern.replace(RECIPIENT, recipient)


def aliased(pattern: str, channel: str) -> str | None:
    """Return the recipient in a channel name that matches this alias, else None."""
    before, _, after = pattern.partition(RECIPIENT)
    fits = channel.startswith(before) and channel.endswith(after) and len(channel) > len(before) + len(after)
    return channel[len(before) : len(channel) - len(after)] if fits else None
