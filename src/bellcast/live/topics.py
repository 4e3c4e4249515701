"""Which of the topics a client asks for it may follow, and what the others are told."""

from collections.abc import Sequence
from typing import TypeAlias

from bellcast.auth import permissions
from bellcast.errors import Invalid
from bellcast.live.protocols.native import TopicRefused
from bellcast.live.rules import Rules
from bellcast.model import drafts
from bellcast.model.people import Principal
from bellcast.ports import Right, Store

Admitted: TypeAlias = tuple[tuple[str, ...], tuple[TopicRefused, ...]]


async def admitted(store: Store, principal: Principal, asked: Sequence[str], followed: int, rules: Rules) -> Admitted:
    """The topics that are given, and those that are not with the reason; `followed` is how many it has already."""
    topics = tuple(dict.fromkeys(asked))
    well_named = [topic for topic in topics if not list(drafts.topic("topic", topic, rules.limits))]
    subscribed = await _subscribed(store, principal, well_named)
    given: list[str] = []
    refused: list[TopicRefused] = []
    for topic in topics:
        refusal = _refusal(principal, topic, followed + len(given), rules, subscribed=topic in subscribed)
        if refusal is None:
            given.append(topic)
            if topic in subscribed:
                rules.rights.add(Right(principal.tenant, principal.recipient or "", topic))
        else:
            refused.append(refusal)
    return tuple(given), tuple(refused)


# The roles of a recipient's record need no look of their own: the store subscribes it to their topics.
async def _subscribed(store: Store, principal: Principal, topics: list[str]) -> frozenset[str]:
    if principal.recipient is None or not topics:
        return frozenset()
    return await store.recipients.subscribed(principal.tenant, principal.recipient, topics)


def _refusal(principal: Principal, topic: str, followed: int, rules: Rules, *, subscribed: bool) -> TopicRefused | None:
    for wrong in drafts.topic("topic", topic, rules.limits):
        return TopicRefused(topic[: rules.limits.topic or 200], Invalid.code, f"A topic {wrong.message}.")
    limit = rules.limits.topics_per_connection
    if limit and followed >= limit:
        return TopicRefused(topic, "too_many", f"A connection follows at most {limit} topics.")
    public = rules.access.public_topics
    refusal = permissions.may_follow(principal, topic, subscribed=subscribed, public=public, record_roles=())
    return None if refusal is None else TopicRefused(topic, refusal.code, refusal.message)
