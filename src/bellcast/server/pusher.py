"""The Pusher dialect, wired: its endpoint, what it tells beside events, its webhooks."""

from collections.abc import Callable

from bellcast import ports
from bellcast.auth.access import Access
from bellcast.calls import Answerer
from bellcast.jobs import Jobs
from bellcast.live.arrivals import Arrivals
from bellcast.live.connection import Connection
from bellcast.live.hub import Hub
from bellcast.live.rules import Rules, Spawn
from bellcast.live.sessions.pusher import PATH, PusherSessions
from bellcast.live.sessions.pusher_channels import Channels
from bellcast.live.sessions.pusher_rosters import Rosters
from bellcast.live.sessions.pusher_users import Users
from bellcast.live.sessions.pusher_watch import Watch
from bellcast.live.sessions.pusher_webhooks import Webhooks
from bellcast.live.sessions.pusher_wiring import Wiring
from bellcast.live.transports.upgrade import WebSocketEndpoint
from bellcast.model.people import Project
from bellcast.model.pusher import PusherRules
from bellcast.ports import Engines

__all__ = ["PATH", "Pusher"]


class Pusher:
    """Everything of the dialect that lives as long as the server."""

    def __init__(
        self,
        settings: PusherRules,
        rules: Rules,
        project: Project,
        engines: Engines,
        hub: Hub,
        arrivals: Arrivals,
        app: Answerer,
        http: ports.Http,
        jobs: Jobs,
        spawn: Spawn,
        access: Access,
    ) -> None:
        webhooks = Webhooks(settings.webhook_url, project, jobs, hub, http, engines.clock, spawn)
        wiring = Wiring(
            engines=engines, hub=hub, rules=rules, pusher=settings, project=project, app=app, webhooks=webhooks
        )
        self._users = Users(wiring, arrivals)
        rosters = Rosters()
        channels = Channels(wiring, self._users, rosters)
        self._sessions = PusherSessions(
            project, access, rules.limits, settings, hub, arrivals, channels, self._users, spawn
        )
        hub.watcher = Watch(wiring, self._users, rosters)
        self.endpoint = WebSocketEndpoint(rules, arrivals, self._sessions, spawn)
        self.run = self._users.run
        self.close = webhooks.close
        self.gone: Callable[[Connection], None] = self._sessions.gone
