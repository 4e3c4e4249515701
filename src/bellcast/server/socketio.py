"""The Socket.IO dialect, wired: its sessions, and the paths it is served at."""

from collections.abc import Awaitable, Callable
from typing import Any

from bellcast.auth.doors import Authenticator
from bellcast.calls import CallBackend
from bellcast.live.arrivals import Admission
from bellcast.live.commands import Commands
from bellcast.live.hub import Hub
from bellcast.live.rules import LiveConfig, SocketIOConfig, Spawn
from bellcast.live.sessions.engineio import EngineSessions
from bellcast.live.sessions.socketio.asking import EventDispatcher
from bellcast.live.sessions.socketio.joining import NamespaceHandshake
from bellcast.live.sessions.socketio.rooms import JoinedTopics
from bellcast.live.sessions.socketio.talks import SocketIOLayer
from bellcast.live.transports.handover import SocketHandoff
from bellcast.live.transports.socketio import CLIENT_FILES, ClientFile, SocketIOEndpoint
from bellcast.model.people import Project
from bellcast.ports import Context

Serving = Callable[[Any, Any, Any], Awaitable[None]]


def engine_sessions(
    settings: SocketIOConfig,
    rules: LiveConfig,
    project: Project,
    engines: Context,
    hub: Hub,
    doors: Authenticator,
    arrivals: Admission,
    commands: Commands,
    app: CallBackend,
    spawn: Spawn,
) -> EngineSessions:
    """The sessions of Engine.IO with Socket.IO on top."""
    asking = EventDispatcher(app, commands, engines.broker, hub, JoinedTopics(engines, hub, rules, spawn), spawn)
    joining = NamespaceHandshake(project, engines.store, hub, rules, settings, doors, arrivals, asking)
    return EngineSessions(SocketIOLayer(settings, joining, asking, spawn), settings, engines.clock)


def paths(
    pipes: EngineSessions, arrivals: Admission, rules: LiveConfig, neighbours: SocketHandoff | None
) -> dict[str, Serving]:
    """What is served where; a slash at the end is the same."""
    path, file = pipes.config.path, ClientFile(pipes.config.client_file)
    endpoint = SocketIOEndpoint(pipes, arrivals, rules, neighbours)
    return {path: endpoint, path.rstrip("/"): endpoint, **{path + name: file for name in CLIENT_FILES}}
