"""Recipients: their record, what callers write, and what reaches them outside the inbox."""

from datetime import datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from bellcast.tenants.types import Tenant


class ChatAddresses(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Chat addresses of a recipient: webhook URLs of Slack, Discord and Microsoft Teams, and a Telegram chat id."""

    slack: str | None = None
    discord: str | None = None
    teams: str | None = None
    telegram: str | int | None = None


class Recipient(Struct, frozen=True, kw_only=True):
    """A recipient of notifications. `key` is the app's own user id."""

    key: str
    tenant: str | None = None
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    chat: ChatAddresses = ChatAddresses()
    locale: str | None = None
    timezone: str | None = None
    roles: tuple[str, ...] = ()
    data: dict[str, Any] = {}
    member_since: datetime | None = None
    created_at: datetime
    unread: int = 0
    unseen: int = 0


class Profile(Struct, frozen=True, kw_only=True):
    """The fields needed to reach a recipient outside the inbox. `push` are the endpoints of its devices, read only for
    sends that use them. `preferences` is the recipient's own document as JSON."""

    key: str
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    chat: ChatAddresses = ChatAddresses()
    push: tuple[str, ...] = ()
    locale: str | None = None
    timezone: str | None = None
    roles: tuple[str, ...] = ()
    data: dict[str, Any] = {}
    preferences: bytes | None = None


class RecipientFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields of a recipient that the app can set. Absent fields do not change (PATCH) or are cleared (PUT)."""

    name: str | UnsetType | None = UNSET
    email: str | UnsetType | None = UNSET
    phone: str | UnsetType | None = UNSET
    chat: ChatAddresses | UnsetType | None = UNSET
    locale: str | UnsetType | None = UNSET
    timezone: str | UnsetType | None = UNSET
    roles: list[str] | UnsetType = UNSET
    data: dict[str, Any] | UnsetType = UNSET
    member_since: Annotated[datetime, Meta(tz=True)] | UnsetType | None = UNSET
    tenant: str | UnsetType | None = UNSET


# Fields of a record that a write sets; roles are separate.
RECORD_FIELDS = ("name", "email", "phone", "chat", "locale", "timezone", "data", "member_since")


def merge(before: Recipient, fields: RecipientFields, *, replace: bool) -> Recipient:
    """Return the recipient after a write. Absent fields do not change, or are cleared if the write replaces the
    recipient."""
    base = Recipient(key=before.key, created_at=before.created_at) if replace else before
    named = ("roles", *RECORD_FIELDS)
    values = {name: value for name in named if (value := getattr(fields, name)) is not UNSET}
    values |= {name: getattr(base, name) for name in named if name not in values}
    complete = {"roles": tuple(dict.fromkeys(values["roles"])), "chat": values["chat"] or ChatAddresses()}
    return msgspec.structs.replace(before, **values | complete)


class Subscription(Struct, frozen=True):
    """A recipient on a topic."""

    topic: str
    recipient: str
    created_at: datetime


class SubscriptionGrant(NamedTuple):
    """A subscription by which connections of the recipient may follow the topic."""

    tenant: str
    recipient: str
    topic: str


class RecipientOfLink(NamedTuple):
    """The recipient of a signed link, and when the link was issued (UTC milliseconds). A link that opens more than one
    switch `ends_with_sessions`, when they are revoked."""

    tenant: str
    recipient: str
    issued_at: int
    ends_with_sessions: bool = False


class OwnPreferences(NamedTuple):
    """A recipient's own preferences as JSON, and when they last changed (UTC milliseconds); None: before Bellcast recorded
    it."""

    document: bytes
    updated_at: int | None


class TenantSummary(NamedTuple):
    """A tenant and its number of recipients, up to 10,000."""

    tenant: Tenant
    recipients: int
