"""Recipients: their fields, roles and sessions, and their erasure."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from bellcast.kernel import patterns, times
from bellcast.kernel.db import columns, list_scan, scans
from bellcast.kernel.db.list_scan import ANY_TIME, CreatedRange, KeyScan, ListScan
from bellcast.kernel.db.script import AFTER_ALL_KEYS, Row, Script, Statement
from bellcast.kernel.db.table import StoreTable, read, read_in_background, write_to_recipient
from bellcast.kernel.events import Event
from bellcast.live.types.events import SessionsRevoked
from bellcast.recipients.store import ensure, subscriptions
from bellcast.recipients.types import RECORD_FIELDS, ChatAddresses, Profile, Recipient, RecipientFields, merge

_chat = msgspec.json.Decoder(ChatAddresses)
NO_CHAT = ChatAddresses()


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


class Recipients(StoreTable):
    """The records of recipients, which are created on first use."""

    @read
    def get(self, tenant: str, key: str) -> Script[Recipient | None]:
        return find(tenant, key)

    @write_to_recipient
    def put(
        self, tenant: str, key: str, fields: RecipientFields, now: int, *, replace: bool
    ) -> Script[tuple[Recipient, bool, tuple[Event, ...]]]:
        """Write the given fields; `replace` clears the others. Return the recipient, whether it is new, and the events: a
        lost role ends a subscription."""
        inbox, is_new = yield from ensure.ensure_recipient(tenant, key, now)
        ((*row,),) = yield Statement("recipient_find", {"tenant": tenant, "key": key})
        before = recipient(tuple(row))
        after = merge(before, fields, replace=replace)
        record = {name: getattr(after, name) for name in RECORD_FIELDS}
        encoded = {name: encode(record[name]) for name, encode in ENCODED.items()}
        yield Statement("recipient_write", record | encoded | {"inbox": inbox})
        events: list[Event] = []
        roles = () if replace and fields.roles is UNSET else fields.roles
        if roles is not UNSET:
            events = yield from set_roles(tenant, inbox, key, before.roles, roles, now)
        ((*row,),) = yield Statement("recipient_find", {"tenant": tenant, "key": key})
        return recipient(tuple(row)), is_new, tuple(events)

    @read
    def page(self, tenant: str, after: str | None, limit: int, search: str | None = None) -> Script[list[Recipient]]:
        """Return recipients in the order of keys, after the key `after`; `search` is a prefix of the key."""
        return page(tenant, after, limit, search)

    @read_in_background
    def created_page(
        self, tenant: str, after: str, limit: int, prefix: str, created: CreatedRange
    ) -> Script[ListScan[Recipient]]:
        """Like `page`, for recipients created in a time range. Examines at most 20,000 of them."""
        params = {"tenant": tenant, "after": after, "first": prefix, "last": prefix + AFTER_ALL_KEYS, "limit": limit}
        found, until = yield from scans.by_key("recipient_scan_end", "recipient_page", params, created)
        return ListScan([recipient(row) for row in found], until)

    @read_in_background
    def page_of_all(
        self, after: tuple[str, str], limit: int, prefix: str, created: CreatedRange
    ) -> Script[KeyScan[Recipient]]:
        """Return recipients of all tenants by tenant and key, after a tenant and key. Examines at most 20,000 of
        them."""
        start = {"after_tenant": after[0], "after": after[1]}
        end: Sequence[Row] = ()
        if prefix or created != ANY_TIME:
            end = yield Statement(
                "recipients_of_all_end", {**start, "skipped": list_scan.MAX_SCANNED_ROWS - 1}, heavy=True
            )
        until = end[0] if end else (AFTER_ALL_KEYS, "")
        bounds = {"until_tenant": until[0], "until": until[1], "since": created.since, "until_ms": created.until}
        keys = {"first": prefix, "last": prefix + AFTER_ALL_KEYS, "limit": limit}
        found = yield Statement("recipients_of_all", start | bounds | keys, heavy=True)
        is_cut = bool(end) and len(found) < limit
        return KeyScan([recipient(row) for row in found], (until[0], until[1]) if is_cut else None)

    @read_in_background
    def count_of_all(self, limit: int) -> Script[int]:
        """Count the recipients of all tenants, up to the limit."""
        ((number,),) = yield Statement("recipients_of_all_total", {"limit": limit}, heavy=True)
        return int(number)

    @read_in_background
    def count(self, tenant: str, search: str, limit: int) -> Script[int]:
        """Return the number of recipients whose keys begin with `search`, at most `limit`."""
        params = {"tenant": tenant, "first": search, "last": search + AFTER_ALL_KEYS, "limit": limit}
        ((number,),) = yield Statement("recipient_count", params)
        return int(number)

    @read
    def profiles(self, tenant: str, keys: Sequence[str]) -> Script[dict[str, Profile]]:
        """Return the profiles of existing recipients, by key."""
        found = yield Statement("profiles_find", {"tenant": tenant, "keys": columns.to_json(keys)})
        return {row[0]: _profile(row) for row in found}

    @read_in_background
    def timezones(self, tenant: str) -> Script[list[str | None]]:
        """Return the distinct time zones of a tenant's recipients. Takes time in proportion to their number."""
        found = yield Statement("recipient_timezones", {"tenant": tenant}, heavy=True)
        return [name for (name,) in found]

    @write_to_recipient
    def revoke(self, tenant: str, key: str, now: int) -> Script[tuple[Event, ...]]:
        """Refuse sessions issued before now, even for a recipient that does not exist yet. Return the events that close
        connections."""
        inbox, _ = yield from ensure.ensure_recipient(tenant, key, now)
        yield Statement("recipient_revoke", {"inbox": inbox, "now": now})
        return (SessionsRevoked(tenant, key, now),)

    async def delete(self, tenant: str, key: str, now: int) -> tuple[Event, ...] | None:
        """Erase the recipient and all its data, even if it has no record: runs do not need one. The events close its
        connections. None if nothing is stored about it."""
        events = await self._delete(tenant, key, now)
        self._engine.clear_log()
        return events

    @write_to_recipient
    def _delete(self, tenant: str, key: str, now: int) -> Script[tuple[Event, ...] | None]:
        found = yield Statement("recipient_number", {"tenant": tenant, "key": key})
        if not found and not (yield from stored_kinds(tenant, key)):
            return None
        inbox, revoked_before = found[0] if found else (None, 0)
        params = {"tenant": tenant, "key": key, "inbox": inbox}
        for name in ERASED:
            yield Statement(name, params, heavy=True)
        yield Statement("erased_keep", {"digest": ensure.digest(tenant, key), "before": max(now, revoked_before)})
        return (SessionsRevoked(tenant, key, now),)


def find(tenant: str, key: str) -> Script[Recipient | None]:
    found = yield Statement("recipient_find", {"tenant": tenant, "key": key})
    return recipient(found[0]) if found else None


def page(tenant: str, after: str | None, limit: int, search: str | None) -> Script[list[Recipient]]:
    prefix = search or ""
    params = {"tenant": tenant, "after": after or "", "first": prefix, "last": prefix + AFTER_ALL_KEYS, "limit": limit}
    found = yield Statement("recipient_page", params | ANY_TIME._asdict())
    return [recipient(row) for row in found]


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
    yield Statement("recipient_roles", {"inbox": inbox, "roles": columns.to_json(tuple(dict.fromkeys(roles)))})
    return events


def stored_kinds(tenant: str, key: str) -> Script[frozenset[str]]:
    """Return the kinds of `export` of which something is stored about a recipient, besides its record."""
    found = yield Statement("export_kinds", {"tenant": tenant, "key": key})
    return frozenset(kind for (kind,) in found)


def _profile(row: Row) -> Profile:
    key, name, email, phone, chat, locale, timezone, roles, data, document = row
    return Profile(
        key=key,
        name=name,
        email=email,
        phone=phone,
        chat=chat_addresses(chat),
        locale=locale,
        timezone=timezone,
        roles=columns.texts(roles),
        data=msgspec.json.decode(data),
        preferences=None if document is None else document.encode(),
    )


def recipient(row: Row) -> Recipient:
    """Create a recipient from the columns `recipient_columns`."""
    tenant, key, roles, created_at, unread, unseen, *record = row
    fields = dict(zip(RECORD_FIELDS, record, strict=True))
    return Recipient(
        key=key,
        tenant=tenant or None,
        roles=columns.texts(roles),
        created_at=times.to_rfc3339(created_at),
        unread=unread,
        unseen=unseen,
        **fields | {name: decode(fields[name]) for name, decode in DECODED.items()},
    )


def chat_addresses(column: str | None) -> ChatAddresses:
    """Decode the column `chat`."""
    return NO_CHAT if column is None else _chat.decode(column)


# Fields of a record that are not stored as they are.
DECODED = {"chat": chat_addresses, "data": columns.json_object, "member_since": times.to_rfc3339_or_null}
ENCODED: dict[str, Callable[[Any], Any]] = {
    "chat": columns.to_json_or_null,
    "data": columns.to_json,
    "member_since": lambda since: None if since is None else times.milliseconds(since),
}
