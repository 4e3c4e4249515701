"""Who is calling: the project, principals of recipients, and callers of the server side."""

import hmac
from functools import cached_property
from typing import Literal

import msgspec
from msgspec import Struct

KeyScope = Literal["send", "read", "manage", "observe", "configure", "admin", "agent"]
EVERY_TENANT = "*"
DEFAULT_TENANT = ""


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
    key: str | None = None  # the API key that created the session token

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
    expires_at: int | None = None  # of an API key, UTC milliseconds: what it creates ends with it
    is_verified: bool = True  # False: the operator must type its password again for sensitive operations
    must_enrol: bool = False  # the operator must set up a second factor first
