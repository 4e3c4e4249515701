"""What the Pusher dialect brings, and its configuration. Not in the package itself: `bellcast --help` imports the commands of the
dialect, and needs none of this."""

import re
from collections.abc import Iterable

from msgspec import Struct

from bellcast.kernel import setting_values
from bellcast.kernel.setting_values import NameList
from bellcast.live.wiring import DialectPlugin
from bellcast.topics.types import is_private

RECIPIENT = "{recipient}"


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


def alias(pattern: str, recipient: str) -> str:
    """Return the channel for a recipient's inbox changes under this alias."""
    return pattern.replace(RECIPIENT, recipient)


def carried(patterns: Iterable[str], channel: str) -> set[str]:
    """Return the recipients of the inboxes that a channel carries under these aliases."""
    names = ("(.+)".join(map(re.escape, pattern.split(RECIPIENT, 1))) for pattern in patterns)
    return {found[1] for name in names if (found := re.fullmatch(name, channel))}


def aliases(value: str) -> NameList:
    """a comma-separated list of private channels with {recipient} in each, such as private-user.{recipient}"""
    for pattern in setting_values.names(value):
        if not is_private(pattern) or pattern.count(RECIPIENT) != 1:
            raise ValueError(pattern)
    return setting_values.names(value)


PUSHER = DialectPlugin(
    name="pusher",
    title="Pusher Channels",
    wiring="bellcast.live.pusher.endpoint",
    http="bellcast.live.pusher.http",
    encrypted_fields={"pusher-apps": ("secret", "previous")},
    config=PusherConfig,
    settings={
        "PUSHER_ACTIVITY_TIMEOUT": (
            setting_values.positive_duration,
            "Idle time after which a Pusher client, and the server, sends a ping.",
        ),
        "PUSHER_ENABLED": (
            setting_values.boolean,
            "Serve Pusher clients at `/app/{key}` and server SDKs at `/apps/{id}/`.",
        ),
        "PUSHER_CLIENT_EVENTS": (setting_values.boolean, "Allow client events on private channels."),
        "PUSHER_CLIENT_EVENTS_PER_SECOND": (
            setting_values.non_negative_int,
            "Client events per second from one connection. The default is Pusher's.",
        ),
        "PUSHER_SUBSCRIPTION_COUNT": (
            setting_values.boolean,
            "Send the subscription count to a channel's subscribers; beyond 100 subscribers, at most every 5 s.",
        ),
        "PUSHER_WATCHLISTS": (
            setting_values.boolean,
            "Allow signed-in users to watch the online state of other users.",
        ),
        "PUSHER_WATCHLIST": (
            setting_values.non_negative_int,
            "Users in one watchlist. The rest of a longer list is ignored.",
        ),
        "PUSHER_AUTHORIZED_WITHIN": (
            setting_values.duration,
            "Close connections that have neither signed in nor subscribed to a private channel within this time. 0 disables this.",
        ),
        "PUSHER_PRESENCE_MEMBERS": (
            setting_values.non_negative_int,
            "Members of one presence channel. Pusher's limit is 100.",
        ),
        "PUSHER_CHANNELS_PER_EVENT": (
            setting_values.non_negative_int,
            "Channels of one event. The default is Pusher's.",
        ),
        "PUSHER_BATCH": (setting_values.non_negative_int, "Events in one batch. The default is Pusher's."),
        "PUSHER_CACHE_TTL": (
            setting_values.positive_duration,
            "Lifetime of a cache channel's last event. The default is Pusher's.",
        ),
        "PUSHER_WEBHOOK_URL": (
            setting_values.url,
            "Your app's URL for signed webhooks about channels, members and client events.",
        ),
        "PUSHER_ALIASES": (aliases, "Channels that also carry a recipient's inbox changes. The default is Laravel's."),
    },
    # what clients may follow and see, and where data of all tenants is sent
    owner_only=("PUSHER_ALIASES", "PUSHER_CLIENT_EVENTS", "PUSHER_WATCHLISTS", "PUSHER_WEBHOOK_URL"),
    is_editable=True,
)
