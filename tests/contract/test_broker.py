"""What every broker promises."""

from collections.abc import AsyncIterator, Callable

import pytest

from bellcast.brokers.memory import MemoryBroker
from bellcast.model.events import Event, LiveEvent
from bellcast.ports import Broker

BROKERS: dict[str, Callable[[], Broker]] = {"memory": MemoryBroker}


@pytest.fixture(params=BROKERS)
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    broker = BROKERS[request.param]()
    yield broker
    await broker.close()


def said(number: int) -> Event:
    return LiveEvent(tenant="", name="said", data=number, topic="room")


async def test_the_listener_hears_every_event_in_order(broker: Broker) -> None:
    heard: list[Event] = []
    broker.listen(heard.append)
    await broker.publish(said(1), said(2))
    await broker.publish(said(3))
    assert heard == [said(1), said(2), said(3)]


async def test_publishing_to_nobody_is_no_error(broker: Broker) -> None:
    await broker.publish(said(1))
    heard: list[Event] = []
    broker.listen(heard.append)
    await broker.publish()
    assert heard == []


async def test_a_closed_broker_tells_nobody(broker: Broker) -> None:
    heard: list[Event] = []
    broker.listen(heard.append)
    await broker.close()
    await broker.publish(said(1))
    assert heard == []
