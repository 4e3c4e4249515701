"""Recipients: their fields, roles and sessions, and their erasure."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from bellcast.kernel import times
from bellcast.kernel.db import columns
from bellcast.kernel.db.lists import KeysetList, ListQuery
from bellcast.kernel.db.script import Script, Statement, first
from bellcast.kernel.db.table import StoreTable, pages, read, read_in_background, write_to_recipient
from bellcast.kernel.errors import NotFound, PreconditionFailed
from bellcast.kernel.events import Event, role_topic
from bellcast.recipients.store import ensure, subscriptions
from bellcast.recipients.types import (
    RECORD_FIELDS,
    ChatAddresses,
    Profile,
    Recipient,
    RecipientFields,
    SessionsRevoked,
    merge,
)

UNKNOWN = "There is no recipient with this key."
_chat = msgspec.json.Decoder(ChatAddresses)
NO_CHAT = ChatAddresses()


def chat_addresses(column: str | None) -> ChatAddresses:
    """Decode the column `chat`."""
    return NO_CHAT if column is None else _chat.decode(column)


# Fields of a record that are not stored as they are.
DECODED: dict[str, Callable[[Any], Any]] = {
    "chat": chat_addresses,
    "data": columns.json_object,
    "member_since": times.to_rfc3339_or_null,
}
ENCODED: dict[str, Callable[[Any], Any]] = {
    "chat": columns.to_json_or_null,
    "data": columns.to_json,
    "member_since": lambda since: None if since is None else times.milliseconds(since),
}


# From the columns `recipient_columns`.
recipient = columns.reader(
    Recipient,
    " ".join(("tenant", "key", "roles", "created_at", "unread", "unseen", *RECORD_FIELDS)),
    tenant=lambda tenant: tenant or None,
    roles=columns.texts,
    created_at=times.to_rfc3339,
    **DECODED,
)

LIST = KeysetList("recipients", ("tenant", "key"), recipient, filters=("text",))


# All that is stored about a recipient; the record is last, because others find their rows by it.
ERASE_STATEMENTS = (
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

    page = pages(LIST)

    @read
    def get(self, tenant: str, key: str) -> Script[Recipient | None]:
        return first(Statement("recipient_find", {"tenant": tenant, "key": key}), recipient)

    @write_to_recipient
    def put(
        self, tenant: str, key: str, fields: RecipientFields, now: int, *, replace: bool, is_new: bool | None = None
    ) -> Script[tuple[Recipient, bool, tuple[Event, ...]]]:
        """Write the given fields; `replace` clears the others. Return the recipient, whether it is new, and the events: a
        lost role ends a subscription. Writes nothing, and raises PreconditionFailed if it `is_new` and exists, NotFound if it is
        not and does not exist."""
        inbox, created = yield from ensure.ensure_recipient(tenant, key, now)
        if is_new and not created:
            raise PreconditionFailed
        if created and is_new is False:
            raise NotFound(UNKNOWN)
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
        return recipient(tuple(row)), created, tuple(events)

    @read
    def after(self, tenant: str, key: str | None, limit: int) -> Script[list[Recipient]]:
        """Return the recipients of a tenant after a key, by key."""
        query = ListQuery(tenants=[tenant], after=None if key is None else (tenant, key), limit=limit)
        return (yield from LIST.page(query)).items

    @read
    def of_keys(self, owners: Sequence[tuple[str, str]]) -> Script[list[Recipient]]:
        """Return those recipients, given by their tenants and keys, that exist, in this order."""
        found = yield Statement("recipients_of_keys", {"owners": columns.to_json(list(set(owners)))})
        return sorted(map(recipient, found), key=lambda one: (one.tenant or "", one.key))

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
        for name in ERASE_STATEMENTS:
            yield Statement(name, params, heavy=True)
        yield Statement("erased_keep", {"digest": ensure.digest(tenant, key), "before": max(now, revoked_before)})
        return (SessionsRevoked(tenant, key, now),)


def set_roles(
    tenant: str, inbox: int, key: str, before: Sequence[str], roles: Sequence[str], now: int
) -> Script[list[Event]]:
    """Replace the roles of a recipient; a role is a subscription to its topic."""
    if set(before) == set(roles):
        return []
    lost = [role_topic(role) for role in before if role not in roles]
    events = (yield from subscriptions.unfollow(tenant, lost, inbox, key, now)) if lost else []
    for role in roles:
        yield from subscriptions.follow(tenant, role_topic(role), inbox, key, now)
    yield Statement("recipient_roles", {"inbox": inbox, "roles": columns.to_json(tuple(dict.fromkeys(roles)))})
    return events


def stored_kinds(tenant: str, key: str) -> Script[frozenset[str]]:
    """Return the kinds of `export` of which something is stored about a recipient, besides its record."""
    found = yield Statement("export_kinds", {"tenant": tenant, "key": key})
    return frozenset(kind for (kind,) in found)


_profile = columns.reader(
    Profile,
    "key name email phone chat locale timezone roles data preferences",
    chat=chat_addresses,
    roles=columns.texts,
    data=msgspec.json.decode,
    preferences=lambda document: None if document is None else document.encode(),
)
