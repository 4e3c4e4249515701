"""The lists of sent notifications and announcements."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from bellcast.channels.types import Fanout, MessageUpdate, NewMessage
from bellcast.kernel import times
from bellcast.kernel.db import lists
from bellcast.kernel.ids import Ids
from bellcast.webhooks import store as webhook_events
from bellcast.webhooks.types import WebhookEvent
from bellcast.workflows.types.runs import TriggerRequest
from tests.contract.channels.test_store_messages import message
from tests.journey import operators
from tests.journey.rest import Rest, fields, refused


def now_of(rest: Rest) -> str:
    return times.to_rfc3339(rest.clock.now()).isoformat().replace("+00:00", "Z")


async def titles(rest: Rest, **params: Any) -> list[str]:
    response = await rest.app.get("/v1/notifications", params=params)
    assert response.status_code == 200, response.text
    return [one["title"] for one in response.json()["notifications"]]


async def test_notifications_are_listed_newest_first_by_page(rest: Rest) -> None:
    for number in range(5):
        await rest.send("alice", f"number {number}")
    first = (await rest.app.get("/v1/notifications", params={"limit": 3})).json()
    assert [one["title"] for one in first["notifications"]] == ["number 4", "number 3", "number 2"]
    rest_of_it = (await rest.app.get("/v1/notifications", params={"limit": 3, "after": first["next"]})).json()
    assert [one["title"] for one in rest_of_it["notifications"]] == ["number 1", "number 0"]
    assert (rest_of_it["next"], rest_of_it["scanned_until"]) == (None, None)
    assert first["notifications"][0]["recipient"] == "alice"
    assert "timeline" not in first["notifications"][0]


async def test_filters_can_be_combined(rest: Rest) -> None:
    await rest.send("alice", "booked", type="booking", tags=["wedding"])
    await rest.send("bob", "paid", type="payment", tags=["wedding"])
    read = await rest.send("alice", "read", type="payment")
    await rest.recipient("alice").patch(f"/v1/inbox/{read}", json={"read": True})
    assert await titles(rest, recipient="alice") == ["read", "booked"]
    assert await titles(rest, type="payment") == ["read", "paid"]
    assert await titles(rest, tag="wedding") == ["paid", "booked"]
    assert await titles(rest, tag="wedding", recipient="alice") == ["booked"]
    assert await titles(rest, state="read") == ["read"]
    assert await titles(rest, state="unread", type="payment") == ["paid"]
    assert await titles(rest, recipient="nonesuch") == []


async def test_range_of_time_limits_the_list(rest: Rest) -> None:
    await rest.send("alice", "early")
    rest.clock.advance(60)
    noon = datetime.fromtimestamp(rest.clock.now() / 1000, UTC).isoformat()
    await rest.send("alice", "late")
    assert await titles(rest, **{"from": noon}) == ["late"]
    assert await titles(rest, to=noon) == ["early"]
    assert await titles(rest, recipient="alice", **{"from": noon}) == ["late"]
    response = await rest.app.get("/v1/notifications", params={"from": "2030-01-01T00:00:00"})
    assert refused(response, 422, "invalid")


async def test_list_shows_one_tenant_unless_all_are_requested(rest: Rest) -> None:
    await rest.send("alice", "for Acme", tenant="acme")
    await rest.send("alice", "for nobody in particular")
    assert await titles(rest) == ["for nobody in particular"]
    assert await titles(rest, tenant="acme") == ["for Acme"]
    assert await titles(rest, tenant="acme", recipient="alice") == ["for Acme"]
    assert await titles(rest, tenant="globex") == []
    assert await titles(rest, tenant="*") == ["for nobody in particular", "for Acme"]
    response = await rest.app.get("/v1/notifications", params={"tenant": "*", "recipient": "alice"})
    assert refused(response, 422, "invalid")


async def test_search_ends_after_a_bounded_number_of_rows_and_can_go_on(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "MAX_SCANNED_ROWS", 3)
    await rest.send("alice", "rare", type="rare")
    for _ in range(4):
        await rest.send("alice")
    for filters in ({"type": "rare"}, {"type": "rare", "recipient": "alice"}):
        found = (await rest.app.get("/v1/notifications", params=filters)).json()
        assert found["notifications"] == []
        assert (found["next"], found["total"]) == (None, {"value": 0, "exact": False})
        further = filters | {"after": found["scanned_until"]}
        found = (await rest.app.get("/v1/notifications", params=further)).json()
        assert [one["title"] for one in found["notifications"]] == ["rare"]
        assert found["scanned_until"] is None


async def test_announcements_are_listed_with_their_audience(rest: Rest) -> None:
    await rest.send({"all": True}, "to all")
    await rest.send({"topic": "news"}, "to a topic", type="news")
    await rest.send({"tenant": "acme"}, "to Acme")
    recalled = await rest.send({"all": True}, "recalled")
    await rest.app.delete(f"/v1/notifications/{recalled}")
    listed = (await rest.app.get("/v1/announcements")).json()["announcements"]
    assert [(one["title"], one["audience"]) for one in listed] == [
        ("to a topic", {"topic": "news"}),
        ("to all", {"all": True}),
    ]
    of_acme = (await rest.app.get("/v1/announcements", params={"tenant": "acme"})).json()["announcements"]
    assert [(one["title"], one["tenant"]) for one in of_acme] == [("to Acme", "acme")]
    news = (await rest.app.get("/v1/announcements", params={"type": "news", "tenant": "*"})).json()["announcements"]
    assert [one["title"] for one in news] == ["to a topic"]
    assert await titles(rest) == []


async def test_rows_have_the_fields_of_the_item_without_its_timeline(rest: Rest) -> None:
    await rest.app.put("/v1/topics/news/subscriptions/alice", json={})
    ids = {
        "notifications": [await rest.send("alice", "to Alice")],
        "announcements": [
            await rest.send({"topic": "news"}, "to the bell"),
            await rest.send({"topic": "news"}, "by e-mail too"),
        ],
    }
    now, id = rest.clock.now(), ids["announcements"][1]
    fanout = Fanout(
        id=id, tenant="", workflow="", owner="", version=0, audience=b'{"topic":"news"}', body=b"{}", created_at=now
    )
    await rest.store.runs.start(TriggerRequest(tenant="", created_at=now, fanout=fanout))
    for name, created in ids.items():
        listed = (await rest.app.get(f"/v1/{name}")).json()[name]
        assert [one["id"] for one in listed] == created[::-1]
        for one in listed:
            item = (await rest.app.get(f"/v1/notifications/{one['id']}")).json()
            assert {**one, "timeline": item["timeline"]} == item
    (direct,) = (await rest.app.get("/v1/notifications")).json()["notifications"]
    assert (direct["recipient"], direct["audience"], direct["fanout"]) == ("alice", None, None)
    late, early = (await rest.app.get("/v1/announcements")).json()["announcements"]
    assert [one["recipient"] for one in (late, early)] == [None, None]
    assert (late["fanout"], early["fanout"]) == ("running", None)


async def test_announcements_are_filtered_by_tag_and_by_the_rows_of_an_inbox(rest: Rest) -> None:
    await rest.recipient("alice", tenant="acme").get("/v1/inbox")
    await rest.send({"all": True, "tenant": "*"}, "everyone", tags=["site, shop", "news"])
    await rest.send({"tenant": "acme"}, "acme", tags=['"news"'], type="offer")
    await rest.send({"topic": "deploys"}, "deploys", tenant="acme")

    async def announced(**params: Any) -> list[str]:
        response = await rest.app.get("/v1/announcements", params=params)
        assert response.status_code == 200, response.text
        page = response.json()
        assert page["total"] == {"value": len(page["announcements"]), "exact": True}
        return [one["title"] for one in page["announcements"]]

    assert await announced(tenant="*", tag="news") == ["everyone"] == await announced(tag="site, shop")
    assert await announced(tenant="*", tag='"news"') == ["acme"] == await announced(tenant="acme", tag='"news"')
    assert await announced(tenant="*", tag="site") == []
    # An inbox has the rows since it was opened.
    alice = {"tenant": "acme", "recipient": "alice"}
    assert await announced(**alice) == []
    inbox = (await rest.recipient("alice", tenant="acme").get("/v1/inbox")).json()["notifications"]
    assert await announced(**alice) == ["acme", "everyone"]
    await rest.recipient("alice", tenant="acme").patch(f"/v1/inbox/{inbox[0]['id']}", json={"read": True})
    assert await announced(**alice, state="read") == [inbox[0]["title"]]
    assert await announced(**alice, state="unread", type="general") == ["everyone"]
    assert await announced(**alice, state="archived") == await announced(recipient="alice") == []
    for wrong, field in (({"tenant": "*", "recipient": "alice"}, "tenant"), ({"state": "read"}, "state")):
        assert fields(await rest.app.get("/v1/announcements", params=wrong)).keys() == {field}


async def test_announcements_have_their_reach(rest: Rest, cheap_hashes: None) -> None:
    id = await rest.send({"all": True, "tenant": "*"}, "everyone")
    own = await rest.send({"tenant": "acme"}, "acme")
    for name in ("alice", "bob"):
        await rest.recipient(name, tenant="acme").get("/v1/inbox")
    await rest.send({"tenant": "acme"}, "later")
    for name in ("alice", "bob"):
        await rest.recipient(name, tenant="acme").get("/v1/inbox")
    later, acme, everyone = (await rest.app.get("/v1/announcements?tenant=*")).json()["announcements"]
    assert (later["reach"], acme["id"], everyone["id"]) == (
        {"inboxes": 2, "seen": 0, "read": 0, "exact": True},
        own,
        id,
    )
    exported = await rest.app.get("/v1/announcements?tenant=*", headers={"accept": "application/x-ndjson"})
    assert [json.loads(line)["reach"] for line in exported.text.splitlines()] == [None] * 3
    await rest.recipient("alice", tenant="acme").patch(f"/v1/inbox/{later['id']}", json={"read": True})
    read = (await rest.app.get(f"/v1/notifications/{later['id']}?tenant=acme")).json()
    assert read["reach"] == {"inboxes": 2, "seen": 1, "read": 1, "exact": True}
    # The inboxes of other tenants are not counted for an operator of one.
    operator = await operators.signed_in(rest, "ona", "developer", tenants=["acme"])
    await rest.send({"all": True, "tenant": "*"}, "all again")
    await rest.recipient("alice", tenant="acme").get("/v1/inbox")
    seen = (await operator.get("/v1/announcements?tenant=acme&recipient=alice")).json()["announcements"]
    assert [(one["title"], one["reach"] is None) for one in seen] == [("all again", True), ("later", False)]


async def test_types_are_listed_with_their_recent_sends(rest: Rest) -> None:
    for key, tenant in (("booking", ""), ("booking", "globex"), ("unused", "")):
        await rest.app.put(f"/v1/types/{key}", json={}, params={"tenant": tenant})
    await rest.send("alice", type="booking", tenant="acme")
    rest.clock.advance(1)
    last = now_of(rest)
    await rest.send("bob", type="booking", tenant="globex")
    await rest.send({"tenant": "globex"}, type="booking", tenant="globex")
    listed = (await rest.app.get("/v1/types?tenant=*")).json()["types"]
    assert [(one["tenant"], one["key"], one["recent_sends"]) for one in listed] == [
        (None, "booking", {"value": 3, "exact": True, "last_at": last}),
        (None, "unused", {"value": 0, "exact": True, "last_at": None}),
        ("globex", "booking", {"value": 2, "exact": True, "last_at": last}),
    ]
    of_acme = (await rest.app.get("/v1/types?tenant=acme")).json()["types"]
    assert [one["recent_sends"]["value"] for one in of_acme] == [1, 0]
    assert "recent_sends" not in (await rest.app.get("/v1/types/booking")).json()
    rest.clock.advance(86_400_000)
    later = (await rest.app.get("/v1/types?tenant=*")).json()["types"]
    assert [one["recent_sends"]["value"] for one in later] == [0, 0, 0]


async def test_providers_are_listed_with_their_recent_messages(rest: Rest) -> None:
    for tenant in ("", "acme"):
        provider = {"channel": "email", "url": "smtp://mail.example.com?from=a@example.com"}
        written = await rest.app.put("/v1/providers/mail", json=provider, params={"tenant": tenant})
        assert written.status_code == 201, written.text
    now = rest.clock.now()
    new = Ids().new
    messages = [message(id=new(now), tenant=of, created_at=now) for of in ("acme", "acme", "globex")]
    await rest.store.messages.add(messages)
    begun = await rest.store.messages.begin([one.id for one in messages], now)
    states = iter(("bounced", "sent", "sent"))
    done = [MessageUpdate(message=replace(one, state=next(states), provider="mail")) for one in begun]
    await rest.store.messages.finish(done, now)
    listed = (await rest.app.get("/v1/providers?tenant=*")).json()["providers"]
    at = now_of(rest)
    assert [(one["tenant"], one["recent_messages"]) for one in listed if one["key"] == "mail"] == [
        (None, {"value": 3, "failed": 1, "exact": True, "last_at": at}),
        ("acme", {"value": 2, "failed": 1, "exact": True, "last_at": at}),
    ]


@pytest.fixture
async def loud(rest: Rest) -> str:
    """The time now, at which a tenant had two of all that lists count, and another tenant then four."""
    now, new, events, messages = rest.clock.now(), Ids().new, list[WebhookEvent](), list[NewMessage]()
    provider = {"channel": "email", "url": "smtp://mail.example.com?from=a@example.com"}
    await rest.app.put("/v1/types/booking", json={})
    for tenant, number in (("acme", 2), ("globex", 4)):
        await rest.app.put(f"/v1/providers/mail?tenant={tenant}", json=provider)
        await rest.app.post(f"/v1/webhooks?tenant={tenant}", json={"url": "https://example.com", "events": ["*"]})
        for _ in range(number):
            await rest.send("alice", type="booking", tenant=tenant)
            messages.append(message(id=new(now), tenant=tenant, created_at=now))
            events.append(WebhookEvent(id=new(now), tenant=tenant, type="run.completed", body=b"{}"))
    await rest.store.webhook_events.add(events, now)
    await rest.store.messages.add(messages)
    begun = await rest.store.messages.begin([one.id for one in messages], now)
    sent = [MessageUpdate(message=replace(one, state="sent", provider="mail")) for one in begun]
    await rest.store.messages.finish(sent, now)
    return now_of(rest)


async def recent_of(client: httpx.AsyncClient, kind: str, tenant: str) -> list[Any]:
    """Return the counts of the objects in a list."""
    listed = (await client.get(f"/v1/{kind}?tenant={tenant}")).json()[kind]
    return [value for one in listed for name, value in one.items() if name.startswith("recent_")]


@pytest.mark.parametrize("kind", ["types", "providers", "webhooks"])
async def test_recent_counts_of_an_operator_of_one_tenant_are_of_this_tenant(rest: Rest, loud: str, kind: str) -> None:
    operator = await operators.signed_in(rest, "ona", "developer", tenants=["acme"])
    counts = [await recent_of(client, kind, "*") for client in (rest.app, operator, rest.app)]
    assert [sorted(one["value"] for one in listed) for listed in counts] == (
        [[6], [2], [6]] if kind == "types" else [[2, 4], [2], [2, 4]]
    )
    assert all((one["exact"], one["last_at"]) == (True, loud) for listed in counts for one in listed)


@pytest.mark.parametrize(("kind", "exact"), [("types", False), ("providers", True), ("webhooks", True)])
async def test_recent_counts_end_at_a_number_of_rows_and_of_a_tenant_with_an_index_at_that_of_its_own(
    rest: Rest, loud: str, monkeypatch: pytest.MonkeyPatch, kind: str, exact: bool
) -> None:
    monkeypatch.setattr(lists, "MAX_SCANNED_ROWS", 3)
    monkeypatch.setattr(webhook_events, "MAX_RECENT", 3)
    assert {one["exact"] for one in await recent_of(rest.app, kind, "*")} == {False}
    (count,) = await recent_of(rest.app, kind, "acme")
    assert (count["value"], count["exact"]) == (2 if exact else 0, exact)
    assert (count["last_at"] == loud) == exact


@pytest.mark.parametrize("kind", ["types", "providers", "webhooks"])
async def test_recent_counts_are_read_once_in_five_seconds(rest: Rest, loud: str, kind: str) -> None:
    reads, read_in_background = list[str](), rest.store.read_in_background

    def read(script: Any, *args: Any) -> Any:
        reads.append(script.__name__)
        return read_in_background(script, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rest.store, "read_in_background", read)
        for tenant in ("*", "acme", "*", "acme"):
            await recent_of(rest.app, kind, tenant)
        once = reads.count("recent")
        rest.clock.advance(5_001)
        await recent_of(rest.app, kind, "*")
    assert (once, reads.count("recent") - once) == (1 if kind == "types" else 2, 1)


async def test_archived_sends_do_not_include_snoozed_ones(rest: Rest) -> None:
    alice = rest.recipient("alice")
    await alice.get("/v1/inbox")
    audiences: dict[str, Any] = {"notifications": "alice", "announcements": {"all": True}}
    ids = {name: [await rest.send(to, "archived"), await rest.send(to, "snoozed")] for name, to in audiences.items()}
    for archived, snoozed in ids.values():
        assert (await alice.post("/v1/inbox/archive", json={"ids": [archived]})).json()["changed"] == 1
        assert (await alice.post("/v1/inbox/snooze", json={"ids": [snoozed], "for": "1h"})).json()["changed"] == 1
    for name, (archived, _) in ids.items():
        found = await rest.app.get(f"/v1/{name}", params={"recipient": "alice", "state": "archived"})
        assert [one["id"] for one in found.json()[name]] == [archived]
