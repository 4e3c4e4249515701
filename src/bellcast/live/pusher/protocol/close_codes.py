"""Close codes of Pusher. Clients act on the range: 40xx stop, 41xx reconnect after a delay, 42xx immediately."""

from collections.abc import Mapping

from bellcast.live.connection import close_reasons
from bellcast.live.connection.close_reasons import CloseReason

OLDEST, NEWEST = 4, 7

NO_SUCH_APP = CloseReason(4001, "There is no app with this key.", reconnect=False)
DISABLED = CloseReason(4003, "Pusher is switched off on this server.", reconnect=False)
APP_DISABLED = CloseReason(4003, "This app is disabled.", reconnect=False)
APP_UNREADABLE = CloseReason(4100, "This server lacks the encryption key of the app's secret.", reconnect=True)
BAD_VERSION = CloseReason(4006, "The protocol version must be a whole number.", reconnect=False)
UNKNOWN_VERSION = CloseReason(4007, f"This server supports protocol {OLDEST} to {NEWEST}.", reconnect=False)
NO_VERSION = CloseReason(4008, "The parameter `protocol` is missing.", reconnect=False)
BAD_SIGNIN = CloseReason(4009, "The sign-in is invalid.", reconnect=False)
UNAUTHORIZED = CloseReason(4009, "unauthorized", reconnect=False)

# The WebSocket code for an oversized frame; Pusher has no code for it.
TOO_LARGE = 1009

# Clients must reconnect later: an immediate attempt would be closed again.
TRY_LATER = (close_reasons.TOO_MANY, close_reasons.TOO_FAST, close_reasons.TOO_SLOW, close_reasons.UNAVAILABLE)
CODES: Mapping[str, int] = {
    close_reasons.NO_PONG.reason: 4201,
    close_reasons.RESTARTING.reason: 4200,
    close_reasons.EXPIRED.reason: 4200,
    close_reasons.RECONNECT.reason: 4200,
    close_reasons.CLOSED.reason: 4009,
    close_reasons.TOO_LARGE.reason: TOO_LARGE,
    **{end.reason: 4100 for end in TRY_LATER},
}


def unsupported_version(version: str | None) -> CloseReason | None:
    """Return the close reason for an unsupported protocol version; None if it is supported."""
    if version is None:
        return NO_VERSION
    if not version.isascii() or not version.isdigit():
        return BAD_VERSION
    return None if OLDEST <= int(version[:9]) <= NEWEST and len(version) < 9 else UNKNOWN_VERSION


def close_frame_of(end: CloseReason) -> CloseReason:
    """Translate a close reason to Pusher's codes; WebSocket's and Pusher's own codes stay unchanged."""
    if (end.code < 4000 and end.reason not in CODES) or 4000 <= end.code < 4400:
        return end
    code = CODES.get(end.reason, 4200 if end.reconnect else 4009)
    return CloseReason(code, end.reason, end.reconnect, end.after, end.message)
