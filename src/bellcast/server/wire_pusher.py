"""The Pusher dialect, wired: its endpoint, what it tells beside events, its webhooks."""

from collections.abc import Callable

from bellcast import ports
from bellcast.auth.access_config import AccessConfig
from bellcast.calls import CallBackend
from bellcast.jobs import JobRunner
from bellcast.live.admission import Admission
from bellcast.live.config import LiveConfig, Spawn
from bellcast.live.connection.connection import Connection
from bellcast.live.http.websocket_endpoint import WebSocketEndpoint
from bellcast.live.hub.hub import Hub
from bellcast.live.pusher.channels import PusherChannels
from bellcast.live.pusher.context import PusherContext
from bellcast.live.pusher.handshake import PATH, PusherHandshake
from bellcast.live.pusher.hub_observer import PusherObserver
from bellcast.live.pusher.presence_cache import PresenceCache
from bellcast.live.pusher.signed_in_users import PusherUsers
from bellcast.live.pusher.webhooks import PusherWebhooks
from bellcast.model.identities import Project
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
