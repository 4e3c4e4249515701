"""Operators of the console, their sessions, passkeys and recovery codes, and failed sign-ins."""

import secrets

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from bellcast.kernel.db import columns
from bellcast.kernel.db.engine import StoreTable, on_table, read, write
from bellcast.kernel.db.script import AFTER_ALL_KEYS, LockKey, Row, Script, Statement, first
from bellcast.kernel.errors import Conflict
from bellcast.operators.types import Operator, OperatorSession, Passkey, Role

FAILURE_ID_BYTES = 8
# Serializes writers that depend on the number of owners. No recipient can have this key.
LOCK: LockKey = ("", "\x01operators")


def _replace_recovery_codes(id: str, digests: list[bytes]) -> Script[None]:
    yield Statement("recovery_codes_end", {"operator": id})
    if (yield Statement("operator_role", {"id": id})):  # else it was deleted since its request began
        yield Statement("recovery_code_insert", many=[{"digest": digest, "operator": id} for digest in digests])


class Operators(StoreTable):
    """Stores operators. Only hashes of passwords and digests of codes and session tokens are stored. Times are UTC
    milliseconds."""

    @read
    def has_owner(self) -> Script[bool]:
        return bool((yield Statement("operator_owner")))

    @write(LOCK)
    def add_setup_code(self, digest: bytes, expires_at: int, now: int) -> Script[bool]:
        """Store the digest of a setup code, unless an owner exists; return whether it was stored. Expired codes and
        failures of subjects that begin with `setup:` are deleted."""
        if (yield Statement("operator_owner")):
            return False
        yield Statement("setup_codes_expire", {"now": now})
        yield Statement("setup_failures_clear", {"first": "setup:", "last": "setup:" + AFTER_ALL_KEYS})
        yield Statement("setup_code_insert", {"digest": digest, "expires_at": expires_at})
        return True

    @write(LOCK)
    def use_setup_code(self, digest: bytes, owner: Operator, password: str, now: int) -> Script[bool]:
        """Create the first owner and delete all setup codes, if the code is valid and no owner exists. Of concurrent
        calls at most one succeeds. Raises Conflict if the name is taken; then the codes stay valid."""
        used = yield Statement("setup_code_use", {"digest": digest, "now": now})
        if not used or (yield Statement("operator_owner")):
            return False
        if not (yield _insert(owner, password)):
            raise Conflict("An operator with this name already exists.")
        yield Statement("setup_codes_end")
        return True

    @write(LOCK)
    def create(self, operator: Operator, password: str, limit: int | None = None) -> Script[bool | None]:
        """Store an operator; return False if the name or the subject is taken, None if there are `limit` operators."""
        if limit is not None and len((yield Statement("operator_all"))) >= limit:
            return None
        return bool((yield _insert(operator, password)))

    @read
    def all(self) -> Script[list[Operator]]:
        """Return the operators by name."""
        return [_operator(row) for row in (yield Statement("operator_all"))]

    @read
    def find(self, name: str) -> Script[tuple[Operator, str] | None]:
        """Return the operator of this name with the hash of its password."""
        found = yield Statement("operator_named", {"name": name})
        return (_operator(found[0][:-1]), str(found[0][-1])) if found else None

    @read
    def get(self, id: str) -> Script[Operator | None]:
        return first(Statement("operator_find", {"id": id}), _operator)

    @read
    def of_subject(self, subject: str) -> Script[Operator | None]:
        """Return the operator with this subject at an identity provider."""
        return first(Statement("operator_of_subject", {"subject": subject}), _operator)

    @write()
    def use_sign_in(self, digest: bytes, expires_at: int, now: int) -> Script[bool]:
        """Record that a sign-in returned from the identity provider, until it expires; return False if it returned before."""
        yield Statement("used_sign_ins_expire", {"now": now})
        return bool((yield Statement("sign_in_use", {"digest": digest, "expires_at": expires_at})))

    @write(LOCK)
    def change(
        self,
        id: str,
        role: Role | None,
        password: str | None,
        tenants: tuple[str, ...] | UnsetType | None = UNSET,
        *,
        role_before: Role | None = None,
        password_before: str | None = None,
    ) -> Script[bool | None]:
        """Change role, password hash and tenants together. A new password ends all sessions of the operator. An owner
        always has all tenants. Return None for an unknown operator, False if the last owner would lose the role; then
        nothing changes. Raises Conflict if the stored role or password hash differs from the one given: the caller's
        checks were made for another state."""
        current = yield from _current(id, role_before, password_before)
        if current is None:
            return None
        if role is not None and not (yield from _may_have_role(current[0], role)):
            return False
        if role is not None:
            yield Statement("operator_change_role", {"id": id, "role": role})
        if not isinstance(tenants, UnsetType):
            yield Statement("operator_change_tenants", {"id": id, "tenants": _tenants(tenants)})
        if password is not None:
            yield Statement("operator_change_password", {"id": id, "password": password})
            yield Statement("operator_sessions_end", {"id": id})
        return True

    @write(LOCK)
    def delete(self, id: str, *, role_before: Role | None = None) -> Script[bool | None]:
        """Delete an operator and its sessions. None for an unknown operator, False for the last owner. Raises Conflict as
        `change`."""
        current = yield from _current(id, role_before)
        if current is None:
            return None
        if not (yield from _may_have_role(current[0], None)):
            return False
        yield Statement("operator_delete", {"id": id})
        yield Statement("recovery_codes_end", {"operator": id})
        yield Statement("passkeys_end", {"operator": id})
        yield Statement("operator_sessions_end", {"id": id})
        return True

    @write(LOCK)
    def start_session(
        self,
        digest: bytes,
        operator: str,
        now: int,
        verified_at: int,
        password: str | None = None,
        user_agent: str | None = None,
    ) -> Script[bool]:
        """Store a session, and record the sign-in of its operator, who last authenticated at `verified_at`. Return False
        if the operator was deleted, or its password hash is no longer `password`: a new password ends all sessions."""
        current = yield Statement("operator_role", {"id": operator})
        if not current or password not in (None, current[0][1]):
            return False
        session = {"digest": digest, "operator": operator, "now": now, "verified_at": verified_at}
        yield Statement("operator_session_insert", session | {"user_agent": user_agent})
        yield Statement("operator_signed_in", {"id": operator, "now": now})
        return True

    @read
    def count_sessions(self, since: int) -> Script[dict[str, int]]:
        """Return the number of sessions used after this time, by the id of the operator."""
        return dict((yield Statement("operator_sessions_count", {"since": since})))

    @write(LOCK)
    def end_sessions(self, id: str, *, role_before: Role | None = None) -> Script[None]:
        """Delete all sessions of an operator. Raises Conflict as `change`."""
        yield from _current(id, role_before)
        yield Statement("operator_sessions_end", {"id": id})

    @read
    def session(self, digest: bytes) -> Script[OperatorSession | None]:
        found = yield Statement("operator_session_find", {"digest": digest})
        if not found:
            return None
        return _session(digest, _operator(tuple(found[0][3:])), (*found[0][:3], None))

    @read
    def sessions_of(
        self, operator: Operator, created_since: int, seen_since: int, own: bytes, limit: int
    ) -> Script[list[OperatorSession]]:
        """Return the sessions of an operator created and used after these times: that with the digest `own`, then the last
        used."""
        times = {"created_since": created_since, "seen_since": seen_since}
        found = yield Statement("operator_sessions_of", {"operator": operator.id, **times, "own": own, "limit": limit})
        return [_session(bytes(digest), operator, tuple(rest)) for digest, *rest in found]

    @write()
    def touch_session(self, digest: bytes, now: int) -> Script[None]:
        """Record that a session is used."""
        yield Statement("operator_session_touch", {"digest": digest, "now": now})

    @write()
    def verify_session(self, digest: bytes, now: int) -> Script[None]:
        """Record that the password was typed in a session."""
        yield Statement("operator_session_verify", {"digest": digest, "now": now})

    @read
    def mfa_secrets(self, id: str) -> Script[tuple[str | None, str | None]]:
        """Return the encrypted secrets of an authenticator app: the one in use, and one that is not confirmed yet."""
        found = yield Statement("operator_mfa", {"id": id})
        return (found[0][0], found[0][1]) if found else (None, None)

    @write()
    def begin_mfa(self, id: str, pending: str) -> Script[None]:
        """Store a new secret that is not confirmed yet."""
        yield Statement("operator_mfa_begin", {"id": id, "pending": pending})

    @write(LOCK)
    def confirm_mfa(self, id: str, pending: str, step: int, recovery_codes: list[bytes]) -> Script[bool]:
        """Activate the pending secret and these recovery codes. Return False if another secret is pending."""
        if not (yield Statement("operator_mfa_confirm", {"id": id, "pending": pending, "step": step})):
            return False
        yield from _replace_recovery_codes(id, recovery_codes)
        return True

    @write()
    def use_mfa_step(self, id: str, step: int) -> Script[bool]:
        """Accept the code of a period; return False if this or a later one was accepted before."""
        return bool((yield Statement("operator_mfa_use", {"id": id, "step": step})))

    @write()
    def begin_email(self, id: str, pending: str | None) -> Script[None]:
        """Store an encrypted address that is not confirmed yet; None withdraws it."""
        yield Statement("operator_email_begin", {"id": id, "pending": pending})

    @read
    def pending_email(self, id: str) -> Script[str | None]:
        found = yield Statement("operator_email_pending", {"id": id})
        return found[0][0] if found else None

    @write()
    def confirm_email(self, id: str, pending: str, email: str) -> Script[bool]:
        """Use an address instead of `pending`; return False if that has changed."""
        return bool((yield Statement("operator_email_confirm", {"id": id, "pending": pending, "email": email})))

    @write()
    def end_email(self, id: str) -> Script[None]:
        yield Statement("operator_email_end", {"id": id})

    @write()
    def use_recovery_code(self, id: str, digest: bytes) -> Script[bool]:
        """Delete a recovery code; return whether it existed."""
        return bool((yield Statement("recovery_code_use", {"operator": id, "digest": digest})))

    replace_recovery_codes = write(LOCK)(on_table(_replace_recovery_codes))

    @write(LOCK)
    def end_mfa(self, id: str, *, with_passkeys: bool, role_before: Role | None = None) -> Script[bool]:
        """Delete the secrets, recovery codes and passkeys; return whether the operator exists. Raises Conflict as `change`."""
        yield from _current(id, role_before)
        if with_passkeys:
            yield Statement("passkeys_end", {"operator": id})
        yield Statement("recovery_codes_end", {"operator": id})
        return bool((yield Statement("operator_mfa_end", {"id": id})))

    @read
    def passkeys(self, operator: str) -> Script[list[Passkey]]:
        """Return the passkeys of an operator, oldest first."""
        found = yield Statement("passkeys_of", {"operator": operator})
        return [_passkey(row) for row in found]

    @read
    def passkey_of(self, credential: bytes) -> Script[Passkey | None]:
        """Return the passkey with this credential id."""
        return first(Statement("passkey_of_credential", {"credential": credential}), _passkey)

    @write(LOCK)
    def add_passkey(self, passkey: Passkey, limit: int) -> Script[bool | None]:
        """Store a passkey. Return False if it is already stored or the operator was deleted, None if the operator already has
        `limit` passkeys."""
        if not (yield Statement("operator_role", {"id": passkey.operator})):
            return False
        if len((yield Statement("passkeys_of", {"operator": passkey.operator}))) >= limit:
            return None
        params = asdict(passkey)
        del params["used_at"]
        return bool((yield Statement("passkey_insert", params)))

    @write()
    def use_passkey(self, id: str, counter: int, now: int) -> Script[bool]:
        """Record a sign-in. Return False if the counter is not larger than at the last sign-in, unless both are 0."""
        return bool((yield Statement("passkey_use", {"id": id, "counter": counter, "now": now})))

    @write()
    def delete_passkey(self, operator: str, id: str) -> Script[bool]:
        return bool((yield Statement("passkey_delete", {"operator": operator, "id": id})))

    @write()
    def end_session(self, digest: bytes) -> Script[None]:
        yield Statement("operator_session_end", {"digest": digest})

    @write()
    def end_session_of(self, operator: Operator, digest: bytes) -> Script[OperatorSession | None]:
        """Delete a session of an operator; return it, or None if the operator has none with this digest."""
        found = yield Statement("operator_session_end_of", {"operator": operator.id, "digest": digest})
        return _session(digest, operator, found[0]) if found else None

    @write()
    def add_failure(self, subjects: list[str], now: int) -> Script[list[str]]:
        """Record a failed sign-in for each subject, such as an account or an address; return their ids."""
        failures = [{"subject": subject, "id": secrets.token_hex(FAILURE_ID_BYTES), "at": now} for subject in subjects]
        yield Statement("sign_in_failure_insert", many=failures)
        return [str(failure["id"]) for failure in failures]

    @write()
    def remove_failure(self, id: str) -> Script[None]:
        """Delete a failure that is none."""
        yield Statement("sign_in_failure_delete", {"id": id})

    @read
    def failures(self, subject: str, now: int, period: int) -> Script[tuple[int, int]]:
        """Return the number of failures of the last `period` milliseconds, and the time of the latest, 0 without failures. Later
        ones than such a period from now on are those of a clock that was ahead, and do not count."""
        params = {"subject": subject, "since": now - period, "until": now + period}
        ((count, latest),) = yield Statement("sign_in_failures_of", params)
        return count, latest or 0

    @write()
    def clear_failures(self, subject: str) -> Script[None]:
        yield Statement("sign_in_failures_clear", {"subject": subject})

    @write()
    def sweep(self, sessions_before: int, failures_before: int, limit: int) -> Script[int]:
        """Delete old sessions and failures, at most `limit` of each; return the larger number."""
        sessions = yield Statement("operator_sessions_sweep", {"before": sessions_before, "limit": limit})
        failures = yield Statement("sign_in_failures_sweep", {"before": failures_before, "limit": limit})
        return max(len(sessions), len(failures))


def _insert(operator: Operator, password: str) -> Statement:
    params = asdict(operator) | {"password": password, "tenants": _tenants(operator.tenants)}
    del params["seen_at"], params["has_app"], params["passkeys"], params["email"]
    return Statement("operator_insert", params)


def _tenants(tenants: tuple[str, ...] | None) -> str | None:
    return None if tenants is None else columns.to_json(tenants)


def _current(id: str, role_before: Role | None, password_before: str | None = None) -> Script[Row | None]:
    """Return the role and the password hash of an operator, None for an unknown one. Raises Conflict if the role or the hash is
    not the one before, for which the caller's rights were checked."""
    found = yield Statement("operator_role", {"id": id})
    if found and (role_before not in (None, found[0][0]) or password_before not in (None, found[0][1])):
        raise Conflict("The operator was changed in the meantime: try again.")
    return found[0] if found else None


def _may_have_role(current: str, role: Role | None) -> Script[bool]:
    """Return whether an operator may lose its role: the last owner may not."""
    if current != "owner" or role == "owner":
        return True
    return len((yield Statement("operator_owners"))) > 1


def _session(digest: bytes, operator: Operator, rest: Row) -> OperatorSession:
    created_at, seen_at, verified_at, user_agent = rest
    return OperatorSession(
        digest=digest,
        operator=operator,
        created_at=created_at,
        seen_at=seen_at,
        verified_at=verified_at,
        user_agent=user_agent,
    )


_operator = columns.reader(
    Operator,
    "id name role tenants created_at seen_at has_app subject passkeys email",
    tenants=columns.texts_or_null,
    has_app=bool,
)

_passkey = columns.reader(
    Passkey,
    "id operator credential public_key name counter created_at used_at",
    credential=bytes,
    public_key=bytes,
)
