"""Shared dependencies of the Pusher dialect."""

from msgspec import Struct

from bellcast.calls import CallBackend
from bellcast.live.config import LiveConfig
from bellcast.live.hub.hub import Hub
from bellcast.live.pusher.webhooks import PusherWebhooks
from bellcast.model.identities import Project
from bellcast.model.pusher import PusherConfig
from bellcast.ports import Context


class PusherContext(Struct, frozen=True, kw_only=True):
    """Dependencies of the Pusher dialect, created once by the server."""

    engines: Context
    hub: Hub
    config: LiveConfig
    pusher: PusherConfig
    project: Project
    app: CallBackend
    webhooks: PusherWebhooks
