"""Suppressed addresses on every engine."""

from bellcast.kernel.db.lists import ListQuery
from tests.clock import FakeClock
from tests.contract.app import App

NOW = FakeClock().now()


async def test_suppressions_are_paged_in_order_and_compare_email_in_any_case(app: App) -> None:
    store = app.store.suppressions
    for channel, address in (("sms", "+4366012345"), ("email", "B@x.at"), ("email", "a@x.at")):
        assert (await store.put("", channel, address, "manual", NOW))[1]
    first = await store.page(ListQuery(tenants=[""], limit=2))
    assert [one.address for one in first.items] == ["a@x.at", "b@x.at"]
    assert first.next == ("", "email", "b@x.at")
    rest = await store.page(ListQuery(tenants=[""], after=first.next, limit=2))
    assert ([one.address for one in rest.items], rest.next) == (["+4366012345"], None)
    both = [("email", "A@x.at"), ("email", "a@X.at"), ("email", "c@x.at")]
    assert await store.find("", both) == frozenset(both[:2])
    stored, is_new = await store.put("", "email", "A@x.at", "complaint", NOW + 1)
    assert (stored.address, stored.reason, stored.created_at, is_new) == (
        "a@x.at",
        "complaint",
        first.items[0].created_at,
        False,
    )
    assert await store.delete("", "email", "A@X.at")
    assert not await store.delete("", "email", "A@X.at")
    assert (await store.page(ListQuery(tenants=["other"]))).items == []


async def test_suppressions_of_several_tenants_are_paged_by_tenant(app: App) -> None:
    store = app.store.suppressions
    pairs = [("", "a@x.at"), ("", "b@x.at"), ("acme", "a@x.at"), ("globex", "a@x.at")]
    for tenant, address in reversed(pairs):
        await store.put(tenant, "email", address, "manual", NOW)
    for tenants, expected in ((None, pairs), (["globex", "", "acme"], pairs), (["globex", "acme"], pairs[2:])):
        for limit in (1, 2, 3, 10):
            found, after = [], None
            while True:
                page = await store.page(ListQuery(tenants=tenants, after=after, limit=limit))
                found += [(one.tenant or "", one.address) for one in page.items]
                assert len(page.items) == limit or page.next is None
                if (after := page.next) is None:
                    break
            assert found == expected
