"""The Socket.IO dialect, wired: its sessions, and the paths it is served at."""

from collections.abc import Awaitable, Callable
from typing import Any

from bellcast.auth.authenticator import Authenticator
from bellcast.calls import CallBackend
from bellcast.live.admission import Admission
from bellcast.live.config import LiveConfig, SocketIOConfig, Spawn
from bellcast.live.hub.hub import Hub
from bellcast.live.native.commands import Commands
from bellcast.live.socketio.endpoint import CLIENT_FILES, ClientFile, SocketIOEndpoint
from bellcast.live.socketio.engine_session import EngineSessions
from bellcast.live.socketio.events import EventDispatcher
from bellcast.live.socketio.joined_topics import JoinedTopics
from bellcast.live.socketio.layer import SocketIOLayer
from bellcast.live.socketio.namespace_handshake import NamespaceHandshake
from bellcast.live.socketio.socket_handoff import SocketHandoff
from bellcast.model.identities import Project
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
