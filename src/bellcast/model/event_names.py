"""Names of live events that only the server may send. Every dialect rejects them from clients."""

from bellcast.kernel.errors import FieldError
from bellcast.kernel.validation import FieldErrors

# Events that Socket.IO clients emit locally about the connection.
SOCKETIO_LIFECYCLE = frozenset(
    ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
)
# Events sent by the server to Socket.IO clients, which a published event of the same name would imitate.
SERVER_EVENTS = frozenset(
    (
        "counts",
        "error",
        "notification",
        "notification-delete",
        "notification-update",
        "pong",
        "presence",
        "ready",
        "reset",
        "typing",
    )
)
PUSHER_PREFIXES = ("pusher:", "pusher_internal:")


def publishable(field: str, name: str) -> FieldErrors:
    """Yield the error of a name that clients must not publish."""
    if name in SERVER_EVENTS or name in SOCKETIO_LIFECYCLE or name.startswith(PUSHER_PREFIXES):
        yield FieldError(field, f"must not be {name[:50]!r}, which only the server sends: choose another name")
