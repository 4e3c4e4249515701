"""Scripts on a recipient's record: its fields, roles, sessions, and erasure."""

from collections.abc import Sequence

from msgspec import UNSET

from bellcast.model import patterns
from bellcast.model.events import Event, SessionsRevoked
from bellcast.model.identities import Recipient, RecipientFields
from bellcast.ports import list_scan
from bellcast.ports.list_scan import ANY_TIME, CreatedRange, KeyScan, ListScan
from bellcast.storage import ensure, rows, scans, subscriptions
from bellcast.storage.script import AFTER_ALL_KEYS, Row, Script, Statement


def get(tenant: str, key: str) -> Script[Recipient | None]:
    found = yield Statement("recipient_find", {"tenant": tenant, "key": key})
    return rows.recipient(found[0]) if found else None


def page(tenant: str, after: str | None, limit: int, search: str | None) -> Script[list[Recipient]]:
    prefix = search or ""
    params = {"tenant": tenant, "after": after or "", "first": prefix, "last": prefix + AFTER_ALL_KEYS, "limit": limit}
    found = yield Statement("recipient_page", params | ANY_TIME._asdict())
    return [rows.recipient(row) for row in found]


def created_page(
    tenant: str, after: str, limit: int, prefix: str, created: CreatedRange
) -> Script[ListScan[Recipient]]:
    params = {"tenant": tenant, "after": after, "first": prefix, "last": prefix + AFTER_ALL_KEYS, "limit": limit}
    found, until = yield from scans.by_key("recipient_scan_end", "recipient_page", params, created)
    return ListScan([rows.recipient(row) for row in found], until)


def page_of_all(after: tuple[str, str], limit: int, prefix: str, created: CreatedRange) -> Script[KeyScan[Recipient]]:
    start = {"after_tenant": after[0], "after": after[1]}
    end: Sequence[Row] = ()
    if prefix or created != ANY_TIME:
        end = yield Statement("recipients_of_all_end", {**start, "skipped": list_scan.MAX_SCANNED_ROWS - 1}, heavy=True)
    until = end[0] if end else (AFTER_ALL_KEYS, "")
    bounds = {"until_tenant": until[0], "until": until[1], "since": created.since, "until_ms": created.until}
    keys = {"first": prefix, "last": prefix + AFTER_ALL_KEYS, "limit": limit}
    found = yield Statement("recipients_of_all", start | bounds | keys, heavy=True)
    is_cut = bool(end) and len(found) < limit
    return KeyScan([rows.recipient(row) for row in found], (until[0], until[1]) if is_cut else None)


def count_of_all(limit: int) -> Script[int]:
    ((number,),) = yield Statement("recipients_of_all_total", {"limit": limit}, heavy=True)
    return int(number)


def count(tenant: str, search: str, limit: int) -> Script[int]:
    params = {"tenant": tenant, "first": search, "last": search + AFTER_ALL_KEYS, "limit": limit}
    ((number,),) = yield Statement("recipient_count", params)
    return int(number)


def put(
    tenant: str, key: str, fields: RecipientFields, now: int, *, replace: bool
) -> Script[tuple[Recipient, bool, tuple[Event, ...]]]:
    inbox, is_new = yield from ensure.ensure_recipient(tenant, key, now)
    ((*row,),) = yield Statement("recipient_find", {"tenant": tenant, "key": key})
    before = rows.recipient(tuple(row))
    yield Statement("recipient_write", {**rows.merged_fields(before, fields, replace=replace), "inbox": inbox})
    events: list[Event] = []
    roles = () if replace and fields.roles is UNSET else fields.roles
    if roles is not UNSET:
        events = yield from set_roles(tenant, inbox, key, before.roles, roles, now)
    ((*row,),) = yield Statement("recipient_find", {"tenant": tenant, "key": key})
    return rows.recipient(tuple(row)), is_new, tuple(events)


def set_roles(
    tenant: str, inbox: int, key: str, before: Sequence[str], roles: Sequence[str], now: int
) -> Script[list[Event]]:
    """Replace the roles of a recipient; a role is a subscription to its topic."""
    if set(before) == set(roles):
        return []
    lost = [patterns.role_topic(role) for role in before if role not in roles]
    events = (yield from subscriptions.unfollow(tenant, lost, inbox, key, now)) if lost else []
    for role in roles:
        yield from subscriptions.follow(tenant, patterns.role_topic(role), inbox, key, now)
    yield Statement("recipient_roles", {"inbox": inbox, "roles": rows.to_json(tuple(dict.fromkeys(roles)))})
    return events


def revoke(tenant: str, key: str, now: int) -> Script[tuple[Event, ...]]:
    """Refuse sessions issued before now, even for a recipient that does not exist yet."""
    inbox, _ = yield from ensure.ensure_recipient(tenant, key, now)
    yield Statement("recipient_revoke", {"inbox": inbox, "now": now})
    return (SessionsRevoked(tenant, key, now),)


ERASED = (
    "erase_notifications",
    "erase_outside",
    "erase_tags",
    "erase_tombstones",
    "erase_subscriptions",
    "erase_devices",
    "erase_joined_topics",
    "erase_push_endpoints",
    "erase_webhook_events",
    "erase_messages",
    "erase_decisions",
    "erase_runs",
    "erase_step_counters",
    "erase_event_waits",
    "erase_recipient",
)


def stored_kinds(tenant: str, key: str) -> Script[frozenset[str]]:
    """Return the kinds of `export` of which something is stored about a recipient, besides its record."""
    found = yield Statement("export_kinds", {"tenant": tenant, "key": key})
    return frozenset(kind for (kind,) in found)


def delete(tenant: str, key: str, now: int) -> Script[tuple[Event, ...] | None]:
    """Erase everything about a recipient, even if it has no record: runs do not need one."""
    found = yield Statement("recipient_number", {"tenant": tenant, "key": key})
    if not found and not (yield from stored_kinds(tenant, key)):
        return None
    inbox, revoked_before = found[0] if found else (None, 0)
    params = {"tenant": tenant, "key": key, "inbox": inbox}
    for name in ERASED:
        yield Statement(name, params, heavy=True)
    yield Statement("erased_keep", {"digest": ensure.digest(tenant, key), "before": max(now, revoked_before)})
    return (SessionsRevoked(tenant, key, now),)
