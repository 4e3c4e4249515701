"""Close reasons: code, name, and whether the client may reconnect (docs/reference/errors.md)."""

from msgspec import Struct

from bellcast.kernel.errors import Forbidden


class CloseReason(Struct, frozen=True):
    """`after` is the delay before a reconnect in milliseconds; `message` is the app's own text. `event_id` replaces the
    client's last event id; the empty one is unknown."""

    code: int
    reason: str
    reconnect: bool
    after: int | None = None
    message: str | None = None
    event_id: str | None = None


BAD_REQUEST = CloseReason(4400, "bad_request", reconnect=False)
UNAUTHENTICATED = CloseReason(4401, "unauthenticated", reconnect=False)
REVOKED = CloseReason(4401, "revoked", reconnect=False)
EXPIRED = CloseReason(4402, "expired", reconnect=True)
FORBIDDEN = CloseReason(4403, "forbidden", reconnect=False)
NO_PONG = CloseReason(4408, "no_pong", reconnect=True)
# One minute gives a page in a reconnect loop time to slow down, and the server time to close the dead sockets of a
# sleeping laptop.
TOO_MANY = CloseReason(4409, "too_many_connections", reconnect=True, after=60_000)
TOO_LARGE = CloseReason(4413, "frame_too_large", reconnect=False)
TOO_FAST = CloseReason(4429, "too_fast", reconnect=True, after=5_000)
TOO_SLOW = CloseReason(4430, "too_slow", reconnect=True)
UNAVAILABLE = CloseReason(1013, "unavailable", reconnect=True, after=2_000)
RESTARTING = CloseReason(1012, "restarting", reconnect=True)
EVENTS_LOST = CloseReason(1012, "events_lost", reconnect=True, event_id="")


# By an operator.
CLOSED = CloseReason(4403, "closed_by_operator", reconnect=False)
RECONNECT = CloseReason(1012, "reconnect_requested", reconnect=True)


def by_client(code: int) -> CloseReason:
    """Return the reason for a close frame of the client."""
    return CloseReason(code, "closed by the client", reconnect=True)


class RejectedByApp(Forbidden):
    """The app's `connect` handler refused the connection; the message is the app's."""
