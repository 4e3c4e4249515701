"""Preferences of a recipient, a tenant or the project: which types are delivered through which channel, and when."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

Priority = Literal["low", "normal", "high", "urgent"]

Channel = Literal["inbox", "email", "sms", "push", "chat"]
CHANNELS: tuple[Channel, ...] = ("inbox", "email", "sms", "push", "chat")
Frequency = Literal["instant", "hourly", "daily", "weekly"]
URGENT_ONLY: Literal["urgent"] = "urgent"
SwitchValue = bool | Literal["urgent"]
"""On, off, or on for urgent notifications only."""
Switches = dict[Channel, SwitchValue]


class QuietHours(Struct, frozen=True, forbid_unknown_fields=True):
    """A time of day as `HH:MM` in the recipient's time zone: `start` is inclusive, `end` exclusive."""

    start: str
    end: str


class Preferences(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One document of preferences. An absent switch leaves the decision to the next document, in the order
    recipient, tenant, project. `quiet_hours: false` turns off the quiet hours of the next document."""

    channels: Switches = {}
    types: dict[str, Switches] = {}
    workflows: dict[str, Switches] = {}
    digest: dict[str, Frequency] = {}
    digest_at: str | None = None
    quiet_hours: QuietHours | Literal[False] | None = None
    muted: dict[str, datetime | Literal[True]] = {}

    @property
    def switches_inbox(self) -> bool:
        """True if the inbox is off, or on only for urgent notifications, in any switch."""
        groups = (self.channels, *self.types.values(), *self.workflows.values())
        return any(switches.get("inbox", True) is not True for switches in groups)


NO_PREFERENCES = Preferences()


# Characters that separate the words of a type's key.
KEY_SEPARATORS = str.maketrans("._-", "   ")


class TypeRules(Struct, frozen=True, kw_only=True):
    """Rules of a notification type: its display name, channels that cannot be switched off, and switches that apply unless
    a recipient, tenant or project sets its own."""

    name: str | None = None
    required: bool | tuple[Channel, ...] = False
    defaults: Switches = {}

    def name_of(self, type: str) -> str:
        """Return the display name of the type: its own, or made from its key."""
        return self.name or (type[:1].upper() + type[1:]).translate(KEY_SEPARATORS)

    def requires(self, channel: Channel) -> bool:
        """True if preferences cannot stop this type in this channel."""
        return self.required if isinstance(self.required, bool) else channel in self.required


NO_RULES = TypeRules()


def merge_patch(document: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396): null removes a field, an object changes only its own fields."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
