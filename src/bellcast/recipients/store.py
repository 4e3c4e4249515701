"""Recipients: their records, roles and sessions, their subscriptions, devices and push endpoints, and their erasure. A recipient
and its tenant are created on first use."""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from bellcast.inbox.store import announcements
from bellcast.inbox.types.inboxes import Position, SessionRevoked
from bellcast.kernel import times
from bellcast.kernel.db import columns, lists
from bellcast.kernel.db.engine import StoreTable, on_table, pages, read, read_in_background, write, write_to_recipient
from bellcast.kernel.db.lists import KeysetList, ListPage, ListQuery, RowKey
from bellcast.kernel.db.script import AFTER_ALL_KEYS, Params, Script, Statement, check_tenant, digest, first
from bellcast.kernel.errors import NotFound, PreconditionFailed
from bellcast.kernel.events import Event, role_topic
from bellcast.recipients.types import (
    RECORD_FIELDS,
    ChatAddresses,
    Profile,
    PushEndpoint,
    Recipient,
    RecipientFields,
    SessionsRevoked,
    Subscription,
    SubscriptionEnded,
    SubscriptionGrant,
    merge,
)

EPOCH_BITS = 48  # A recreated inbox gets another epoch, so positions of the earlier inbox are unknown.

# --- creation on first use, and what stays of those that were erased


def digests(tenant: str, key: str) -> Params:
    """Return the digests under which a recipient's sessions may be revoked: its own and its tenant's."""
    return {"digest": digest(tenant, key), "tenant_digest": tenant_digest(tenant)}


def tenant_digest(tenant: str) -> str:
    """Return the digest stored for an erased tenant. No recipient has an empty key."""
    return digest(tenant, "")


def _ensure_recipient(tenant: str, key: str, now: int) -> Script[tuple[int, bool]]:
    """Return the number of a recipient's inbox and whether it is new; create it, and its tenant, if missing."""
    params = {"tenant": tenant, "key": key}
    found = yield Statement("recipient_number", params)
    if found:
        return int(found[0][0]), False
    yield from ensure_recipients(tenant, [key], now)
    ((number, _),) = yield Statement("recipient_number", params)
    return int(number), True


def inbox_to_write(tenant: str, key: str, now: int, *, is_own: bool) -> Script[int]:
    """Return the number of a recipient's inbox; create it if it is missing. A recipient's own request creates none: it raises
    SessionRevoked if the recipient was erased after its session was checked."""
    if not is_own:
        return (yield from _ensure_recipient(tenant, key, now))[0]
    found = yield Statement("recipient_number", {"tenant": tenant, "key": key})
    if not found:
        raise SessionRevoked(now)
    return int(found[0][0])


def ensure_recipients(tenant: str, keys: Sequence[str], now: int) -> Script[None]:
    """Create missing inboxes, and the tenant."""
    first_seen: list[Params] = [
        {"tenant": tenant, "key": key, "epoch": random.getrandbits(EPOCH_BITS), "now": now, **digests(tenant, key)}
        for key in keys
    ]
    yield Statement("recipient_first_seen", many=first_seen)
    yield from ensure_tenant(tenant, now)


def ensure_tenant(key: str, now: int) -> Script[None]:
    """Create the tenant if it is missing. Raises TenantErased: an erasure would not end while recipients are added."""
    yield Statement("tenant_first_seen", {"tenant": key, "now": now})
    yield Statement("tenant_hold", {"tenant": key})
    yield from check_tenant(key, now)


def erased_before(tenant: str, key: str) -> Script[int]:
    """Return the time before which sessions are refused, since a recipient or its tenant was erased; 0: none."""
    ((before,),) = yield Statement("erased_before", digests(tenant, key))
    return int(before)


# --- records

UNKNOWN = "There is no recipient with this key."
_chat = msgspec.json.Decoder(ChatAddresses)
NO_CHAT = ChatAddresses()

# Fields of a record that are not stored as they are.
DECODED: dict[str, Callable[[Any], Any]] = {
    "chat": lambda column: NO_CHAT if column is None else _chat.decode(column),
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
        inbox, created = yield from _ensure_recipient(tenant, key, now)
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
        inbox, _ = yield from _ensure_recipient(tenant, key, now)
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
        yield Statement("erased_keep", {"digest": digest(tenant, key), "before": max(now, revoked_before)})
        return (SessionsRevoked(tenant, key, now),)


def set_roles(
    tenant: str, inbox: int, key: str, before: Sequence[str], roles: Sequence[str], now: int
) -> Script[list[Event]]:
    """Replace the roles of a recipient; a role is a subscription to its topic."""
    if set(before) == set(roles):
        return []
    lost = [role_topic(role) for role in before if role not in roles]
    events = (yield from unfollow(tenant, lost, inbox, key, now)) if lost else []
    for role in roles:
        yield from follow(tenant, role_topic(role), inbox, key, now)
    yield Statement("recipient_roles", {"inbox": inbox, "roles": columns.to_json(tuple(dict.fromkeys(roles)))})
    return events


def stored_kinds(tenant: str, key: str) -> Script[frozenset[str]]:
    """Return the kinds of `export` of which something is stored about a recipient, besides its record."""
    found = yield Statement("export_kinds", {"tenant": tenant, "key": key})
    return frozenset(kind for (kind,) in found)


_profile = columns.reader(
    Profile,
    "key name email phone chat locale timezone roles data preferences",
    chat=DECODED["chat"],
    roles=columns.texts,
    data=msgspec.json.decode,
    preferences=lambda document: None if document is None else document.encode(),
)

# --- subscriptions

# Topics per statement that compares their names with a prefix.
TOPIC_BATCH_ROWS = 1_000
# The key of the list of topics. A topic has many rows, so its statements are its own.
TOPICS = KeysetList("topics", ("tenant", "topic"), tuple)


class StoredSubscriptions(StoreTable):
    """Subscriptions by tenant, topic and recipient."""

    @write(locks=lambda tenant, _, key, __: [(tenant, key)])
    def subscribe(self, tenant: str, topic: str, key: str, now: int) -> Script[tuple[Subscription, bool]]:
        """Subscribe a recipient to later sends to a topic; return whether the subscription is new."""
        inbox, _ = yield from _ensure_recipient(tenant, key, now)
        is_new = yield from follow(tenant, topic, inbox, key, now)
        found = yield Statement("subscription_find", {"inbox": inbox, "topic": topic})
        return subscription(found[0]), is_new

    @write(locks=lambda tenant, _, key, __: [(tenant, key)])
    def unsubscribe(self, tenant: str, topic: str, key: str, now: int) -> Script[tuple[Event, ...] | None]:
        """Unsubscribe; earlier announcements stay in the inbox. None if it was not subscribed."""
        recipient = yield Statement("recipient_number", {"tenant": tenant, "key": key})
        if not recipient or not (yield Statement("subscription_find", {"inbox": recipient[0][0], "topic": topic})):
            return None
        return tuple((yield from unfollow(tenant, [topic], recipient[0][0], key, now)))

    @read
    def get(self, tenant: str, topic: str, key: str) -> Script[Subscription | None]:
        recipient = yield Statement("recipient_number", {"tenant": tenant, "key": key})
        found = (yield Statement("subscription_find", {"inbox": recipient[0][0], "topic": topic})) if recipient else []
        return subscription(found[0]) if found else None

    @read
    def page(
        self, tenant: str, topic: str, after: str | None, limit: int, seq: int | None = None
    ) -> Script[list[Subscription]]:
        """Return the subscriptions to a topic by key; with `seq`, those from before this announcement or fan-out."""
        params = {"tenant": tenant, "topic": topic, "after": after or "", "limit": limit, "seq": seq}
        found = yield Statement("subscription_page", params)
        return [subscription(row) for row in found]

    @read
    def of_recipient(self, tenant: str, key: str, after: str, limit: int) -> Script[list[Subscription]]:
        """Return the recipient's subscriptions by topic, after the topic `after`."""
        params = {"tenant": tenant, "key": key, "after": after, "limit": limit}
        return [subscription(row) for row in (yield Statement("subscriptions_of_recipient", params))]

    @read
    def among(self, tenant: str, key: str, topics: Sequence[str]) -> Script[frozenset[str]]:
        """Return those of the topics that the recipient subscribes to."""
        found = yield Statement("subscribed", {"tenant": tenant, "key": key, "topics": columns.to_json(topics)})
        return frozenset(topic for (topic,) in found)

    @read
    def grants_in_force(self, grants: Sequence[SubscriptionGrant]) -> Script[frozenset[SubscriptionGrant]]:
        """Return the subscriptions that still exist."""
        found = yield Statement("subscriptions_existing", {"grants": columns.to_json(grants)})
        return frozenset(SubscriptionGrant(*row) for row in found)

    @read_in_background
    def topics(self, query: ListQuery) -> Script[ListPage[tuple[str, str, int]]]:
        """Return topics with subscribers, by tenant and name, and their numbers of subscribers up to 10,000. Of all tenants,
        it examines at most 20,000 topics with the prefix."""
        found: list[tuple[str, str, int]] = []
        after, end = query.after or ("", ""), None
        if query.tenants is None:
            found, end = yield from _topics_of_all(query.prefix, after, query.limit + 1)
        for tenant in sorted(one for one in query.tenants or () if one >= after[0]):
            keys = {
                "after": after[1] if tenant == after[0] else "",
                "first": query.prefix,
                "last": query.prefix + AFTER_ALL_KEYS,
            }
            rows = yield Statement("topics_page", {"tenant": tenant, **keys, "limit": query.limit + 1 - len(found)})
            found += [(tenant, topic, count) for topic, count in rows]
            if len(found) > query.limit:
                break
        shown = found[: query.limit]
        return ListPage(shown, shown[-1][:2] if len(found) > query.limit else None, end)


def _topics_of_all(prefix: str, after: RowKey, limit: int) -> Script[tuple[list[tuple[str, str, int]], RowKey | None]]:
    """Return topics after a tenant and name, and the last examined one if there were too many."""
    found: list[tuple[str, str, int]] = []
    size, compared = max(limit, TOPIC_BATCH_ROWS) if prefix else limit, 0
    while True:
        keys = {"after_tenant": after[0], "after": after[1], "first": prefix, "last": prefix + AFTER_ALL_KEYS}
        batch = yield Statement("topics_of_all", {**keys, "limit": size}, heavy=True)
        found += [(tenant, topic, count) for tenant, topic, count in batch if count is not None]
        compared += len(batch)
        if len(batch) < size or len(found) >= limit:
            return found[:limit], None
        after = (batch[-1][0], batch[-1][1])
        if compared >= lists.MAX_SCANNED_ROWS:
            return found, after


def follow(tenant: str, topic: str, inbox: int, key: str, now: int) -> Script[bool]:
    """Subscribe an inbox to a topic; return whether it is new."""
    params = {"tenant": tenant, "topic": topic, "inbox": inbox, "key": key, "now": now}
    inserted = yield Statement("subscription_insert", params)
    return bool(inserted)


def unfollow(tenant: str, topics: Sequence[str], inbox: int, key: str, now: int) -> Script[list[Event]]:
    """Unsubscribe an inbox from topics, after materializing earlier sends to them."""
    materialized = yield from announcements.materialize(tenant, [key], now)
    yield Statement("subscription_delete", many=[{"inbox": inbox, "topic": topic} for topic in topics])
    return [*materialized.events, *(SubscriptionEnded(tenant, key, topic) for topic in topics)]


subscription = columns.reader(Subscription, created_at=times.to_rfc3339)

# --- devices and push endpoints

# Equal to `Limits.connections_per_recipient`: a client that always names another device cannot fill the table.
MAX_CONNECTIONS = 100
# The revision of a connection that has acknowledged nothing yet.
UNKNOWN_REVISION = -1


class DevicePosition(Struct, frozen=True):
    """The acknowledged revision of a connection: the client replied after it was sent this revision."""

    inbox: int
    device: bytes
    connection: str
    epoch: int
    revision: int


def _acknowledge(positions: Sequence[DevicePosition], now: int) -> Script[None]:
    """Save the positions of connections."""
    yield Statement("device_connect", many=[{**msgspec.structs.asdict(one), "now": now} for one in positions])


class Devices(StoreTable):
    """Acknowledged positions of devices, for clients that keep no position themselves."""

    @write(locks=lambda position, *_: [position.inbox])
    def register(self, position: DevicePosition, live: frozenset[str], now: int) -> Script[Position | None]:
        """Save the position of a new connection. It continues a closed connection of the device, one that is not in
        `live`. Return a position from which each of these would receive all its events, or None if unknown."""
        device = {"inbox": position.inbox, "device": position.device}
        known = yield Statement("device_connections", device)
        closed = sorted(
            (epoch, revision, connection) for connection, epoch, revision in known if connection not in live
        )
        if not closed:
            yield from _acknowledge([position], now)
            yield Statement("device_trim", {"inbox": position.inbox, "limit": MAX_CONNECTIONS})
            return None
        # It is unknown which connection this one continues. It replays from the lowest position, and the highest is
        # deleted. So in any order of reconnection, each device replays from its own position or an earlier one.
        epoch, revision, _ = closed[0]
        yield Statement("device_disconnect", {**device, "connection": closed[-1][2]})
        resumed = DevicePosition(position.inbox, position.device, position.connection, epoch, revision)
        yield from _acknowledge([resumed], now)
        return None if revision == UNKNOWN_REVISION else Position(epoch, revision)

    acknowledge = write()(on_table(_acknowledge))

    @write()
    def delete_older(self, before: int) -> Script[None]:
        """Delete positions saved before a time (UTC milliseconds)."""
        yield Statement("device_forget", {"before": before})


_push_endpoint = columns.reader(PushEndpoint)


def _push_endpoints(tenant: str, recipient: str) -> Script[list[PushEndpoint]]:
    """Return a recipient's endpoints, newest first."""
    found = yield Statement("push_endpoints_of", {"tenant": tenant, "key": recipient})
    return list(map(_push_endpoint, found))


class PushEndpoints(StoreTable):
    """Push endpoints. An address exists only once across all tenants."""

    @write_to_recipient
    def put(
        self, tenant: str, recipient: str, endpoint: PushEndpoint, limit: int, *, is_own: bool = False
    ) -> Script[tuple[str, bool]]:
        """Register an endpoint; creates the recipient, unless the request `is_own`. A known address keeps its id and moves to this recipient. Beyond
        `limit` endpoints, the recipient's oldest are deleted. Return the id, and whether the address is new."""
        inbox = yield from inbox_to_write(tenant, recipient, endpoint.registered_at, is_own=is_own)
        params = {**msgspec.structs.asdict(endpoint), "public_key": endpoint.p256dh, "tenant": tenant, "inbox": inbox}
        is_new = not (yield Statement("push_endpoint_find", params))
        ((id,),) = yield Statement("push_endpoint_write", params)
        # Not this one, even if it seems the oldest, because the clock was set back.
        others = [one.id for one in (yield from _push_endpoints(tenant, recipient)) if one.id != id]
        for other in others[limit - 1 :]:
            yield Statement("push_endpoint_delete", {"tenant": tenant, "key": recipient, "id": other})
        return id, is_new

    page = read(on_table(_push_endpoints))

    @read
    def addresses(self, tenant: str, recipients: Sequence[str]) -> Script[dict[str, tuple[str, ...]]]:
        """Return the addresses by recipient, newest first; recipients without any are absent."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for key, address in (
            yield Statement("push_addresses", {"tenant": tenant, "keys": columns.to_json(recipients)})
        ):
            found[key].append(address)
        return {key: tuple(addresses) for key, addresses in found.items()}

    @write_to_recipient
    def delete(self, tenant: str, recipient: str, id: str) -> Script[bool]:
        """Delete an endpoint of a recipient; return whether there was one."""
        return bool((yield Statement("push_endpoint_delete", {"tenant": tenant, "key": recipient, "id": id})))

    @write()
    def delete_gone(self, tenant: str, address: str) -> Script[None]:
        """Delete an endpoint that no longer exists at its service."""
        yield Statement("push_endpoint_delete_gone", {"tenant": tenant, "address": address})
