"""Who is on which topic. Joining is from now on; leaving keeps what was sent before."""

from collections.abc import Sequence

from bellcast.model.events import Event, SubscriptionEnded
from bellcast.model.identities import Subscription
from bellcast.ports import SubscriptionGrant
from bellcast.storage import announcements, ensure, rows
from bellcast.storage.engine import Script, Statement
from bellcast.storage.locks import locks


@locks(lambda tenant, topic, key, now: [(tenant, key)])
def subscribe(tenant: str, topic: str, key: str, now: int) -> Script[tuple[Subscription, bool]]:
    """Put a recipient on a topic; whether it is new."""
    inbox, _ = yield from ensure.ensure_recipient(tenant, key, now)
    new = yield from follow(tenant, topic, inbox, key, now)
    found = yield Statement("subscription_find", {"inbox": inbox, "topic": topic})
    return rows.subscription(found[0]), new


@locks(lambda tenant, topic, key, now: [(tenant, key)])
def unsubscribe(tenant: str, topic: str, key: str, now: int) -> Script[tuple[Event, ...] | None]:
    """Take a recipient off a topic; None if it was not on it."""
    among_them = yield from among(tenant, key, [topic])
    if not among_them:
        return None
    inbox, _ = yield from ensure.ensure_recipient(tenant, key, now)
    return tuple((yield from unfollow(tenant, [topic], inbox, key, now)))


def page(tenant: str, topic: str, after: str | None, limit: int) -> Script[list[Subscription]]:
    """The recipients on a topic, by key."""
    params = {"tenant": tenant, "topic": topic, "after": after or "", "limit": limit}
    found = yield Statement("subscription_page", params)
    return [rows.subscription(row) for row in found]


def among(tenant: str, key: str, topics: Sequence[str]) -> Script[frozenset[str]]:
    """Those of the topics a recipient is on."""
    found = yield Statement("subscribed", {"tenant": tenant, "key": key, "topics": rows.to_json(topics)})
    return frozenset(topic for (topic,) in found)


def grants_in_force(rights: Sequence[SubscriptionGrant]) -> Script[frozenset[SubscriptionGrant]]:
    """Those of these subscriptions that there still are."""
    found = yield Statement("subscriptions_standing", {"rights": rows.to_json(rights)})
    return frozenset(SubscriptionGrant(*row) for row in found)


def follow(tenant: str, topic: str, inbox: int, key: str, now: int) -> Script[bool]:
    """Put an inbox on a topic; whether it was not on it yet."""
    params = {"tenant": tenant, "topic": topic, "inbox": inbox, "key": key, "now": now}
    joined = yield Statement("subscription_insert", params)
    return bool(joined)


def unfollow(tenant: str, topics: Sequence[str], inbox: int, key: str, now: int) -> Script[list[Event]]:
    """Take an inbox off topics, after taking in what was sent to them before."""
    events = yield from announcements.materialize(tenant, [key], now)
    yield Statement("subscription_delete", many=[{"inbox": inbox, "topic": topic} for topic in topics])
    return [*events, *(SubscriptionEnded(tenant, key, topic) for topic in topics)]
