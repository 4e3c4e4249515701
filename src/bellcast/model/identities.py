"""Recipients, tenants, and authenticated identities: principals and callers."""

import hmac
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

KeyScope = Literal["send", "read", "manage", "observe", "configure", "admin"]
EVERY_TENANT = "*"
DEFAULT_TENANT = ""


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


class Tenant(Struct, frozen=True, kw_only=True):
    """A customer organisation; `key` is null for the default one. `erasing_since` is the time at which its erasure began."""

    key: str | None
    name: str | None = None
    settings: dict[str, Any] = {}
    created_at: datetime
    erasing_since: datetime | None = None


class TenantRules(Struct, frozen=True, kw_only=True):
    """Tenant settings that Bellcast evaluates. The app may use other names freely. None: the server's setting
    applies."""

    weight: float | None = None  # its share of contended writes, 1 by default
    sends_per_second: int | None = None  # 0: no bound
    sends_per_day: int | None = None  # UTC days
    retention_days: int | None = None  # 0: forever
    is_being_erased: bool = False  # set by the store


class Subscription(Struct, frozen=True):
    """A recipient on a topic."""

    topic: str
    recipient: str
    created_at: datetime


class ApiKey(Struct, frozen=True, kw_only=True):
    """A server-side key without its secret part."""

    id: str
    name: str
    scopes: tuple[KeyScope, ...]
    tenants: tuple[str, ...] | None = None  # None: all
    created_at: datetime
    revoked_at: datetime | None = None
    used_at: datetime | None = None  # last use, with a resolution of a minute


class Project(Struct, frozen=True, dict=True):  # dict: stores the cached property
    """One set of credentials: `key` is public, `secret` signs tokens and opens every server path. `second` is another secret
    that is accepted too, while the secret is being replaced."""

    id: str
    key: str
    secret: str
    second: str | None = None

    @cached_property
    def accepted(self) -> tuple["Project", ...]:
        """These credentials, and those with the second secret."""
        return (self,) if self.second is None else (self, Project(self.id, self.key, self.second))

    @cached_property
    def keyed_hmac(self) -> hmac.HMAC:
        """An HMAC-SHA256 with the secret as its key, to be copied for each message. This halves the cost for short
        messages."""
        return hmac.new(self.secret.encode(), digestmod="sha256")

    def __repr__(self) -> str:
        return f"Project(id={self.id!r}, key={self.key!r}, secret='…')"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("id", self.id), ("key", self.key), ("secret", "…")]


class Principal(Struct, frozen=True, kw_only=True):
    """The recipient side of a request or connection: its identity and the permissions of its signed session.

    An anonymous connection has no `recipient` and gets public topics only. Times are UTC milliseconds.
    """

    tenant: str = DEFAULT_TENANT
    recipient: str | None = None
    topics: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    roles: tuple[str, ...] | None = None  # None: the session does not set roles, the recipient's record applies
    name: str | None = None
    member_since: int | None = None  # None: the session does not set it, the recipient's record applies
    issued_at: int = 0
    expires_at: int | None = None
    by_cookie: bool = False

    def with_name(self, name: str | None) -> "Principal":
        """Return the same principal with this name, unless its session has one."""
        return self if self.name is not None or name is None else msgspec.structs.replace(self, name=name)


class Caller(Struct, frozen=True):
    """The server side of a request: the project secret (all scopes), an API key, or an operator of the console."""

    scopes: tuple[KeyScope, ...]
    key: str | None = None
    operator: str | None = None  # the name of an operator
    role: str | None = None  # the role of an operator
    tenants: tuple[str, ...] | None = None  # tenants that it is restricted to; None: all
    is_verified: bool = True  # False: the operator must type its password again for sensitive operations
    must_enrol: bool = False  # the operator must set up a second factor first
