"""Sending to named recipients, editing and recalling."""

import asyncio
from typing import Any
from unittest.mock import ANY

import pytest
from msgspec.structs import replace

from bellcast.inbox.store import sent_items
from bellcast.inbox.types import Edit
from bellcast.inbox.types.inboxes import NotificationAdded, NotificationDeleted, NotificationUpdated
from bellcast.inbox.types.sends import Reach, SendResult
from bellcast.kernel import times
from bellcast.kernel.db.lists import ANY_TIME, CreatedRange, ListPage, ListQuery, ListTotal
from bellcast.kernel.errors import IdempotencyMismatch
from tests.contract.app import App

DAY = 24 * 3600


async def test_each_recipient_gets_a_row_a_revision_and_an_event(app: App) -> None:
    request = app.send_request("alice", "bob", title="Hello")
    sent = await app.add(request)
    alice, bob = await app.inbox("alice"), await app.inbox("bob")
    (for_alice,), (for_bob,) = await app.page("alice"), await app.page("bob")
    assert sent.events == (NotificationAdded(alice.state, for_alice), NotificationAdded(bob.state, for_bob))
    assert (for_alice.id, for_bob.id) == request.ids
    assert (alice.state.revision, alice.state.unread, alice.state.unseen) == (1, 1, 1)


async def test_tenants_and_recipients_are_created_when_sent_to(app: App) -> None:
    await app.send("alice", tenant="acme")
    assert await app.store.recipients.get("acme", "alice") is not None
    assert await app.store.tenants.get("acme") is not None
    assert await app.store.tenants.get("globex") is None


async def test_refused_send_fails_no_other(app: App) -> None:
    await app.add(app.send_request("alice", key="k", fingerprint=b"one"))
    requests = [
        app.send_request("alice"),
        app.send_request("alice", key="k", fingerprint=b"two"),
        app.send_request("bob"),
    ]
    first, second, third = await app.add_all(requests)
    assert isinstance(first, SendResult)
    assert isinstance(second, IdempotencyMismatch)
    assert isinstance(third, SendResult)
    assert len(await app.page("alice")) == 2
    assert len(await app.page("bob")) == 1


async def test_failing_send_is_rolled_back_whole_and_fails_no_other(app: App) -> None:
    await app.send("bob")
    (used_id,) = [row.id for row in await app.page("bob")]
    broken = app.send_request("alice", "bob", key="k")
    broken = replace(broken, ids=(broken.ids[0], used_id))
    first, second, third = await app.add_all(
        [app.send_request("alice", title="before"), broken, app.send_request("alice", title="after")]
    )
    assert isinstance(second, Exception)
    assert isinstance(first, SendResult)
    assert isinstance(third, SendResult)
    assert await app.titles("alice") == ["after", "before"]
    assert await app.counts("alice") == (2, 2)
    await app.add(app.send_request("alice", key="k"))
    assert len(await app.page("alice")) == 3


async def test_failing_send_without_a_key_fails_no_other(app: App) -> None:
    await app.send("bob")
    (used_id,) = [row.id for row in await app.page("bob")]
    broken = app.send_request("alice", "bob")
    broken = replace(broken, ids=(broken.ids[0], used_id))
    outcomes = await app.add_all([app.send_request("alice", title="before"), broken, app.send_request("bob")])
    assert [isinstance(outcome, SendResult) for outcome in outcomes] == [True, False, True]
    assert await app.titles("alice") == ["before"]
    assert (await app.counts("alice"), await app.counts("bob")) == ((1, 1), (2, 2))


async def test_bulk_sends_keep_their_order_and_revisions(app: App) -> None:
    requests = [app.send_request("alice", "bob", title=f"t{number}", tags=("x",)) for number in range(300)]
    requests += [app.send_request("alice", tenant="acme", title="theirs"), app.send_request("new", title="first")]
    outcomes = await app.add_all(requests)
    events = [event for outcome in outcomes if isinstance(outcome, SendResult) for event in outcome.events]
    of_bob = [event for event in events if isinstance(event, NotificationAdded) and event.inbox.recipient == "bob"]
    assert [event.notification.title for event in of_bob] == [f"t{number}" for number in range(300)]
    assert [event.inbox.revision for event in of_bob] == list(range(1, 301))
    assert of_bob[-1].inbox == (await app.inbox("bob")).state
    assert await app.counts("alice") == (300, 300)
    assert await app.titles("alice", tenant="acme") == ["theirs"]
    assert await app.titles("new") == ["first"]
    assert (await app.page("alice", tag="x"))[0].title == "t299"


async def test_repeated_key_returns_the_first_response_and_sends_nothing(app: App) -> None:
    first = await app.add(app.send_request("alice", key="k", fingerprint=b"one"))
    app.clock.advance(DAY - 1)
    again = await app.add(app.send_request("alice", key="k", fingerprint=b"one"))
    assert again == SendResult(first.response, ())
    assert len(await app.page("alice")) == 1


async def test_idempotency_key_expires_after_a_day(app: App) -> None:
    await app.add(app.send_request("alice", key="k", fingerprint=b"one"))
    app.clock.advance(DAY)
    second = await app.add(app.send_request("alice", key="k", fingerprint=b"two"))
    assert len(second.events) == 1
    again = await app.add(app.send_request("alice", key="k", fingerprint=b"two"))
    assert again == SendResult(second.response, ())


async def test_concurrent_sends_with_one_key_send_once(app: App) -> None:
    requests = [app.send_request("alice", key="k", fingerprint=b"one") for _ in range(20)]
    outcomes = await asyncio.gather(*(app.add(request) for request in requests))
    assert {outcome.response for outcome in outcomes} == {outcomes[0].response}
    assert sum(len(outcome.events) for outcome in outcomes) == 1
    assert len(await app.page("alice")) == 1


async def test_idempotency_keys_are_scoped_to_the_tenant(app: App) -> None:
    await app.add(app.send_request("alice", tenant="acme", key="k", fingerprint=b"one"))
    sent = await app.add(app.send_request("alice", tenant="globex", key="k", fingerprint=b"two"))
    assert len(sent.events) == 1


async def test_announcements_and_sends_share_the_keys_of_a_tenant(app: App) -> None:
    first = await app.store.sends.announce(app.announce_request(key="k", fingerprint=b"one"))
    again = await app.store.sends.announce(app.announce_request(key="k", fingerprint=b"one"))
    assert again == SendResult(first.response, ())
    with pytest.raises(IdempotencyMismatch):
        await app.store.sends.announce(app.announce_request(key="k", fingerprint=b"two"))
    with pytest.raises(IdempotencyMismatch):
        await app.add(app.send_request("alice", key="k", fingerprint=b"two"))


async def test_concurrent_sends_get_distinct_revisions(app: App) -> None:
    sent = await asyncio.gather(*(app.add(app.send_request("alice")) for _ in range(50)))
    revisions = [
        event.inbox.revision for result in sent for event in result.events if isinstance(event, NotificationAdded)
    ]
    assert sorted(revisions) == list(range(1, 51))
    assert await app.counts("alice") == (50, 50)


async def test_sent_notification_is_found_with_its_recipient(app: App) -> None:
    id = await app.send("alice", tenant="acme")
    found = await app.store.sent.find("acme", id)
    assert found is not None
    assert (found.tenant, found.recipient, found.announcement) == ("acme", "alice", False)
    assert [found.notification] == await app.page("alice", tenant="acme")
    assert await app.store.sent.find("acme", app.new_id()) is None


async def test_edit_changes_the_given_fields_and_emits_an_event(app: App) -> None:
    id = await app.send("alice", "Wrong", body="Keep", data={"a": 1}, expires_at=times.to_rfc3339(app.now + 5000))
    await app.mark("alice", "read", ids=(id,))
    edited = await app.store.sent.edit("", id, Edit(title="Right", data={}, expires_at=None), app.now + 1)
    assert edited is not None
    found, events = edited
    (shown,) = await app.page("alice")
    state = (await app.inbox("alice")).state
    assert (shown.title, shown.body, shown.data, shown.expires_at) == ("Right", "Keep", {}, None)
    assert shown.read_at is not None
    assert (found.notification, found.edited_at) == (shown, app.now + 1)
    assert events == (NotificationUpdated(state, shown),)
    assert (state.revision, state.unread) == (3, 0)


async def test_empty_edit_changes_nothing(app: App) -> None:
    id = await app.send("alice")
    edited = await app.store.sent.edit("", id, Edit(), app.now)
    assert edited is not None
    assert edited[1] == ()
    assert (await app.inbox("alice")).state.revision == 1
    assert await app.store.sent.edit("", app.new_id(), Edit(title="x"), app.now) is None


async def test_recall_removes_the_notification_and_emits_an_event(app: App) -> None:
    id = await app.send("alice", tags=("x",))
    events = await app.store.sent.recall("", id, app.now)
    assert events == (NotificationDeleted((await app.inbox("alice")).state, id),)
    assert await app.page("alice") == await app.page("alice", tag="x") == []
    assert await app.counts("alice") == (0, 0)
    assert await app.store.sent.recall("", id, app.now) is None
    assert await app.store.sent.find("", id) is None


def sent_query(
    tenant: str = "",
    before: str | None = None,
    limit: int = 10,
    since: int = 0,
    until: int = ANY_TIME.until,
    **filters: Any,
) -> ListQuery:
    """Return the query of a page of sent items, with its total if it is the first; the tenant `*` means all."""
    return ListQuery(
        tenants=None if tenant == "*" else [tenant],
        after=None if before is None else (before,),
        limit=limit,
        created=CreatedRange(since, until),
        filters=filters,
        is_counted=True,
    )


async def test_sent_notifications_are_found_by_every_filter(app: App) -> None:
    first = await app.send("alice", "first", type="booking", tags=("wedding",))
    await app.send("bob", "second", tenant="acme")
    third = await app.send("alice", "third")
    await app.announce()

    async def found(**filters: Any) -> list[str]:
        query = sent_query(**filters)
        return [item.notification.title for item in (await app.store.sent.notifications(query)).items]

    assert await found() == ["third", "first"]
    assert await found(tenant="*") == ["third", "second", "first"]
    assert await found(tenant="acme", recipient="bob") == ["second"]
    assert await found(recipient="alice", before=third) == ["first"]
    assert await found(recipient="alice", tag="wedding", type="booking", part=0) == ["first"]
    assert await found(tag="wedding", type="booking", part=0) == ["first"]
    assert await found(part=1) == []
    assert await found(since=app.now + 1) == []
    assert await found(until=app.now) == []
    assert await found(limit=1) == ["third"]

    async def number(**filters: Any) -> int:
        total = (await app.store.sent.notifications(sent_query(limit=1, **filters))).total
        assert total is not None
        return total.value

    assert [await number(tenant=tenant) for tenant in ("", "acme", "*", "absent")] == [2, 1, 3, 0]
    assert [await number(**one) for one in ({"type": "booking"}, {"part": 1}, {"tag": "wedding"})] == [1, 0, 1]
    assert await number(tenant="*", type="booking") == 1
    assert [await number(recipient=key) for key in ("alice", "bob")] == [2, 0]
    assert await number(since=app.now + 1) == 0
    assert (await app.store.sent.find("", first)) is not None


async def test_announcements_are_found_by_tag_and_by_the_rows_of_an_inbox(app: App) -> None:
    await app.open("alice", tenant="acme")
    await app.announce("everyone", tenant="*", tags=("a, b", "news"))
    await app.announce("acme", tenant="acme", tags=('"news"',))
    await app.announce("deploys", tenant="acme", topic="deploys")

    async def found(**filters: Any) -> list[str]:
        query = sent_query(**{"tenant": "acme"} | filters)
        page = await app.store.sent.announcements(query)
        assert page.total == ListTotal(len(page.items), exact=True)
        return [item.notification.title for item in page.items]

    assert await found() == ["deploys", "acme"]
    assert await found(tag='"news"') == ["acme"]
    assert await found(tenant="*", tag="news") == ["everyone"] == await found(tenant="", tag="a, b")
    assert await found(tenant="*", tag="a") == [] == await found(recipient="alice")
    await app.materialize("acme", ["alice"], app.now)
    assert await found(recipient="alice", part=0) == ["acme", "everyone"]
    assert await found(recipient="alice", tag="news") == ["everyone"]
    assert await found(recipient="alice", part=1) == [] == await found(recipient="bob")


async def test_notifications_outside_the_inbox_are_listed_among_the_others(app: App) -> None:
    first = await app.send("alice", "first", type="booking", tags=("wedding",))
    await app.send_outside("alice", "mailed", type="booking")
    await app.send_outside("bob", "of bob", tenant="acme")
    await app.send("alice", "last")

    async def found(**filters: Any) -> list[tuple[str, str | None, bool]]:
        query = sent_query(**filters)
        page = await app.store.sent.notifications(query)
        assert page.total == ListTotal(3 if page.next else len(page.items), exact=True) or query.after
        return [(item.notification.title, item.recipient, item.has_row) for item in page.items]

    of_alice = [("last", "alice", True), ("mailed", "alice", False), ("first", "alice", True)]
    assert await found() == await found(recipient="alice") == of_alice
    assert await found(tenant="*") == [of_alice[0], ("of bob", "bob", False), *of_alice[1:]]
    assert await found(tenant="acme") == await found(tenant="acme", recipient="bob") == [("of bob", "bob", False)]
    assert await found(type="booking") == of_alice[1:]
    assert await found(tag="wedding") == of_alice[2:] == await found(tag="wedding", part=0)
    assert await found(limit=2) == of_alice[:2]
    assert await found(limit=1, before=first) == []


async def test_recipients_of_sends_outside_the_inbox_are_created(app: App) -> None:
    await app.send_outside("newcomer", tenant="acme")
    created = await app.store.recipients.get("acme", "newcomer")
    assert created is not None
    assert created.created_at == times.to_rfc3339(app.now)
    assert (await app.inbox("newcomer", "acme")).state.revision == 0


async def test_notifications_outside_the_inbox_end_with_recall_and_retention(app: App) -> None:
    query = sent_query()
    recalled, old = await app.send_outside("alice"), await app.send_outside("alice", "old", type="booking")
    found = await app.store.sent.find("", old)
    assert found is not None
    assert (found.notification.title, found.notification.type, found.has_row) == ("old", "booking", False)
    assert await app.store.sent.find("acme", old) is None
    assert await app.store.sent.edit("", old, Edit(title="new"), app.now) is None
    await app.store.sent.recall("", recalled, app.now)
    assert [item.notification.id for item in (await app.store.sent.notifications(query)).items] == [old]
    assert await app.store.maintenance.delete_messages(app.now + 1, 100) == (3, [])
    assert (await app.store.sent.notifications(query)).items == []


async def test_search_among_notifications_outside_the_inbox_is_bounded(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bellcast.kernel.db.lists.MAX_SCANNED_ROWS", 2)
    ids = [await app.send_outside("alice", type=type) for type in ("rare", "general", "general")]
    for filters in ({}, {"tenant": "*"}, {"recipient": "alice"}):
        found = await app.store.sent.notifications(sent_query(type="rare", **filters))
        assert found == ListPage([], None, (ids[1],), ListTotal(0, exact=False))
    further = await app.store.sent.notifications(sent_query(type="rare", before=ids[1]))
    assert ([item.notification.id for item in further.items], further.scanned_until) == ([ids[0]], None)


@pytest.mark.parametrize("first", [1, 1_000])
async def test_search_among_sent_items_is_bounded(app: App, monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    monkeypatch.setattr("bellcast.kernel.db.lists.FIRST_SCANNED_ROWS", first)
    monkeypatch.setattr("bellcast.kernel.db.lists.MAX_SCANNED_ROWS", 2)
    ids = [await app.send("alice", type=type) for type in ("rare", "general", "general")]
    announced = [await app.announce(type=type) for type in ("rare", "general", "general")]
    sent, bounded = app.store.sent, ListTotal(0, exact=False)
    assert await sent.notifications(sent_query(type="rare")) == ListPage([], None, (ids[1],), bounded)
    of_alice = await sent.notifications(sent_query(type="rare", recipient="alice"))
    assert of_alice == ListPage([], None, (ids[1],), bounded)
    assert await sent.announcements(sent_query(type="rare")) == ListPage([], None, (announced[1],), bounded)
    for filters, value in (({"tenant": "*"}, 2), ({"type": "general"}, 2)):
        for limit in (1, 10):
            wanted = sent_query(limit=limit, **filters)
            assert (await sent.notifications(wanted)).total == ListTotal(value, exact=False)
            assert (await sent.announcements(wanted)).total == ListTotal(value, exact=False)
    further = await sent.notifications(sent_query(type="rare", before=ids[1]))
    assert ([item.notification.id for item in further.items], further.scanned_until) == ([ids[0]], None)


async def test_notifications_of_a_small_tenant_are_found_behind_those_of_a_large_one(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bellcast.kernel.db.lists.FIRST_SCANNED_ROWS", 1)
    monkeypatch.setattr("bellcast.kernel.db.lists.MAX_SCANNED_ROWS", 5)
    small = [await app.send(key, tenant="small", type=type) for key, type in (("alice", "rare"), ("bob", "general"))]
    await app.announce(tenant="small")
    await app.materialize("small", ["alice"], app.now)
    for _ in range(6):
        await app.send("alice", tenant="large", type="rare")
    sent = app.store.sent

    async def found(**filters: Any) -> list[tuple[str, str | None]]:
        page = await sent.notifications(sent_query(tenant="small", **filters))
        assert page.scanned_until is None
        assert page.total in (ListTotal(len(page.items), exact=True), None)
        return [(item.notification.id, item.recipient) for item in page.items]

    assert await found() == [(small[1], "bob"), (small[0], "alice")]
    assert await found(type="rare") == await found(before=small[1]) == [(small[0], "alice")]
    assert await found(part=1) == []
    (last,) = (await sent.notifications(sent_query(tenant="small", limit=1))).items
    assert last.notification.id == small[1]
    # A tenant with more rows than a request may examine, and one with more recipients.
    of_large = await sent.notifications(sent_query(tenant="large", type="general"))
    assert (of_large.items, of_large.scanned_until) == ([], ANY)
    for number in range(4):
        await app.open(f"idle-{number}", tenant="small")
    assert (await sent.notifications(sent_query(tenant="small"))).scanned_until is not None


async def test_reach_of_announcements_counts_their_inboxes(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("alice", "bob", "carol"):
        await app.open(key)
    everyone, none = await app.announce(), await app.announce(topic="unfollowed")
    for key in ("alice", "bob"):
        await app.open(key)
    await app.mark("alice", "read", ids=(everyone,))
    await app.mark("bob", "seen", ids=(everyone,))
    assert await app.store.sent.reach([everyone, none]) == {
        everyone: Reach(inboxes=2, seen=2, read=1, exact=True),
        none: Reach(inboxes=0, seen=0, read=0, exact=True),
    }
    monkeypatch.setattr(sent_items, "MAX_REACHED", 1)
    assert (await app.store.sent.reach([everyone]))[everyone].exact is False
