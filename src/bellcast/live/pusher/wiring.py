"""Wires the Pusher dialect."""

from bellcast.live.http.websocket_endpoint import WebSocketEndpoint
from bellcast.live.pusher.channels import PusherChannels
from bellcast.live.pusher.connected_apps import ConnectedApps
from bellcast.live.pusher.context import PusherContext
from bellcast.live.pusher.handshake import PATH, PusherHandshake
from bellcast.live.pusher.hub_observer import PusherObserver
from bellcast.live.pusher.presence_cache import PresenceCache
from bellcast.live.pusher.signed_in_users import PusherUsers
from bellcast.live.pusher.webhooks import PusherWebhooks
from bellcast.live.wiring import LiveContext, WiredDialect


def wire(live: LiveContext) -> WiredDialect:
    """Wire the WebSocket endpoint, the webhooks and the observer of the hub."""
    engines, hub = live.engines, live.hub
    webhooks = PusherWebhooks(live.pusher, live.project, live.jobs, hub, live.http, engines.clock, live.spawn)
    apps = ConnectedApps(live.project, live.pusher_apps, engines.clock, hub.end)
    context = PusherContext(
        engines=engines,
        hub=hub,
        survey=live.survey,
        config=live.config,
        pusher=live.pusher,
        apps=apps,
        app=live.app,
        webhooks=webhooks,
    )
    users = PusherUsers(context, live.admission)
    presence_cache = PresenceCache()
    channels = PusherChannels(context, users, presence_cache)
    handshake = PusherHandshake(
        apps,
        live.config.access,
        live.config.limits,
        live.pusher,
        hub,
        live.admission,
        channels,
        users,
        live.spawn,
    )
    hub.add_observer(PusherObserver(context, users, presence_cache))
    return WiredDialect(
        paths={PATH + "*": WebSocketEndpoint(live.config, live.admission, handshake, live.spawn)},
        loops={"pusher users": users.run},
        disconnected=handshake.disconnected,
        close=webhooks.close,
    )
