"""The topics that connections joined, stored for a limited time per recipient."""

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


async def inbox_number(app: App, key: str, tenant: str = "") -> int:
    await app.send(key, "Hello", tenant=tenant)
    return (await app.inbox(key, tenant=tenant)).number


async def test_joined_topics_are_stored_per_connection_until_their_lifetime_ends(app: App) -> None:
    topics, alice = app.store.joined_topics, await inbox_number(app, "alice")
    phone, laptop = JoinedBy(alice, "phone"), JoinedBy(alice, "laptop")
    assert await topics.get(phone, 0) is None
    await topics.save(phone, "one", 1_000)
    await topics.save(laptop, "other", 1_000)
    await topics.save(phone, "two", 2_000)
    assert await topics.get(phone, 2_000 + JOINED_TOPICS_LIFETIME_MS) == "two"
    assert await topics.get(phone, 2_001 + JOINED_TOPICS_LIFETIME_MS) is None
    assert await topics.get(laptop, 1_000) == "other"


async def test_refreshed_topics_outlive_the_lifetime(app: App) -> None:
    topics, alice = app.store.joined_topics, await inbox_number(app, "alice")
    refreshed, expiring = JoinedBy(alice, "refreshed"), JoinedBy(alice, "expiring")
    for connection in (refreshed, expiring):
        await topics.save(connection, "hall", 0)
    await topics.refresh([refreshed, JoinedBy(alice, "unknown")], JOINED_TOPICS_LIFETIME_MS)
    now = JOINED_TOPICS_LIFETIME_MS + JOINED_TOPICS_REFRESH_MS + 1
    assert await topics.sweep(now, 10) == 1
    assert [await topics.get(connection, now) for connection in (refreshed, expiring)] == ["hall", None]
    assert await topics.get(JoinedBy(alice, "unknown"), now) is None


async def test_topics_of_the_latest_connections_are_kept_up_to_a_bound(app: App) -> None:
    topics, alice, bob = app.store.joined_topics, await inbox_number(app, "alice"), await inbox_number(app, "bob")
    await topics.save(JoinedBy(bob, "his"), "hall", 0)
    for number in range(MAX_CONNECTIONS_PER_RECIPIENT + 3):
        await topics.save(JoinedBy(alice, str(number)), "hall", number)
    stored = [await topics.get(JoinedBy(alice, str(number)), 0) for number in range(4)]
    assert stored == [None, None, None, "hall"]
    assert await topics.get(JoinedBy(bob, "his"), 0) == "hall"


async def test_topics_of_an_erased_recipient_are_not_stored_again(app: App) -> None:
    topics, alice = app.store.joined_topics, await inbox_number(app, "alice")
    await app.store.recipients.delete("", "alice", app.now)
    await topics.save(JoinedBy(alice, "phone"), "hall", app.now)
    assert await topics.get(JoinedBy(alice, "phone"), app.now) is None


async def test_maintenance_sweeps_joined_topics(app: App) -> None:
    topics, alice = app.store.joined_topics, await inbox_number(app, "alice")
    for number in range(3):
        await topics.save(JoinedBy(alice, str(number)), "hall", app.now)
    app.clock.advance((JOINED_TOPICS_LIFETIME_MS + JOINED_TOPICS_REFRESH_MS) / 1000 + 1)
    engines = Context(app.store, MemoryBroker(), app.clock, Ids().new)
    await maintenance.sweep(engines, Retention(notifications=0, tombstones=0))
    assert await topics.get(JoinedBy(alice, "0"), 0) is None


async def test_tenant_export_contains_no_joined_topics(app: App) -> None:
    alice = await inbox_number(app, "alice", tenant="acme")
    await app.store.joined_topics.save(JoinedBy(alice, "phone"), "hall", app.now)
    export = await app.store.recipients.export_tenant("acme")
    assert export is not None
    assert [kind async for kind, _ in export] == ["tenant", "recipient", "notification"]
