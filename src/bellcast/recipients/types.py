"""Recipients: their record, what callers write, and what reaches them outside the inbox."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from bellcast.kernel.events import Stream, inbox_stream
from bellcast.kernel.field_limits import DATA, INNER, LOCALE, ROLE, STORABLE_TIME, TENANT, TIME_ZONE, Limit, each

MAX_EMAIL = 320  # RFC 5321: 64 before the @, 255 after it
MAX_PHONE = 50
MAX_ROLES = 100


class ChatAddresses(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Chat addresses of a recipient: webhook URLs of Slack, Discord and Microsoft Teams, and a Telegram chat id."""

    slack: Annotated[str | None, Limit("url")] = None
    discord: Annotated[str | None, Limit("url")] = None
    teams: Annotated[str | None, Limit("url")] = None
    telegram: Annotated[str | int | None, Limit("url")] = None


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

    name: Annotated[str | UnsetType | None, Limit("title")] = UNSET
    email: Annotated[str | UnsetType | None, Limit(MAX_EMAIL)] = UNSET
    phone: Annotated[str | UnsetType | None, Limit(MAX_PHONE)] = UNSET
    chat: Annotated[ChatAddresses | UnsetType | None, INNER] = UNSET
    locale: Annotated[str | UnsetType | None, LOCALE] = UNSET
    timezone: Annotated[str | UnsetType | None, TIME_ZONE] = UNSET
    roles: Annotated[list[str] | UnsetType, each(MAX_ROLES, ROLE, "roles")] = UNSET
    data: Annotated[dict[str, Any] | UnsetType, DATA] = UNSET
    member_since: Annotated[Annotated[datetime, Meta(tz=True)] | UnsetType | None, STORABLE_TIME] = UNSET
    tenant: Annotated[str | UnsetType | None, TENANT] = UNSET


# Fields of a record, which are columns of its table; roles are subscriptions too.
RECORD_FIELDS = tuple(name for name in RecipientFields.__struct_fields__ if name not in ("roles", "tenant"))


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


class OwnPreferences(NamedTuple):
    """A recipient's own preferences as JSON, None for none, and when they last changed (UTC milliseconds); None: before
    Bellcast recorded it."""

    document: bytes | None
    updated_at: int | None


class RecipientOfLink(Struct, frozen=True, array_like=True):
    """The recipient of a signed link, and when the link was issued (UTC milliseconds). A link that opens more than one
    switch `ends_with_sessions`, when they are revoked."""

    tenant: str
    recipient: str
    issued_at: int

    ends_with_sessions: ClassVar[bool] = False


class RecipientChange(Struct, frozen=True):
    """A change that concerns the connections of a recipient."""

    tenant: str
    recipient: str

    @property
    def stream(self) -> Stream:
        return inbox_stream(self.tenant, self.recipient)


class SessionsRevoked(RecipientChange, frozen=True, tag_field="kind", tag="revoked"):
    """A recipient's sessions were ended: connections with tokens issued before `before` (UTC milliseconds) are
    closed."""

    before: int


class SubscriptionEnded(RecipientChange, frozen=True, tag_field="kind", tag="unsubscribed"):
    """A recipient was unsubscribed from a topic. Connections that follow it by this subscription unfollow it."""

    topic: str


# Maximum push endpoints of one recipient: several browsers and devices. The oldest usually belongs to a browser that no
# longer exists.
MAX_PUSH_ENDPOINTS = 20
PushKind = Literal["web", "fcm", "apns"]


class PushEndpoint(Struct, frozen=True, kw_only=True):
    """A browser's push subscription, or an app on a device. `address` is the URL of the subscription, or the token of the
    device; `p256dh` and `auth` are a browser's keys, in base64url. Times are UTC milliseconds."""

    id: str
    kind: PushKind
    address: str
    p256dh: str | None = None
    auth: str | None = None
    registered_at: int
