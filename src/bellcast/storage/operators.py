"""Operators of the console, their sessions, failed sign-ins, and the audit."""

import secrets

from msgspec.structs import asdict

from bellcast.model.operators import AuditEntry, Operator, OperatorSession, Role
from bellcast.storage import rows
from bellcast.storage.commit.command import LockKey, ScriptCommand
from bellcast.storage.engine import Engine
from bellcast.storage.script import Row, Script, Statement, fetch

# Sorts after every id.
NEWEST = "~"
FAILURE_ID_BYTES = 8
# Serializes the writers that depend on the number of owners. No recipient has such a key.
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

    async def create(self, operator: Operator, password: str) -> bool:
        return bool(await self._write(_insert(operator, password)))

    async def all(self) -> list[Operator]:
        return [_operator(row) for row in await self._engine.read(fetch, Statement("operator_all"))]

    async def find(self, name: str) -> tuple[Operator, str] | None:
        found = await self._engine.read(fetch, Statement("operator_named", {"name": name}))
        return (_operator(found[0][:-1]), str(found[0][-1])) if found else None

    async def get(self, id: str) -> Operator | None:
        found = await self._engine.read(fetch, Statement("operator_find", {"id": id}))
        return _operator(found[0]) if found else None

    async def change(self, id: str, role: Role | None, password: str | None) -> bool | None:
        return await self._engine.write(ScriptCommand(lambda: _change(id, role, password), LOCK))

    async def delete(self, id: str) -> bool | None:
        return await self._engine.write(ScriptCommand(lambda: _delete(id), LOCK))

    async def start_session(self, digest: bytes, operator: str, now: int) -> None:
        await self._engine.write(ScriptCommand(lambda: _start_session(digest, operator, now), []))

    async def session(self, digest: bytes) -> OperatorSession | None:
        found = await self._engine.read(fetch, Statement("operator_session_find", {"digest": digest}))
        if not found:
            return None
        created_at, seen_at, *operator = found[0]
        return OperatorSession(
            digest=digest, operator=_operator(tuple(operator)), created_at=created_at, seen_at=seen_at
        )

    async def touch_session(self, digest: bytes, now: int) -> None:
        await self._write(Statement("operator_session_touch", {"digest": digest, "now": now}))

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

    async def record(self, entry: AuditEntry) -> None:
        await self._write(Statement("audit_insert", asdict(entry)))

    async def audit(self, before: str, limit: int) -> list[AuditEntry]:
        page = Statement("audit_page", {"before": before or NEWEST, "limit": limit})
        return [_audit_entry(row) for row in await self._engine.read(fetch, page)]

    async def sweep(self, *, sessions_before: int, failures_before: int, audit_before: int, limit: int) -> int:
        deleted = [
            await self._write(Statement(name, {"before": before, "limit": limit}))
            for name, before in (
                ("operator_sessions_sweep", sessions_before),
                ("sign_in_failures_sweep", failures_before),
                ("audit_sweep", rows.uuid7_floor(audit_before)),
            )
        ]
        return max(map(len, deleted))

    async def _write(self, statement: Statement) -> list[Row]:
        return await self._engine.write(ScriptCommand(lambda: fetch(statement), []))


def _insert(operator: Operator, password: str) -> Statement:
    params = asdict(operator) | {"password": password}
    del params["seen_at"]
    return Statement("operator_insert", params)


def _add_setup_code(digest: bytes, expires_at: int, now: int) -> Script[bool]:
    if (yield Statement("operator_owner")):
        return False
    yield Statement("setup_codes_expire", {"now": now})
    yield Statement("setup_code_insert", {"digest": digest, "expires_at": expires_at})
    return True


def _use_setup_code(digest: bytes, owner: Operator, password: str, now: int) -> Script[bool]:
    used = yield Statement("setup_code_use", {"digest": digest, "now": now})
    if not used or (yield Statement("operator_owner")):
        return False
    yield Statement("setup_codes_end")
    return bool((yield _insert(owner, password)))


def _change(id: str, role: Role | None, password: str | None) -> Script[bool | None]:
    current = yield Statement("operator_role", {"id": id})
    if not current:
        return None
    if role is not None and not (yield from _may_have_role(current[0][0], role)):
        return False
    if role is not None:
        yield Statement("operator_change_role", {"id": id, "role": role})
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
    yield Statement("operator_sessions_end", {"id": id})
    return True


def _may_have_role(current: str, role: Role | None) -> Script[bool]:
    """Whether an operator may have another role, or none: the last owner may not."""
    if current != "owner" or role == "owner":
        return True
    return len((yield Statement("operator_owners"))) > 1


def _start_session(digest: bytes, operator: str, now: int) -> Script[None]:
    yield Statement("operator_session_insert", {"digest": digest, "operator": operator, "now": now})
    yield Statement("operator_signed_in", {"id": operator, "now": now})


def _operator(row: Row) -> Operator:
    id, name, role, created_at, seen_at = row
    return Operator(id=id, name=name, role=role, created_at=created_at, seen_at=seen_at)


def _audit_entry(row: Row) -> AuditEntry:
    id, at, operator, role, action, target, outcome, address, request_id = row
    return AuditEntry(
        id=id,
        at=at,
        operator=operator,
        role=role,
        action=action,
        target=target,
        outcome=outcome,
        address=address,
        request_id=request_id,
    )
