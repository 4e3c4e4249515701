"""Objects that the app defines by key, as JSON."""

from bellcast.ports.documents import AuditRecord, Document
from bellcast.ports.list_scan import CreatedRange
from bellcast.storage import audit
from bellcast.storage.commit.command import ScriptCommand
from bellcast.storage.engine import Engine
from bellcast.storage.script import Params, Script, Statement, fetch


class Documents:
    """ports.Documents on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def get(self, kind: str, tenant: str, key: str) -> Document | None:
        params = {"kind": kind, "tenant": tenant, "key": key}
        found = await self._engine.read(fetch, Statement("document_find", params))
        return _document(key, *found[0]) if found else None

    async def page(self, kind: str, tenant: str, after: str, limit: int) -> list[Document]:
        params = {"kind": kind, "tenant": tenant, "after": after, "limit": limit}
        return [_document(*row) for row in await self._engine.read(fetch, Statement("documents_page", params))]

    async def newest(self, kind: str, tenant: str, before: str, created: CreatedRange, limit: int) -> list[Document]:
        params = {"kind": kind, "tenant": tenant, "before": before, "limit": limit, **created._asdict()}
        return [_document(*row) for row in await self._engine.read(fetch, Statement("documents_newest", params))]

    async def of_all_tenants(self, kind: str, after: tuple[str, str], limit: int) -> list[tuple[str, Document]]:
        params = {"kind": kind, "after_tenant": after[0], "after": after[1], "limit": limit}
        found = await self._engine.read(fetch, Statement("documents_of_all_tenants", params))
        return [(tenant, _document(*row)) for tenant, *row in found]

    async def put(self, kind: str, tenant: str, key: str, body: bytes, now: int) -> tuple[Document, bool]:
        return await self._engine.write(ScriptCommand(lambda: _put(kind, tenant, key, body, now), []))

    async def change(
        self, kind: str, tenant: str, key: str, before: bytes | None, after: bytes | None, now: int
    ) -> bool:
        name = {"kind": kind, "tenant": tenant, "key": key}
        return await self._engine.write(ScriptCommand(lambda: _change(name, before, after, now), []))

    async def revise(
        self,
        kind: str,
        tenant: str,
        key: str,
        before: bytes | None,
        after: bytes,
        revision: tuple[str, str, bytes],
        record: AuditRecord | None,
        now: int,
    ) -> bool:
        name = {"kind": kind, "tenant": tenant, "key": key}
        revision_kind, revision_key, body = revision
        written = {"kind": revision_kind, "tenant": tenant, "key": revision_key, "body": body.decode(), "now": now}

        def script() -> Script[bool]:
            if not (yield from _change(name, before, after, now)):
                return False
            yield Statement("document_write", written)
            if record is not None:
                yield from audit.append(record.entry, record.sign)
            return True

        return await self._engine.write(ScriptCommand(script, audit.LOCK))

    async def delete(self, kind: str, tenant: str, key: str) -> bool:
        statement = Statement("document_delete", {"kind": kind, "tenant": tenant, "key": key})
        return bool(await self._engine.write(ScriptCommand(lambda: fetch(statement), [])))


def hold(kind: str, tenant: str, key: str, body: bytes) -> Script[bool]:
    """Lock an object until the transaction ends; return whether it has this body."""
    params = {"kind": kind, "tenant": tenant, "key": key, "body": body.decode()}
    return bool((yield Statement("document_lock", params)))


def _change(name: Params, before: bytes | None, after: bytes | None, now: int) -> Script[bool]:
    if before is None:
        body = "" if after is None else after.decode()
        return bool((yield Statement("document_create", {**name, "body": body, "now": now})))
    if not (yield Statement("document_lock", {**name, "body": before.decode()})):
        return False
    if after is None:
        yield Statement("document_delete", name)
    else:
        yield Statement("document_write", {**name, "body": after.decode(), "now": now})
    return True


def _put(kind: str, tenant: str, key: str, body: bytes, now: int) -> Script[tuple[Document, bool]]:
    name = {"kind": kind, "tenant": tenant, "key": key}
    is_new = not (yield Statement("document_find", name))
    ((created_at, updated_at),) = yield Statement("document_write", {**name, "body": body.decode(), "now": now})
    return Document(key, body, created_at, updated_at), is_new


def _document(key: str, body: str, created_at: int, updated_at: int) -> Document:
    return Document(key, body.encode(), created_at, updated_at)
