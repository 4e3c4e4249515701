"""Objects that the app defines by key: types, templates, workflows, preference defaults and others."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from bellcast.model.audit import AuditEntry
from bellcast.model.identities import DEFAULT_TENANT
from bellcast.ports.list_scan import CreatedRange

# Objects of the project, which tenants can override.
PROJECT = DEFAULT_TENANT


class Document(Struct, frozen=True):
    """An object as JSON. Times are UTC milliseconds."""

    key: str
    body: bytes
    created_at: int
    updated_at: int


class AuditRecord(Struct, frozen=True):
    """An entry of the audit log, and the function that computes its `mac`."""

    entry: AuditEntry
    sign: Callable[[AuditEntry], bytes]


class Documents(Protocol):
    """Objects by kind, tenant and key. The tenant PROJECT holds the project's own."""

    async def get(self, kind: str, tenant: str, key: str) -> Document | None: ...

    async def page(self, kind: str, tenant: str, after: str, limit: int) -> list[Document]:
        """Return objects by key, after the key `after`."""
        ...

    async def newest(self, kind: str, tenant: str, before: str, created: CreatedRange, limit: int) -> list[Document]:
        """Return objects by key, the last first, before the key `before`, created in a time range."""
        ...

    async def of_all_tenants(self, kind: str, after: tuple[str, str], limit: int) -> list[tuple[str, Document]]:
        """Return objects of the project and every tenant, each with its tenant, after the given tenant and key."""
        ...

    async def put(self, kind: str, tenant: str, key: str, body: bytes, now: int) -> tuple[Document, bool]:
        """Create or replace an object; return whether it is new."""
        ...

    async def change(
        self, kind: str, tenant: str, key: str, before: bytes | None, after: bytes | None, now: int
    ) -> bool:
        """Replace the body `before` by `after`. Without `before`, create the object; without `after`, delete it. Return
        False, and write nothing, if the stored object is not `before`."""
        ...

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
        """Change an object, write its revision (kind, key, body) and append to the audit log, all in one transaction.
        Return False, and write nothing, as `change` does."""
        ...

    async def delete(self, kind: str, tenant: str, key: str) -> bool:
        """Delete an object; return whether there was one."""
        ...
