"""Wires the Socket.IO dialect."""

from functools import partial

from bellcast.live.native.commands import Commands
from bellcast.live.socketio.endpoint import CLIENT_FILES, SocketIOEndpoint, serve_client_file
from bellcast.live.socketio.engine_session import EngineSessions
from bellcast.live.socketio.events import EventDispatcher
from bellcast.live.socketio.joined_topics import ConnectionTopics
from bellcast.live.socketio.layer import SocketIOLayer
from bellcast.live.socketio.namespace_handshake import NamespaceHandshake
from bellcast.live.wiring import LiveContext, WiredDialect


def wire(live: LiveContext) -> WiredDialect:
    """Wire the Engine.IO endpoint, the Socket.IO layer above it, and the client files."""
    settings = live.settings["socketio"]
    commands = Commands(live)
    joined_topics = ConnectionTopics(live)
    dispatcher = EventDispatcher(live, commands, joined_topics)
    layer = SocketIOLayer(settings, NamespaceHandshake(live, dispatcher), dispatcher, live.spawn)
    sessions = EngineSessions(layer, settings, live.engines.clock, live.hub.callbacks)
    file = partial(serve_client_file, settings.client_file)
    return WiredDialect(
        paths={
            settings.path: SocketIOEndpoint(sessions, live),
            **{settings.path + name: file for name in CLIENT_FILES},
        },
        loops={"socketio sessions": sessions.run},
        close_sessions=sessions.close,
    )
