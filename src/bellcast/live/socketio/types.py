"""Configuration of the Socket.IO dialect, from the settings `BELLCAST_SOCKETIO_…`."""

from pathlib import Path

from msgspec import Struct


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
