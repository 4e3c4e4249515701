"""A recipient lists the inbox, counts it, and acts on notifications."""

import pytest

from bellcast.live.connection.dialect import payload_of
from tests.journey.rest import fields, refused

BADGE = ("unread", "unseen")


async def titles(client, **query):
    response = await client.get("/v1/inbox", params=query)
    assert response.status_code == 200, response.text
    return [one["title"] for one in response.json()["notifications"]]


async def badge(client):
    counts = (await client.get("/v1/inbox/counts")).json()
    return counts["unread"], counts["unseen"]


@pytest.fixture
async def alice(rest):
    """Alice with three notifications."""
    await rest.send("alice", "one", type="booking", tags=["wedding"])
    await rest.send("alice", "two", type="booking")
    await rest.send("alice", "three", type="invoice")
    return rest.recipient("alice")


async def ids(client):
    """Return the ids by title."""
    listed = (await client.get("/v1/inbox", params={"limit": 100})).json()["notifications"]
    return {one["title"]: one["id"] for one in listed}


class TestListing:
    async def test_inbox_lists_newest_first_with_counters(self, alice):
        page = (await alice.get("/v1/inbox")).json()
        assert [one["title"] for one in page["notifications"]] == ["three", "two", "one"]
        assert (page["unread"], page["unseen"], page["next"]) == (3, 3, None)
        assert page["position"]

    async def test_inbox_is_filtered_by_view_type_and_tag(self, alice):
        ids_by_title = await ids(alice)
        await alice.patch(f"/v1/inbox/{ids_by_title['one']}", json={"read": True})
        await alice.patch(f"/v1/inbox/{ids_by_title['two']}", json={"archived": True})
        assert await titles(alice) == ["three", "one"]
        assert await titles(alice, view="unread") == ["three"]
        assert await titles(alice, view="read") == ["one"]
        assert await titles(alice, view="archived") == ["two"]
        assert await titles(alice, type="booking") == ["one"]
        assert await titles(alice, tag="wedding") == ["one"]
        assert await titles(alice, type="booking", view="unread") == []

    async def test_pages_have_no_gap_and_no_duplicate(self, rest):
        await rest.app.post("/v1/notifications/bulk", json=[{"to": "alice", "title": str(n)} for n in range(25)])
        alice, seen, before = rest.recipient("alice"), [], None
        for size in (10, 10, 5):
            page = (await alice.get("/v1/inbox", params={"limit": 10} | ({"before": before} if before else {}))).json()
            assert len(page["notifications"]) == size
            seen += [int(one["title"]) for one in page["notifications"]]
            before = page["next"]
        assert (seen, before) == (list(range(24, -1, -1)), None)

    async def test_last_page_has_no_next(self, alice):
        assert (await alice.get("/v1/inbox", params={"limit": 3})).json()["next"] is None

    async def test_notification_can_be_fetched_by_id(self, alice):
        ids_by_title = await ids(alice)
        response = await alice.get(f"/v1/inbox/{ids_by_title['two']}")
        assert (response.status_code, response.json()["title"]) == (200, "two")

    @pytest.mark.parametrize("limit", ["0", "101", "-1", "ten", "1.5", ""])
    async def test_limit_outside_of_1_to_100_is_refused(self, alice, limit):
        response = await alice.get("/v1/inbox", params={"limit": limit})
        assert refused(response, 422, "invalid")
        assert fields(response).keys() == {"limit"}

    async def test_unknown_view_is_refused_with_the_known_ones(self, alice):
        response = await alice.get("/v1/inbox", params={"view": "spam", "limit": "many"})
        assert refused(response, 422, "invalid")
        assert fields(response)["view"] == "must be one of: all, unread, read, archived, snoozed"
        assert "limit" in fields(response)

    async def test_unknown_priority_is_refused_by_its_name(self, alice):
        refusal = await alice.get("/v1/inbox?priority=urgent&priority=soon")
        assert refused(refusal, 422, "invalid")
        assert list(fields(refusal)) == ["priority"]

    @pytest.mark.parametrize("cursor", ["", "nonsense", "1", "01A1F804-8B85-7030-8305-21C740AA26DF"])
    async def test_invalid_cursor_is_refused(self, alice, cursor):
        assert refused(await alice.get("/v1/inbox", params={"before": cursor}), 400, "bad_request")

    async def test_repeated_parameter_is_refused(self, alice):
        assert fields(await alice.get("/v1/inbox?view=read&view=unread")).keys() == {"view"}

    @pytest.mark.parametrize("etag_notation", ['W/{}, "x"', '"x",{}', "*"], ids=["weak", "list", "any"])
    async def test_etag_matches_in_every_notation(self, alice, etag_notation):
        etag = (await alice.get("/v1/inbox/counts")).headers["etag"]
        response = await alice.get("/v1/inbox/counts", headers={"if-none-match": etag_notation.format(etag)})
        assert response.status_code == 304

    async def test_etag_changes_with_every_change(self, rest, alice):
        etag = (await alice.get("/v1/inbox")).headers["etag"]
        for act in (
            lambda: rest.send("alice", "four"),
            lambda: alice.post("/v1/inbox/seen", json={"all": True}),
            lambda: alice.post("/v1/inbox/read", json={"all": True}),
            lambda: alice.delete("/v1/inbox?view=read"),
            lambda: rest.send({"all": True}, "to everyone"),
        ):
            await act()
            response = await alice.get("/v1/inbox", headers={"if-none-match": etag})
            assert response.status_code == 200
            assert response.headers["etag"] != etag
            etag = response.headers["etag"]

    async def test_counts_by_type_count_unread_notifications(self, alice):
        counts = (await alice.get("/v1/inbox/counts")).json()
        assert counts["by_type"] == {"booking": 2, "invoice": 1}
        await alice.post("/v1/inbox/read", json={"all": True, "of": {"type": "booking"}})
        assert (await alice.get("/v1/inbox/counts")).json()["by_type"] == {"invoice": 1}


class TestOneNotification:
    async def test_read_implies_seen_and_unread_keeps_seen(self, alice):
        id = (await ids(alice))["one"]
        read = (await alice.patch(f"/v1/inbox/{id}", json={"read": True})).json()
        assert read["read_at"] == read["seen_at"] is not None
        assert await badge(alice) == (2, 2)
        unread = (await alice.patch(f"/v1/inbox/{id}", json={"read": False})).json()
        assert (unread["read_at"], unread["seen_at"]) == (None, read["seen_at"])
        assert await badge(alice) == (3, 2)

    async def test_archived_notification_is_not_counted_until_unarchived(self, alice):
        id = (await ids(alice))["one"]
        await alice.patch(f"/v1/inbox/{id}", json={"archived": True})
        assert await badge(alice) == (2, 2)
        await alice.patch(f"/v1/inbox/{id}", json={"archived": False})
        assert await badge(alice) == (3, 3)

    async def test_patch_can_set_several_states(self, alice):
        id = (await ids(alice))["one"]
        notification = (await alice.patch(f"/v1/inbox/{id}", json={"read": True, "archived": True})).json()
        assert None not in (notification["seen_at"], notification["read_at"], notification["archived_at"])

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, ""),
            ({"seen": None}, ""),
            ({"read": "yes"}, "read"),
            ({"read": 1}, "read"),
            ({"reed": True}, "reed"),
            ({"read": True, "seen": False}, "seen"),
            ([], ""),
            ("read", ""),
        ],
    )
    async def test_invalid_patch_changes_nothing(self, alice, body, field):
        id = (await ids(alice))["one"]
        response = await alice.patch(f"/v1/inbox/{id}", json=body)
        assert refused(response, 422, "invalid")
        assert fields(response).keys() == {field}
        assert await badge(alice) == (3, 3)

    async def test_deleted_notification_is_not_found(self, alice):
        id = (await ids(alice))["one"]
        assert (await alice.delete(f"/v1/inbox/{id}")).status_code == 204
        assert await titles(alice) == ["three", "two"]
        assert refused(await alice.delete(f"/v1/inbox/{id}"), 404, "not_found")


def counts_of(response):
    """The counts in the response of an action."""
    return {name: value for name, value in response.json().items() if name != "ids"}


class TestManyNotifications:
    async def test_marking_by_ids_skips_unknown_ids(self, alice):
        ids_by_title = await ids(alice)
        unknown = ["01a1f804-8b85-7030-8305-21c740aa26df", "nonsense"]
        response = await alice.post(
            "/v1/inbox/read", json={"ids": [ids_by_title["one"], ids_by_title["one"], *unknown, ids_by_title["two"]]}
        )
        assert counts_of(response) == {"changed": 2, "unread": 1, "unseen": 1}

    async def test_delete_by_ids_or_by_type_leaves_the_others(self, alice):
        ids_by_title = await ids(alice)
        response = await alice.post(
            "/v1/inbox/delete", json={"ids": [ids_by_title["one"], ids_by_title["three"], "nonsense"]}
        )
        assert counts_of(response) == {"changed": 2, "unread": 1, "unseen": 1}
        assert await titles(alice) == ["two"]
        response = await alice.post("/v1/inbox/delete", json={"all": True, "of": {"type": "invoice"}})
        assert response.json()["changed"] == 0
        response = await alice.post("/v1/inbox/delete", json={"all": True, "of": {"type": "booking"}})
        assert counts_of(response) == {"changed": 1, "unread": 0, "unseen": 0}

    @pytest.mark.parametrize("body", [{"all": True, "type": "booking"}, {"all": True, "of": {"tags": "wedding"}}, {}])
    async def test_delete_with_an_unknown_filter_deletes_nothing(self, alice, body):
        assert refused(await alice.post("/v1/inbox/delete", json=body), 422, "invalid")
        assert len(await titles(alice)) == 3

    async def test_marking_all_can_be_limited_to_a_type(self, alice):
        response = await alice.post("/v1/inbox/seen", json={"all": True, "of": {"type": "booking"}})
        assert counts_of(response) == {"changed": 2, "unread": 3, "unseen": 1}
        assert counts_of(await alice.post("/v1/inbox/read", json={"all": True})) == {
            "changed": 3,
            "unread": 0,
            "unseen": 0,
        }
        assert counts_of(await alice.post("/v1/inbox/unread", json={"all": True})) == {
            "changed": 3,
            "unread": 3,
            "unseen": 0,
        }

    async def test_marking_all_skips_archived_notifications_and_unarchive_restores_them(self, alice):
        ids_by_title = await ids(alice)
        await alice.post("/v1/inbox/archive", json={"ids": [ids_by_title["one"]]})
        assert (await alice.post("/v1/inbox/read", json={"all": True})).json()["changed"] == 2
        assert counts_of(await alice.post("/v1/inbox/unarchive", json={"all": True})) == {
            "changed": 1,
            "unread": 1,
            "unseen": 1,
        }

    @pytest.mark.parametrize("max_row_events", [200, 1], ids=["row by row", "by one statement"])
    async def test_action_on_all_reports_the_changed_ids(self, alice, monkeypatch, max_row_events):
        monkeypatch.setattr("bellcast.inbox.store.marking.MAX_ROW_EVENTS", max_row_events)
        ids_by_title = await ids(alice)
        await alice.post("/v1/inbox/read", json={"ids": [ids_by_title["two"]]})
        changed = (await alice.post("/v1/inbox/read", json={"all": True})).json()["ids"]
        assert sorted(changed) == sorted([ids_by_title["one"], ids_by_title["three"]])
        assert (await alice.post("/v1/inbox/read", json={"all": True})).json()["ids"] == []

    async def test_action_on_too_many_reports_no_ids(self, alice, monkeypatch):
        monkeypatch.setattr("bellcast.inbox.store.marking.MAX_ROW_EVENTS", 1)
        monkeypatch.setattr("bellcast.inbox.store.marking.MAX_REPORTED_IDS", 2)
        response = (await alice.post("/v1/inbox/read", json={"all": True})).json()
        assert (response["changed"], response["ids"]) == (3, None)

    async def test_marking_without_effect_reports_no_change(self, alice):
        assert (await alice.post("/v1/inbox/unread", json={"all": True})).json()["changed"] == 0
        assert (await alice.post("/v1/inbox/read", json={"ids": []})).json()["changed"] == 0

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "ids"),
            ({"all": False}, "ids"),
            ({"all": True, "ids": []}, "all"),
            ({"ids": ["a"] * 1001}, "ids"),
            ({"ids": [1, "a", None]}, "ids.0 ids.2"),
            ({"ids": "a"}, "ids"),
            ({"ids": [], "of": {"type": "x"}}, "of"),
            ({"all": True, "of": {"kind": "x"}}, "of.kind"),
            ({"all": True, "of": {}}, "of"),
            ({"all": True, "of": {"type": "t" * 101}}, "of.type"),
        ],
        ids=str,
    )
    async def test_invalid_selection_is_refused(self, alice, body, field):
        response = await alice.post("/v1/inbox/read", json=body)
        assert refused(response, 422, "invalid")
        assert " ".join(fields(response)) == field
        assert await badge(alice) == (3, 3)

    async def test_view_can_be_emptied(self, alice):
        ids_by_title = await ids(alice)
        await alice.patch(f"/v1/inbox/{ids_by_title['one']}", json={"read": True})
        await alice.patch(f"/v1/inbox/{ids_by_title['two']}", json={"archived": True})
        assert (await alice.delete("/v1/inbox?view=read")).json() == {"changed": 1, "unread": 1, "unseen": 1}
        assert (await titles(alice), await titles(alice, view="archived")) == (["three"], ["two"])
        assert (await alice.delete("/v1/inbox?view=archived")).json()["changed"] == 1
        assert (await alice.delete("/v1/inbox?view=all")).json() == {"changed": 1, "unread": 0, "unseen": 0}

    @pytest.mark.parametrize(("view", "action"), [("all", "unread"), ("read", "read"), ("archived", "archive")])
    async def test_deleting_a_view_of_one_type_leaves_other_types(self, alice, view, action):
        await alice.post(f"/v1/inbox/{action}", json={"all": True})
        assert (await alice.delete(f"/v1/inbox?view={view}&type=booking")).json()["changed"] == 2
        assert await titles(alice, view=view) == ["three"]
        assert (await alice.delete(f"/v1/inbox?view={view}&type=booking")).json()["changed"] == 0

    async def test_deleting_many_of_one_type_publishes_the_type_and_the_view(self, rest):
        count = 201  # more than an event lists by id
        for type in ("booking", "payment"):
            lines = [{"to": "dora", "title": type, "type": type}] * count
            assert (await rest.app.post("/v1/notifications/bulk", json=lines)).status_code == 200
        dora = rest.recipient("dora")
        response = (await dora.delete("/v1/inbox?view=all&type=booking")).json()
        assert response == {"changed": count, "unread": count, "unseen": count}
        event = rest.published[-1]
        assert (event.changed, event.ids, event.type, event.view) == ("deleted", None, "booking", "all")
        assert payload_of(event, "").fields["of"] == {"type": "booking", "view": "all"}

    @pytest.mark.parametrize(
        "query", ["view=all&tag=x", "view=all&before=x", "view=read&typ=booking", "view=all&ids=x"]
    )
    async def test_deleting_a_view_refuses_unknown_filters(self, alice, query):
        response = await alice.delete(f"/v1/inbox?{query}")
        assert refused(response, 422, "invalid")
        assert fields(response).keys() == {query.split("&")[1].partition("=")[0]}
        assert len(await titles(alice)) == 3

    @pytest.mark.parametrize("query", ["", "?view=", "?view=everything"])
    async def test_view_to_be_emptied_must_be_named(self, alice, query):
        response = await alice.delete(f"/v1/inbox{query}")
        assert refused(response, 422, "invalid")
        assert fields(response).keys() == {"view"}
        assert len(await titles(alice)) == 3


class TestOtherRecipients:
    async def test_notification_of_another_recipient_is_as_unknown_as_a_random_id(self, rest, alice):
        their_id = await rest.send("bob")
        unknown_id = "01a1f804-8b85-7030-8305-21c740aa26df"
        for send_request in (
            lambda id: alice.get(f"/v1/inbox/{id}"),
            lambda id: alice.patch(f"/v1/inbox/{id}", json={"read": True}),
            lambda id: alice.delete(f"/v1/inbox/{id}"),
        ):
            responses = [await send_request(id) for id in (their_id, unknown_id)]
            assert refused(responses[0], 404, "not_found")
            assert responses[0].content == responses[1].content
        assert (await alice.post("/v1/inbox/read", json={"ids": [their_id]})).json()["changed"] == 0
        assert await badge(rest.recipient("bob")) == (1, 1)

    async def test_recipient_key_in_another_tenant_is_another_recipient(self, rest, alice):
        id = (await ids(alice))["one"]
        rival = rest.recipient("alice", tenant="globex")
        assert await titles(rival) == []
        assert refused(await rival.get(f"/v1/inbox/{id}"), 404, "not_found")
        assert (await rival.post("/v1/inbox/read", json={"ids": [id]})).json()["changed"] == 0
        assert await badge(alice) == (3, 3)


async def test_inbox_since_a_time_has_newer_notifications_only(rest):
    await rest.send("alice", "Old")
    rest.clock.advance(60)
    await rest.send("alice", "New")
    (new, _) = (await rest.recipient("alice").get("/v1/inbox")).json()["notifications"]
    page = (await rest.recipient("alice").get("/v1/inbox", params={"since": new["created_at"]})).json()
    assert [one["title"] for one in page["notifications"]] == ["New"]
    assert page["unread"] == 2
    for since in ("yesterday", "2026-01-01T00:00:00", "1960-01-01T00:00:00Z"):
        response = await rest.recipient("alice").get("/v1/inbox", params={"since": since})
        assert response.status_code == 422
        assert list(fields(response)) == ["since"]
