"""Operators of the console, their sessions, failed sign-ins, and the audit log."""

import secrets
from collections.abc import Callable
from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from bellcast.errors import Conflict
from bellcast.model.audit import AuditEntry
from bellcast.model.operators import MfaSecrets, Operator, OperatorSession, Passkey, Role
from bellcast.ports.messages import NEWEST
from bellcast.storage import audit, rows
from bellcast.storage.commit.command import LockKey, ScriptCommand
from bellcast.storage.engine import Engine
from bellcast.storage.script import AFTER_ALL_KEYS, Row, Script, Statement, fetch

FAILURE_ID_BYTES = 8
# Serializes writers that depend on the number of owners. No recipient can have this key.
LOCK: list[LockKey] = [("", "\x01operators")]


class Operators:
    """ports.Operators on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def has_owner(self) -> bool:
        return bool(await self._engine.read(fetch, Statement("operator_owner")))

    async def add_setup_code(self, digest: bytes, expires_at: int, now: int) -> bool:
        return await self._engine.write(ScriptCommand(lambda: _add_setup_code(digest, expires_at, now), LOCK))

    async def use_setup_code(self, digest: bytes, owner: Operator, password: str, now: int) -> bool:
        return await self._engine.write(ScriptCommand(lambda: _use_setup_code(digest, owner, password, now), LOCK))

    async def create(self, operator: Operator, password: str, limit: int | None = None) -> bool | None:
        return await self._engine.write(ScriptCommand(lambda: _create(operator, password, limit), LOCK))

    async def all(self) -> list[Operator]:
        return [_operator(row) for row in await self._engine.read(fetch, Statement("operator_all"))]

    async def find(self, name: str) -> tuple[Operator, str] | None:
        found = await self._engine.read(fetch, Statement("operator_named", {"name": name}))
        return (_operator(found[0][:-1]), str(found[0][-1])) if found else None

    async def get(self, id: str) -> Operator | None:
        found = await self._engine.read(fetch, Statement("operator_find", {"id": id}))
        return _operator(found[0]) if found else None

    async def of_subject(self, subject: str) -> Operator | None:
        found = await self._engine.read(fetch, Statement("operator_of_subject", {"subject": subject}))
        return _operator(found[0]) if found else None

    async def use_sign_in(self, digest: bytes, expires_at: int, now: int) -> bool:
        return await self._engine.write(ScriptCommand(lambda: _use_sign_in(digest, expires_at, now), []))

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
        before = (role_before, password_before)
        return await self._engine.write(ScriptCommand(lambda: _change(id, role, password, tenants, before), LOCK))

    async def delete(self, id: str) -> bool | None:
        return await self._engine.write(ScriptCommand(lambda: _delete(id), LOCK))

    async def start_session(
        self, digest: bytes, operator: str, now: int, verified_at: int, password: str | None = None
    ) -> bool:
        session = {"digest": digest, "operator": operator, "now": now, "verified_at": verified_at}
        return await self._engine.write(ScriptCommand(lambda: _start_session(session, password), LOCK))

    async def count_sessions(self, since: int) -> dict[str, int]:
        return dict(await self._engine.read(fetch, Statement("operator_sessions_count", {"since": since})))

    async def end_sessions(self, operator: str) -> None:
        await self._write(Statement("operator_sessions_end", {"id": operator}))

    async def session(self, digest: bytes) -> OperatorSession | None:
        found = await self._engine.read(fetch, Statement("operator_session_find", {"digest": digest}))
        if not found:
            return None
        created_at, seen_at, verified_at, *operator = found[0]
        return OperatorSession(
            digest=digest,
            operator=_operator(tuple(operator)),
            created_at=created_at,
            seen_at=seen_at,
            verified_at=verified_at,
        )

    async def touch_session(self, digest: bytes, now: int) -> None:
        await self._write(Statement("operator_session_touch", {"digest": digest, "now": now}))

    async def verify_session(self, digest: bytes, now: int) -> None:
        await self._write(Statement("operator_session_verify", {"digest": digest, "now": now}))

    async def mfa_secrets(self, id: str) -> MfaSecrets:
        found = await self._engine.read(fetch, Statement("operator_mfa", {"id": id}))
        return MfaSecrets(*found[0]) if found else MfaSecrets(None, None)

    async def begin_mfa(self, id: str, pending: str) -> None:
        await self._write(Statement("operator_mfa_begin", {"id": id, "pending": pending}))

    async def confirm_mfa(self, id: str, pending: str, step: int, recovery_codes: list[bytes]) -> bool:
        return await self._engine.write(ScriptCommand(lambda: _confirm_mfa(id, pending, step, recovery_codes), LOCK))

    async def use_mfa_step(self, id: str, step: int) -> bool:
        return bool(await self._write(Statement("operator_mfa_use", {"id": id, "step": step})))

    async def use_recovery_code(self, id: str, digest: bytes) -> bool:
        return bool(await self._write(Statement("recovery_code_use", {"operator": id, "digest": digest})))

    async def replace_recovery_codes(self, id: str, digests: list[bytes]) -> None:
        await self._engine.write(ScriptCommand(lambda: _replace_recovery_codes(id, digests), LOCK))

    async def end_mfa(self, id: str, *, with_passkeys: bool) -> bool:
        return await self._engine.write(ScriptCommand(lambda: _end_mfa(id, with_passkeys=with_passkeys), LOCK))

    async def passkeys(self, operator: str) -> list[Passkey]:
        found = await self._engine.read(fetch, Statement("passkeys_of", {"operator": operator}))
        return [_passkey(row) for row in found]

    async def passkey_of(self, credential: bytes) -> Passkey | None:
        found = await self._engine.read(fetch, Statement("passkey_of_credential", {"credential": credential}))
        return _passkey(found[0]) if found else None

    async def add_passkey(self, passkey: Passkey, limit: int) -> bool | None:
        return await self._engine.write(ScriptCommand(lambda: _add_passkey(passkey, limit), LOCK))

    async def use_passkey(self, id: str, counter: int, now: int) -> bool:
        return bool(await self._write(Statement("passkey_use", {"id": id, "counter": counter, "now": now})))

    async def delete_passkey(self, operator: str, id: str) -> bool:
        return bool(await self._write(Statement("passkey_delete", {"operator": operator, "id": id})))

    async def end_session(self, digest: bytes) -> None:
        await self._write(Statement("operator_session_end", {"digest": digest}))

    async def add_failure(self, subjects: list[str], now: int) -> None:
        failures = [{"subject": subject, "id": secrets.token_hex(FAILURE_ID_BYTES), "at": now} for subject in subjects]
        await self._write(Statement("sign_in_failure_insert", many=failures))

    async def failures(self, subject: str, since: int) -> tuple[int, int]:
        ((count, latest),) = await self._engine.read(
            fetch, Statement("sign_in_failures_of", {"subject": subject, "since": since})
        )
        return count, latest or 0

    async def clear_failures(self, subject: str) -> None:
        await self._write(Statement("sign_in_failures_clear", {"subject": subject}))

    async def record(self, entry: AuditEntry, sign: Callable[[AuditEntry], bytes]) -> None:
        await self._engine.write(ScriptCommand(lambda: audit.append(entry, sign), audit.LOCK))

    async def audit(
        self, before: str, limit: int, *, since: int = 0, until: int | None = None, tenant: str | None = None
    ) -> list[AuditEntry]:
        params = {**rows.id_range(before or NEWEST, since, until), "limit": limit, "tenant": tenant}
        page = Statement("audit_page" if tenant is None else "audit_page_of_tenant", params)
        return [audit.entry_of(row) for row in await self._engine.read(fetch, page)]

    async def count_audit(
        self, limit: int, *, since: int = 0, until: int | None = None, tenant: str | None = None
    ) -> int:
        params = {**rows.id_range(NEWEST, since, until), "limit": limit, "tenant": tenant}
        count = Statement("audit_total" if tenant is None else "audit_total_of_tenant", params, heavy=True)
        ((number,),) = await self._engine.read_in_background(fetch, count)
        return int(number)

    async def audit_chain(self, after: int, limit: int) -> list[AuditEntry]:
        page = Statement("audit_chain", {"after": after, "limit": limit})
        return [audit.entry_of(row) for row in await self._engine.read(fetch, page)]

    async def audit_head(self) -> tuple[int, bytes]:
        return audit.head_of(await self._engine.read(fetch, Statement("audit_head")))

    async def sweep(self, *, sessions_before: int, failures_before: int, audit_before: int, limit: int) -> int:
        deleted = [
            await self._write(Statement(name, {"before": before, "limit": limit}))
            for name, before in (
                ("operator_sessions_sweep", sessions_before),
                ("sign_in_failures_sweep", failures_before),
            )
        ]
        deleted.append(await self._engine.write(ScriptCommand(lambda: audit.sweep(audit_before, limit), audit.LOCK)))
        return max(map(len, deleted))

    async def _write(self, statement: Statement) -> list[Row]:
        return await self._engine.write(ScriptCommand(lambda: fetch(statement), []))


def _insert(operator: Operator, password: str) -> Statement:
    params = asdict(operator) | {"password": password, "tenants": _tenants(operator.tenants)}
    del params["seen_at"], params["has_app"], params["passkeys"]
    return Statement("operator_insert", params)


def _create(operator: Operator, password: str, limit: int | None) -> Script[bool | None]:
    if limit is not None and len((yield Statement("operator_all"))) >= limit:
        return None
    return bool((yield _insert(operator, password)))


def _add_setup_code(digest: bytes, expires_at: int, now: int) -> Script[bool]:
    if (yield Statement("operator_owner")):
        return False
    yield Statement("setup_codes_expire", {"now": now})
    yield Statement("setup_failures_clear", {"first": "setup:", "last": "setup:" + AFTER_ALL_KEYS})
    yield Statement("setup_code_insert", {"digest": digest, "expires_at": expires_at})
    return True


def _use_setup_code(digest: bytes, owner: Operator, password: str, now: int) -> Script[bool]:
    used = yield Statement("setup_code_use", {"digest": digest, "now": now})
    if not used or (yield Statement("operator_owner")):
        return False
    if not (yield _insert(owner, password)):
        raise Conflict("An operator with this name already exists.")
    yield Statement("setup_codes_end")
    return True


def _tenants(tenants: tuple[str, ...] | None) -> str | None:
    return None if tenants is None else rows.to_json(tenants)


def _change(
    id: str,
    role: Role | None,
    password: str | None,
    tenants: tuple[str, ...] | UnsetType | None,
    before: tuple[Role | None, str | None],
) -> Script[bool | None]:
    current = yield Statement("operator_role", {"id": id})
    if not current:
        return None
    if any(expected not in (None, stored) for expected, stored in zip(before, current[0], strict=True)):
        raise Conflict("The operator was changed in the meantime: try again.")
    if role is not None and not (yield from _may_have_role(current[0][0], role)):
        return False
    if role is not None:
        yield Statement("operator_change_role", {"id": id, "role": role})
    if not isinstance(tenants, UnsetType):
        yield Statement("operator_change_tenants", {"id": id, "tenants": _tenants(tenants)})
    if password is not None:
        yield Statement("operator_change_password", {"id": id, "password": password})
        yield Statement("operator_sessions_end", {"id": id})
    return True


def _delete(id: str) -> Script[bool | None]:
    current = yield Statement("operator_role", {"id": id})
    if not current:
        return None
    if not (yield from _may_have_role(current[0][0], None)):
        return False
    yield Statement("operator_delete", {"id": id})
    yield Statement("recovery_codes_end", {"operator": id})
    yield Statement("passkeys_end", {"operator": id})
    yield Statement("operator_sessions_end", {"id": id})
    return True


def _may_have_role(current: str, role: Role | None) -> Script[bool]:
    """Return whether an operator may lose its role: the last owner may not."""
    if current != "owner" or role == "owner":
        return True
    return len((yield Statement("operator_owners"))) > 1


def _confirm_mfa(id: str, pending: str, step: int, recovery_codes: list[bytes]) -> Script[bool]:
    if not (yield Statement("operator_mfa_confirm", {"id": id, "pending": pending, "step": step})):
        return False
    yield from _replace_recovery_codes(id, recovery_codes)
    return True


def _replace_recovery_codes(id: str, digests: list[bytes]) -> Script[None]:
    yield Statement("recovery_codes_end", {"operator": id})
    yield Statement("recovery_code_insert", many=[{"digest": digest, "operator": id} for digest in digests])


def _add_passkey(passkey: Passkey, limit: int) -> Script[bool | None]:
    if len((yield Statement("passkeys_of", {"operator": passkey.operator}))) >= limit:
        return None
    params = asdict(passkey)
    del params["used_at"]
    return bool((yield Statement("passkey_insert", params)))


def _end_mfa(id: str, *, with_passkeys: bool) -> Script[bool]:
    if with_passkeys:
        yield Statement("passkeys_end", {"operator": id})
    yield Statement("recovery_codes_end", {"operator": id})
    return bool((yield Statement("operator_mfa_end", {"id": id})))


def _use_sign_in(digest: bytes, expires_at: int, now: int) -> Script[bool]:
    yield Statement("used_sign_ins_expire", {"now": now})
    return bool((yield Statement("sign_in_use", {"digest": digest, "expires_at": expires_at})))


def _start_session(session: dict[str, Any], password: str | None) -> Script[bool]:
    current = yield Statement("operator_role", {"id": session["operator"]})
    if not current or password not in (None, current[0][1]):
        return False
    yield Statement("operator_session_insert", session)
    yield Statement("operator_signed_in", {"id": session["operator"], "now": session["now"]})
    return True


def _operator(row: Row) -> Operator:
    id, name, role, tenants, created_at, seen_at, has_app, subject, passkeys = row
    return Operator(
        id=id,
        name=name,
        role=role,
        tenants=rows.tenants(tenants),
        created_at=created_at,
        seen_at=seen_at,
        has_app=bool(has_app),
        subject=subject,
        passkeys=passkeys,
    )


def _passkey(row: Row) -> Passkey:
    id, operator, credential, public_key, name, counter, created_at, used_at = row
    return Passkey(
        id=id,
        operator=operator,
        credential=bytes(credential),
        public_key=bytes(public_key),
        name=name,
        counter=counter,
        created_at=created_at,
        used_at=used_at,
    )
