"""One decision: may this channel be used for this notification now?

The rules apply in this order, and the first that applies names the decision:

1. `no_address`, `invalid_address`, `suppressed`: never sent.
2. A channel that the type requires: sent, and the following rules do not apply.
3. `muted`: inbox only.
4. `channel`, 5. `type`, 6. `workflow`: switches. All three must be on; "urgent" is on for urgent notifications.
7. `digest`: e-mail that is not urgent waits for the next digest.
8. `quiet_hours`: every channel but the inbox waits for their end, unless urgent.
"""

from collections.abc import Collection, Mapping
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bellcast.inbox.types import NO_TYPE, NotificationType
from bellcast.kernel import times
from bellcast.preferences.types import (
    CHANNELS,
    NO_PREFERENCES,
    URGENT_ONLY,
    Channel,
    Preferences,
    Priority,
    QuietHours,
    SwitchValue,
)

DecisionOutcome = Literal["send", "hold", "skip"]
AddressProblem = Literal["no_address", "invalid_address", "suppressed"]
Rule = Literal[
    "no_address",
    "invalid_address",
    "suppressed",
    "required",
    "muted",
    "channel",
    "type",
    "workflow",
    "digest",
    "quiet_hours",
]
Source = Literal["recipient", "tenant", "project", "type"]
Switch = Literal["channel", "type", "workflow"]

SWITCHES: tuple[Switch, ...] = ("channel", "type", "workflow")

EVERY_TYPE = "*"
DIGEST_AT = "08:00"


class Layers(Struct, frozen=True, kw_only=True):
    """The documents that apply to a recipient, in order of precedence, and the rules of the notification's type."""

    recipient: Preferences = NO_PREFERENCES
    tenant: Preferences = NO_PREFERENCES
    project: Preferences = NO_PREFERENCES
    rules: NotificationType = NO_TYPE

    def documents(self) -> tuple[tuple[Source, Preferences], ...]:
        """Return the documents that set something, with their names, in order of precedence."""
        documents: tuple[tuple[Source, Preferences], ...] = (
            ("recipient", self.recipient),
            ("tenant", self.tenant),
            ("project", self.project),
        )
        return tuple(one for one in documents if one[1] is not NO_PREFERENCES)


class Occasion(Struct, frozen=True, kw_only=True):
    """A notification and channel to decide on. `now` is in UTC milliseconds; `zone` is the recipient's. `is_digest_due`
    is True for a message that was held for a digest that is due now."""

    channel: Channel
    type: str
    priority: Priority
    now: int
    zone: ZoneInfo
    workflow: str | None = None
    address_problem: AddressProblem | None = None
    is_digest_due: bool = False


class Decision(Struct, frozen=True):
    """`rule` is the first rule that applied, or None; `by` is the document that set it. A held message waits until `at`
    (UTC milliseconds)."""

    outcome: DecisionOutcome
    rule: Rule | None = None
    by: Source | None = None
    at: int | None = None


SEND = Decision("send")
REQUIRED = Decision("send", "required", "type")


def decide(occasion: Occasion, layers: Layers) -> Decision:
    """Apply the rules to one channel of one notification."""
    if occasion.address_problem is not None:
        return Decision("skip", occasion.address_problem)
    if layers.rules.requires(occasion.channel):
        return REQUIRED
    if occasion.channel != "inbox" and is_muted(layers.recipient, occasion.type, occasion.now):
        return Decision("skip", "muted", "recipient")
    for rule in SWITCHES:
        value, by = switch(rule, occasion.channel, occasion.type, layers, occasion.workflow)
        if not value or (value == URGENT_ONLY and occasion.priority != "urgent"):
            return Decision("skip", rule, by)
    if occasion.channel == "inbox" or occasion.priority == "urgent":
        return SEND
    return _digest(occasion, layers) or _quiet_hours(occasion, layers) or SEND


def is_muted(recipient: Preferences, type: str, now: int) -> bool:
    """True while the recipient has muted this type, or everything."""
    for name in (EVERY_TYPE, type):
        until = recipient.muted.get(name)
        if until is not None and (until is True or times.milliseconds(until) > now):
            return True
    return False


def switch(
    rule: Switch, channel: Channel, type: str, layers: Layers, workflow: str | None = None
) -> tuple[SwitchValue, Source | None]:
    """Return one of the three switches, and the document that set it. It is on if no document sets it."""
    for source, document in layers.documents():
        if rule == "channel":
            switches = document.channels
        elif rule == "type":
            switches = document.types.get(type, {})
        else:
            switches = document.workflows.get(workflow or "", {})
        value = switches.get(channel)
        if value is not None:
            return value, source
    if rule == "type" and (default := layers.rules.defaults.get(channel)) is not None:
        return default, "type"
    return True, None


def _digest(occasion: Occasion, layers: Layers) -> Decision | None:
    if occasion.channel != "email" or occasion.is_digest_due:
        return None
    for source, document in layers.documents():
        frequency = document.digest.get(occasion.type)
        if frequency == "instant":
            return None
        if frequency == "hourly":
            return Decision("hold", "digest", source, times.next_hour(occasion.now, occasion.zone))
        if frequency is not None:  # at `digest_at`, every day or every Monday
            at = next((one.digest_at for _, one in layers.documents() if one.digest_at is not None), DIGEST_AT)
            weekday = times.MONDAY if frequency == "weekly" else None
            due_at = times.next_time(occasion.now, times.parse_time(at), occasion.zone, weekday=weekday)
            return Decision("hold", "digest", source, due_at)
    return None


def _quiet_hours(occasion: Occasion, layers: Layers) -> Decision | None:
    for source, document in layers.documents():
        if document.quiet_hours is False:
            return None
        if isinstance(hours := document.quiet_hours, QuietHours):
            start, end = times.parse_time(hours.start), times.parse_time(hours.end)
            if not times.is_within(occasion.now, start, end, occasion.zone):
                return None
            at = times.next_occurrence(occasion.now, end, occasion.zone)
            return Decision("hold", "quiet_hours", source, at)
    return None


def has_channel(type: str, channel: Channel, layers: Layers) -> bool:
    """True if a type has a channel: it names no channels or this one, or a document sets a switch for both."""
    is_set = any(channel in document.types.get(type, {}) for _, document in layers.documents())
    return layers.rules.channels is None or is_set or channel in layers.rules.named_channels()


class ChannelStatus(Struct, frozen=True):
    """Whether a channel is on for a type, whether it can be switched, and which document decided. `available: false` marks
    a channel that the type does not have, or one without a provider or address: pages do not offer it, unless the recipient has switched it."""

    on: bool
    required: bool = False
    by: Source | None = None
    available: bool | UnsetType = UNSET


class EffectiveType(Struct, frozen=True):
    """One type, its display name, and the state of each of its channels."""

    type: str
    name: str
    channels: dict[Channel, ChannelStatus]


def effective(
    layers: Layers, types: Mapping[str, NotificationType], available: Collection[Channel] = CHANNELS
) -> list[EffectiveType]:
    """Return the state of each channel for each type, without mutes and times."""
    found = []
    for type, rules in types.items():
        own = msgspec.structs.replace(layers, rules=rules)
        channels: dict[Channel, ChannelStatus] = {}
        for channel in CHANNELS:
            by: Source | None = None
            is_on, is_required = True, rules.requires(channel)
            for rule in () if is_required else SWITCHES:
                value, source = switch(rule, channel, type, own)
                is_on = value is True  # not for urgent notifications only
                by = by or source if is_on else source
                if not is_on:
                    break
            is_offered = by == "recipient" or channel in available
            offered = UNSET if is_offered and has_channel(type, channel, own) else False
            channels[channel] = ChannelStatus(is_on, is_required, "type" if is_required else by, offered)
        found.append(EffectiveType(type, rules.name_of(type), channels))
    return found
