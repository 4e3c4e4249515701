"""Scripts and rows of the audit log."""

import itertools

import msgspec
from msgspec.structs import asdict, replace

from bellcast.audit.types import AuditEntry, FieldChange, SignEntry
from bellcast.kernel.db import columns
from bellcast.kernel.db.lists import KeysetList
from bellcast.kernel.db.script import LockKey, Script, Statement
from bellcast.kernel.db.table import StoreTable, on_table, pages, read, write

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
