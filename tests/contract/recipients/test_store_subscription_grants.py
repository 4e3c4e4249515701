"""Which subscription grants are still in force, checked in one query."""

from bellcast.recipients.types import SubscriptionGrant
from tests.contract.app import App
from tests.store import Store


async def test_grants_in_force_are_returned_for_many_recipients_tenants_and_topics(store: Store, app: App) -> None:
    grants = [
        SubscriptionGrant(tenant, key, topic)
        for tenant in ("", "acme")
        for key in ("alice", "bob")
        for topic in ("a", "b")
    ]
    for grant in grants:
        await store.subscriptions.subscribe(grant.tenant, grant.topic, grant.recipient, app.now)
    assert await store.subscriptions.grants_in_force(grants) == set(grants)
    await store.subscriptions.unsubscribe("acme", "a", "alice", app.now)
    await store.recipients.delete("", "bob", app.now)
    ended = {
        SubscriptionGrant("acme", "alice", "a"),
        SubscriptionGrant("", "bob", "a"),
        SubscriptionGrant("", "bob", "b"),
    }
    unknown = [
        SubscriptionGrant("", "alice", "c"),
        SubscriptionGrant("globex", "alice", "a"),
        SubscriptionGrant("", "nobody", "a"),
    ]
    assert await store.subscriptions.grants_in_force([*grants, *unknown]) == set(grants) - ended
    assert await store.subscriptions.grants_in_force([]) == frozenset()
