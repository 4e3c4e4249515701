"""Authorization of the topics that a client requests."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from bellcast.auth import permissions
from bellcast.auth.permissions import Grant
from bellcast.errors import Invalid
from bellcast.live.config import LiveConfig
from bellcast.model import validation
from bellcast.model.identities import Principal
from bellcast.ports import Store, SubscriptionGrant

# Topics checked per request. A refusal is about 170 bytes, so 1 MB of short names would produce a 25 MB response.
# Ten times the topic limit of a connection is a client error.
MAX_TOPICS_PER_REQUEST = 1_000

# Grants that no session provides, so a new session does not remove them.
BEYOND_SESSIONS = frozenset({Grant.APP, Grant.DIALECT})


class TopicRefused(Struct, frozen=True):
    topic: str
    code: str
    message: str


Authorized: TypeAlias = tuple[dict[str, Grant], tuple[TopicRefused, ...]]


async def authorize_topics(
    store: Store, principal: Principal, requested: Sequence[str], followed: int, config: LiveConfig
) -> Authorized:
    """Return the granted topics with their grants, and the refused topics. `followed` is the number of topics that the
    connection already follows."""
    names = tuple(dict.fromkeys(requested))
    limit = config.limits.topics_per_connection
    bound = max(MAX_TOPICS_PER_REQUEST, limit) if limit else len(names)
    topics, excess = names[:bound], names[bound:]
    well_named = [topic for topic in topics if not list(validation.topic("topic", topic, config.limits))]
    subscribed = await _subscribed(store, principal, well_named)
    granted: dict[str, Grant] = {}
    refused: list[TopicRefused] = []
    for topic in topics:
        decision = _grant(principal, topic, followed + len(granted), config, subscribed=topic in subscribed)
        if isinstance(decision, Grant):
            granted[topic] = decision
        else:
            refused.append(decision)
    _watch_grants(principal, granted, config)
    if excess:
        message = (
            f"A request names at most {bound} topics: this one and the {len(excess) - 1} after it were not checked."
        )
        refused.append(TopicRefused(excess[0][: config.limits.topic or 200], "too_many", message))
    return granted, tuple(refused)


async def regrant_topics(
    store: Store, principal: Principal, grants: Mapping[str, Grant], config: LiveConfig
) -> dict[str, Grant]:
    """Return the followed topics that a new session of the same recipient still grants, each with its new grant.

    Changes nothing but the watched subscriptions."""
    granted: dict[str, Grant] = {topic: grant for topic, grant in grants.items() if grant in BEYOND_SESSIONS}
    by_session = [topic for topic in grants if topic not in granted]
    subscribed = await _subscribed(store, principal, by_session)
    public = config.access.public_topics
    for topic in by_session:
        grant = permissions.grant_of(principal, topic, subscribed=topic in subscribed, public=public)
        if grant is not None:
            granted[topic] = grant
    _watch_grants(principal, granted, config)
    return granted


def _watch_grants(principal: Principal, grants: Mapping[str, Grant], config: LiveConfig) -> None:
    """Let the reconciler check the subscriptions that granted topics."""
    for topic, grant in grants.items():
        if grant is Grant.SUBSCRIPTION:
            config.grants.add(SubscriptionGrant(principal.tenant, principal.recipient or "", topic))


# Includes the roles of a recipient's record: the store subscribes the recipient to their topics.
async def _subscribed(store: Store, principal: Principal, topics: list[str]) -> frozenset[str]:
    if principal.recipient is None or not topics:
        return frozenset()
    return await store.recipients.subscribed(principal.tenant, principal.recipient, topics)


def _grant(
    principal: Principal, topic: str, followed: int, config: LiveConfig, *, subscribed: bool
) -> Grant | TopicRefused:
    for problem in validation.topic("topic", topic, config.limits):
        return TopicRefused(topic[: config.limits.topic or 200], Invalid.code, f"A topic {problem.message}.")
    limit = config.limits.topics_per_connection
    if limit and followed >= limit:
        return TopicRefused(topic, "too_many", f"A connection follows at most {limit} topics.")
    grant = permissions.grant_of(principal, topic, subscribed=subscribed, public=config.access.public_topics)
    if grant is not None:
        return grant
    refusal = permissions.refusal_of(principal, topic)
    return TopicRefused(topic, refusal.code, refusal.message)
