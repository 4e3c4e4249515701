"""The server's rules, checked before signing or writing something that the server would refuse later. Sizes are
compared with the default limits. Every error names the argument."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from bellcast.client import arguments
from bellcast.client.errors import InvalidArgument
from bellcast.inbox.types import notifications
from bellcast.inbox.types.notifications import Draft
from bellcast.kernel import validation
from bellcast.kernel.errors import FieldError, Invalid
from bellcast.kernel.limits import Limits
from bellcast.topics.types import EventDraft, check

T = TypeVar("T")

LIMITS = Limits()
# The longest session token that the server reads.
MAX_TOKEN = 8_192
# PostgreSQL's jsonb cannot contain this character. After an escaped backslash, it is plain text.
NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

_draft = msgspec.json.Decoder(Draft)
_event = msgspec.json.Decoder(EventDraft)


def check_session(recipient: str, claims: Mapping[str, Any]) -> None:
    """Raise InvalidArgument for names that the server refuses in a session token."""
    errors = [*validation.key("recipient", recipient, LIMITS)]
    if "tenant" in claims:
        errors += validation.tenant("tenant", claims["tenant"], LIMITS)
    errors += validation.text("name", claims.get("name"), LIMITS.title)
    for argument, rule in (("topics", validation.key), ("publish", validation.key), ("roles", validation.role)):
        for number, value in enumerate(claims.get(argument, ())):
            errors += rule(f"{argument}.{number}", value, LIMITS)
    _refuse(errors)


def check_token_length(token: str, claims: Mapping[str, Any]) -> None:
    """Raise InvalidArgument, naming the longest claim, if the token is too long for the server."""
    if len(token) > MAX_TOKEN:
        longest = max(claims, key=lambda claim: len(repr(claims[claim])), default="recipient")
        raise InvalidArgument(longest, f"must be shorter: a token has at most {MAX_TOKEN} characters, got {len(token)}")


def check_notification(body: bytes) -> None:
    """Raise InvalidArgument if the outbox would refuse the body of a notification."""
    _check(_draft, body, lambda draft: notifications.check_draft(draft, LIMITS, arguments.now()))


def check_event(body: bytes) -> None:
    """Raise InvalidArgument if the outbox would refuse the body of a live event."""
    _check(_event, body, lambda draft: check(draft, LIMITS))


def _check(decoder: msgspec.json.Decoder[T], body: bytes, rule: Callable[[T], None]) -> None:
    try:
        rule(decoder.decode(body))
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        raise InvalidArgument(path.rstrip("`") or "to", message[:1].lower() + message[1:]) from None
    except Invalid as invalid:
        _refuse(invalid.errors)
    if NUL.search(body):
        for name, value in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items():
            if NUL.search(value):
                raise InvalidArgument(name, "must not contain the NUL character")


def _refuse(errors: Iterable[FieldError]) -> None:
    """Raise the first error. Positions are written as in Python: `to[1]`, not `to.1`."""
    for error in errors:
        raise InvalidArgument(re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", error.field), error.message)
