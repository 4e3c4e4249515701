"""Objects that the app defines by key: types, templates, workflows, preference defaults and others."""

from typing import Protocol

from msgspec import Struct

from bellcast.model.identities import DEFAULT_TENANT

# Objects of the project, which tenants can override.
PROJECT = DEFAULT_TENANT


class Document(Struct, frozen=True):
    """An object as JSON. Times are UTC milliseconds."""

    key: str
    body: bytes
    created_at: int
    updated_at: int


class Documents(Protocol):
    """Objects by kind, tenant and key. The tenant PROJECT holds the project's own."""

    async def get(self, kind: str, tenant: str, key: str) -> Document | None: ...

    async def page(self, kind: str, tenant: str, after: str, limit: int) -> list[Document]:
        """Objects by key, after the key `after`."""
        ...

    async def of_all_tenants(self, kind: str, after: tuple[str, str], limit: int) -> list[tuple[str, Document]]:
        """Objects of the project and of every tenant, each with its tenant, after that tenant and key."""
        ...

    async def put(self, kind: str, tenant: str, key: str, body: bytes, now: int) -> tuple[Document, bool]:
        """Create or replace an object; whether it is new."""
        ...

    async def change(self, kind: str, tenant: str, key: str, before: bytes, after: bytes | None, now: int) -> bool:
        """Replace the body `before`, or delete the object without `after`. False, and nothing written, if it has another
        body or does not exist."""
        ...

    async def delete(self, kind: str, tenant: str, key: str) -> bool:
        """Delete an object; whether there was one."""
        ...
