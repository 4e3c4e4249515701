"""Operators of the console, their sessions, failed sign-ins, and the audit log."""

from collections.abc import Callable
from typing import Protocol

from msgspec import UNSET, UnsetType

from bellcast.model.audit import AuditEntry
from bellcast.model.operators import MfaSecrets, Operator, OperatorSession, Passkey, Role


class Operators(Protocol):
    """Stores operators. Only hashes of passwords and digests of codes and session tokens are stored. Times are UTC
    milliseconds."""

    async def has_owner(self) -> bool: ...

    async def add_setup_code(self, digest: bytes, expires_at: int, now: int) -> bool:
        """Store the digest of a setup code, unless an owner exists; return whether it was stored. Expired codes and
        failures of subjects that begin with `setup:` are deleted."""
        ...

    async def use_setup_code(self, digest: bytes, owner: Operator, password: str, now: int) -> bool:
        """Create the first owner and delete all setup codes, if the code is valid and no owner exists. Of concurrent
        calls at most one succeeds. Raises Conflict if the name is taken; then the codes stay valid."""
        ...

    async def create(self, operator: Operator, password: str, limit: int | None = None) -> bool | None:
        """Store an operator; return False if the name or the subject is taken, None if there are `limit` operators."""
        ...

    async def all(self) -> list[Operator]:
        """Return the operators by name."""
        ...

    async def find(self, name: str) -> tuple[Operator, str] | None:
        """Return the operator of this name with the hash of its password."""
        ...

    async def get(self, id: str) -> Operator | None: ...

    async def of_subject(self, subject: str) -> Operator | None:
        """Return the operator with this subject at an identity provider."""
        ...

    async def use_sign_in(self, digest: bytes, expires_at: int, now: int) -> bool:
        """Record that a sign-in returned from the identity provider, until it expires; return False if it returned before."""
        ...

    async def change(
        self,
        id: str,
        role: Role | None,
        password: str | None,
        tenants: tuple[str, ...] | UnsetType | None = UNSET,
        *,
        role_before: Role | None = None,
        password_before: str | None = None,
    ) -> bool | None:
        """Change role, password hash and tenants together. A new password ends all sessions of the operator. An owner
        always has all tenants. Return None for an unknown operator, False if the last owner would lose the role; then
        nothing changes. Raises Conflict if the stored role or password hash differs from the one given: the caller's
        checks were made for another state."""
        ...

    async def delete(self, id: str) -> bool | None:
        """Delete an operator and its sessions. None for an unknown operator, False for the last owner."""
        ...

    async def start_session(
        self, digest: bytes, operator: str, now: int, verified_at: int, password: str | None = None
    ) -> bool:
        """Store a session, and record the sign-in of its operator, who last authenticated at `verified_at`. Return False
        if the operator was deleted, or its password hash is no longer `password`: a new password ends all sessions."""
        ...

    async def count_sessions(self, since: int) -> dict[str, int]:
        """Return the number of sessions used after this time, by the id of the operator."""
        ...

    async def end_sessions(self, operator: str) -> None:
        """Delete all sessions of an operator."""
        ...

    async def session(self, digest: bytes) -> OperatorSession | None: ...

    async def touch_session(self, digest: bytes, now: int) -> None:
        """Record that a session is used."""
        ...

    async def verify_session(self, digest: bytes, now: int) -> None:
        """Record that the password was typed in a session."""
        ...

    async def mfa_secrets(self, id: str) -> MfaSecrets: ...

    async def begin_mfa(self, id: str, pending: str) -> None:
        """Store a new secret that is not confirmed yet."""
        ...

    async def confirm_mfa(self, id: str, pending: str, step: int, recovery_codes: list[bytes]) -> bool:
        """Activate the pending secret and these recovery codes. Return False if another secret is pending."""
        ...

    async def use_mfa_step(self, id: str, step: int) -> bool:
        """Accept the code of a period; return False if this or a later one was accepted before."""
        ...

    async def use_recovery_code(self, id: str, digest: bytes) -> bool:
        """Delete a recovery code; return whether it existed."""
        ...

    async def replace_recovery_codes(self, id: str, digests: list[bytes]) -> None: ...

    async def end_mfa(self, id: str, *, with_passkeys: bool) -> bool:
        """Delete the secrets, recovery codes and passkeys; return whether the operator exists."""
        ...

    async def passkeys(self, operator: str) -> list[Passkey]:
        """Return the passkeys of an operator, oldest first."""
        ...

    async def passkey_of(self, credential: bytes) -> Passkey | None:
        """Return the passkey with this credential id."""
        ...

    async def add_passkey(self, passkey: Passkey, limit: int) -> bool | None:
        """Store a passkey. Return False if it is already stored, None if the operator already has `limit` passkeys."""
        ...

    async def use_passkey(self, id: str, counter: int, now: int) -> bool:
        """Record a sign-in. Return False if the counter is not larger than at the last sign-in, unless both are 0."""
        ...

    async def delete_passkey(self, operator: str, id: str) -> bool: ...

    async def end_session(self, digest: bytes) -> None: ...

    async def add_failure(self, subjects: list[str], now: int) -> None:
        """Record a failed sign-in for each subject, such as an account or an address."""
        ...

    async def failures(self, subject: str, since: int) -> tuple[int, int]:
        """Return the number of failures since a time, and the time of the latest, 0 without failures."""
        ...

    async def clear_failures(self, subject: str) -> None: ...

    async def record(self, entry: AuditEntry, sign: Callable[[AuditEntry], bytes]) -> None:
        """Append to the audit log. `sign` computes the `mac` of the entry from its number and the preceding `mac`.
        Entries of concurrent calls get consecutive numbers."""
        ...

    async def audit(
        self, before: str, limit: int, *, since: int = 0, until: int | None = None, tenant: str | None = None
    ) -> list[AuditEntry]:
        """Return entries with ids before `before` and times from `since` to before `until`, newest first. An empty
        `before` starts with the newest. With a tenant, only entries about it."""
        ...

    async def count_audit(
        self, limit: int, *, since: int = 0, until: int | None = None, tenant: str | None = None
    ) -> int:
        """Count these entries, up to the limit."""
        ...

    async def audit_chain(self, after: int, limit: int) -> list[AuditEntry]:
        """Return entries with numbers after `after`, in their order."""
        ...

    async def audit_head(self) -> tuple[int, bytes]:
        """Return the number and the `mac` of the newest entry; 0 and nothing without entries."""
        ...

    async def sweep(self, *, sessions_before: int, failures_before: int, audit_before: int, limit: int) -> int:
        """Delete old sessions, failures and audit entries, at most `limit` of each; return the largest
        number of one kind."""
        ...
