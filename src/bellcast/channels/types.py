"""Messages: notifications rendered for an address outside the inbox, the attempts to deliver them, and the decisions behind
them."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bellcast.kernel import times
from bellcast.kernel.field_limits import Limit
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.preferences.types import Channel, Priority
from bellcast.webhooks.types import EventReport, no_report

ExternalChannel = Literal["email", "sms", "push", "chat"]
EXTERNAL_CHANNELS: tuple[ExternalChannel, ...] = ("email", "sms", "push", "chat")
MAX_SUPPRESSION_REASON = 200

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
# Seconds between rounds of attempts: 10 s covers a restart, 2 h an outage; in total about 4 hours.
RETRIES = (10.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0)
# States of a message that was accepted by a provider or the simulation.
ARRIVED: tuple[State, ...] = ("sent", "delivered", "simulated")

AttemptOutcome = Literal["accepted", "temporary", "permanent"]
DeliveryVerdict = Literal[
    "delivered", "partly_delivered", "waiting", "not_delivered", "nothing_sent", "unknown_recipient"
]
# Why messages of a channel are only stored: it has no provider, or BELLCAST_SIMULATE names it.
SimulationCause = Literal["no_provider", "setting"]


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


# Content of a message that failed because its template could not be rendered. It cannot be delivered or retried.
NO_CONTENT = b"{}"


class NewMessage(Struct, frozen=True, kw_only=True):
    """A message to add. `content` is the channel's content as JSON. `unless` drops it if its inbox item was seen or
    read before `due_at`. `digest` is the id of the digest that it is part of; for a digest, its own id. Times are UTC
    milliseconds."""

    id: str
    tenant: str
    recipient: str
    notification: str | None
    run: str | None = None
    channel: ExternalChannel
    type: str
    priority: Priority
    address: str
    state: State = "queued"
    reason: str | None = None
    unless: str | None = None
    due_at: int
    created_at: int
    expires_at: int | None = None
    content: bytes
    digest: str | None = None

    @property
    def waits_for_digest(self) -> bool:
        """True until the message becomes part of a digest."""
        return self.state == "held" and self.reason == "digest"


class StoredMessage(NewMessage, frozen=True, kw_only=True):
    """A message and its state. `rounds` counts failed rounds of attempts, with one attempt per provider. `seen_at` and
    `read_at` belong to its inbox item; only `find` sets them."""

    provider: str | None = None
    reference: str | None = None
    attempts: tuple[Attempt, ...] = ()
    rounds: int = 0
    seen_at: int | None = None
    read_at: int | None = None


# Maximum decisions for one recipient of a notification: one per channel, and those of some releases of held messages.
MAX_DECISIONS = 100
# Maximum messages of one notification to one recipient: one per e-mail address, number, device and chat; some workflows
# add others.
MAX_MESSAGES = 100
# Maximum stored attempts per message: the rounds of the default retries with four providers each.
MAX_ATTEMPTS = 32
# Maximum messages with one reference. A vendor's references are unique, but providers of other tenants with the same
# key may use the same one.
MAX_OF_REFERENCE = 10
# Recipient recorded for the recall of an announcement.
EVERY_RECIPIENT = ""


class NewDecision(Struct, frozen=True, kw_only=True):
    """The decision for one channel of one notification, and its rule. `source` is the document that set the rule.
    `due_at` is set if the message waits."""

    tenant: str
    notification: str
    recipient: str
    channel: Channel
    outcome: str
    rule: str | None = None
    source: str | None = None
    message: str | None = None
    due_at: int | None = None
    decided_at: int


class RecordedAction(Struct, frozen=True, kw_only=True):
    """A notification was `snoozed`, until a time, or `recalled`. Times are UTC milliseconds."""

    what: str
    at: int
    until: int | None = None


class MessageUpdate(Struct, frozen=True, kw_only=True):
    """The new state of a message after an attempt or a decision. In an open state it is due again at `due_at`.
    `suppress` is the reason why its address must no longer be used. `report` creates the webhook events of the message, and of
    those that a digest combines."""

    message: StoredMessage
    decision: NewDecision | None = None
    suppress: str | None = None
    report: EventReport = no_report


def with_outcome(message: StoredMessage, attempt: Attempt | None = None, **changes: object) -> StoredMessage:
    """Return the message after an attempt, with these fields changed. It keeps its last MAX_ATTEMPTS attempts."""
    attempts = message.attempts if attempt is None else (*message.attempts, attempt)[-MAX_ATTEMPTS:]
    return msgspec.structs.replace(message, attempts=attempts, **changes)


def as_change(message: NewMessage) -> dict[str, Any]:
    """Return a message as events report it."""
    return {
        "id": message.id,
        "recipient": message.recipient,
        "notification": message.notification,
        "run": message.run,
        "channel": message.channel,
        "to": message.address,
        "state": message.state,
        "reason": message.reason,
        "provider": message.provider if isinstance(message, StoredMessage) else None,
    }


# One message per day. A lower rate is a mistake, and its waits would overflow times.
MIN_RATE = 1 / 86_400


class ProviderRate:
    """Messages above the rate get different due times, so that they do not all become due together."""

    def __init__(self, name: str, rate: float | None, rates: TokenBuckets) -> None:
        self._name = name
        self._rate = max(rate, MIN_RATE) if rate else 0.0
        self._rates = rates
        self._last = 0.0
        self._now = 0

    def due_at(self, now: int) -> int:
        """Count one message towards the rate: return `now` if it may be sent, else the time (UTC milliseconds) to try
        again."""
        wait = self._rates.take(self._name, self._rate, now)
        if not wait:
            return now
        self._last -= max(0, self._now - now)  # if the clock was set back
        self._now = now
        # Messages for which the rate implies a longer wait get the same time.
        latest = now + times.MAX_AHEAD_SECONDS * 1000
        self._last = min(max(self._last + 1000 / self._rate, now + wait * 1000), latest)
        return int(self._last) + 1


class SuppressionReason(Struct, frozen=True, forbid_unknown_fields=True):
    """Why the address must not be used."""

    reason: Annotated[str, Limit(MAX_SUPPRESSION_REASON)] = "manual"


class SuppressedAddress(Struct, frozen=True):
    """An address that must not be used. Bellcast adds those that bounced, with the reason `bounce`."""

    tenant: str | None
    channel: ExternalChannel
    address: str
    reason: str
    created_at: datetime


class Fanout(Struct, frozen=True, kw_only=True):
    """A trigger or an announcement for an audience. Its runs or messages are added in pages, after the key `position`, except
    for `excluded` recipients. `seq` is its number in the order of announcements, which also decides who had subscribed
    before. A trigger for named recipients is a fan-out of one page, which is not stored."""

    id: str
    tenant: str
    workflow: str
    owner: str
    version: int
    audience: bytes
    body: bytes
    cancel_key: str | None = None
    created_at: int
    position: str = ""
    state: str = "running"
    excluded: frozenset[str] = frozenset()
    seq: int | None = None


class TimelineEntry(Struct, frozen=True, kw_only=True):
    """A past or scheduled event in the life of a notification. `channel` and `message` identify what it refers to.
    `rule` is the rule that decided, `by` the level of preferences that set it."""

    at: datetime
    what: str
    detail: str | None = None
    channel: Channel | None = None
    message: str | None = None
    rule: str | None = None
    by: str | None = None


class ChannelDecision(Struct, frozen=True, kw_only=True):
    """The decision for a channel. `rule` is the first rule that applied, or null. `by` is the document that set it. `at` is
    the time until which a held message waits."""

    channel: Channel
    outcome: str
    rule: str | None
    by: str | None
    at: datetime | None
    text: str


class ChannelExplanation(ChannelDecision, frozen=True, kw_only=True):
    """The outcome of one channel, with the fields of ChannelDecision. `state` is the state of its `message`, `provider` the
    one of its last attempt. `reason` is why it was skipped, as the end of a sentence; `hint` the last sentence of `text`,
    if it says what is missing. `simulated` is why its messages are only stored at present."""

    message: str | None = None
    state: State | None = None
    provider: str | None = None
    reason: str | None = None
    hint: str | None = None
    simulated: SimulationCause | None = None

    @property
    def result(self) -> DeliveryVerdict:
        if self.outcome == "skip":
            return "not_delivered"
        if self.state is None:
            return "waiting" if self.outcome == "hold" else "delivered"
        if self.state in ARRIVED:
            return "delivered"
        return "waiting" if self.state in OPEN_STATES else "not_delivered"


class Fact(TimelineEntry, frozen=True, kw_only=True):
    """An event on which the explanation is based, with its notification. `text` describes it in a phrase."""

    notification: str | None = None
    title: str | None = None
    type: str | None = None
    text: str


class SuggestedAction(Struct, frozen=True):
    """A request that may change the outcome."""

    text: str
    method: str
    path: str


class Explanation(Struct, frozen=True, kw_only=True):
    """The outcome of each channel and of all together, the facts on which it is based, in order of time, and requests
    that may change it. `partly_delivered` means that some channels delivered and others did not. `presence` says whether
    the recipient is connected, after its run that failed or goes on; it is null if a notification, run or type was named."""

    verdict: DeliveryVerdict
    text: str
    facts: list[Fact] = []
    actions: list[SuggestedAction] = []
    channels: list[ChannelExplanation] = []
    presence: str | None = None


class Retried(Struct, frozen=True):
    """How many messages are retried."""

    retried: int


class ChannelConfig(Struct, kw_only=True):
    """Durations are seconds. Operators can change some of them while the server runs. `default` are the channels of a
    send that names none. A channel delivers if a provider's URL is set. Without one, or if it is in `simulate`, it only
    stores messages."""

    default: tuple[str, ...] = ("inbox",)
    email: tuple[str, ...] = ()
    sms: tuple[str, ...] = ()
    push: tuple[str, ...] = ()
    chat: tuple[str, ...] = ()
    http_allow: tuple[str, ...] = ()
    encryption_key: str | None = None
    simulate: tuple[str, ...] = ()
    retries: tuple[float, ...] = RETRIES
    app_url: str | None = None
    public_url: str | None = None
    locale: str = "en"
    locales: tuple[str, ...] = ()
    brand: str = "{}"
    timezone: str = "UTC"
    run_retention: float = 30 * 86_400.0
