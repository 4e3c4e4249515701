"""What a session may do: the access configuration, and which topics a principal may follow and publish to. Pure. A
refusal states what would allow the operation."""

from collections.abc import Collection
from enum import Enum, auto

from msgspec import Struct

from bellcast.kernel.events import ROLE_PREFIX, any_pattern_matches, role_topic
from bellcast.kernel.identities import Principal


class AccessConfig(Struct, kw_only=True):
    """External issuers of sessions, allowed origins, and topics that need no permission. Operators can change some of
    them while the server runs, so they must be read for each request."""

    jwks_url: str | None = None
    jwks_issuer: str | None = None
    jwks_audience: str | None = None
    jwt_secret: str | None = None
    jwt_claims: tuple[str, ...] = ("recipient=userId", "roles=role")
    session_url: str | None = None
    origins: tuple[str, ...] = ()
    public_topics: tuple[str, ...] = ()
    presence_topics: tuple[str, ...] = ("presence-*",)
    anonymous: bool = False


class Grant(Enum):
    """The reason why a connection may follow a topic. When the reason ceases to exist, the subscription ends."""

    PUBLIC = auto()  # a pattern of BELLCAST_PUBLIC_TOPICS
    CLAIM = auto()  # a pattern of the session's `topics` claim
    ROLE = auto()  # a role of the session's `roles` claim
    SUBSCRIPTION = auto()  # a subscription in the store; the roles of a recipient's record are subscriptions too
    APP = auto()  # a handler's `join`, or a signature under the project secret: independent of the session
    DIALECT = auto()  # a topic the dialect gives to each of its connections


def grant_of(principal: Principal, topic: str, *, subscribed: bool, public: Collection[str]) -> Grant | None:
    """Return the grant by which the principal may follow the topic, preferring permanent ones; None if there is
    none. `subscribed` is whether the store has a subscription."""
    is_role = topic.startswith(ROLE_PREFIX)
    if public and not is_role and any_pattern_matches(public, topic):
        return Grant.PUBLIC
    if principal.recipient is None:
        return None
    if any_pattern_matches(principal.topics, topic):
        return Grant.CLAIM
    if is_role and topic in map(role_topic, principal.roles or ()):
        return Grant.ROLE
    return Grant.SUBSCRIPTION if subscribed else None


def refusal_of(principal: Principal, topic: str) -> str:
    """Return a text that states what would allow the principal to follow the topic."""
    is_role = topic.startswith(ROLE_PREFIX)
    if principal.recipient is None and is_role:
        return "A role's topic is for recipients who have the role: connect with a session token."
    if principal.recipient is None:
        return (
            "A connection without a session token follows public topics only: connect with a token, "
            "or declare the topic public with BELLCAST_PUBLIC_TOPICS."
        )
    if is_role:
        return (
            "This topic is for recipients who have its role: add the role to the recipient's record or in "
            'the session token\'s "roles" claim.'
        )
    return (
        "Following this topic needs a subscription of the recipient, a matching pattern in the session token's "
        '"topics" claim, or a topic declared public with BELLCAST_PUBLIC_TOPICS.'
    )


def may_publish(principal: Principal, topic: str) -> str | None:
    """None if the principal's session allows publishing on the topic, else the reason."""
    if principal.recipient is not None and any_pattern_matches(principal.publish, topic):
        return None
    return 'Publishing here needs a session token whose "publish" claim has a matching pattern.'
