"""Which topics a connection may follow, and when this requires reading the store."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bellcast.auth.permissions import AccessConfig, Grant
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.live.hub.subscriptions import Authorized, authorize_topics, regrant_topics
from bellcast.live.types import LiveConfig
from tests import fake_stores

ALICE = Principal(recipient="alice", topics=("room-1", "team-*"), roles=("admin",))


class Subscriptions:
    """A store in which every recipient is subscribed to one topic. `read` contains the topics of each read."""

    def __init__(self) -> None:
        self.read: list[Sequence[str]] = []

    async def among(self, tenant: str, key: str, topics: Sequence[str]) -> frozenset[str]:
        self.read.append(topics)
        return frozenset({"garden"} & set(topics))


@pytest.fixture
def subscriptions() -> Subscriptions:
    return Subscriptions()


@pytest.fixture
def config() -> LiveConfig:
    return LiveConfig(limits=Limits(topics_per_connection=5), access=AccessConfig(public_topics=("news",)))


async def authorize(subscriptions: Subscriptions, config: LiveConfig, principal: Principal, *topics: str) -> Authorized:
    store: Any = fake_stores.db(SimpleNamespace(subscriptions=subscriptions))
    return await authorize_topics(cast(Any, store), principal, topics, 0, config)


async def test_topics_that_the_session_grants_cost_no_read(subscriptions: Subscriptions, config: LiveConfig) -> None:
    granted, refused = await authorize(subscriptions, config, ALICE, "room-1", "team-9", "role.admin", "news")
    assert granted == {"room-1": Grant.CLAIM, "team-9": Grant.CLAIM, "role.admin": Grant.ROLE, "news": Grant.PUBLIC}
    assert (refused, subscriptions.read) == ((), [])


async def test_other_topics_are_read_together(subscriptions: Subscriptions, config: LiveConfig) -> None:
    granted, refused = await authorize(subscriptions, config, ALICE, "garden", "room-1", "cellar", "not a topic")
    assert granted == {"garden": Grant.SUBSCRIPTION, "room-1": Grant.CLAIM}
    assert [(one.topic, one.code) for one in refused] == [("cellar", "forbidden"), ("not a topic", "invalid")]
    assert subscriptions.read == [["garden", "cellar"]]


async def test_anonymous_connections_follow_public_topics_only(
    subscriptions: Subscriptions, config: LiveConfig
) -> None:
    granted, refused = await authorize(subscriptions, config, Principal(), "news", "garden")
    assert (granted, [one.topic for one in refused], subscriptions.read) == ({"news": Grant.PUBLIC}, ["garden"], [])


async def test_new_session_keeps_what_it_grants(subscriptions: Subscriptions, config: LiveConfig) -> None:
    before = {"room-1": Grant.CLAIM, "garden": Grant.CLAIM, "cellar": Grant.CLAIM, "joined": Grant.APP}
    store: Any = fake_stores.db(SimpleNamespace(subscriptions=subscriptions))
    granted = await regrant_topics(store, ALICE, before, config)
    assert granted == {"joined": Grant.APP, "room-1": Grant.CLAIM, "garden": Grant.SUBSCRIPTION}
    assert subscriptions.read == [["garden", "cellar"]]


async def test_topics_beyond_those_a_connection_can_follow_are_refused_as_one(
    subscriptions: Subscriptions, config: LiveConfig
) -> None:
    granted, refused = await authorize(subscriptions, config, ALICE, *(f"cellar-{number}" for number in range(9_000)))
    assert granted == {}
    assert [(one.topic, one.code) for one in refused] == [
        *((f"cellar-{number}", "forbidden") for number in range(5)),
        ("cellar-5", "too_many"),
    ]
    assert "the 8994 after it were not checked" in refused[-1].message
    assert [len(topics) for topics in subscriptions.read] == [5]
