"""Operators of the console: roles, sessions, and the audit of their actions."""

from typing import Literal

from msgspec import Struct

from bellcast.model.identities import KeyScope

Role = Literal["owner", "developer", "support", "viewer"]
ROLES: tuple[Role, ...] = ("owner", "developer", "support", "viewer")
# A session ends 12 hours after its last request, and 7 days after sign-in: a stolen laptop does not stay signed in.
IDLE_MS = 12 * 3_600_000
SESSION_MS = 7 * 24 * 3_600_000
# Failed set-ups count for an hour, failed sign-ins for 15 minutes.
FAILURES_MS = 3_600_000
AUDIT_MS = 400 * 24 * 3_600_000
# Scopes of the roles in the REST API. A viewer has no scope: only operations that name the role are open to it.
SCOPES_OF_ROLE: dict[Role, tuple[KeyScope, ...]] = {
    "owner": ("send", "read", "manage", "observe", "configure", "admin"),
    "developer": ("send", "read", "manage", "observe", "configure"),
    "support": ("read", "observe"),
    "viewer": (),
}


class Operator(Struct, frozen=True, kw_only=True):
    """A person with access to the console. Times are UTC milliseconds."""

    id: str
    name: str
    role: Role
    created_at: int
    seen_at: int | None = None


class OperatorSession(Struct, frozen=True, kw_only=True):
    """A session of the console. Times are UTC milliseconds."""

    digest: bytes
    operator: Operator
    created_at: int
    seen_at: int


class AuditEntry(Struct, frozen=True, kw_only=True):
    """One action of an operator. `outcome` is `ok` or the code of the error."""

    id: str
    at: int
    operator: str
    role: Role | None
    action: str
    target: str
    outcome: str
    address: str | None
    request_id: str
