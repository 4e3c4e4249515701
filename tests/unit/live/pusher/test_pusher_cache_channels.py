"""The last event of a cache channel, which a new subscriber receives unless a newer one was delivered in the meantime."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bellcast.auth.permissions import AccessConfig
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.live.pusher import protocol
from bellcast.live.pusher.channels import DELIVERY_SECONDS, MAX_CACHE_QUERIES, PusherChannels
from bellcast.live.pusher.plugin import PusherConfig
from bellcast.live.types import LiveConfig
from bellcast.topics.store import LastEvent
from tests import fake_stores
from tests.clock import FakeClock
from tests.unit.live import fakes

CHANNEL = "cache-prices"


class SlowLastEvents:
    """Each query reads the last event at its start and returns it when it is released."""

    def __init__(self, last: str | None, at: int) -> None:
        self.last, self.at = last, at
        self.queries: list[asyncio.Event] = []

    async def get(self, tenant: str, topic: str, since: int) -> LastEvent | None:
        found, released = self.last, asyncio.Event()
        self.queries.append(released)
        await released.wait()
        return None if found is None else LastEvent("price", found, self.at)


class Subscriber:
    """A client that has just sent `pusher:subscribe`."""

    def __init__(self, last: str | None, *, is_fresh: bool = False) -> None:
        self.clock = FakeClock()
        self.hub, self.events = fakes.new_hub(), SlowLastEvents(last, self.clock.now() if is_fresh else 0)
        self.missed: list[str] = []
        engines = SimpleNamespace(clock=self.clock, db=fake_stores.db(SimpleNamespace(topics=self.events)))
        webhooks = SimpleNamespace(missed=lambda channel, _: self.missed.append(channel))
        config = LiveConfig(limits=Limits(), access=AccessConfig(public_topics=("*",)))
        apps = SimpleNamespace(only_channel=lambda _: None)
        settings = {"pusher": PusherConfig()}
        live: Any = SimpleNamespace(engines=engines, hub=self.hub, config=config, settings=settings)
        channels = PusherChannels(live, cast(Any, apps), cast(Any, webhooks), cast(Any, None), cast(Any, None))
        self.connection = fakes.connect(self.hub, "1.1", Principal(), dialect=protocol.WEBSOCKET)
        self.subscribing = asyncio.ensure_future(
            channels.subscribe(self.connection, protocol.PusherSubscribe(CHANNEL, None))
        )

    async def query(self, number: int) -> None:
        """Wait until this query is waiting."""
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(self.events.queries) == number

    async def release(self) -> None:
        self.events.queries[-1].set()
        for _ in range(10):
            await asyncio.sleep(0)

    def publish(self, data: str) -> None:
        """Save an event and deliver it, as the API does."""
        self.events.last = data
        self.hub.dispatch(LiveEvent("", "price", data, topic=CHANNEL))

    @property
    def received(self) -> list[str]:
        subscribed, *events = self.connection.fake.frames
        assert subscribed["event"] == "pusher_internal:subscription_succeeded"
        return [event["data"] if event["event"] != "pusher:cache_miss" else "none" for event in events]


async def test_stored_event_is_not_sent_after_a_newer_one() -> None:
    subscriber = Subscriber("E1")
    await subscriber.query(1)
    subscriber.publish("E2")
    await subscriber.release()
    await subscriber.release()
    assert (subscriber.received, subscriber.subscribing.done()) == (["E2"], True)


async def test_newer_event_is_sent_even_if_it_arrives_during_the_second_query() -> None:
    subscriber = Subscriber("E1")
    await subscriber.query(1)
    subscriber.publish("E2")
    await subscriber.release()
    await subscriber.query(2)
    subscriber.events.last = "E3"  # saved, and about to be delivered
    subscriber.hub.dispatch(LiveEvent("", "client-move", "x", topic=CHANNEL))
    await subscriber.release()
    await subscriber.query(3)
    await subscriber.release()
    assert subscriber.received == ["E2", "x", "E3"]


@pytest.mark.parametrize("last", ["E1", None], ids=["stored", "none"])
async def test_event_that_is_not_cached_does_not_replace_the_stored_one(last: str | None) -> None:
    subscriber = Subscriber(last)
    await subscriber.query(1)
    subscriber.hub.dispatch(LiveEvent("", "client-move", "x", topic=CHANNEL))
    await subscriber.release()
    await subscriber.query(2)
    await subscriber.release()
    assert subscriber.received == ["x", "none" if last is None else last]
    assert subscriber.missed == ([CHANNEL] if last is None else [])


async def test_first_event_of_a_channel_is_not_a_cache_miss() -> None:
    subscriber = Subscriber(None)
    await subscriber.query(1)
    subscriber.publish("E1")
    await subscriber.release()
    await subscriber.release()
    assert (subscriber.received, subscriber.missed) == (["E1"], [])


async def test_subscriber_that_has_disconnected_causes_no_cache_miss() -> None:
    """The vacated channel has no subscribers, so no `cache_miss` webhook is sent."""
    subscriber = Subscriber(None)
    await subscriber.query(1)
    subscriber.connection.connection_lost(None)
    await subscriber.release()
    assert (subscriber.subscribing.done(), subscriber.missed) == (True, [])


async def test_subscription_to_a_busy_channel_ends() -> None:
    subscriber = Subscriber("E0")
    for number in range(1, MAX_CACHE_QUERIES + 1):
        await subscriber.query(number)
        subscriber.publish(f"E{number}")
        await subscriber.release()
    assert subscriber.subscribing.done()
    assert subscriber.received == [f"E{number}" for number in range(1, MAX_CACHE_QUERIES + 1)]


async def test_event_that_is_delivered_after_the_query_is_sent_once() -> None:
    subscriber = Subscriber("E1", is_fresh=True)
    await subscriber.query(1)
    await subscriber.release()
    subscriber.publish("E1")
    subscriber.clock.advance(DELIVERY_SECONDS)
    await subscriber.query(2)
    await subscriber.release()
    assert (subscriber.received, subscriber.subscribing.done()) == (["E1"], True)


async def test_event_that_was_delivered_just_before_the_subscription_is_sent() -> None:
    subscriber = Subscriber("E1", is_fresh=True)
    await subscriber.query(1)
    await subscriber.release()
    subscriber.clock.advance(DELIVERY_SECONDS)
    await subscriber.query(1)
    assert (subscriber.received, subscriber.subscribing.done()) == (["E1"], True)
