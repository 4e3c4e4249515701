"""An authenticated request of Pusher's HTTP API, as passed to its operations."""

from typing import Any, NamedTuple, TypeVar

import msgspec

from bellcast.kernel import validation
from bellcast.kernel.errors import BadRequest, Forbidden, Invalid
from bellcast.kernel.http.validation_errors import sentence
from bellcast.live.pusher.types import PusherApp
from bellcast.rest.context import ApiContext
from bellcast.topics import types as topics

T = TypeVar("T")

# Attributes of channels that lists and triggers return on request.
COUNTS = frozenset({"user_count", "subscription_count"})


class PusherRequest(NamedTuple):
    """`parts` are the decoded path parameters, `parameters` the query parameters."""

    context: ApiContext
    app: PusherApp
    scope: Any
    parts: dict[str, str]
    parameters: dict[str, str]
    body: bytes

    def json(self, type: type[T]) -> T:
        """Decode the body. Raises BadRequest."""
        try:
            return msgspec.json.decode(self.body, type=type)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
            raise BadRequest(sentence(wrong, "The body")) from None

    def infos(self, allowed: frozenset[str]) -> frozenset[str]:
        """Return the attributes requested by `info`."""
        return infos("info", self.parameters.get("info"), allowed)


def infos(field: str, value: str | None, allowed: frozenset[str]) -> frozenset[str]:
    """Return the attributes in a comma-separated list. Raises Invalid for any that is not `allowed`."""
    requested = frozenset(one for one in (value or "").split(",") if one)
    for unknown in sorted(requested - allowed):
        raise Invalid.of(field, f"{unknown[:50]!r} is not one of {', '.join(sorted(allowed))}")
    return requested


def check_channel(request: PusherRequest, field: str, channel: str) -> None:
    """Raise Invalid unless an event can be sent to this channel, and Forbidden if the app may not use it."""
    if request.app.only_channel not in (None, channel):
        raise Forbidden(f"This app is being tested: it may use only the channel {request.app.only_channel}.")
    recipient, limits = topics.recipient(channel), request.context.limits
    validation.check(
        validation.topic(field, channel, limits) if recipient is None else validation.key(field, recipient, limits)
    )
