"""The topics that connections joined, kept for a while beside their recipient."""

from bellcast.brokers.memory import MemoryBroker
from bellcast.inbox import maintenance
from bellcast.inbox.maintenance import Retention
from bellcast.model.ids import Ids
from bellcast.ports import Context, JoinedBy
from bellcast.ports.joined_topics import (
    JOINED_TOPICS_LIFETIME_MS,
    JOINED_TOPICS_REFRESH_MS,
    MAX_CONNECTIONS_PER_RECIPIENT,
)
from tests.contract.app import App


async def number_of(app: App, key: str, tenant: str = "") -> int:
    await app.send(key, "Hello", tenant=tenant)
    return (await app.inbox(key, tenant=tenant)).number


async def test_joined_topics_are_kept_by_connection_until_their_lifetime_is_over(app: App) -> None:
    topics, alice = app.store.joined_topics, await number_of(app, "alice")
    phone, laptop = JoinedBy(alice, "phone"), JoinedBy(alice, "laptop")
    assert await topics.get(phone, 0) is None
    await topics.save(phone, "one", 1_000)
    await topics.save(laptop, "other", 1_000)
    await topics.save(phone, "two", 2_000)
    assert await topics.get(phone, 2_000 + JOINED_TOPICS_LIFETIME_MS) == "two"
    assert await topics.get(phone, 2_001 + JOINED_TOPICS_LIFETIME_MS) is None
    assert await topics.get(laptop, 1_000) == "other"


async def test_joined_topics_that_are_refreshed_live_on(app: App) -> None:
    topics, alice = app.store.joined_topics, await number_of(app, "alice")
    stays, ends = JoinedBy(alice, "stays"), JoinedBy(alice, "ends")
    for by in (stays, ends):
        await topics.save(by, "hall", 0)
    await topics.refresh([stays, JoinedBy(alice, "unknown")], JOINED_TOPICS_LIFETIME_MS)
    now = JOINED_TOPICS_LIFETIME_MS + JOINED_TOPICS_REFRESH_MS + 1
    assert await topics.sweep(now, 10) == 1
    assert [await topics.get(by, now) for by in (stays, ends)] == ["hall", None]
    assert await topics.get(JoinedBy(alice, "unknown"), now) is None


async def test_joined_topics_of_the_connections_last_saved_are_kept_and_no_more(app: App) -> None:
    topics, alice, bob = app.store.joined_topics, await number_of(app, "alice"), await number_of(app, "bob")
    await topics.save(JoinedBy(bob, "his"), "hall", 0)
    for number in range(MAX_CONNECTIONS_PER_RECIPIENT + 3):
        await topics.save(JoinedBy(alice, str(number)), "hall", number)
    kept = [await topics.get(JoinedBy(alice, str(number)), 0) for number in range(4)]
    assert kept == [None, None, None, "hall"]
    assert await topics.get(JoinedBy(bob, "his"), 0) == "hall"


async def test_joined_topics_of_an_erased_recipient_are_not_stored_again(app: App) -> None:
    topics, alice = app.store.joined_topics, await number_of(app, "alice")
    await app.store.recipients.delete("", "alice", app.now)
    await topics.save(JoinedBy(alice, "phone"), "hall", app.now)
    assert await topics.get(JoinedBy(alice, "phone"), app.now) is None


async def test_the_ordinary_upkeep_sweeps_joined_topics(app: App) -> None:
    topics, alice = app.store.joined_topics, await number_of(app, "alice")
    for number in range(3):
        await topics.save(JoinedBy(alice, str(number)), "hall", app.now)
    app.clock.advance((JOINED_TOPICS_LIFETIME_MS + JOINED_TOPICS_REFRESH_MS) / 1000 + 1)
    engines = Context(app.store, MemoryBroker(), app.clock, Ids().new)
    await maintenance.sweep(engines, Retention(notifications=0, tombstones=0))
    assert await topics.get(JoinedBy(alice, "0"), 0) is None


async def test_a_tenant_export_has_nothing_of_joined_topics(app: App) -> None:
    alice = await number_of(app, "alice", tenant="acme")
    await app.store.joined_topics.save(JoinedBy(alice, "phone"), "hall", app.now)
    export = await app.store.recipients.export_tenant("acme")
    assert export is not None
    assert [kind async for kind, _ in export] == ["tenant", "recipient", "notification"]
