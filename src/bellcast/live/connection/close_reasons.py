"""Why a connection ends: a code, a word, and whether the other side may come back (CONTRACT, "Close codes")."""

from msgspec import Struct

from bellcast.errors import Forbidden


class CloseReason(Struct, frozen=True):
    """One end. `after` is milliseconds to wait before coming back; `message` is the app's own word for it."""

    code: int
    reason: str
    reconnect: bool
    after: int | None = None
    message: str | None = None

    def with_delay(self, after: int) -> "CloseReason":
        """The same end, with a time to come back."""
        return CloseReason(self.code, self.reason, self.reconnect, after)

    def with_message(self, message: str) -> "CloseReason":
        """The same end, in the app's words."""
        return CloseReason(self.code, self.reason, self.reconnect, self.after, message)


BAD_REQUEST = CloseReason(4400, "bad_request", reconnect=False)
UNAUTHENTICATED = CloseReason(4401, "unauthenticated", reconnect=False)
REVOKED = CloseReason(4401, "revoked", reconnect=False)
EXPIRED = CloseReason(4402, "expired", reconnect=True)
FORBIDDEN = CloseReason(4403, "forbidden", reconnect=False)
NO_PONG = CloseReason(4408, "no_pong", reconnect=True)
# Sixty seconds: long enough for a runaway page to notice, short enough for a closed laptop's ghosts to be swept.
TOO_MANY = CloseReason(4409, "too_many_connections", reconnect=True, after=60_000)
TOO_LARGE = CloseReason(4413, "frame_too_large", reconnect=False)
TOO_FAST = CloseReason(4429, "too_fast", reconnect=True, after=5_000)
TOO_SLOW = CloseReason(4430, "too_slow", reconnect=True)
UNAVAILABLE = CloseReason(1013, "unavailable", reconnect=True, after=2_000)
RESTARTING = CloseReason(1012, "restarting", reconnect=True)


def by_client(code: int) -> CloseReason:
    """The end a client asked for."""
    return CloseReason(code, "closed by the client", reconnect=True)


class RejectedByApp(Forbidden):
    """The app's `connect` handler said no, in its own words."""
