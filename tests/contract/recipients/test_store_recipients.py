"""Recipients, tenants, subscriptions and API keys."""

from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from bellcast.auth.store import ApiKey
from bellcast.channels.links import PreferencesGrant
from bellcast.kernel import times
from bellcast.kernel.db.lists import ANY_TIME, CreatedRange, ListPage, ListQuery, ListTotal, containing
from bellcast.kernel.errors import Forbidden
from bellcast.recipients.types import (
    Recipient,
    RecipientFields,
    RecipientOfLink,
    SessionsRevoked,
    Subscription,
    SubscriptionEnded,
)
from bellcast.tenants.types import Tenant
from tests.contract.app import App


async def test_record_keeps_all_fields(app: App) -> None:
    fields = RecipientFields(
        name="Alice",
        email="a@example.com",
        phone="+49",
        locale="de",
        timezone="Europe/Berlin",
        roles=["admin", "admin"],
        data={"n": 1},
    )
    recipient, created, events = await app.store.recipients.put("acme", "alice", fields, app.now, replace=True)
    assert (created, events) == (True, ())
    assert recipient == Recipient(
        key="alice",
        tenant="acme",
        name="Alice",
        email="a@example.com",
        phone="+49",
        locale="de",
        timezone="Europe/Berlin",
        roles=("admin",),
        data={"n": 1},
        created_at=times.to_rfc3339(app.now),
    )
    assert await app.store.recipients.get("acme", "alice") == recipient


async def test_patch_keeps_other_fields_and_put_clears_them(app: App) -> None:
    put = app.store.recipients.put
    await put("", "alice", RecipientFields(name="Alice", email="a@example.com", roles=["admin"]), app.now, replace=True)
    patched, created, _ = await put("", "alice", RecipientFields(email=None), app.now, replace=False)
    assert (created, patched.name, patched.email, patched.roles) == (False, "Alice", None, ("admin",))
    replaced, _, events = await put("", "alice", RecipientFields(email="b@example.com"), app.now, replace=True)
    assert (replaced.name, replaced.email, replaced.roles) == (None, "b@example.com", ())
    assert events == (SubscriptionEnded("", "alice", "role.admin"),)


async def test_record_contains_the_counters(app: App) -> None:
    id = await app.send("alice")
    await app.send("alice")
    await app.mark("alice", "seen", ids=(id,))
    recipient = await app.store.recipients.get("", "alice")
    assert recipient is not None
    assert (recipient.unread, recipient.unseen) == (2, 1)


async def test_records_are_listed_by_key_and_prefix(app: App) -> None:
    for key in ("bob", "alice", "alan", "al%", "älice"):
        await app.open(key)
    await app.open("alien", "acme")

    async def keys(after: str = "", limit: int = 10, prefix: str = "") -> list[str]:
        query = ListQuery(tenants=[""], after=("", after), limit=limit, prefix=prefix)
        return [recipient.key for recipient in (await app.store.recipients.page(query)).items]

    assert await keys() == ["al%", "alan", "alice", "bob", "älice"]
    assert await keys("alan", 2) == ["alice", "bob"]
    assert await keys(prefix="al") == ["al%", "alan", "alice"]
    assert await keys(prefix="al%") == await keys(prefix="al%", limit=1) == ["al%"]
    assert await keys("alan", prefix="al") == ["alice"]
    assert await keys("alice", prefix="al") == await keys("b", prefix="al") == await keys(prefix="\ue000") == []
    assert [recipient.key for recipient in await app.store.recipients.after("", "alan", 2)] == ["alice", "bob"]


async def test_records_of_given_keys_are_read_in_several_tenants(app: App) -> None:
    for tenant, key in (("", "bob"), ("acme", "bob"), ("acme", "alice"), ("globex", "bob")):
        await app.store.recipients.put(tenant, key, RecipientFields(name=f"{key} of {tenant}"), app.now, replace=True)
    wanted = [("acme", "bob"), ("", "bob"), ("acme", "alice"), ("acme", "alice"), ("globex", "alice")]
    found = await app.store.recipients.of_keys(wanted)
    assert [(one.tenant, one.name) for one in found] == [
        (None, "bob of "),
        ("acme", "alice of acme"),
        ("acme", "bob of acme"),
    ]
    assert await app.store.recipients.of_keys([]) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ADLER", ["ann", "u-2"]),
        ("@example.com", ["ann"]),
        ("U-", ["u-2", "u-3"]),
        ("100%_", ["u-3"]),
        ("\\", []),
        ("É", ["u-3"]),
    ],
)
async def test_records_are_found_by_a_part_of_key_name_or_email(app: App, text: str, found: list[str]) -> None:
    for key, fields in {
        "ann": RecipientFields(email="Ann.Adler@Example.com"),
        "u-2": RecipientFields(name="Bea Adler"),
        "u-3": RecipientFields(name="Émile 100%_ Sure"),
    }.items():
        await app.store.recipients.put("", key, fields, app.now, replace=False)
    await app.store.recipients.put("acme", "adler", RecipientFields(), app.now, replace=False)
    query = ListQuery(tenants=[""], filters=containing(text), is_counted=True)
    page = await app.store.recipients.page(query)
    assert ([one.key for one in page.items], page.total) == (found, ListTotal(len(found), exact=True))


async def test_matches_of_several_tenants_are_counted_up_to_the_first_bound(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tenant in ("counted-1", "counted-2"):
        for number in range(4):
            await app.store.recipients.put(tenant, f"r{number}", RecipientFields(name="x"), app.now, replace=False)
    monkeypatch.setattr("bellcast.kernel.db.lists.MAX_SCANNED_ROWS", 3)
    tenants, filters = ["counted-1", "counted-2"], containing("x")
    query = ListQuery(tenants=tenants, filters=filters, limit=1, is_counted=True)
    assert (await app.store.recipients.page(query)).total == ListTotal(3, exact=False)


async def test_subscription_is_created_once(app: App) -> None:
    subscription, created = await app.store.subscriptions.subscribe("", "admins", "alice", app.now)
    assert (subscription, created) == (Subscription("admins", "alice", times.to_rfc3339(app.now)), True)
    app.clock.advance(1)
    assert await app.store.subscriptions.subscribe("", "admins", "alice", app.now) == (subscription, False)
    assert await app.store.subscriptions.among("", "alice", ["admins", "others"]) == {"admins"}
    assert await app.store.subscriptions.among("", "unknown", ["admins"]) == frozenset()
    assert await app.store.subscriptions.among("", "alice", []) == frozenset()


async def test_subscriptions_are_listed_by_recipient(app: App) -> None:
    for key in ("carol", "alice", "bob"):
        await app.store.subscriptions.subscribe("", "admins", key, app.now)
    page = app.store.subscriptions.page
    assert [subscription.recipient for subscription in await page("", "admins", None, 2)] == ["alice", "bob"]
    assert [subscription.recipient for subscription in await page("", "admins", "bob", 2)] == ["carol"]
    assert await page("", "others", None, 2) == []


async def test_subscriptions_of_a_recipient_are_listed_by_topic(app: App) -> None:
    for topic, key in [("news", "alice"), ("admins", "alice"), ("zoo", "alice"), ("admins", "bob")]:
        await app.store.subscriptions.subscribe("", topic, key, app.now)
    page = app.store.subscriptions.of_recipient
    assert [one.topic for one in await page("", "alice", "", 2)] == ["admins", "news"]
    assert [one.topic for one in await page("", "alice", "news", 2)] == ["zoo"]
    assert await page("acme", "alice", "", 2) == []


async def test_unsubscribe_ends_a_subscription_once(app: App) -> None:
    await app.store.subscriptions.subscribe("", "admins", "alice", app.now)
    events = await app.store.subscriptions.unsubscribe("", "admins", "alice", app.now)
    assert events == (SubscriptionEnded("", "alice", "admins"),)
    assert await app.store.subscriptions.unsubscribe("", "admins", "alice", app.now) is None
    assert await app.store.subscriptions.unsubscribe("", "admins", "unknown", app.now) is None
    assert await app.store.recipients.get("", "unknown") is None


async def test_revocation_reaches_known_and_unknown_recipients(app: App) -> None:
    await app.open("alice")
    app.clock.advance(1)
    for key in ("alice", "bob"):
        assert await app.store.recipients.revoke("", key, app.now) == (SessionsRevoked("", key, app.now),)
        assert (await app.inbox(key)).revoked_before == app.now


async def test_erased_recipient_leaves_no_rows_and_a_new_epoch_follows(app: App) -> None:
    id = await app.send("alice", tags=("x",), expires_at=times.to_rfc3339(app.now + 1000))
    deleted = await app.send("alice")
    await app.mark("alice", "delete", ids=(deleted,))
    await app.store.subscriptions.subscribe("", "admins", "alice", app.now)
    before = await app.inbox("alice")
    assert await app.store.recipients.delete("", "alice", app.now) == (SessionsRevoked("", "alice", app.now),)
    assert await app.store.recipients.delete("", "alice", app.now) is None
    assert await app.store.recipients.get("", "alice") is None
    assert await app.store.sent.find("", id) is None
    stats = (await app.store.maintenance.stats()).by_kind
    assert (stats["recipients"], stats["notifications"], stats["tombstones"], stats["subscriptions"]) == (0, 0, 0, 0)
    after = await app.inbox("alice")
    assert after.number != before.number
    assert after.state.epoch != before.state.epoch
    assert await app.page("alice") == await app.page("alice", tag="x") == []
    assert await app.store.maintenance.next_expiry() is None


async def test_link_changes_preferences_until_its_recipient_is_erased(app: App) -> None:
    store = app.store.recipients
    link = RecipientOfLink("acme", "alice", app.now)
    assert await app.store.preferences.put("acme", "alice", b"{}", app.now, switches_inbox=False, link=link) is None
    assert await app.store.tenants.get("acme") is await store.get("acme", "alice") is None
    await app.open("alice", "acme")
    app.clock.advance(1)
    assert await app.store.preferences.accepts_link(link)
    assert await app.store.preferences.put("acme", "alice", b'{"a":1}', app.now, switches_inbox=True, link=link)
    assert await app.store.preferences.get("acme", "alice") == (b'{"a":1}', app.now)
    assert await app.store.preferences.any_switches_inbox("acme")
    await store.revoke("acme", "alice", app.now)
    assert await app.store.preferences.accepts_link(link)
    of_sessions = PreferencesGrant("acme", "alice", link.issued_at, app.now)
    assert not await app.store.preferences.accepts_link(of_sessions)
    put = partial(app.store.preferences.put, "acme", "alice", now=app.now, switches_inbox=False, before=b'{"a":1}')
    assert await put(b"{}", link=of_sessions) is None
    assert await app.store.preferences.accepts_link(PreferencesGrant("acme", "alice", app.now, app.now))
    await store.delete("acme", "alice", app.now)
    assert await app.store.preferences.put("acme", "alice", b"{}", app.now, switches_inbox=False, link=link) is None
    assert await store.get("acme", "alice") is None
    await app.open("alice", "acme")
    assert not await app.store.preferences.accepts_link(link)
    assert await app.store.preferences.put("acme", "alice", b"{}", app.now, switches_inbox=False, link=link) is None
    assert await app.store.preferences.get("acme", "alice") == (None, None)
    assert await app.store.preferences.accepts_link(RecipientOfLink("acme", "alice", app.now))


async def test_preferences_are_replaced_only_as_they_were_read(app: App) -> None:
    write = partial(app.store.preferences.put, "acme", "alice", now=app.now, switches_inbox=False)
    assert await write(b'{"a":1}', before=b"")
    assert not await write(b'{"a":2}', before=b"")
    assert not await write(b'{"a":2}', before=b'{"a":0}')
    assert await write(b'{"a":2}', before=b'{"a":1}')
    assert await write(b'{"a":3}', before=b'{"a":2}')
    link = RecipientOfLink("acme", "alice", app.now + 1)
    by_link = partial(write, link=link)
    assert await by_link(b'{"a":4}', before=b'{"a":2}') is False
    assert await by_link(b'{"a":4}', before=b'{"a":3}')
    assert await app.store.preferences.get("acme", "alice") == (b'{"a":4}', app.now)


async def test_preferences_have_the_time_of_their_last_change(app: App) -> None:
    store = app.store.recipients
    await app.open("alice", "acme")
    assert await app.store.preferences.get("acme", "alice") == (None, None)
    app.clock.advance(60)
    await app.store.preferences.put("acme", "alice", b'{"a":1}', app.now, switches_inbox=False)
    changed_at = app.now
    app.clock.advance(60)
    await store.put("acme", "alice", RecipientFields(name="Alice"), app.now, replace=True)
    assert not await app.store.preferences.put("acme", "alice", b'{"a":2}', app.now, switches_inbox=False, before=b"")
    assert await app.store.preferences.get("acme", "alice") == (b'{"a":1}', changed_at)
    link = RecipientOfLink("acme", "alice", app.now)
    app.clock.advance(60)
    put = partial(app.store.preferences.put, "acme", "alice", b'{"a":1}', app.now, switches_inbox=False)
    await put(before=b'{"a":1}', link=link)
    assert await app.store.preferences.get("acme", "alice") == (b'{"a":1}', app.now)
    assert changed_at < app.now


async def test_link_ends_with_its_tenant(app: App) -> None:
    await app.open("alice", "acme")
    link = RecipientOfLink("acme", "alice", app.now)
    app.clock.advance(1)
    while (await app.store.tenants.erase("acme", app.now, app.now, 10))[0]:
        pass
    assert await app.store.preferences.put("acme", "alice", b"{}", app.now, switches_inbox=False, link=link) is None
    assert await app.store.tenants.get("acme") is None
    await app.open("alice", "acme")
    assert not await app.store.preferences.accepts_link(link)


async def test_link_stays_invalid_when_the_erasure_is_forgotten(app: App) -> None:
    store = app.store.recipients
    await app.open("alice")
    link = RecipientOfLink("", "alice", app.now)
    await store.delete("", "alice", app.now + 1)
    app.clock.advance(3_600_000)
    await app.store.maintenance.delete_forgotten(app.now, tombstones_before=app.now, keys_before=0, limit=100)
    await app.open("alice")
    assert not await app.store.preferences.accepts_link(link)


async def test_export_contains_everything_of_one_recipient(app: App) -> None:
    await app.store.recipients.put("", "alice", RecipientFields(name="Alice"), app.now, replace=True)
    preferences = b'{"channels":{"sms":false}}'
    await app.store.preferences.put("", "alice", preferences, app.now, switches_inbox=False)
    await app.store.subscriptions.subscribe("", "admins", "alice", app.now)
    await app.add_all([app.send_request("alice", title=f"{number}") for number in range(600)])
    await app.mark("alice", "archive", ids=((await app.page("alice"))[0].id,))
    await app.send("bob", "not hers")
    pairs = await app.store.exports.recipient("", "alice")
    assert pairs is not None
    exported = [pair async for pair in pairs]
    kinds = [kind for kind, _ in exported]
    assert kinds == ["recipient", "preferences", "subscription", *["notification"] * 600]
    assert exported[0][1] == await app.store.recipients.get("", "alice")
    assert exported[1][1] == {"channels": {"sms": False}, "updated_at": times.to_rfc3339(app.now)}
    assert [notification.title for kind, notification in exported[3:]] == [f"{number}" for number in range(600)]
    assert await app.store.exports.recipient("", "unknown") is None


async def test_tenant_stores_name_and_settings(app: App) -> None:
    put, get = app.store.tenants.put, app.store.tenants.get
    tenant, created = await put("acme", "Acme", {"colour": "red"}, app.now)
    assert (tenant.key, tenant.name, tenant.settings, created) == ("acme", "Acme", {"colour": "red"}, True)
    assert await get("acme") == tenant
    renamed, created = await put("acme", None, {}, app.now + 5)
    assert (renamed.name, renamed.settings, renamed.created_at, created) == (None, {}, tenant.created_at, False)
    default, _ = await put("", "Ours", {}, app.now)
    assert default.key is None


async def test_tenant_is_not_written_if_its_check_fails(app: App) -> None:
    put, get = app.store.tenants.put, app.store.tenants.get
    before, _ = await put("acme", "Acme", {"weight": 2}, app.now)

    def refuse(replaced: Tenant | None) -> None:
        raise Forbidden(str(replaced))

    with pytest.raises(Forbidden, match="weight"):
        await put("acme", "Other", {}, app.now, check=refuse)
    with pytest.raises(Forbidden, match="None"):
        await put("globex", None, {"weight": 2}, app.now, check=refuse)
    assert (await get("acme"), await get("globex")) == (before, None)
    checked: list[Tenant | None] = []
    await put("acme", "Other", {"weight": 3}, app.now, check=checked.append)
    assert checked == [before]


async def test_api_keys_are_stored_by_digest_and_revoked_once(app: App) -> None:
    keys = app.store.keys
    first = ApiKey(id="one", name="Shop", scopes=("send", "read"), created_at=times.to_rfc3339(app.now))
    second = ApiKey(id="two", name="Desk", scopes=("manage",), created_at=times.to_rfc3339(app.now + 1))
    await keys.create(first, b"digest")
    await keys.create(second, b"other")
    assert await keys.find("one") == (first, b"digest")
    assert await keys.find("three") is None
    assert await keys.all() == [first, second]
    await keys.record_use("two", app.now + 5)
    await keys.record_use("two", app.now + 4)
    assert [key.used_at for key in await keys.all()] == [None, times.to_rfc3339(app.now + 5)]
    assert await keys.revoke("one", app.now + 2)
    assert not await keys.revoke("one", app.now + 3)
    assert not await keys.revoke("three", app.now)
    found = await keys.find("one")
    assert found is not None
    assert found[0].revoked_at == times.to_rfc3339(app.now + 2)


@pytest.mark.parametrize("key", ["1", "ünïcode ключ 🔔", "a'b\"c;--", "x" * 200, "%_"])
async def test_recipient_keys_may_contain_any_character(app: App, key: str) -> None:
    id = await app.send(key)
    assert [row.id for row in await app.page(key)] == [id]
    found = await app.store.recipients.page(ListQuery(tenants=[""], prefix=key))
    assert [row.key for row in found.items] == [key]


async def test_topics_and_tenants_are_listed_in_order_with_their_counts(app: App) -> None:
    for topic, subscribers in (("b", 2), ("a", 1), ("b.c", 1)):
        for number in range(subscribers):
            await app.store.subscriptions.subscribe("listed", topic, f"r{number}", 0)
    topics, of_listed = app.store.subscriptions.topics, ListQuery(tenants=["listed"], limit=2)
    a, b, c = ("listed", "a", 1), ("listed", "b", 2), ("listed", "b.c", 1)
    assert await topics(of_listed) == ListPage([a, b], ("listed", "b"))
    assert await topics(replace(of_listed, after=("listed", "b"), prefix="b")) == ListPage([c])
    assert await topics(replace(of_listed, tenants=["absent", "listed"], limit=3)) == ListPage([a, b, c])
    found = await app.store.tenants.page(ListQuery(prefix="liste"))
    assert [(one.key, recipients) for one, recipients in found.items] == [("listed", 2)]
    first = ListQuery(tenants=["listed"], limit=1, is_counted=True)
    totals = [(await app.store.recipients.page(replace(first, prefix=prefix))).total for prefix in ("", "r1", "x")]
    assert totals == [ListTotal(2, exact=True), ListTotal(1, exact=True), ListTotal(0, exact=True)]
    await app.store.recipients.put("later", "r", RecipientFields(), 0, replace=False)
    first = ListQuery(limit=1, is_counted=True)
    totals = [(await app.store.tenants.page(replace(first, prefix=prefix))).total for prefix in ("l", "liste", "x")]
    assert totals == [ListTotal(2, exact=True), ListTotal(1, exact=True), ListTotal(0, exact=True)]
    named = await app.store.tenants.named_page(["listed", "later", "absent"], first)
    assert ([one.key for one, _ in named.items], named.next) == (["later"], ("later",))
    assert named.total == ListTotal(2, exact=False)


async def test_recipients_and_topics_of_all_tenants_are_listed_in_order(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipients = app.store.recipients
    for number, (tenant, key, topic) in enumerate(
        [("", "ann", "news"), ("acme", "ann", "news"), ("acme", "ben", "room.1"), ("zoo", "ann", "room.2")]
    ):
        await recipients.put(tenant, key, RecipientFields(), number, replace=False)
        await app.store.subscriptions.subscribe(tenant, topic, key, number)

    async def people(after: tuple[str, str] = ("", ""), limit: int = 9, prefix: str = "", since: int = 0) -> Any:
        created = ANY_TIME._replace(since=since)
        found = await recipients.page(ListQuery(after=after, limit=limit, prefix=prefix, created=created))
        return [(one.tenant or "", one.key) for one in found.items], found.scanned_until

    assert await people() == ([("", "ann"), ("acme", "ann"), ("acme", "ben"), ("zoo", "ann")], None)
    assert await people(("acme", "ann"), 1) == ([("acme", "ben")], None)
    assert await people(prefix="b") == ([("acme", "ben")], None)
    assert await people(since=3) == ([("zoo", "ann")], None)
    counted = ListQuery(limit=1, is_counted=True)
    assert (await recipients.page(counted)).total == ListTotal(4, exact=True)
    assert (await recipients.page(replace(counted, prefix="ann"))).total == ListTotal(3, exact=True)
    topics = [("", "news", 1), ("acme", "news", 1), ("acme", "room.1", 1), ("zoo", "room.2", 1)]
    assert await app.store.subscriptions.topics(ListQuery(limit=9)) == ListPage(topics)
    assert await app.store.subscriptions.topics(ListQuery(after=("acme", "news"), limit=1)) == ListPage(
        topics[2:3], ("acme", "room.1")
    )
    assert await app.store.subscriptions.topics(ListQuery(prefix="room.")) == ListPage(topics[2:])
    monkeypatch.setattr("bellcast.kernel.db.lists.MAX_SCANNED_ROWS", 2)
    monkeypatch.setattr("bellcast.recipients.store.TOPIC_BATCH_ROWS", 2)
    assert await people(prefix="b") == ([], ("acme", "ann"))
    assert await people(("acme", "ann"), prefix="b") == ([("acme", "ben")], ("zoo", "ann"))
    assert await people(("zoo", "ann"), prefix="b") == ([], None)
    found = await app.store.subscriptions.topics(ListQuery(prefix="room.", limit=1))
    assert found == ListPage([], scanned_until=("acme", "news"))
    assert await app.store.subscriptions.topics(ListQuery(prefix="room.", after=("acme", "news"), limit=1)) == ListPage(
        topics[2:3], ("acme", "room.1")
    )


async def test_recipients_and_tenants_are_listed_by_their_creation(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    recipients, noon = app.store.recipients, 43_200_000
    for number in range(6):
        await recipients.put("dated", f"d{number}", RecipientFields(), noon + number, replace=False)
        await recipients.put(f"dated-{number}", "r", RecipientFields(), noon + number, replace=False)
    middle = CreatedRange(noon + 2, noon + 5)

    async def pages(after: str = "", limit: int = 9) -> list[tuple[list[str | None], str | None]]:
        start = ("dated", after) if after else None
        listed = await recipients.page(
            ListQuery(tenants=["dated"], after=start, limit=limit, prefix="d", created=middle)
        )
        beyond = (f"dated-{after[1:]}",) if after else None
        of_tenants = await app.store.tenants.page(ListQuery(after=beyond, limit=limit, prefix="dated-", created=middle))
        return [
            ([one.key for one in listed.items], listed.scanned_until and listed.scanned_until[1]),
            ([one.key for one, _ in of_tenants.items], of_tenants.scanned_until and of_tenants.scanned_until[0]),
        ]

    assert await pages() == [(["d2", "d3", "d4"], None), (["dated-2", "dated-3", "dated-4"], None)]
    assert await pages("d2", 1) == [(["d3"], None), (["dated-3"], None)]
    monkeypatch.setattr("bellcast.kernel.db.lists.MAX_SCANNED_ROWS", 2)
    assert await pages() == [([], "d1"), ([], "dated-1")]
    assert await pages("d1") == [(["d2", "d3"], "d3"), (["dated-2", "dated-3"], "dated-3")]
    assert await pages("d3") == [(["d4"], "d5"), (["dated-4"], "dated-5")]
    assert (await pages("d5"))[0] == ([], None)
