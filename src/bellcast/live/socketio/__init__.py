"""The Socket.IO dialect (protocol 5 over Engine.IO 4)."""

from pathlib import Path

from msgspec import Struct

from bellcast.kernel import setting_values
from bellcast.live.wiring import DialectPlugin


class SocketIOConfig(Struct, frozen=True, kw_only=True):
    """Socket.IO settings. Durations in seconds."""

    ping_interval: float = 25.0
    ping_timeout: float = 20.0
    upgrade_timeout: float = 10.0
    connect_timeout: float = 45.0
    max_payload: int = 1_000_000
    recovery: bool = True
    path: str = "/socket.io/"
    client_file: Path | None = None


SOCKETIO = DialectPlugin(
    name="socketio",
    title="Socket.IO",
    wiring="bellcast.live.socketio.endpoint",
    config=SocketIOConfig,
    sticky_sessions="with several machines, Socket.IO polling needs a load balancer with sticky sessions",
    settings={
        "SOCKETIO_PING_INTERVAL": (
            setting_values.positive_duration,
            "Interval of pings to Socket.IO clients, announced in the handshake.",
        ),
        "SOCKETIO_PING_TIMEOUT": (setting_values.positive_duration, "Timeout of a Socket.IO client's pong."),
        "SOCKETIO_UPGRADE_TIMEOUT": (
            setting_values.positive_duration,
            "Timeout of the upgrade from polling to WebSocket. Some proxies drop frames, so that it never completes.",
        ),
        "SOCKETIO_CONNECT_TIMEOUT": (
            setting_values.positive_duration,
            "Timeout for a Socket.IO connection to join a namespace, also after it has left all.",
        ),
        "SOCKETIO_MAX_PAYLOAD": (
            setting_values.non_negative_int,
            "Bytes of one Socket.IO packet or polling body, and of all binary values of one event.",
        ),
        "SOCKETIO_RECOVERY": (
            setting_values.boolean,
            "Allow Socket.IO connection state recovery, as long as the missed events are kept and, if the app joined "
            "topics, for 30 minutes. It adds an offset as the last argument of events.",
        ),
        "SOCKETIO_PATH": (setting_values.path, "Path of Socket.IO connections."),
        "SOCKETIO_CLIENT_FILE": (
            setting_values.file,
            "A copy of the Socket.IO client, served to pages that load `socket.io.js` from the server.",
        ),
    },
)
