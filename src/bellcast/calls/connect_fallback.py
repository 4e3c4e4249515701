"""What becomes of a newcomer on whom the app has no word, because it is away or its handler failed: one rule for functions
and for the URL."""

from bellcast.calls.call import CONNECT, ROOT, Call
from bellcast.errors import Unavailable

# Its clients come without a name, and sign in later by a proof of their own.
LATE_SIGN_IN_DIALECTS = "pusher"


def admit_by_session(call: Call) -> None:
    """A `connect` or `disconnect` that failed decides nothing. Who has a session is let in by it, with what it allows and no
    more: bells ring while the app is away. Who has none is to come back, as is who wants into a namespace of the app's."""
    call.accepted = None  # of a handler that failed half-way nothing is believed
    if call.name != CONNECT:
        return
    nameless = call.recipient is None and call.dialect != LATE_SIGN_IN_DIALECTS
    if nameless or call.namespace != ROOT:
        raise Unavailable("The app could not say who may come in.", retry_after=1)
