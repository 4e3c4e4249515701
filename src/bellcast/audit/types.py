"""Entries of the audit log and their hash chain: each entry has an HMAC (RFC 2104) over itself and the HMAC of the preceding entry.
Without the project secret, entries cannot be changed, inserted or removed undetected. Removal of the newest entries is
detected by comparison with a head that was logged earlier."""

import hashlib
import hmac
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec
from msgspec import Struct

from bellcast.kernel import times
from bellcast.kernel.identities import Project

# Separates this use of the project secret from tokens and signatures.
CHAIN_PURPOSE = b"bellcast audit chain 1"

# How long entries are stored.
AUDIT_MS = 400 * times.DAY_MS


# Whether what was tried was done, refused, or waited for the password, after which the console repeats it.
OutcomeKind = Literal["ok", "refused", "password_required"]


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


SignEntry = Callable[[AuditEntry], bytes]


def entry_signer(project: Project) -> SignEntry:
    """Return the function that computes the `mac` of an entry with its number and `previous`."""
    key = hmac.digest(project.secret.encode(), CHAIN_PURPOSE, hashlib.sha256)
    return lambda entry: hmac.digest(key, msgspec.json.encode(msgspec.structs.replace(entry, mac=b"")), hashlib.sha256)


def first_broken_entry(
    entries: Iterable[AuditEntry], project: Project, before: AuditEntry | None = None
) -> AuditEntry | None:
    """Return the first of consecutive entries that does not match its predecessor; None if all match. The predecessor
    of the oldest stored entry may have been deleted."""
    signers = [entry_signer(one) for one in project.accepted]
    for entry in entries:
        is_next = before is None or (entry.number == before.number + 1 and entry.previous == before.mac)
        if not is_next or not any(hmac.compare_digest(entry.mac, sign(entry)) for sign in signers):
            return entry
        before = entry
    return None
