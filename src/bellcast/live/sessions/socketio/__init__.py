"""Socket.IO: how clients enter namespaces, what they ask there, and how they come back."""

from bellcast.live.sessions.socketio.talks import SocketIOLayer

__all__ = ["SocketIOLayer"]
