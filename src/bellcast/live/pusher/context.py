"""Shared dependencies of the Pusher dialect."""

from msgspec import Struct

from bellcast.calls import CallBackend
from bellcast.context import Context
from bellcast.live.config import LiveConfig
from bellcast.live.hub.hub import Hub
from bellcast.live.hub.survey import ConnectionSurvey
from bellcast.live.pusher.apps import ConnectedApps
from bellcast.live.pusher.types import PusherConfig
from bellcast.live.pusher.webhooks import PusherWebhooks


class PusherContext(Struct, frozen=True, kw_only=True):
    """Dependencies of the Pusher dialect, created once by the server."""

    engines: Context
    hub: Hub
    survey: ConnectionSurvey
    config: LiveConfig
    pusher: PusherConfig
    apps: ConnectedApps
    app: CallBackend
    webhooks: PusherWebhooks
