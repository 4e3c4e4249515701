"""Operators of the console: roles and sessions."""

from collections.abc import Collection
from typing import Literal

from msgspec import Struct

from bellcast.kernel.identities import KeyScope

Role = Literal["owner", "developer", "support", "viewer"]
ROLES: tuple[Role, ...] = ("owner", "developer", "support", "viewer")
# Roles for operations on one recipient, message, run or connection. Support has no scope for operations on several of
# them.
ONE_BY_ONE: tuple[Role, ...] = ("owner", "developer", "support")
# A session ends 12 hours after its last request, and 7 days after sign-in, so that a stolen laptop does not stay signed
# in.
IDLE_MS = 12 * 3_600_000
SESSION_MS = 7 * 24 * 3_600_000
MAX_LISTED_SESSIONS = 100  # of an operator
# Browsers send 70 to 200 characters, and the name of the browser is the last of them.
MAX_USER_AGENT = 256
# Limits access to secrets, operators and erasure from an unattended browser.
VERIFIED_MS = 10 * 60_000
# Failed set-ups count for an hour, failed sign-ins for 15 minutes.
FAILURES_MS = 3_600_000
# A code that confirms an e-mail: as long as a mail may take, and few guesses of a million.
EMAIL_CODE_MS, EMAIL_CODE_TRIES = 10 * 60_000, 5
# Codes, and tests of templates to oneself, in 10 minutes: an address must not be flooded.
EMAILS_MS, MAX_EMAIL_CODES, MAX_OWN_TESTS = 10 * 60_000, 5, 10
# Scopes of the roles in the REST API. A viewer has no scope: only operations that name the role are open to it.
SCOPES_OF_ROLE: dict[Role, tuple[KeyScope, ...]] = {
    "owner": ("send", "read", "manage", "observe", "configure", "admin", "agent"),
    "developer": ("send", "read", "manage", "observe", "configure", "agent"),
    "support": ("read", "observe"),
    "viewer": (),
}


class Operator(Struct, frozen=True, kw_only=True):
    """A person with access to the console. Times are UTC milliseconds."""

    id: str
    name: str
    role: Role
    tenants: tuple[str, ...] | None = None  # tenants that it is restricted to; None: all
    created_at: int
    seen_at: int | None = None
    has_app: bool = False  # an authenticator app
    subject: str | None = None  # issuer and subject at the operator's identity provider; None: it has a password
    passkeys: int = 0
    email: str | None = None  # confirmed

    @property
    def recipient(self) -> str:
        """The key under which messages to the operator are stored."""
        return f"operator:{self.name}"

    @property
    def has_mfa(self) -> bool:
        """Whether sign-in needs a second factor."""
        return self.has_app or self.passkeys > 0


class Passkey(Struct, frozen=True, kw_only=True):
    """A passkey of an operator: `credential` is the id that the authenticator chose, `public_key` its attested data
    (WebAuthn Level 2, 6.5.1). Times are UTC milliseconds."""

    id: str
    operator: str
    credential: bytes
    public_key: bytes
    name: str
    counter: int
    created_at: int
    used_at: int | None = None


class OperatorSession(Struct, frozen=True, kw_only=True):
    """A session of the console. Times are UTC milliseconds."""

    digest: bytes
    operator: Operator
    created_at: int
    seen_at: int
    verified_at: int  # when the operator last authenticated, here or at the identity provider
    user_agent: str | None  # of the sign-in; read only with the sessions of an operator

    @property
    def id(self) -> str:
        """A name for the session that opens nothing: the token cannot be derived from its digest."""
        return self.digest.hex()


# Implicit group of every user of the provider.
EVERY_USER = "*"
# After this time, people who were removed at the provider lose access without further action.
SESSION_SECONDS = 3_600.0


class OidcConfig(Struct, frozen=True, kw_only=True):
    """An OpenID Connect provider; without an issuer, none is used. `role_map` is a list such as admins=owner."""

    issuer: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    name: str | None = None
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    groups_claim: str = "groups"
    role_map: tuple[str, ...] = ()
    session: float = SESSION_SECONDS

    def role_of(self, groups: Collection[str]) -> Role | None:
        """Return the most powerful role of a user with these groups; None without a role."""
        roles = roles_by_group(self.role_map)
        found = {roles[group] for group in (EVERY_USER, *groups) if group in roles}
        return next((role for role in ROLES if role in found), None)


def roles_by_group(role_map: Collection[str]) -> dict[str, Role]:
    """Parse `group=role` entries. Raises ValueError for an unknown role or an empty group."""
    found: dict[str, Role] = {}
    for entry in role_map:
        group, _, name = entry.rpartition("=")
        role = next((one for one in ROLES if one == name.strip()), None)
        if role is None or not group.strip():
            raise ValueError(entry)
        found[group.strip()] = role
    return found
