"""The audit log: its entries, their hash chain, and the scripts that append them. Each entry has an HMAC (RFC 2104) over itself and
the HMAC of the preceding entry. Without the project secret, entries cannot be changed, inserted or removed undetected. Removal
of the newest entries is detected by comparison with a head that was logged earlier."""

import hashlib
import hmac
import itertools
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace

from bellcast.kernel import times
from bellcast.kernel.db import columns
from bellcast.kernel.db.engine import StoreTable, on_table, pages, read, write
from bellcast.kernel.db.lists import KeysetList
from bellcast.kernel.db.script import LockKey, Script, Statement
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
    return lambda entry: hmac.digest(key, msgspec.json.encode(replace(entry, mac=b"")), hashlib.sha256)


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


# Serializes writers of the audit log, each of which reads the preceding entry.
LOCK: LockKey = ("", "\x01audit")
_changes = msgspec.json.Decoder(tuple[FieldChange, ...])


def append(entry: AuditEntry, sign: SignEntry) -> Script[bool]:
    """Append to the audit chain. The command must hold LOCK. `sign` computes the `mac` of the entry from its number and
    the preceding `mac`. Entries of concurrent calls get consecutive numbers."""
    number, previous = yield from head()
    entry = replace(entry, number=number + 1, previous=previous)
    yield Statement("audit_insert", asdict(entry) | {"changes": columns.to_json(entry.changes), "mac": sign(entry)})
    return True  # as the scripts of a change, with which it is committed


def head() -> Script[tuple[int, bytes]]:
    """Return the number and the `mac` of the newest entry; 0 and nothing without entries."""
    newest = yield Statement("audit_head")
    return (newest[0][0], bytes(newest[0][1])) if newest else (0, b"")


_entry = columns.reader(
    AuditEntry,
    "id at actor action target tenant changes outcome address request_id number previous mac",
    changes=_changes.decode,
    previous=bytes,
    mac=bytes,
)

LIST = KeysetList("audit", ("id",), _entry, is_newest_first=True, filters=("actor", "outcome", "text"))


class AuditLog(StoreTable):
    """Entries are appended in a transaction of their own here, and by `append` in that of a change."""

    record = write(LOCK)(on_table(append))
    newest = read(on_table(head))
    page = pages(LIST)

    @read
    def after(self, number: int, limit: int) -> Script[list[AuditEntry]]:
        """Return entries with higher numbers, in their order."""
        return [_entry(row) for row in (yield Statement("audit_chain", {"after": number, "limit": limit}))]

    @write(LOCK)
    def sweep(self, before: int, limit: int) -> Script[int]:
        """Delete at most `limit` entries from before a time; return how many. Only from the beginning of the chain, so that no
        gap appears. Because the nodes' clocks differ, an older entry may follow a newer one."""
        oldest = yield Statement("audit_oldest", {"limit": limit})
        old = list(itertools.takewhile(lambda row: row[1] < before, oldest))
        return len((yield Statement("audit_delete", {"number": old[-1][0]}))) if old else 0
