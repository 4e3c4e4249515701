"""Fallback for `connect` when the app is unreachable or its handler fails: one rule for Python handlers and for the
URL."""

from bellcast.calls.call import CONNECT, ROOT, Call
from bellcast.kernel.errors import Unavailable

# Clients of this dialect connect without a recipient and sign in later with a separate proof.
LATE_SIGN_IN_DIALECTS = "pusher"


def admit_by_session(call: Call) -> None:
    """Decide a failed `connect` or `disconnect` by the session alone. A connection with a session is accepted with
    the session's permissions, so that inboxes keep working while the app is down. A connection without a session must
    retry, as must one for a namespace of the app."""
    call.accepted = None  # a failed handler may have accepted before it failed
    if call.name != CONNECT:
        return
    is_anonymous = call.recipient is None and call.dialect != LATE_SIGN_IN_DIALECTS
    if is_anonymous or call.namespace != ROOT:
        raise Unavailable(
            "The app did not respond, so this connection cannot be accepted without a session.", retry_after=1
        )
