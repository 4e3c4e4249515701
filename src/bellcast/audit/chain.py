"""The hash chain of the audit log. Each entry has an HMAC (RFC 2104) over itself and the HMAC of the preceding entry.
Without the project secret, entries cannot be changed, inserted or removed undetected. Removal of the newest entries is
detected by comparison with a head that was logged earlier."""

import hashlib
import hmac
from collections.abc import Callable, Iterable

import msgspec

from bellcast.audit.types import AuditEntry
from bellcast.kernel.identities import Project

# Separates this use of the project secret from tokens and signatures.
PURPOSE = b"bellcast audit chain 1"

SignEntry = Callable[[AuditEntry], bytes]


def signer(project: Project) -> SignEntry:
    """Return the function that computes the `mac` of an entry with its number and `previous`."""
    key = hmac.digest(project.secret.encode(), PURPOSE, hashlib.sha256)
    return lambda entry: hmac.digest(key, _content(entry), hashlib.sha256)


def first_broken(
    entries: Iterable[AuditEntry], project: Project, before: AuditEntry | None = None
) -> AuditEntry | None:
    """Return the first of consecutive entries that does not match its predecessor; None if all match. The predecessor
    of the oldest stored entry may have been deleted."""
    signers = [signer(one) for one in project.accepted]
    for entry in entries:
        is_next = before is None or (entry.number == before.number + 1 and entry.previous == before.mac)
        if not is_next or not any(hmac.compare_digest(entry.mac, sign(entry)) for sign in signers):
            return entry
        before = entry
    return None


def _content(entry: AuditEntry) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(entry, mac=b""))
