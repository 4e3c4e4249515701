"""Messages: notifications rendered for an address outside the inbox, and the attempts to deliver them."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bellcast.model.preferences import Channel

ExternalChannel = Literal["email", "sms", "push", "chat"]
EXTERNAL_CHANNELS: tuple[ExternalChannel, ...] = ("email", "sms", "push", "chat")

State = Literal[
    "held",  # waits for a digest, the end of quiet hours or its delay
    "queued",  # due now
    "sending",  # an attempt is in progress
    "sent",  # accepted by the provider
    "delivered",  # confirmed by a receipt
    "simulated",  # only stored, until it is released: the channel has no provider or is in BELLCAST_SIMULATE
    "bounced",  # refused for the address
    "failed",  # every attempt failed, or one failed permanently
    "suppressed",  # the address must not be used
    "cancelled",  # recalled, expired, or no longer wanted at its release
    "expired",  # the notification expired before the first attempt
]
# States that an attempt can still change.
OPEN_STATES: tuple[State, ...] = ("held", "queued", "sending")
# States from which `retry` returns a message to `queued`.
RETRYABLE_STATES: tuple[State, ...] = ("failed", "bounced")

AttemptOutcome = Literal["accepted", "temporary", "permanent"]


class Attempt(Struct, frozen=True, kw_only=True):
    """One attempt to deliver a message: the provider and its response. `code` is an SMTP or HTTP status."""

    at: datetime
    provider: str
    outcome: AttemptOutcome
    code: str | None = None
    response: str | None = None


class Message(Struct, frozen=True, kw_only=True):
    """A message as the server side sees it."""

    id: str
    tenant: str | None = None
    recipient: str
    notification: str | None
    run: str | None
    channel: Channel
    provider: str | None = None
    to: str
    state: State
    reason: str | None = None
    due_at: datetime
    created_at: datetime
    content: dict[str, Any] = {}
    attempts: tuple[Attempt, ...] = ()


BASE_LAYOUT = "base"
# The parts of a content that may serve as a title, in this order.
TITLES = ("subject", "title", "text")


class EmailContent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The content of an e-mail. If `text` or `html` is missing, it is generated from the other. `layout` wraps the
    HTML: `base` is Bellcast's own layout and the default, null means no layout, other names are templates with `{{
    content }}`."""

    subject: str | None = None
    text: str | None = None
    html: str | None = None
    layout: str | UnsetType | None = UNSET


class SmsContent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The content of a text message."""

    text: str | None = None


class PushContent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The content of a push notification."""

    title: str | None = None
    body: str | None = None


class ChatContent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The content of a chat message."""

    text: str | None = None


def title_of(content: bytes) -> str:
    """Return the title of a message's content, given as JSON; empty if it has none."""
    parts = msgspec.json.decode(content)
    return next((parts[name] for name in TITLES if isinstance(parts.get(name), str)), "")


class Brand(Struct, frozen=True, kw_only=True):
    """The sender in the base layout of e-mails (tenant setting `brand`)."""

    name: str | None = None
    logo_url: str | None = None
    color: str | None = None
    address: str | None = None
    footer: str | None = None
