"""The Pusher dialect, wired: its endpoint, what it tells beside events, its webhooks."""

from collections.abc import Callable

from bellcast import ports
from bellcast.auth.access import AccessConfig
from bellcast.calls import CallBackend
from bellcast.jobs import JobRunner
from bellcast.live.arrivals import Admission
from bellcast.live.connection import Connection
from bellcast.live.hub import Hub
from bellcast.live.rules import LiveConfig, Spawn
from bellcast.live.sessions.pusher import PATH, PusherHandshake
from bellcast.live.sessions.pusher_channels import PusherChannels
from bellcast.live.sessions.pusher_rosters import PresenceCache
from bellcast.live.sessions.pusher_users import PusherUsers
from bellcast.live.sessions.pusher_watch import PusherObserver
from bellcast.live.sessions.pusher_webhooks import PusherWebhooks
from bellcast.live.sessions.pusher_wiring import PusherContext
from bellcast.live.transports.upgrade import WebSocketEndpoint
from bellcast.model.people import Project
from bellcast.model.pusher import PusherConfig
from bellcast.ports import Context

__all__ = ["PATH", "PusherWiring"]


class PusherWiring:
    """Everything of the dialect that lives as long as the server."""

    def __init__(
        self,
        settings: PusherConfig,
        rules: LiveConfig,
        project: Project,
        engines: Context,
        hub: Hub,
        arrivals: Admission,
        app: CallBackend,
        http: ports.Http,
        jobs: JobRunner,
        spawn: Spawn,
        access: AccessConfig,
    ) -> None:
        webhooks = PusherWebhooks(settings.webhook_url, project, jobs, hub, http, engines.clock, spawn)
        wiring = PusherContext(
            engines=engines, hub=hub, rules=rules, pusher=settings, project=project, app=app, webhooks=webhooks
        )
        self._users = PusherUsers(wiring, arrivals)
        rosters = PresenceCache()
        channels = PusherChannels(wiring, self._users, rosters)
        self._sessions = PusherHandshake(
            project, access, rules.limits, settings, hub, arrivals, channels, self._users, spawn
        )
        hub.observer = PusherObserver(wiring, self._users, rosters)
        self.endpoint = WebSocketEndpoint(rules, arrivals, self._sessions, spawn)
        self.run = self._users.run
        self.close = webhooks.close
        self.disconnected: Callable[[Connection], None] = self._sessions.disconnected
