"""The Socket.IO dialect, wired: its sessions, and the paths it is served at."""

from collections.abc import Awaitable, Callable
from typing import Any

from bellcast.auth.doors import Doors
from bellcast.calls import Answerer
from bellcast.live.arrivals import Arrivals
from bellcast.live.commands import Commands
from bellcast.live.hub import Hub
from bellcast.live.rules import Rules, SocketIO, Spawn
from bellcast.live.sessions.engineio import Pipes
from bellcast.live.sessions.socketio import Talks
from bellcast.live.sessions.socketio.asking import Asking
from bellcast.live.sessions.socketio.joining import Joining
from bellcast.live.sessions.socketio.rooms import Rooms
from bellcast.live.transports.handover import Neighbours
from bellcast.live.transports.socketio import CLIENT_FILES, ClientFile, SocketIOEndpoint
from bellcast.model.people import Project
from bellcast.ports import Engines

Serving = Callable[[Any, Any, Any], Awaitable[None]]


def pipes(
    settings: SocketIO,
    rules: Rules,
    project: Project,
    engines: Engines,
    hub: Hub,
    doors: Doors,
    arrivals: Arrivals,
    commands: Commands,
    app: Answerer,
    spawn: Spawn,
) -> Pipes:
    """The sessions of Engine.IO with Socket.IO on top."""
    asking = Asking(app, commands, engines.broker, hub, Rooms(engines, hub, rules, spawn), spawn)
    joining = Joining(project, engines.store, hub, rules, settings, doors, arrivals, asking)
    return Pipes(Talks(settings, joining, asking, spawn), settings, engines.clock)


def paths(pipes: Pipes, arrivals: Arrivals, rules: Rules, neighbours: Neighbours | None) -> dict[str, Serving]:
    """What is served where; a slash at the end is the same."""
    path, file = pipes.rules.path, ClientFile(pipes.rules.client_file)
    endpoint = SocketIOEndpoint(pipes, arrivals, rules, neighbours)
    return {path: endpoint, path.rstrip("/"): endpoint, **{path + name: file for name in CLIENT_FILES}}
