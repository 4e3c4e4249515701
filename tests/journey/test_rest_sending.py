"""The app's server sends notifications, reads, edits and recalls them."""

import json

import pytest

from tests.journey.rest import fields, refused


async def test_sent_notification_is_in_the_inbox_exactly_as_sent(rest):
    sent = {
        "title": "New booking",
        "body": "Saturday, 14:00",
        "type": "booking",
        "priority": "high",
        "action_url": "/bookings/7",
        "action_text": "Open",
        "icon": "https://img.example/bell.svg",
        "actor": {"id": "ann", "name": "Ann", "avatar": "/ann.png"},
        "data": {"booking": 7, "paid": True},
        "tags": ["wedding", "new"],
        "group": "bookings",
        "expires_at": "2030-01-31T12:00:00Z",
    }
    response = await rest.app.post("/v1/notifications", json={"to": "alice", **sent})
    assert response.status_code == 201
    [created] = response.json()["notifications"]
    assert created["recipient"] == "alice"
    [listed] = (await rest.recipient("alice").get("/v1/inbox")).json()["notifications"]
    for field, value in sent.items():
        assert listed[field] == value, field
    assert listed["id"] == created["id"]
    assert listed["created_at"].startswith("2025-06-15T15:06:40")
    assert [listed[field] for field in ("seen_at", "read_at", "archived_at")] == [None, None, None]


async def test_omitted_fields_are_null_or_empty(rest):
    await rest.send("alice", "Only a title")
    [listed] = (await rest.recipient("alice").get("/v1/inbox")).json()["notifications"]
    assert listed == listed | {
        "type": "general",
        "priority": "normal",
        "body": None,
        "actor": None,
        "group": None,
        "expires_at": None,
        "tags": [],
        "data": {},
    }


async def test_actor_may_be_a_name(rest):
    await rest.send("alice", actor="Ann")
    [listed] = (await rest.recipient("alice").get("/v1/inbox")).json()["notifications"]
    assert listed["actor"] == {"id": None, "name": "Ann", "avatar": None}


async def test_repeated_recipient_is_notified_once(rest):
    response = await rest.app.post("/v1/notifications", json={"to": ["alice", "bob", "alice"], "title": "Hello"})
    assert [created["recipient"] for created in response.json()["notifications"]] == ["alice", "bob"]
    assert (await rest.recipient("alice").get("/v1/inbox/counts")).json()["unread"] == 1


@pytest.mark.parametrize("to", [{"topic": "admins"}, {"role": "admin"}, {"all": True}], ids=["topic", "role", "all"])
async def test_announcement_has_one_id_in_every_inbox(rest, to):
    for key in ("alice", "bob"):
        await rest.app.put(f"/v1/topics/admins/subscriptions/{key}")
        await rest.app.put(f"/v1/recipients/{key}", json={"roles": ["admin"]})
    rest.clock.advance(1)
    id = await rest.send(to, "Meeting at ten")
    for key in ("alice", "bob"):
        [listed] = (await rest.recipient(key).get("/v1/inbox")).json()["notifications"]
        assert (listed["id"], listed["title"]) == (id, "Meeting at ten")


async def test_announcement_reaches_only_its_audience(rest):
    await rest.app.put("/v1/topics/admins/subscriptions/alice")
    await rest.app.put("/v1/recipients/bob", json={})
    rest.clock.advance(1)
    await rest.send({"topic": "admins"})
    assert (await rest.recipient("bob").get("/v1/inbox")).json()["notifications"] == []


DRAFT = {"to": ["alice", "bob"], "title": "Once"}


class TestIdempotency:
    async def test_repeated_key_and_body_return_the_first_response_byte_for_byte(self, rest):
        options = {"json": DRAFT, "headers": {"idempotency-key": "order-7"}}
        first = await rest.app.post("/v1/notifications", **options)
        rest.clock.advance(60)
        repeated = await rest.app.post("/v1/notifications", **options)
        assert (repeated.status_code, repeated.content) == (201, first.content)
        assert (await rest.recipient("alice").get("/v1/inbox/counts")).json()["unread"] == 1

    async def test_key_is_accepted_in_the_body(self, rest):
        first = await rest.app.post("/v1/notifications", json={**DRAFT, "idempotency_key": "order-7"})
        repeated = await rest.app.post("/v1/notifications", json=DRAFT, headers={"idempotency-key": "order-7"})
        assert repeated.content == first.content

    async def test_two_different_keys_are_refused(self, rest):
        response = await rest.app.post(
            "/v1/notifications", json={**DRAFT, "idempotency_key": "one"}, headers={"idempotency-key": "two"}
        )
        assert refused(response, 422, "invalid")
        assert "idempotency_key" in fields(response)

    async def test_key_with_another_body_is_refused(self, rest):
        headers = {"idempotency-key": "order-7"}
        await rest.app.post("/v1/notifications", json=DRAFT, headers=headers)
        response = await rest.app.post("/v1/notifications", json={**DRAFT, "title": "Other"}, headers=headers)
        assert refused(response, 422, "idempotency_mismatch")

    async def test_refused_request_leaves_the_key_free(self, rest):
        headers = {"idempotency-key": "order-7"}
        assert (await rest.app.post("/v1/notifications", json={"to": "alice"}, headers=headers)).status_code == 422
        assert (await rest.app.post("/v1/notifications", json=DRAFT, headers=headers)).status_code == 201

    @pytest.mark.parametrize("to", [["alice", "bob"], {"all": True}], ids=["recipients", "everyone"])
    @pytest.mark.parametrize("later", [{}, {"send_at": "2025-06-15T15:30:00Z"}], ids=["now", "later"])
    async def test_key_of_a_notification_that_has_expired_returns_the_first_response(self, rest, to, later):
        draft = {
            "to": to,
            "title": "Now or never",
            "expires_at": "2025-06-15T16:00:00Z",
            "idempotency_key": "k",
            **later,
        }
        first = await rest.app.post("/v1/notifications", json=draft)
        assert first.is_success
        rest.clock.advance(3600)
        assert (await rest.app.post("/v1/notifications", json=draft)).content == first.content
        [result] = (await rest.app.post("/v1/notifications/bulk", json=[draft])).json()["results"]
        assert "error" not in result
        another = await rest.app.post("/v1/notifications", json={**draft, "title": "Another"})
        assert refused(another, 422, "idempotency_mismatch")
        new = await rest.app.post("/v1/notifications", json={**draft, "idempotency_key": "other"})
        assert refused(new, 422, "invalid")
        assert ("send_at" if later else "expires_at") in fields(new)

    async def test_key_belongs_to_its_tenant(self, rest):
        headers = {"idempotency-key": "order-7"}
        acme = await rest.app.post("/v1/notifications?tenant=acme", json=DRAFT, headers=headers)
        globex = await rest.app.post("/v1/notifications?tenant=globex", json=DRAFT, headers=headers)
        assert acme.json() != globex.json()


class TestDetails:
    async def test_sent_notification_shows_its_recipient_and_timeline(self, rest):
        id = await rest.send("alice", expires_at="2030-01-31T12:00:00Z")
        rest.clock.advance(5)
        await rest.recipient("alice").patch(f"/v1/inbox/{id}", json={"read": True})
        details = (await rest.app.get(f"/v1/notifications/{id}")).json()
        assert (details["recipient"], details["tenant"], details["audience"]) == ("alice", None, None)
        assert [one["what"] for one in details["timeline"]] == ["created", "seen", "read", "expires"]
        assert details["timeline"][2] == {
            "at": details["read_at"],
            "what": "read",
            "detail": None,
            "channel": "inbox",
            "message": None,
            "rule": None,
            "by": None,
        }

    @pytest.mark.parametrize(
        "to", [{"topic": "admins"}, {"role": "admin"}, {"all": True}, {"tenant": "acme"}], ids=lambda to: next(iter(to))
    )
    async def test_announcement_has_an_audience_instead_of_a_recipient(self, rest, to):
        id = await rest.send(to)
        details = (await rest.app.get(f"/v1/notifications/{id}", params={"tenant": to.get("tenant", "")})).json()
        assert details["recipient"] is None
        assert {name: value for name, value in details["audience"].items() if value} == to

    async def test_project_wide_announcement_has_its_own_audience(self, rest):
        id = await rest.send({"all": True, "tenant": "*"})
        details = (await rest.app.get(f"/v1/notifications/{id}")).json()
        assert (details["tenant"], details["audience"]) == ("*", {"all": True, "tenant": "*"})

    @pytest.mark.parametrize("id", ["nonsense", "01a1f804-8b85-7030-8305-21c740aa26df", "%2e%2e"])
    async def test_unknown_notification_is_a_404(self, rest, id):
        for method in ("GET", "DELETE"):
            assert refused(await rest.app.request(method, f"/v1/notifications/{id}"), 404, "not_found")
        assert refused(await rest.app.patch(f"/v1/notifications/{id}", json={"title": "x"}), 404, "not_found")


class TestEditing:
    async def test_edit_shows_in_the_inbox_and_in_the_timeline(self, rest):
        id = await rest.send("alice", "Saturday", body="At ten")
        rest.clock.advance(5)
        response = await rest.app.patch(f"/v1/notifications/{id}", json={"title": "Sunday", "body": None})
        assert response.status_code == 200
        assert [one["what"] for one in response.json()["timeline"]] == ["created", "edited"]
        [listed] = (await rest.recipient("alice").get("/v1/inbox")).json()["notifications"]
        assert (listed["title"], listed["body"]) == ("Sunday", None)

    async def test_edited_announcement_changes_in_every_inbox(self, rest):
        await rest.recipient("alice").get("/v1/inbox")
        rest.clock.advance(1)
        id = await rest.send({"all": True}, "Saturday")
        await rest.recipient("alice").get("/v1/inbox")
        await rest.app.patch(f"/v1/notifications/{id}", json={"title": "Sunday"})
        [listed] = (await rest.recipient("alice").get("/v1/inbox")).json()["notifications"]
        assert listed["title"] == "Sunday"

    async def test_invalid_edit_names_all_fields_and_changes_nothing(self, rest):
        id = await rest.send("alice", "Saturday")
        wrong = {"title": None, "priority": "loud", "body": "x" * 10_001, "type": "other", "action_url": "javascript:1"}
        response = await rest.app.patch(f"/v1/notifications/{id}", json=wrong)
        assert refused(response, 422, "invalid")
        assert fields(response).keys() == wrong.keys()
        assert (await rest.app.get(f"/v1/notifications/{id}")).json()["title"] == "Saturday"

    async def test_recalled_notification_disappears_from_the_inbox(self, rest):
        id = await rest.send("alice")
        response = await rest.app.delete(f"/v1/notifications/{id}")
        assert (response.status_code, response.content) == (204, b"")
        assert (await rest.recipient("alice").get("/v1/inbox")).json()["notifications"] == []
        assert refused(await rest.app.delete(f"/v1/notifications/{id}"), 404, "not_found")


class TestRefusals:
    async def test_invalid_fields_are_all_named(self, rest):
        wrong = {
            "to": ["alice", "", 7],
            "title": " ",
            "body": "x" * 10_001,
            "priority": "loud",
            "actor": {"nick": "Ann"},
            "tags": "wedding",
            "data": [1],
            "expires_at": "tomorrow",
            "subtitle": "no such field",
        }
        response = await rest.app.post("/v1/notifications", json=wrong)
        assert refused(response, 422, "invalid")
        expected = {"to.2", "title", "body", "priority", "actor.nick", "tags", "data", "expires_at", "subtitle"}
        assert fields(response).keys() == expected
        assert fields(response)["subtitle"] == 'is not a known field; did you mean "title"?'

    async def test_list_is_referred_to_the_bulk_operation(self, rest):
        response = await rest.app.post("/v1/notifications", json=[{"to": "alice", "title": "x"}])
        assert fields(response) == {"": "must be an object, got a list; send a list to POST /v1/notifications/bulk"}
        nested = (await rest.app.post("/v1/notifications/bulk", json=[[]])).json()["results"][0]["error"]
        assert nested["errors"][0]["message"] == "must be an object, got a list"

    async def test_audience_field_is_named_by_its_path(self, rest):
        response = await rest.app.post("/v1/notifications", json={"to": {"topic": "no spaces"}, "title": "x"})
        assert fields(response).keys() == {"to.topic"}

    @pytest.mark.parametrize("path", ["notifications", "workflows/absent/trigger"])
    async def test_audience_of_a_role_that_no_recipient_can_have_is_refused(self, rest, path):
        body = {"to": {"role": "r" * 160}} | ({"title": "x"} if path == "notifications" else {})
        assert fields(await rest.app.post(f"/v1/{path}", json=body)).keys() == {"to.role"}

    @pytest.mark.parametrize(
        ("draft", "field"),
        [
            ({"to": "alice"}, "title"),
            ({"title": "x"}, "to"),
            ({"to": "", "title": "x"}, "to"),
            ({"to": [], "title": "x"}, "to"),
            ({"to": [str(number) for number in range(1001)], "title": "x"}, "to"),
            ({"to": "a\x07b", "title": "x"}, "to"),
            ({"to": "a" * 201, "title": "x"}, "to"),
            ({"to": {}, "title": "x"}, "to"),
            ({"to": {"all": False}, "title": "x"}, "to"),
            ({"to": {"topic": "a", "role": "b"}, "title": "x"}, "to"),
            ({"to": "a", "title": "x" * 501}, "title"),
            ({"to": "a", "title": "x", "type": "t" * 101}, "type"),
            ({"to": "a", "title": "x", "group": "g" * 201}, "group"),
            ({"to": "a", "title": "x", "tags": ["t"] * 21}, "tags"),
            ({"to": "a", "title": "x", "tags": ["t" * 51]}, "tags.0"),
            ({"to": "a", "title": "x", "action_url": "data:text/html,x"}, "action_url"),
            ({"to": "a", "title": "x", "data": {"d": "x" * 16_384}}, "data"),
            ({"to": "a", "title": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
            ({"to": "a", "title": "x", "expires_at": "2030-01-01T00:00:00"}, "expires_at"),
            ({"to": "a", "title": "x", "expires_at": "9999-12-31T23:59:59-23:59"}, "expires_at"),
            ({"to": "a", "title": "x", "data": {"a": [{"b": 2**64}]}}, "data.a.0.b"),
            ({"to": "a", "title": "x", "channels": ["pigeon"]}, "channels.0"),
            ({"to": {"tenant": "acme"}, "tenant": "globex", "title": "x"}, "to.tenant"),
        ],
        ids=lambda value: value if isinstance(value, str) else json.dumps(value)[:40],
    )
    async def test_invalid_draft_names_its_field_and_sends_nothing(self, rest, draft, field):
        response = await rest.app.post("/v1/notifications", json=draft)
        assert refused(response, 422, "invalid")
        assert fields(response).keys() == {field}
        assert rest.published == []

    async def test_two_tenants_in_one_request_are_refused(self, rest):
        draft = {"to": "alice", "title": "x", "tenant": "acme"}
        response = await rest.app.post("/v1/notifications?tenant=globex", json=draft)
        assert refused(response, 422, "invalid")
        assert fields(response).keys() == {"tenant"}
