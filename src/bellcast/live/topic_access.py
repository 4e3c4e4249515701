"""Authorization of the topics that a client requests."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from bellcast.auth import permissions
from bellcast.auth.permissions import Grant
from bellcast.kernel import validation
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import FieldError, Forbidden, Invalid
from bellcast.kernel.identities import Principal
from bellcast.live.types import LiveConfig
from bellcast.recipients.store import StoredSubscriptions

# Grants that do not come from a session, so a new session does not remove them.
BEYOND_SESSIONS = frozenset({Grant.APP, Grant.DIALECT})


class TopicRefused(Struct, frozen=True):
    topic: str
    code: str
    message: str


Authorized: TypeAlias = tuple[dict[str, Grant], tuple[TopicRefused, ...]]


async def authorize_topics(
    db: Engine, principal: Principal, requested: Sequence[str], followed: int, config: LiveConfig
) -> Authorized:
    """Return the granted topics with their grants, and the refused topics. `followed` is the number of topics that the
    connection already follows. Of more topics than a connection can follow, the rest is not checked and refused as one:
    a refusal is about 170 bytes, so a request of 1 MB would be answered by 25 MB."""
    names = tuple(dict.fromkeys(requested))
    limit = config.limits.topics_per_connection
    bound = limit or len(names)
    topics, excess = names[:bound], names[bound:]
    problems: dict[str, FieldError] = {}
    for topic in topics:
        for problem in validation.topic("topic", topic, config.limits):
            problems.setdefault(topic, problem)  # the first one
    valid = [topic for topic in topics if topic not in problems] if problems else topics
    grants = await _grants(db, principal, valid, config)
    granted: dict[str, Grant] = {}
    refused: list[TopicRefused] = []
    for topic in topics:
        if topic in problems:
            message = f"A topic {problems[topic].message}."
            refused.append(TopicRefused(topic[: config.limits.topic or 200], Invalid.code, message))
        elif limit and followed + len(granted) >= limit:
            refused.append(TopicRefused(topic, "too_many", f"A connection follows at most {limit} topics."))
        elif topic in grants:
            granted[topic] = grants[topic]
        else:
            refused.append(TopicRefused(topic, Forbidden.code, permissions.refusal_of(principal, topic)))
    if excess:
        message = (
            f"A request names at most {bound} topics: this one and the {len(excess) - 1} after it were not checked."
        )
        refused.append(TopicRefused(excess[0][: config.limits.topic or 200], "too_many", message))
    return granted, tuple(refused)


async def regrant_topics(
    db: Engine, principal: Principal, grants: Mapping[str, Grant], config: LiveConfig
) -> dict[str, Grant]:
    """Return the followed topics that a new session of the same recipient still grants, each with its new grant."""
    granted: dict[str, Grant] = {topic: grant for topic, grant in grants.items() if grant in BEYOND_SESSIONS}
    return granted | await _grants(db, principal, [topic for topic in grants if topic not in granted], config)


async def _grants(db: Engine, principal: Principal, topics: Sequence[str], config: LiveConfig) -> dict[str, Grant]:
    """Return the topics that a principal may follow, each with its grant. The store is read only for topics that the
    session does not grant. In the store, roles of a recipient's record are subscriptions to the roles' topics."""
    public = config.access.public_topics
    grants: dict[str, Grant] = {}
    others: list[str] = []
    for topic in topics:
        grant = permissions.grant_of(principal, topic, subscribed=False, public=public)
        if grant is None:
            others.append(topic)
        else:
            grants[topic] = grant
    if principal.recipient is not None and others:
        subscribed = await StoredSubscriptions(db).among(principal.tenant, principal.recipient, others)
        grants |= dict.fromkeys(subscribed, Grant.SUBSCRIPTION)
    return grants
