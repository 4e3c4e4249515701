"""The topics that connections joined, stored for a limited time per recipient."""

from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.ids import Ids
from bellcast.server import maintenance
from bellcast.settings.table import StoreSettings
from bellcast.topics.store import (
    EXPIRED_TOPICS_MS,
    JOINED_TOPICS_LIFETIME_MS,
    MAX_CONNECTIONS_PER_RECIPIENT,
    JoinedBy,
    SavedTopics,
)
from tests.contexts import idle_context
from tests.contract.app import App


async def inbox_number(app: App, key: str, tenant: str = "") -> int:
    await app.send(key, "Hello", tenant=tenant)
    return (await app.inbox(key, tenant=tenant)).number


async def test_joined_topics_are_stored_per_connection(app: App) -> None:
    topics, alice = app.store.joined_topics, await inbox_number(app, "alice")
    phone, laptop = JoinedBy(alice, "phone"), JoinedBy(alice, "laptop")
    assert await topics.get(phone) is None
    await topics.save(phone, "one", 1_000)
    await topics.save(laptop, "other", 1_000)
    await topics.save(phone, "two", 2_000)
    assert await topics.get(phone) == SavedTopics("two", 2_000)
    assert await topics.get(laptop) == SavedTopics("other", 1_000)


async def test_topics_are_swept_a_day_after_their_lifetime_unless_refreshed(app: App) -> None:
    topics, alice = app.store.joined_topics, await inbox_number(app, "alice")
    refreshed, expiring = JoinedBy(alice, "refreshed"), JoinedBy(alice, "expiring")
    for connection in (refreshed, expiring):
        await topics.save(connection, "hall", 0)
    await topics.refresh([refreshed, JoinedBy(alice, "unknown")], JOINED_TOPICS_LIFETIME_MS)
    swept_at = JOINED_TOPICS_LIFETIME_MS + EXPIRED_TOPICS_MS
    assert [await topics.sweep(now, 10) for now in (swept_at, swept_at + 1)] == [0, 1]
    assert [await topics.get(connection) for connection in (refreshed, expiring)] == [
        SavedTopics("hall", JOINED_TOPICS_LIFETIME_MS),
        None,
    ]
    assert await topics.get(JoinedBy(alice, "unknown")) is None


async def test_topics_of_the_latest_connections_are_kept_up_to_a_bound(app: App) -> None:
    topics, alice, bob = app.store.joined_topics, await inbox_number(app, "alice"), await inbox_number(app, "bob")
    await topics.save(JoinedBy(bob, "his"), "hall", 0)
    for number in range(MAX_CONNECTIONS_PER_RECIPIENT + 3):
        await topics.save(JoinedBy(alice, str(number)), "hall", number)
    stored = [await topics.get(JoinedBy(alice, str(number))) for number in range(4)]
    assert stored == [None, None, None, SavedTopics("hall", 3)]
    assert await topics.get(JoinedBy(bob, "his")) == SavedTopics("hall", 0)


async def test_topics_of_an_erased_recipient_are_not_stored_again(app: App) -> None:
    topics, alice = app.store.joined_topics, await inbox_number(app, "alice")
    await app.store.recipients.delete("", "alice", app.now)
    await topics.save(JoinedBy(alice, "phone"), "hall", app.now)
    assert await topics.get(JoinedBy(alice, "phone")) is None


async def test_maintenance_sweeps_joined_topics(app: App) -> None:
    topics, alice = app.store.joined_topics, await inbox_number(app, "alice")
    for number in range(3):
        await topics.save(JoinedBy(alice, str(number)), "hall", app.now)
    app.clock.advance((JOINED_TOPICS_LIFETIME_MS + EXPIRED_TOPICS_MS) / 1000 + 1)
    engines = idle_context(app.store, MemoryBroker(), app.clock, Ids().new)
    await maintenance.sweep(engines, StoreSettings(retention=0, tombstones=0), 0)
    assert await topics.get(JoinedBy(alice, "0")) is None


async def test_tenant_export_contains_joined_topics(app: App) -> None:
    alice = await inbox_number(app, "alice", tenant="acme")
    await app.store.joined_topics.save(JoinedBy(alice, "phone"), '[["hall"],["wished"]]', app.now)
    export = await app.store.exports.tenant("acme")
    assert export is not None
    pairs = [pair async for pair in export]
    assert [kind for kind, _ in pairs] == ["tenant", "recipient", "notification", "joined_topics"]
    assert (pairs[-1][1].joined, pairs[-1][1].subscribed) == (["hall"], ["wished"])
