"""Which of the subscriptions that connections follow by still stand, asked for many at once."""

from bellcast.ports import Store, SubscriptionGrant
from tests.contract.app import App


async def test_those_that_stand_are_told_of_many_people_tenants_and_topics(store: Store, app: App) -> None:
    rights = [
        SubscriptionGrant(tenant, key, topic)
        for tenant in ("", "acme")
        for key in ("alice", "bob")
        for topic in ("a", "b")
    ]
    for right in rights:
        await store.recipients.subscribe(right.tenant, right.topic, right.recipient, app.now)
    assert await store.recipients.grants_in_force(rights) == set(rights)
    await store.recipients.unsubscribe("acme", "a", "alice", app.now)
    await store.recipients.delete("", "bob", app.now)
    gone = {
        SubscriptionGrant("acme", "alice", "a"),
        SubscriptionGrant("", "bob", "a"),
        SubscriptionGrant("", "bob", "b"),
    }
    unknown = [
        SubscriptionGrant("", "alice", "c"),
        SubscriptionGrant("globex", "alice", "a"),
        SubscriptionGrant("", "nobody", "a"),
    ]
    assert await store.recipients.grants_in_force([*rights, *unknown]) == set(rights) - gone
    assert await store.recipients.grants_in_force([]) == frozenset()
