from collections.abc import Sequence

import pytest

from bellcast.auth import permissions
from bellcast.auth.permissions import Grant
from bellcast.kernel.identities import Principal

ALICE = Principal(recipient="alice")
ANONYMOUS = Principal()


def follow(principal: Principal, topic: str, *, subscribed: bool = False, public: Sequence[str] = ()) -> str | None:
    grant = permissions.grant_of(principal, topic, subscribed=subscribed, public=public)
    return permissions.refusal_of(principal, topic) if grant is None else None


@pytest.mark.parametrize(
    ("principal", "topic", "more"),
    [
        (ALICE, "lobby", {"subscribed": True}),
        (Principal(recipient="alice", topics=("lobby",)), "lobby", {}),
        (Principal(recipient="alice", topics=("x", "project.*")), "project.7.files", {}),
        (Principal(recipient="alice", topics=("*",)), "role.admin", {}),
        (ALICE, "news.today", {"public": ("news.*",)}),
        (ANONYMOUS, "news.today", {"public": ("news.*",)}),
        (ALICE, "role.admin", {"subscribed": True}),
        (Principal(recipient="alice", roles=("admin",)), "role.admin", {}),
    ],
)
def test_following_is_allowed(principal: Principal, topic: str, more: dict[str, object]) -> None:
    assert follow(principal, topic, **more) is None


@pytest.mark.parametrize(
    ("principal", "topic", "more", "hints"),
    [
        (ALICE, "lobby", {}, ["subscription", '"topics" claim', "BELLCAST_PUBLIC_TOPICS"]),
        (Principal(recipient="alice", topics=("project.*",)), "projects", {}, ["subscription"]),
        (Principal(recipient="alice", publish=("*",)), "lobby", {}, ["subscription"]),
        (ANONYMOUS, "lobby", {"public": ("news.*",)}, ["BELLCAST_PUBLIC_TOPICS", "token"]),
        (ANONYMOUS, "lobby", {"subscribed": True}, ["BELLCAST_PUBLIC_TOPICS"]),
        (Principal(topics=("*",)), "lobby", {}, ["BELLCAST_PUBLIC_TOPICS"]),
        (ANONYMOUS, "role.admin", {"public": ("*",)}, ["role"]),
        (ALICE, "role.admin", {"public": ("role.*", "*")}, ["record", '"roles" claim']),
        (Principal(recipient="alice", roles=("editor",)), "role.admin", {}, ["record"]),
        (Principal(recipient="alice", roles=("admin",)), "admin", {}, ["subscription"]),
    ],
)
def test_refused_subscription_hints_at_what_would_allow_it(
    principal: Principal, topic: str, more: dict[str, object], hints: list[str]
) -> None:
    refused = follow(principal, topic, **more)
    assert refused is not None
    assert all(hint in refused for hint in hints)


@pytest.mark.parametrize(
    ("claims", "more", "grant"),
    [
        ({"topics": ("role.admin",), "roles": ("admin",)}, {"subscribed": True}, Grant.CLAIM),
        ({"roles": ("admin",)}, {"subscribed": True}, Grant.ROLE),
        ({}, {"subscribed": True}, Grant.SUBSCRIPTION),
        ({}, {"subscribed": False}, None),
    ],
)
def test_grant_is_the_most_lasting_reason(
    claims: dict[str, tuple[str, ...]], more: dict[str, bool], grant: Grant | None
) -> None:
    principal = Principal(recipient="alice", topics=claims.get("topics", ()), roles=claims.get("roles"))
    assert permissions.grant_of(principal, "role.admin", subscribed=more["subscribed"], public=("*",)) is grant


def test_publishing_needs_a_publish_claim() -> None:
    chatting = Principal(recipient="alice", publish=("chat.*",))
    assert permissions.may_publish(chatting, "chat.7") is None
    for principal, topic in (
        (chatting, "news"),
        (ALICE, "chat.7"),
        (Principal(recipient="alice", topics=("*",)), "chat.7"),
        (Principal(publish=("*",)), "chat.7"),
    ):
        refused = permissions.may_publish(principal, topic)
        assert refused is not None
        assert '"publish" claim' in refused
