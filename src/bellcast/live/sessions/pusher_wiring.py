"""What the rooms of the Pusher dialect work with."""

from msgspec import Struct

from bellcast.calls import Answerer
from bellcast.live.hub import Hub
from bellcast.live.rules import Rules
from bellcast.live.sessions.pusher_webhooks import Webhooks
from bellcast.model.people import Project
from bellcast.model.pusher import PusherRules
from bellcast.ports import Engines


class Wiring(Struct, frozen=True, kw_only=True):
    """Made once by the server."""

    engines: Engines
    hub: Hub
    rules: Rules
    pusher: PusherRules
    project: Project
    app: Answerer
    webhooks: Webhooks
