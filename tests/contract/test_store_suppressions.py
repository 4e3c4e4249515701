"""The Suppressions port on every engine."""

from bellcast.ports import Suppression
from tests.clock import FakeClock
from tests.contract.app import App

NOW = FakeClock().now()


async def test_suppressions_are_paged_in_order_and_compare_email_in_any_case(app: App) -> None:
    store = app.store.suppressions
    for channel, address in (("sms", "+4366012345"), ("email", "B@x.at"), ("email", "a@x.at")):
        suppression = Suppression(channel=channel, address=address, reason="manual", created_at=NOW)
        assert (await store.put("", suppression))[1]
    first = await store.page("", ("", ""), 2)
    assert [one.address for one in first] == ["a@x.at", "b@x.at"]
    assert [one.address for one in await store.page("", ("email", "b@x.at"), 2)] == ["+4366012345"]
    both = [("email", "A@x.at"), ("email", "a@X.at"), ("email", "c@x.at")]
    assert await store.find("", both) == frozenset(both[:2])
    again = Suppression(channel="email", address="A@x.at", reason="complaint", created_at=NOW + 1)
    stored, is_new = await store.put("", again)
    assert (stored.address, stored.reason, stored.created_at, is_new) == ("a@x.at", "complaint", NOW, False)
    assert await store.delete("", "email", "A@X.at")
    assert not await store.delete("", "email", "A@X.at")
    assert await store.page("other", ("", ""), 2) == []


async def test_suppressions_of_all_tenants_are_paged_by_tenant(app: App) -> None:
    store = app.store.suppressions
    pairs = [("", "a@x.at"), ("", "b@x.at"), ("acme", "a@x.at"), ("globex", "a@x.at")]
    for tenant, address in reversed(pairs):
        await store.put(tenant, Suppression(channel="email", address=address, reason="manual", created_at=NOW))
    found = await store.page_of_all(("", "", ""), 3)
    assert [(tenant, one.address) for tenant, one in found] == pairs[:3]
    found = await store.page_of_all(("acme", "email", "a@x.at"), 3)
    assert [(tenant, one.address) for tenant, one in found] == pairs[3:]
