"""Rounds of attempts to deliver a message, on every store."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

import pytest
from msgspec.structs import replace

from bellcast.channels import delivery
from bellcast.channels.catalog import Catalog
from bellcast.channels.delivery import MessageDelivery, MessageReports, NamedProvider
from bellcast.channels.types import (
    MAX_ATTEMPTS,
    RETRIES,
    ChannelConfig,
    ExternalChannel,
    MessageUpdate,
    NewMessage,
    ProviderRate,
    StoredMessage,
)
from bellcast.kernel.jobs import Job, slots
from bellcast.kernel.jobs.runner import DestinationCall, PageOutcome
from bellcast.kernel.jobs.slots import Destination, Destinations
from bellcast.kernel.outbound import DeliveryError
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.providers.types import AcceptedMessage, AddressKind, OutgoingMessage, ServerAddress, UnusableProvider
from bellcast.webhooks.types import WebhookSink
from tests.clock import FakeClock
from tests.contexts import NO_FEED
from tests.store import Store

ADDRESS = "+12025550123"
ID = "00000000-0000-7000-8000-000000000001"
OTHER = f"{ID[:-1]}2"
HOUR = 3_600_000


def job_of(id: str) -> Job:
    return Job(id=id, kind="message", payload=id.encode(), run_at=0, created_at=0, tenant="")


class BusyProvider:
    """A provider that refuses every message for now."""

    channel: ExternalChannel = "sms"
    kinds: Sequence[AddressKind] = ("sms",)
    server: ServerAddress | None = None

    def __init__(self, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        self.calls = 0

    async def send(self, message: OutgoingMessage) -> AcceptedMessage:
        self.calls += 1
        raise DeliveryError("busy", code="429", is_temporary=True, retry_after=self.retry_after)

    async def check(self) -> None: ...

    async def close(self) -> None: ...


class AcceptingProvider(BusyProvider):
    """A provider that accepts every message."""

    async def send(self, message: OutgoingMessage) -> AcceptedMessage:
        self.calls += 1
        return AcceptedMessage("250", "OK", message.id)


class HangingProvider(AcceptingProvider):
    """A provider that accepts messages when `end` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.end = asyncio.Event()

    async def send(self, message: OutgoingMessage) -> AcceptedMessage:
        accepted = await super().send(message)
        await self.end.wait()
        return accepted


class World:
    """Deliveries of one message through these providers."""

    def __init__(self, store: Store, clock: FakeClock, providers: list[NamedProvider]) -> None:
        self.store, self.clock, self.providers = store, clock, providers
        catalog = Catalog(store, clock, ChannelConfig(), NO_FEED)
        self.reports = MessageReports(clock, NO_FEED)
        self.delivery = MessageDelivery(store, clock, catalog, self._find, WebhookSink(), self.reports)

        self.found_at = 0  # since when this process finds the providers

    async def _find(self, tenant: str, channel: ExternalChannel, since: int) -> list[NamedProvider]:
        return self.providers if since >= self.found_at else []

    async def add(self, id: str = ID, address: str = ADDRESS, tenant: str = "") -> None:
        now = self.clock.now()
        message = NewMessage(
            id=id,
            tenant=tenant,
            recipient="alice",
            notification=None,
            channel="sms",
            type="general",
            priority="normal",
            address=address,
            due_at=now,
            created_at=now,
            content=b'{"text":"Hi"}',
        )
        await self.store.messages.add([message])

    async def start(self, addresses: Mapping[str, str], tenant: str = "") -> list[asyncio.Future[PageOutcome]]:
        """Add messages with these last digits of their ids, and begin to deliver them together."""
        ids = [f"{ID[:-1]}{number}" for number in addresses]
        for id, address in zip(ids, addresses.values(), strict=True):
            await self.add(id, address, tenant)
        outcomes = await self.delivery.run_page([job_of(id) for id in ids])
        return [asyncio.ensure_future(one.work()) for one in outcomes if isinstance(one, DestinationCall)]

    async def deliver(self) -> StoredMessage:
        """Make one round of attempts when it is due; return the message."""
        (message,) = await self.store.messages.find([ID])
        self.clock.advance(max(0, message.due_at - self.clock.now()) / 1000)
        (outcome,) = await self.delivery.run_page([job_of(ID)])
        if isinstance(outcome, DestinationCall):
            await asyncio.create_task(outcome.work())  # as the job runner does: a delivery waits for the task before it
        (message,) = await self.store.messages.find([ID])
        return message


def named(key: str, provider: "BusyProvider", rate: ProviderRate | None = None) -> NamedProvider:
    return NamedProvider(key, provider, Destination(key, 10, Destinations(FakeClock())), rate)


def rated(clock: FakeClock, rate: float) -> ProviderRate:
    """Return the limits of a provider that has just used up its rate."""
    limits = ProviderRate("backup", rate, TokenBuckets())
    while limits.due_at(clock.now()) == clock.now():
        pass
    return limits


async def test_message_is_not_simulated_before_its_providers_are_read_again(store: Store, clock: FakeClock) -> None:
    """Another process has created the first one since."""
    world = World(store, clock, [named("main", AcceptingProvider())])
    world.found_at = clock.now()
    await world.add()
    message = await world.deliver()
    assert (message.state, message.provider) == ("sent", "main")
    world.providers = []
    await world.add(OTHER)
    await world.delivery.run_page([job_of(OTHER)])
    (simulated,) = await store.messages.find([OTHER])
    assert simulated.state == "simulated"


@pytest.mark.parametrize(
    ("retry_after", "rate", "least"), [(3600.0, 0.1, HOUR), (None, 1 / 7_200, HOUR), (None, 0.1, 9_000)]
)
async def test_failed_round_counts_while_the_backup_is_above_its_rate(
    store: Store, clock: FakeClock, retry_after: float | None, rate: float, least: int
) -> None:
    main, backup = BusyProvider(retry_after), BusyProvider()
    limits = rated(clock, rate)
    world = World(store, clock, [named("main", main), named("backup", backup, limits)])
    await world.add()
    message = await world.deliver()
    assert (message.state, message.reason, message.rounds, main.calls, backup.calls) == ("queued", "busy", 1, 1, 0)
    assert message.due_at >= clock.now() + least
    rounds = 1
    while message.state == "queued":
        message = await world.deliver()
        rounds += 1
    assert (message.state, rounds, main.calls) == ("failed", len(RETRIES) + 1, rounds)


def unusable(clock: FakeClock) -> NamedProvider:
    provider = UnusableProvider(("sms",), "was encrypted with another key")
    return NamedProvider("main", provider, Destination("main", 10, Destinations(clock)))


@pytest.mark.parametrize("delays", [RETRIES, ()])
async def test_message_waits_a_day_for_a_node_that_can_use_its_provider(
    store: Store, clock: FakeClock, delays: Sequence[float]
) -> None:
    world = World(store, clock, [unusable(clock)])
    world.delivery.retry_delays = lambda: delays
    await world.add()
    started, waits = clock.now(), []
    while (message := await world.deliver()).state == "queued":
        assert (message.rounds, len(message.attempts)) == (0, 1)
        waits.append(message.due_at - clock.now())
    assert max(waits) >= RETRIES[-1] * 1000 * 0.9  # later each time
    assert (message.state, message.reason) == ("failed", "the provider's URL was encrypted with another key")
    assert 24 * HOUR <= clock.now() - started <= 27 * HOUR


async def test_round_of_a_node_that_cannot_use_a_provider_counts_if_another_provider_refuses(
    store: Store, clock: FakeClock
) -> None:
    world = World(store, clock, [unusable(clock)])
    await world.add()
    for _ in range(len(RETRIES) + 2):
        assert (await world.deliver()).state == "queued"
    world.providers.append(named("backup", BusyProvider()))
    assert (await world.deliver()).rounds == 1


class OvertakenProvider(BusyProvider):
    """Refuses a message that another worker has passed on in the meantime."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store

    async def send(self, message: OutgoingMessage) -> AcceptedMessage:
        (begun,) = await self.store.messages.find([message.id])
        await self.store.messages.finish([MessageUpdate(message=replace(begun, state="sent"))], 0)
        raise DeliveryError("invalid number", code="400", is_temporary=False)


async def test_provider_that_does_not_respond_delays_no_message_that_another_can_send(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a mail server does that hangs after it has received an e-mail: ten minutes would be within its timeout."""
    monkeypatch.setattr(slots, "STUCK_SECONDS", 0.2)
    main, backup = HangingProvider(), AcceptingProvider()
    destination = Destination("main", 1, Destinations(clock))
    world = World(store, clock, [NamedProvider("main", main, destination), named("backup", backup)])
    first, *others = await world.start({"1": ADDRESS, "2": "+12025550124", "3": "+12025550125"})
    await asyncio.gather(*others)
    assert (main.calls, backup.calls) == (1, 2)
    assert not first.done()
    await world.add(f"{ID[:-1]}4", "+12025550126")
    (call,) = await world.delivery.run_page([job_of(f"{ID[:-1]}4")])
    assert isinstance(call, DestinationCall)
    assert call.destination is world.providers[1].destination  # not in the line of the first
    main.end.set()
    await first
    assert (main.calls, backup.calls) == (1, 2)


async def test_outcome_of_a_late_worker_is_not_reported(store: Store, clock: FakeClock) -> None:
    world = World(store, clock, [named("main", OvertakenProvider(store))])
    await world.add()
    message = await world.deliver()
    assert (message.state, world.reports.ended.total()) == ("sent", 0)


async def test_message_keeps_its_last_attempts(store: Store, clock: FakeClock) -> None:
    world = World(store, clock, [named(f"p{number}", BusyProvider()) for number in range(5)])
    await world.add()
    message = await world.deliver()
    while message.state == "queued":
        message = await world.deliver()
    assert len(message.attempts) == MAX_ATTEMPTS < 5 * (len(RETRIES) + 1)
    assert message.attempts[-1].provider == "p4"
    assert [one.at for one in message.attempts] == sorted(one.at for one in message.attempts)


class SlowProvider(BusyProvider):
    """Accepts each message once the test lets it go."""

    def __init__(self) -> None:
        super().__init__()
        self.left: list[str] = []
        self.gates: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def send(self, message: OutgoingMessage) -> AcceptedMessage:
        await self.gates[message.id[-1]].wait()
        self.left.append(message.id[-1])
        return AcceptedMessage(code="0")


async def test_message_does_not_overtake_an_earlier_one_to_its_address(store: Store, clock: FakeClock) -> None:
    """A confirmation and a reminder; a message to another address does not wait."""
    provider = SlowProvider()
    world = World(store, clock, [named("main", provider)])
    sending = await world.start({"1": ADDRESS, "2": ADDRESS, "3": "+12025550124"})
    for number in ("3", "2", "1"):
        provider.gates[number].set()
        await asyncio.sleep(0)
    await asyncio.gather(*sending)
    assert provider.left == ["3", "1", "2"]


async def test_message_does_not_wait_for_one_of_another_tenant(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "ORDER_SECONDS", 3600.0)
    provider = SlowProvider()
    world = World(store, clock, [named("main", provider)])
    (first,) = await world.start({"1": ADDRESS})
    (other,) = await world.start({"2": ADDRESS}, tenant="acme")
    provider.gates["2"].set()
    await asyncio.wait_for(other, 10)
    provider.gates["1"].set()
    await first
    assert provider.left == ["2", "1"]


async def test_flood_to_one_address_does_not_wait_long(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits for the previous one for a moment; then all leave together, although the first has not left."""
    monkeypatch.setattr(delivery, "ORDER_SECONDS", 0.0)
    provider = SlowProvider()
    world = World(store, clock, [named("main", provider)])
    sending = await world.start({"1": ADDRESS, "2": ADDRESS, "3": ADDRESS})
    for number in ("3", "2", "1"):
        provider.gates[number].set()
        await sending[int(number) - 1]
    assert provider.left == ["3", "2", "1"]
