"""A recipient looks into the inbox, counts it, and acts on what is in it."""

import pytest

from bellcast.live import inbox_payloads
from tests.journey.rest import fields, refused

BADGE = ("unread", "unseen")


async def titles(asker, **query):
    answer = await asker.get("/v1/inbox", params=query)
    assert answer.status_code == 200, answer.text
    return [one["title"] for one in answer.json()["notifications"]]


async def badge(asker):
    counts = (await asker.get("/v1/inbox/counts")).json()
    return counts["unread"], counts["unseen"]


@pytest.fixture
async def alice(rest):
    """Alice, who was told three things, the last of them first in the list."""
    await rest.tell("alice", "one", type="booking", tags=["wedding"])
    await rest.tell("alice", "two", type="booking")
    await rest.tell("alice", "three", type="invoice")
    return rest.recipient("alice")


async def ids(asker):
    """Ids by title."""
    listed = (await asker.get("/v1/inbox", params={"limit": 100})).json()["notifications"]
    return {one["title"]: one["id"] for one in listed}


class TestLooking:
    async def test_newest_first_with_the_badge(self, alice):
        page = (await alice.get("/v1/inbox")).json()
        assert [one["title"] for one in page["notifications"]] == ["three", "two", "one"]
        assert (page["unread"], page["unseen"], page["next"]) == (3, 3, None)
        assert page["position"]

    async def test_views_types_and_tags_narrow_it(self, alice):
        made = await ids(alice)
        await alice.patch(f"/v1/inbox/{made['one']}", json={"read": True})
        await alice.patch(f"/v1/inbox/{made['two']}", json={"archived": True})
        assert await titles(alice) == ["three", "one"]
        assert await titles(alice, view="unread") == ["three"]
        assert await titles(alice, view="read") == ["one"]
        assert await titles(alice, view="archived") == ["two"]
        assert await titles(alice, type="booking") == ["one"]
        assert await titles(alice, tag="wedding") == ["one"]
        assert await titles(alice, type="booking", view="unread") == []

    async def test_pages_follow_each_other_to_the_end_without_a_gap_or_a_repeat(self, rest):
        await rest.app.post("/v1/notifications/bulk", json=[{"to": "alice", "title": str(n)} for n in range(25)])
        alice, seen, before = rest.recipient("alice"), [], None
        for size in (10, 10, 5):
            page = (await alice.get("/v1/inbox", params={"limit": 10} | ({"before": before} if before else {}))).json()
            assert len(page["notifications"]) == size
            seen += [int(one["title"]) for one in page["notifications"]]
            before = page["next"]
        assert (seen, before) == (list(range(24, -1, -1)), None)

    async def test_a_page_that_ends_exactly_at_the_end_has_no_next(self, alice):
        assert (await alice.get("/v1/inbox", params={"limit": 3})).json()["next"] is None

    async def test_one_notification_can_be_read_by_itself(self, alice):
        made = await ids(alice)
        answer = await alice.get(f"/v1/inbox/{made['two']}")
        assert (answer.status_code, answer.json()["title"]) == (200, "two")

    @pytest.mark.parametrize("limit", ["0", "101", "-1", "ten", "1.5", ""])
    async def test_a_limit_outside_of_1_to_100_is_refused(self, alice, limit):
        answer = await alice.get("/v1/inbox", params={"limit": limit})
        assert refused(answer, 422, "invalid")
        assert fields(answer).keys() == {"limit"}

    async def test_an_unknown_view_is_refused_and_told_the_known_ones(self, alice):
        answer = await alice.get("/v1/inbox", params={"view": "spam", "limit": "many"})
        assert refused(answer, 422, "invalid")
        assert fields(answer)["view"] == "must be one of: all, unread, read, archived"
        assert "limit" in fields(answer)

    @pytest.mark.parametrize("cursor", ["", "nonsense", "1", "01A1F804-8B85-7030-8305-21C740AA26DF"])
    async def test_a_broken_cursor_is_unreadable(self, alice, cursor):
        assert refused(await alice.get("/v1/inbox", params={"before": cursor}), 400, "bad_request")

    async def test_a_parameter_given_twice_is_refused(self, alice):
        assert fields(await alice.get("/v1/inbox?view=read&view=unread")).keys() == {"view"}

    @pytest.mark.parametrize("known", ['W/{}, "x"', '"x",{}', "*"], ids=["weak", "list", "any"])
    async def test_the_tag_is_found_however_it_is_written(self, alice, known):
        etag = (await alice.get("/v1/inbox/counts")).headers["etag"]
        answer = await alice.get("/v1/inbox/counts", headers={"if-none-match": known.format(etag)})
        assert answer.status_code == 304

    async def test_any_change_is_a_fresh_answer(self, rest, alice):
        etag = (await alice.get("/v1/inbox")).headers["etag"]
        for act in (
            lambda: rest.tell("alice", "four"),
            lambda: alice.post("/v1/inbox/seen", json={"all": True}),
            lambda: alice.post("/v1/inbox/read", json={"all": True}),
            lambda: alice.delete("/v1/inbox?view=read"),
            lambda: rest.tell({"all": True}, "to everyone"),
        ):
            await act()
            answer = await alice.get("/v1/inbox", headers={"if-none-match": etag})
            assert answer.status_code == 200
            assert answer.headers["etag"] != etag
            etag = answer.headers["etag"]

    async def test_counts_by_type_are_of_the_unread(self, alice):
        counts = (await alice.get("/v1/inbox/counts")).json()
        assert counts["by_type"] == {"booking": 2, "invoice": 1}
        await alice.post("/v1/inbox/read", json={"all": True, "of": {"type": "booking"}})
        assert (await alice.get("/v1/inbox/counts")).json()["by_type"] == {"invoice": 1}


class TestActingOnOne:
    async def test_read_implies_seen_and_unread_takes_only_the_reading_back(self, alice):
        id = (await ids(alice))["one"]
        read = (await alice.patch(f"/v1/inbox/{id}", json={"read": True})).json()
        assert read["read_at"] == read["seen_at"] is not None
        assert await badge(alice) == (2, 2)
        unread = (await alice.patch(f"/v1/inbox/{id}", json={"read": False})).json()
        assert (unread["read_at"], unread["seen_at"]) == (None, read["seen_at"])
        assert await badge(alice) == (3, 2)

    async def test_archived_counts_nowhere_and_comes_back(self, alice):
        id = (await ids(alice))["one"]
        await alice.patch(f"/v1/inbox/{id}", json={"archived": True})
        assert await badge(alice) == (2, 2)
        await alice.patch(f"/v1/inbox/{id}", json={"archived": False})
        assert await badge(alice) == (3, 3)

    async def test_several_things_at_once(self, alice):
        id = (await ids(alice))["one"]
        told = (await alice.patch(f"/v1/inbox/{id}", json={"read": True, "archived": True})).json()
        assert None not in (told["seen_at"], told["read_at"], told["archived_at"])

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
    async def test_a_wrong_patch_changes_nothing(self, alice, body, field):
        id = (await ids(alice))["one"]
        answer = await alice.patch(f"/v1/inbox/{id}", json=body)
        assert refused(answer, 422, "invalid")
        assert fields(answer).keys() == {field}
        assert await badge(alice) == (3, 3)

    async def test_a_deleted_notification_is_gone(self, alice):
        id = (await ids(alice))["one"]
        assert (await alice.delete(f"/v1/inbox/{id}")).status_code == 204
        assert await titles(alice) == ["three", "two"]
        assert refused(await alice.delete(f"/v1/inbox/{id}"), 404, "not_found")


class TestActingOnMany:
    async def test_some_by_id_passing_over_the_unknown(self, alice):
        made = await ids(alice)
        unknown = ["01a1f804-8b85-7030-8305-21c740aa26df", "nonsense"]
        answer = await alice.post("/v1/inbox/read", json={"ids": [made["one"], made["one"], *unknown, made["two"]]})
        assert answer.json() == {"changed": 2, "unread": 1, "unseen": 1}

    async def test_delete_by_ids_or_by_type_is_one_request_that_leaves_the_others(self, alice):
        made = await ids(alice)
        answer = await alice.post("/v1/inbox/delete", json={"ids": [made["one"], made["three"], "nonsense"]})
        assert answer.json() == {"changed": 2, "unread": 1, "unseen": 1}
        assert await titles(alice) == ["two"]
        answer = await alice.post("/v1/inbox/delete", json={"all": True, "of": {"type": "invoice"}})
        assert answer.json()["changed"] == 0
        answer = await alice.post("/v1/inbox/delete", json={"all": True, "of": {"type": "booking"}})
        assert answer.json() == {"changed": 1, "unread": 0, "unseen": 0}

    @pytest.mark.parametrize("body", [{"all": True, "type": "booking"}, {"all": True, "of": {"tag": "wedding"}}, {}])
    async def test_delete_refuses_a_filter_it_does_not_know_and_deletes_nothing(self, alice, body):
        assert refused(await alice.post("/v1/inbox/delete", json=body), 422, "invalid")
        assert len(await titles(alice)) == 3

    async def test_all_and_all_of_a_type(self, alice):
        answer = await alice.post("/v1/inbox/seen", json={"all": True, "of": {"type": "booking"}})
        assert answer.json() == {"changed": 2, "unread": 3, "unseen": 1}
        assert (await alice.post("/v1/inbox/read", json={"all": True})).json() == {
            "changed": 3,
            "unread": 0,
            "unseen": 0,
        }
        assert (await alice.post("/v1/inbox/unread", json={"all": True})).json() == {
            "changed": 3,
            "unread": 3,
            "unseen": 0,
        }

    async def test_all_is_what_is_not_archived_and_unarchive_all_is_what_is(self, alice):
        made = await ids(alice)
        await alice.post("/v1/inbox/archive", json={"ids": [made["one"]]})
        assert (await alice.post("/v1/inbox/read", json={"all": True})).json()["changed"] == 2
        assert (await alice.post("/v1/inbox/unarchive", json={"all": True})).json() == {
            "changed": 1,
            "unread": 1,
            "unseen": 1,
        }

    async def test_nothing_to_change_changes_nothing(self, alice):
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
            ({"all": True, "of": {"kind": "x"}}, "of.kind of.type"),
            ({"all": True, "of": {"type": "t" * 101}}, "of.type"),
        ],
        ids=str,
    )
    async def test_a_wrong_selection_is_refused(self, alice, body, field):
        answer = await alice.post("/v1/inbox/read", json=body)
        assert refused(answer, 422, "invalid")
        assert " ".join(fields(answer)) == field
        assert await badge(alice) == (3, 3)

    async def test_a_view_is_emptied(self, alice):
        made = await ids(alice)
        await alice.patch(f"/v1/inbox/{made['one']}", json={"read": True})
        await alice.patch(f"/v1/inbox/{made['two']}", json={"archived": True})
        assert (await alice.delete("/v1/inbox?view=read")).json() == {"changed": 1, "unread": 1, "unseen": 1}
        assert (await titles(alice), await titles(alice, view="archived")) == (["three"], ["two"])
        assert (await alice.delete("/v1/inbox?view=archived")).json()["changed"] == 1
        assert (await alice.delete("/v1/inbox?view=all")).json() == {"changed": 1, "unread": 0, "unseen": 0}

    @pytest.mark.parametrize(("view", "action"), [("all", "unread"), ("read", "read"), ("archived", "archive")])
    async def test_deleting_a_view_of_one_type_leaves_the_other_types(self, alice, view, action):
        await alice.post(f"/v1/inbox/{action}", json={"all": True})
        assert (await alice.delete(f"/v1/inbox?view={view}&type=booking")).json()["changed"] == 2
        assert await titles(alice, view=view) == ["three"]
        assert (await alice.delete(f"/v1/inbox?view={view}&type=booking")).json()["changed"] == 0

    async def test_deleting_many_of_one_type_tells_the_devices_the_type_and_the_view(self, rest):
        many = 201  # more than are named one by one
        for type in ("booking", "payment"):
            lines = [{"to": "dora", "title": type, "type": type}] * many
            assert (await rest.app.post("/v1/notifications/bulk", json=lines)).status_code == 200
        dora = rest.recipient("dora")
        answer = (await dora.delete("/v1/inbox?view=all&type=booking")).json()
        assert answer == {"changed": many, "unread": many, "unseen": many}
        event = rest.heard[-1]
        assert (event.changed, event.ids, event.type, event.view) == ("deleted", None, "booking", "all")
        assert inbox_payloads.payload_of(event, "").fields["of"] == {"type": "booking", "view": "all"}

    @pytest.mark.parametrize(
        "query", ["view=all&tag=x", "view=all&before=x", "view=read&typ=booking", "view=all&ids=x"]
    )
    async def test_deleting_a_view_refuses_a_filter_it_does_not_have(self, alice, query):
        answer = await alice.delete(f"/v1/inbox?{query}")
        assert refused(answer, 422, "invalid")
        assert fields(answer).keys() == {query.split("&")[1].partition("=")[0]}
        assert len(await titles(alice)) == 3

    @pytest.mark.parametrize("query", ["", "?view=", "?view=everything"])
    async def test_a_view_must_be_named_before_it_is_emptied(self, alice, query):
        answer = await alice.delete(f"/v1/inbox{query}")
        assert refused(answer, 422, "invalid")
        assert fields(answer).keys() == {"view"}
        assert len(await titles(alice)) == 3


class TestOthers:
    async def test_anothers_notification_is_as_unknown_as_one_that_never_was(self, rest, alice):
        theirs = await rest.tell("bob")
        never = "01a1f804-8b85-7030-8305-21c740aa26df"
        for ask in (
            lambda id: alice.get(f"/v1/inbox/{id}"),
            lambda id: alice.patch(f"/v1/inbox/{id}", json={"read": True}),
            lambda id: alice.delete(f"/v1/inbox/{id}"),
        ):
            answers = [await ask(id) for id in (theirs, never)]
            assert refused(answers[0], 404, "not_found")
            assert answers[0].content == answers[1].content
        assert (await alice.post("/v1/inbox/read", json={"ids": [theirs]})).json()["changed"] == 0
        assert await badge(rest.recipient("bob")) == (1, 1)

    async def test_the_same_key_in_another_tenant_is_another_person(self, rest, alice):
        id = (await ids(alice))["one"]
        rival = rest.recipient("alice", tenant="globex")
        assert await titles(rival) == []
        assert refused(await rival.get(f"/v1/inbox/{id}"), 404, "not_found")
        assert (await rival.post("/v1/inbox/read", json={"ids": [id]})).json()["changed"] == 0
        assert await badge(alice) == (3, 3)
