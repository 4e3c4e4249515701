"""Objects that the app defines by key, as JSON."""

from bellcast.audit import store as audit
from bellcast.documents.types import AuditRecord, Document
from bellcast.kernel.db.list_scan import CreatedRange
from bellcast.kernel.db.lists import KeysetList, ListQuery
from bellcast.kernel.db.script import Params, Script, Statement
from bellcast.kernel.db.table import StoreTable, pages, read, write


def _document(key: str, body: str, created_at: int, updated_at: int) -> Document:
    return Document(key, body.encode(), created_at, updated_at)


LIST: KeysetList[tuple[str, Document]] = KeysetList(
    "documents", ("tenant", "key"), lambda row: (row[0], _document(*row[1:]))
)


class Documents(StoreTable):
    """Objects by kind, tenant and key. The tenant PROJECT holds the project's own."""

    @read
    def get(self, kind: str, tenant: str, key: str) -> Script[Document | None]:
        params = {"kind": kind, "tenant": tenant, "key": key}
        found = yield Statement("document_find", params)
        return _document(key, *found[0]) if found else None

    @read
    def page(self, kind: str, tenant: str, after: str, limit: int) -> Script[list[Document]]:
        """Return objects by key, after the key `after`."""
        query = ListQuery(tenants=[tenant], after=(tenant, after), limit=limit, filters={"kind": kind})
        return [document for _, document in (yield from LIST.page(query)).items]

    owned = pages(LIST)

    @read
    def newest(self, kind: str, tenant: str, before: str, created: CreatedRange, limit: int) -> Script[list[Document]]:
        """Return objects by key, the last first, before the key `before`, created in a time range."""
        params = {"kind": kind, "tenant": tenant, "before": before, "limit": limit, **created._asdict()}
        return [_document(*row) for row in (yield Statement("documents_newest", params))]

    @read
    def of_all_tenants(self, kind: str, after: tuple[str, str], limit: int) -> Script[list[tuple[str, Document]]]:
        """Return objects of the project and every tenant, each with its tenant, after the given tenant and key."""
        return (yield from LIST.page(ListQuery(after=after, limit=limit, filters={"kind": kind}))).items

    @read
    def count(self, kind: str, tenant: str, limit: int) -> Script[int]:
        """Count objects of a tenant, at most `limit`."""
        return len((yield Statement("documents_keys", {"kind": kind, "tenant": tenant, "limit": limit})))

    @write()
    def put(self, kind: str, tenant: str, key: str, body: bytes, now: int) -> Script[tuple[Document, bool]]:
        """Create or replace an object; return whether it is new."""
        name = {"kind": kind, "tenant": tenant, "key": key}
        is_new = not (yield Statement("document_find", name))
        ((created_at, updated_at),) = yield Statement("document_write", {**name, "body": body.decode(), "now": now})
        return Document(key, body, created_at, updated_at), is_new

    @write()
    def change(
        self, kind: str, tenant: str, key: str, before: bytes | None, after: bytes | None, now: int
    ) -> Script[bool]:
        """Replace the body `before` by `after`. Without `before`, create the object; without `after`, delete it. Return
        False, and write nothing, if the stored object is not `before`."""
        return replace({"kind": kind, "tenant": tenant, "key": key}, before, after, now)

    @write(audit.LOCK)
    def revise(
        self,
        kind: str,
        tenant: str,
        key: str,
        before: bytes | None,
        after: bytes,
        revision: tuple[str, str, bytes],
        record: AuditRecord | None,
        now: int,
    ) -> Script[bool]:
        """Change an object, write its revision (kind, key, body) and append to the audit log, all in one transaction.
        Return False, and write nothing, as `change` does."""
        name = {"kind": kind, "tenant": tenant, "key": key}
        revision_kind, revision_key, body = revision
        written = {"kind": revision_kind, "tenant": tenant, "key": revision_key, "body": body.decode(), "now": now}
        if not (yield from replace(name, before, after, now)):
            return False
        yield Statement("document_write", written)
        if record is not None:
            yield from audit.append(record.entry, record.sign)
        return True

    @write()
    def expire(self, kind: str, before: int, limit: int) -> Script[int]:
        """Delete objects of a kind that were last changed before a time, at most `limit`; return how many."""
        return len((yield Statement("documents_expire", {"kind": kind, "before": before, "limit": limit})))

    @write()
    def delete(self, kind: str, tenant: str, key: str) -> Script[bool]:
        """Delete an object; return whether there was one."""
        return bool((yield Statement("document_delete", {"kind": kind, "tenant": tenant, "key": key})))


def hold(kind: str, tenant: str, key: str, body: bytes) -> Script[bool]:
    """Lock an object until the transaction ends; return whether it has this body."""
    params = {"kind": kind, "tenant": tenant, "key": key, "body": body.decode()}
    return bool((yield Statement("document_lock", params)))


def replace(name: Params, before: bytes | None, after: bytes | None, now: int) -> Script[bool]:
    """Replace the body of an object (kind, tenant, key) as `change` does."""
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
