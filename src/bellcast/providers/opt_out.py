"""Replies to text messages that carriers require every sender to respect."""

from bellcast.providers.types import OptOut

# The keywords of the CTIA (Messaging Principles §5.1.3) that Twilio and Vonage recognize too.
STOP = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"})
START = frozenset({"START", "UNSTOP", "YES"})


def opt_out(number: str, text: str) -> OptOut | None:
    """Return the meaning of a reply from a number; None for any other text."""
    word = text.strip().upper()
    return OptOut(number, word in START) if number and word in STOP | START else None
