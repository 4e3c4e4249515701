"""Subscriptions of recipients to topics. A subscriber receives later sends, and keeps them after unsubscribing."""

from collections.abc import Sequence

from bellcast.inbox.store import announcements
from bellcast.kernel import times
from bellcast.kernel.db import columns, lists
from bellcast.kernel.db.lists import KeysetList, ListPage, ListQuery, RowKey
from bellcast.kernel.db.script import AFTER_ALL_KEYS, Script, Statement
from bellcast.kernel.db.table import StoreTable, on_table, read, read_in_background, write
from bellcast.kernel.events import Event
from bellcast.recipients.store import ensure
from bellcast.recipients.types import Subscription, SubscriptionEnded, SubscriptionGrant

# Topics per statement that compares their names with a prefix.
TOPIC_BATCH_ROWS = 1_000
# The key of the list of topics. A topic has many rows, so its statements are its own.
TOPICS = KeysetList("topics", ("tenant", "topic"), tuple)


def _among(tenant: str, key: str, topics: Sequence[str]) -> Script[frozenset[str]]:
    """Return those of the topics that the recipient subscribes to."""
    found = yield Statement("subscribed", {"tenant": tenant, "key": key, "topics": columns.to_json(topics)})
    return frozenset(topic for (topic,) in found)


class StoredSubscriptions(StoreTable):
    """Subscriptions by tenant, topic and recipient."""

    @write(locks=lambda tenant, _, key, __: [(tenant, key)])
    def subscribe(self, tenant: str, topic: str, key: str, now: int) -> Script[tuple[Subscription, bool]]:
        """Subscribe a recipient to later sends to a topic; return whether the subscription is new."""
        inbox, _ = yield from ensure.ensure_recipient(tenant, key, now)
        is_new = yield from follow(tenant, topic, inbox, key, now)
        found = yield Statement("subscription_find", {"inbox": inbox, "topic": topic})
        return subscription(found[0]), is_new

    @write(locks=lambda tenant, _, key, __: [(tenant, key)])
    def unsubscribe(self, tenant: str, topic: str, key: str, now: int) -> Script[tuple[Event, ...] | None]:
        """Unsubscribe; earlier announcements stay in the inbox. None if it was not subscribed."""
        if not (yield from _among(tenant, key, [topic])):
            return None
        inbox, _ = yield from ensure.ensure_recipient(tenant, key, now)
        return tuple((yield from unfollow(tenant, [topic], inbox, key, now)))

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

    among = read(on_table(_among))

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
