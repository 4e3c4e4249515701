"""Entries of the audit log."""

from typing import Any

from msgspec import Struct

# How long entries are stored: 400 days.
AUDIT_MS = 400 * 24 * 3_600_000


class FieldChange(Struct, frozen=True, rename={"before": "from", "after": "to"}):
    """A changed field with its JSON values, which never contain secrets."""

    field: str
    before: Any
    after: Any


class AuditEntry(Struct, frozen=True, kw_only=True):
    """One action in the audit log. `outcome` is `ok` or the code of the error.

    The store assigns `number`, `previous` and `mac` when it appends the entry. `previous` is the `mac` of the preceding
    entry, and `mac` authenticates the entry including `previous`."""

    id: str
    at: int
    actor: str
    action: str
    target: str
    tenant: str | None = None
    changes: tuple[FieldChange, ...] = ()
    outcome: str
    address: str | None
    request_id: str
    number: int = 0
    previous: bytes = b""
    mac: bytes = b""
