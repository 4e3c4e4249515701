"""Which topics a principal may follow and publish on. Pure: a refusal says what would allow it."""

from collections.abc import Iterable

from msgspec import Struct

from bellcast.model import patterns
from bellcast.model.people import Principal


class Refusal(Struct, frozen=True, kw_only=True):
    """Why not, in the words clients are told."""

    code: str = "forbidden"
    message: str


def may_follow(
    principal: Principal, topic: str, *, subscribed: bool, public: Iterable[str], record_roles: Iterable[str]
) -> Refusal | None:
    """None if the principal may follow the topic. `subscribed` and `record_roles` are what the store has of it."""
    is_role = topic.startswith(patterns.ROLE_PREFIX)
    if not is_role and patterns.any_matches(public, topic):
        return None
    if principal.recipient is None:
        return _nameless(is_role=is_role)
    if subscribed or patterns.any_matches(principal.topics, topic):
        return None
    roles = record_roles if principal.roles is None else principal.roles
    if is_role and topic in map(patterns.role_topic, roles):
        return None
    return _not_following(is_role=is_role)


def may_publish(principal: Principal, topic: str) -> Refusal | None:
    """None if the principal's session allows publishing on the topic."""
    if principal.recipient is not None and patterns.any_matches(principal.publish, topic):
        return None
    return Refusal(message='Publishing here needs a session token whose "publish" claim has a matching pattern.')


def _nameless(*, is_role: bool) -> Refusal:
    if is_role:
        return Refusal(message="A role's topic is for recipients who have the role: connect with a session token.")
    return Refusal(
        message="A connection without a session token follows public topics only: connect with a token, "
        "or declare the topic public with BELLCAST_PUBLIC_TOPICS."
    )


def _not_following(*, is_role: bool) -> Refusal:
    if is_role:
        return Refusal(
            message="This topic is for recipients who have its role: give the role in the recipient's record or in "
            'the session token\'s "roles" claim.'
        )
    return Refusal(
        message="Following this topic needs a subscription of the recipient, a matching pattern in the session token's "
        '"topics" claim, or a topic declared public with BELLCAST_PUBLIC_TOPICS.'
    )
