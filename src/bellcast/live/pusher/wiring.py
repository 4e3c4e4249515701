"""Wires the Pusher dialect."""

from bellcast.live.http.websocket_endpoint import WebSocketEndpoint
from bellcast.live.pusher.apps import ConnectedApps, PusherAppDirectory
from bellcast.live.pusher.channels import PusherChannels
from bellcast.live.pusher.connection_test import ConnectionTests
from bellcast.live.pusher.handshake import PATH, PusherHandshake
from bellcast.live.pusher.hub_observer import PresenceCache, PusherObserver
from bellcast.live.pusher.signed_in_users import PusherUsers
from bellcast.live.pusher.types import PusherConfig
from bellcast.live.pusher.webhooks import PusherWebhooks
from bellcast.live.wiring import LiveContext, WiredDialect

# Pong timeout of the protocol, in seconds.
PONG_TIMEOUT = 30.0


def wire(live: LiveContext) -> WiredDialect:
    """Wire the apps, the WebSocket endpoint, the webhooks and the observer of the hub."""
    engines, hub, clock = live.engines, live.hub, live.real_clock
    config: PusherConfig = live.settings["pusher"]
    directory = PusherAppDirectory(engines.db, clock, live.encryption, live.project, live.announce)
    webhooks = PusherWebhooks(live)
    apps = ConnectedApps(live.project, directory, engines.clock, hub.end)
    users = PusherUsers(live, apps)
    presence_cache = PresenceCache()
    channels = PusherChannels(live, apps, webhooks, users, presence_cache)
    handshake = PusherHandshake(live, apps, channels, users)
    hub.observers.append(PusherObserver(hub, config, apps, webhooks, users, presence_cache))
    return WiredDialect(
        paths={PATH + "*": WebSocketEndpoint(live.config, live.admission, handshake)},
        services={
            PusherConfig: config,
            PusherAppDirectory: directory,
            ConnectionTests: ConnectionTests(directory, config, live.http, live.clients, clock, live.public_url),
        },
        loops={"pusher users": users.run},
        silence_limit=lambda: (config.activity_timeout, PONG_TIMEOUT),
        disconnected=handshake.disconnected,
        reload=directory.reload,
        numbers=lambda: {"unreadable_pusher_apps": sum(one.state == "unreadable" for one in directory.all())},
        close=webhooks.close,
    )
