"""Why a connection ends: a code, a word, and whether the other side may come back (CONTRACT, "Close codes")."""

from msgspec import Struct

from bellcast.errors import Forbidden


class Close(Struct, frozen=True):
    """One end. `after` is milliseconds to wait before coming back; `message` is the app's own word for it."""

    code: int
    reason: str
    reconnect: bool
    after: int | None = None
    message: str | None = None

    def delayed(self, after: int) -> "Close":
        """The same end, with a time to come back."""
        return Close(self.code, self.reason, self.reconnect, after)

    def because(self, message: str) -> "Close":
        """The same end, in the app's words."""
        return Close(self.code, self.reason, self.reconnect, self.after, message)


BAD_REQUEST = Close(4400, "bad_request", reconnect=False)
UNAUTHENTICATED = Close(4401, "unauthenticated", reconnect=False)
REVOKED = Close(4401, "revoked", reconnect=False)
EXPIRED = Close(4402, "expired", reconnect=True)
FORBIDDEN = Close(4403, "forbidden", reconnect=False)
NO_PONG = Close(4408, "no_pong", reconnect=True)
# Sixty seconds: long enough for a runaway page to notice, short enough for a closed laptop's ghosts to be swept.
TOO_MANY = Close(4409, "too_many_connections", reconnect=True, after=60_000)
TOO_LARGE = Close(4413, "frame_too_large", reconnect=False)
TOO_FAST = Close(4429, "too_fast", reconnect=True, after=5_000)
TOO_SLOW = Close(4430, "too_slow", reconnect=True)
UNAVAILABLE = Close(1013, "unavailable", reconnect=True, after=2_000)
RESTARTING = Close(1012, "restarting", reconnect=True)


def by_client(code: int) -> Close:
    """The end a client asked for."""
    return Close(code, "closed by the client", reconnect=True)


class TurnedAway(Forbidden):
    """The app's `connect` handler said no, in its own words."""
