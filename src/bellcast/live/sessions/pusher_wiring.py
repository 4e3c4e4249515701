"""What the rooms of the Pusher dialect work with."""

from msgspec import Struct

from bellcast.calls import CallBackend
from bellcast.live.hub import Hub
from bellcast.live.rules import LiveConfig
from bellcast.live.sessions.pusher_webhooks import PusherWebhooks
from bellcast.model.people import Project
from bellcast.model.pusher import PusherConfig
from bellcast.ports import Context


class PusherContext(Struct, frozen=True, kw_only=True):
    """Made once by the server."""

    engines: Context
    hub: Hub
    rules: LiveConfig
    pusher: PusherConfig
    project: Project
    app: CallBackend
    webhooks: PusherWebhooks
