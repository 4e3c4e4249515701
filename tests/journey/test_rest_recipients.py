"""Recipients, tenants and topics, as managed by the app's server."""

import pytest

from bellcast.kernel.concurrency import STEP, Scheduler
from bellcast.recipients.http import MAX_KEYS
from bellcast.recipients.store import Recipients
from bellcast.recipients.types import RecipientFields, SessionsRevoked, SubscriptionEnded
from tests.journey.rest import fields, refused

ALICE = {
    "name": "Alice",
    "email": "alice@example.com",
    "phone": "+44 20 7946 0000",
    "locale": "en-GB",
    "timezone": "Europe/London",
    "roles": ["admin", "photographer"],
    "member_since": "2026-01-31T12:00:00.500000Z",
    "data": {"plan": "pro"},
}


class TestRecipients:
    async def test_put_creates_and_then_replaces_a_recipient(self, rest):
        created = await rest.app.put("/v1/recipients/alice", json=ALICE)
        assert created.status_code == 201
        assert created.json() == created.json() | ALICE | {"key": "alice", "tenant": None, "unread": 0, "unseen": 0}
        replaced = await rest.app.put("/v1/recipients/alice", json={"name": "Alice B."})
        assert replaced.status_code == 200
        stored = (await rest.app.get("/v1/recipients/alice")).json()
        assert (stored["name"], stored["email"], stored["roles"], stored["data"]) == ("Alice B.", None, [], {})
        assert stored == replaced.json()

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("recipients/alice", ALICE),
            ("tenants/acme", {"name": "Acme", "settings": {"plan": "team"}}),
            ("suppressions/email/a@example.com", {"reason": "manual"}),
        ],
    )
    async def test_put_takes_an_object_as_it_was_read_and_refuses_other_fields(self, rest, path, body):
        created = await rest.app.put(f"/v1/{path}", json=body)
        replaced = await rest.app.put(f"/v1/{path}", json=created.json())
        assert (created.status_code, replaced.status_code, replaced.json()) == (201, 200, created.json())
        wrong = await rest.app.put(f"/v1/{path}", json=created.json() | {"nane": 1, next(iter(body)): 7})
        assert set(fields(wrong)) == {"nane", next(iter(body))}

    async def test_put_with_a_condition_creates_and_never_replaces(self, rest):
        only_new = {"headers": {"if-none-match": "*"}}
        assert (await rest.app.put("/v1/recipients/alice?dry_run=true", json=ALICE, **only_new)).status_code == 200
        assert (await rest.app.put("/v1/recipients/alice", json=ALICE, **only_new)).status_code == 201
        for query in ("", "?dry_run=true"):
            again = await rest.app.put(f"/v1/recipients/alice{query}", json={"name": "Other"}, **only_new)
            assert refused(again, 412, "precondition_failed")
        assert (await rest.app.get("/v1/recipients/alice")).json()["name"] == "Alice"
        rival = await rest.app.put("/v1/recipients/alice?tenant=globex", json={"name": "Other"}, **only_new)
        assert (rival.status_code, rival.json()["tenant"]) == (201, "globex")

    async def test_patch_changes_only_its_fields(self, rest):
        await rest.app.put("/v1/recipients/alice", json=ALICE)
        response = await rest.app.patch("/v1/recipients/alice", json={"locale": "de", "phone": None})
        assert (response.status_code, response.json()) == (
            200,
            response.json() | ALICE | {"locale": "de", "phone": None},
        )

    async def test_bulk_writes_each_recipient_or_names_its_error(self, rest):
        await rest.app.put("/v1/recipients/alice", json=ALICE)
        body = [{"key": "alice", "locale": "de"}, {"key": "bob", "email": "bob@example.com"}, {"key": "", "nane": 1}, 7]
        planned = await rest.app.post("/v1/recipients/bulk?dry_run=true", json=body)
        assert refused(await rest.app.get("/v1/recipients/bob"), 404, "not_found")
        response = await rest.app.post("/v1/recipients/bulk", json=body)
        assert (response.status_code, planned.json()) == (200, response.json())
        alice, bob, third, fourth = response.json()["results"]
        assert (alice, bob) == ({"key": "alice"}, {"key": "bob"})
        assert third["error"]["errors"][0]["field"] == "2.nane"
        assert fourth["error"]["status"] == 422
        stored = (await rest.app.get("/v1/recipients/alice")).json()
        assert (stored["locale"], stored["name"]) == ("de", "Alice")
        assert (await rest.app.get("/v1/recipients/bob")).json()["email"] == "bob@example.com"

    @pytest.mark.parametrize(
        ("field", "wrong", "right"),
        [
            (
                "timezone",
                ["Vienna", "Europe/Viena", "Виена", "Z" * 101, "../UTC", "Europe"],
                ["Europe/Vienna", "UTC", "", None],
            ),
            (
                "locale",
                ["xx_YY_zz", "german", "de AT", "de-", "d" * 101],
                ["de", "de-AT", "pt_BR", "zh-hans-cn", "", None],
            ),
        ],
    )
    async def test_unknown_time_zone_or_malformed_locale_is_refused(self, rest, field, wrong, right):
        for value in right:
            assert (await rest.app.put("/v1/recipients/alice", json={field: value})).json()[field] == value
        for value in wrong:
            for method in (rest.app.put, rest.app.patch):
                response = await method("/v1/recipients/alice", json={field: value})
                assert refused(response, 422, "invalid")
                assert list(fields(response)) == [field]
            response = await rest.app.put("/v1/tenants/acme", json={"settings": {field: value}})
            assert list(fields(response)) == [f"settings.{field}"]
        assert (await rest.app.get("/v1/recipients/alice")).json()[field] == right[-1]

    async def test_bulk_in_flight_does_not_create_its_erased_tenant_again(self, rest, monkeypatch):
        async def erase(scheduler: Scheduler) -> None:
            """Erase the tenant between the first two slices."""
            monkeypatch.undo()
            rest.clock.advance(1)
            assert (await rest.app.delete("/v1/tenants/acme")).status_code == 204

        monkeypatch.setattr(Scheduler, "wait", erase)
        body = [{"key": f"r{number}"} for number in range(STEP + 1)]
        results = (await rest.app.post("/v1/recipients/bulk?tenant=acme", json=body)).json()["results"]
        assert [one["error"]["code"] for one in results if one.get("error")] == ["conflict"]
        assert (await rest.app.get("/v1/tenants/acme")).status_code == 404

    async def test_bulk_names_the_row_and_the_field(self, rest):
        body = [{"key": "a", "timezone": "UTC"}, {"key": "b", "timezone": "Vienna"}, {"key": "c", "locale": "xx_YY_zz"}]
        results = (await rest.app.post("/v1/recipients/bulk", json=body)).json()["results"]
        assert results[0] == {"key": "a"}
        assert [one["error"]["errors"][0]["field"] for one in results[1:]] == ["1.timezone", "2.locale"]
        assert [one["key"] for one in (await rest.app.get("/v1/recipients")).json()["recipients"]] == ["a"]

    async def test_values_of_earlier_versions_stay_until_they_are_replaced(self, rest):
        old = RecipientFields(timezone="Vienna", locale="german", name="A")
        await rest.store.recipients.put("", "alice", old, rest.clock.now(), replace=True)
        changed = await rest.app.patch("/v1/recipients/alice", json={"name": "B"})
        assert (changed.json()["name"], changed.json()["timezone"], changed.json()["locale"]) == (
            "B",
            "Vienna",
            "german",
        )
        preferences = {"quiet_hours": {"start": "22:00", "end": "07:00"}}
        assert (await rest.app.put("/v1/recipients/alice/preferences", json=preferences)).status_code == 200
        await rest.send("alice")
        assert (await rest.app.patch("/v1/recipients/alice", json={"timezone": "Europe/Vienna"})).status_code == 200

    async def test_bulk_reads_lines_and_refuses_too_many_recipients(self, rest):
        lines = {"content": b'{"key":"a"}\n\n{"key":"b"}\n', "headers": {"content-type": "application/x-ndjson"}}
        response = await rest.app.post("/v1/recipients/bulk?tenant=acme", **lines)
        assert response.json() == {"results": [{"key": "a"}, {"key": "b"}]}
        assert (await rest.app.get("/v1/recipients/b?tenant=acme")).status_code == 200
        many = [{"key": "a"}] * 10_001
        assert refused(await rest.app.post("/v1/recipients/bulk", json=many), 413, "too_large")
        too_many_lines = lines | {"content": b'{"key":"a"}\n' * 10_001}
        assert refused(await rest.app.post("/v1/recipients/bulk", **too_many_lines), 413, "too_large")
        # Counted before they are decoded.
        assert refused(await rest.app.post("/v1/recipients/bulk", content=b"[" + b"1," * 5_000_000), 413, "too_large")
        assert refused(await rest.app.post("/v1/recipients/bulk", json={"key": "a"}), 422, "invalid")

    async def test_recipient_may_have_the_key_bulk(self, rest):
        assert (await rest.app.put("/v1/recipients/bulk", json=ALICE)).status_code == 201
        assert (await rest.app.get("/v1/recipients/bulk")).json()["key"] == "bulk"
        assert (await rest.app.delete("/v1/recipients/bulk")).status_code == 204
        assert refused(await rest.anonymous.get("/v1/recipients/bulk"), 401, "unauthenticated")

    async def test_patch_of_an_unknown_recipient_is_a_404(self, rest):
        assert refused(await rest.app.patch("/v1/recipients/alice", json={"name": "A"}), 404, "not_found")
        assert refused(await rest.app.get("/v1/recipients/alice"), 404, "not_found")

    async def test_patch_does_not_create_a_recipient_that_was_erased_meanwhile(self, rest, monkeypatch):
        put = Recipients.put
        await rest.app.put("/v1/recipients/alice", json=ALICE)

        async def put_later(self, tenant, key, *args, **options):
            await self.delete(tenant, key, rest.clock.now())
            return await put(self, tenant, key, *args, **options)

        monkeypatch.setattr(Recipients, "put", put_later)
        assert refused(await rest.app.patch("/v1/recipients/alice", json={"phone": None}), 404, "not_found")
        assert refused(await rest.app.get("/v1/recipients/alice"), 404, "not_found")

    async def test_notified_recipient_exists_with_counters(self, rest):
        await rest.send("alice")
        record = (await rest.app.get("/v1/recipients/alice")).json()
        assert (record["unread"], record["unseen"], record["name"]) == (1, 1, None)

    async def test_erased_recipient_loses_everything_including_its_sessions(self, rest):
        id = await rest.send("alice")
        assert (await rest.app.delete("/v1/recipients/alice")).status_code == 204
        assert refused(await rest.app.get("/v1/recipients/alice"), 404, "not_found")
        assert refused(await rest.app.get(f"/v1/notifications/{id}"), 404, "not_found")
        assert refused(await rest.app.delete("/v1/recipients/alice"), 404, "not_found")
        assert any(isinstance(event, SessionsRevoked) and event.recipient == "alice" for event in rest.published)

    async def test_recipients_are_listed_by_key_in_pages(self, rest):
        for key in ("bob", "alice", "carol", "anna"):
            await rest.app.put(f"/v1/recipients/{key}", json={})
        page = (await rest.app.get("/v1/recipients?limit=3")).json()
        assert ([one["key"] for one in page["recipients"]], page["next"]) == (["alice", "anna", "bob"], "bob")
        second_page = (await rest.app.get("/v1/recipients", params={"after": page["next"]})).json()
        assert ([one["key"] for one in second_page["recipients"]], second_page["next"]) == (["carol"], None)
        matches = (await rest.app.get("/v1/recipients?search=a")).json()
        assert [one["key"] for one in matches["recipients"]] == ["alice", "anna"]

    async def test_recipients_are_found_by_a_part_of_their_address(self, rest):
        for key, email in (("u-1", "alice@example.com"), ("u-2", "bob@example.org")):
            await rest.app.put(f"/v1/recipients/{key}", json={"email": email})
        matches = (await rest.app.get("/v1/recipients", params={"text": "Alice@"})).json()
        assert [one["key"] for one in matches["recipients"]] == ["u-1"]
        assert len((await rest.app.get("/v1/recipients?text=")).json()["recipients"]) == 2
        assert refused(await rest.app.get("/v1/recipients", params={"text": "x" * 101}), 422, "invalid")

    async def test_recipients_of_given_keys_are_read_in_one_page(self, rest):
        for key in ("bob", "alice", "carol"):
            await rest.app.put(f"/v1/recipients/{key}", json={"name": key.title()})
        query = "/v1/recipients?keys=carol&keys=alice&keys=unknown&keys=alice"
        found = (await rest.app.get(query)).json()
        assert ([one["name"] for one in found["recipients"]], found["next"]) == (["Alice", "Carol"], None)
        for another in ("prefix=a", "search=a", "text=a", "after=a", "from=2030-01-31T12:00:00Z"):
            assert refused(await rest.app.get(f"{query}&{another}"), 422, "invalid")
        many = {"keys": [f"u-{number}" for number in range(MAX_KEYS + 1)]}
        assert refused(await rest.app.get("/v1/recipients", params=many), 422, "invalid")
        assert (await rest.app.get("/v1/recipients", params={"keys": many["keys"][1:]})).json()["recipients"] == []

    async def test_recipients_of_given_keys_are_read_in_several_tenants(self, rest):
        for tenant in ("", "acme", "a/b"):
            await rest.app.put("/v1/recipients/al/ice".replace("l/", "l%2F"), params={"tenant": tenant}, json={})
        keys = ["/al/ice", "acme/al/ice", "a%2Fb/al/ice", "globex/al/ice"]
        found = await rest.app.get("/v1/recipients", params={"tenant": "*", "keys": keys})
        assert [one["tenant"] for one in found.json()["recipients"]] == [None, "a/b", "acme"]
        assert refused(await rest.app.get("/v1/recipients?tenant=*&keys=alice"), 422, "invalid")

    @pytest.mark.parametrize("key", ["alice@example.com", "a/b", "a b", "ключ", "100%", "a?b#c", "..", "auth0|5f7c"])
    async def test_recipient_key_is_preserved_in_a_path(self, rest, key):
        from urllib.parse import quote

        path = f"/v1/recipients/{quote(key, safe='') if key != '..' else '%2E%2E'}"
        assert (await rest.app.put(path, json={"name": "x"})).json()["key"] == key
        assert (await rest.app.get(path)).json()["key"] == key
        await rest.send(key)
        assert (await rest.recipient(key).get("/v1/inbox/counts")).json()["unread"] == 1
        assert (await rest.app.get(f"{path}/export")).json()["recipient"]["key"] == key

    async def test_invalid_recipient_fields_are_all_named(self, rest):
        wrong = {
            "name": "x" * 501,
            "email": 5,
            "phone": "1" * 51,
            "locale": "l" * 101,
            "timezone": ["Europe/London"],
            "roles": ["admin", "no spaces"],
            "data": {"d": "x" * 16_384},
            "nickname": "Al",
        }
        response = await rest.app.put("/v1/recipients/alice", json=wrong)
        assert refused(response, 422, "invalid")
        assert fields(response).keys() == wrong.keys() - {"roles"} | {"roles.1"}
        assert refused(await rest.app.get("/v1/recipients/alice"), 404, "not_found")

    @pytest.mark.parametrize("key", ["%07", "x" * 201, "a%00b"], ids=["control", "long", "nul"])
    async def test_invalid_recipient_key_is_refused(self, rest, key):
        response = await rest.app.put(f"/v1/recipients/{key}", json={})
        assert refused(response, 422, "invalid")
        assert fields(response).keys() == {"key"}

    async def test_path_that_is_not_utf8_is_refused(self, rest):
        assert refused(await rest.app.get("/v1/recipients/%ff"), 400, "bad_request")


class TestExport:
    async def test_export_contains_all_data_of_one_recipient_only(self, rest):
        await rest.app.put("/v1/recipients/alice", json=ALICE)
        await rest.app.put("/v1/topics/admins/subscriptions/alice")
        ids = [await rest.send("alice", str(n)) for n in range(3)]
        await rest.send("bob")
        response = await rest.app.get("/v1/recipients/alice/export")
        assert response.headers["content-type"] == "application/json"
        export = response.json()
        assert export["recipient"]["email"] == ALICE["email"]
        assert "admins" in [one["topic"] for one in export["subscriptions"]]
        assert {one["recipient"] for one in export["subscriptions"]} == {"alice"}
        assert [one["id"] for one in export["notifications"]] == ids

    async def test_export_shows_what_is_snoozed_until_the_recipient_is_back(self, rest):
        ids = [await rest.send("alice") for _ in range(2)]
        alice = rest.recipient("alice")
        for id, end in zip(ids, ({"until": "back"}, {"for": "1h"}), strict=True):
            assert (await alice.post("/v1/inbox/snooze", json={"ids": [id], **end})).json()["changed"] == 1
        snoozed = (await alice.get("/v1/inbox?view=snoozed")).json()["notifications"]
        exported = (await rest.app.get("/v1/recipients/alice/export")).json()["notifications"]
        assert exported == sorted(snoozed, key=lambda one: one["id"])
        assert [one.get("awaits_return", False) for one in exported] == [True, False]

    async def test_export_without_data_has_empty_lists(self, rest):
        await rest.app.put("/v1/recipients/alice", json={})
        export = (await rest.app.get("/v1/recipients/alice/export")).json()
        assert (export["subscriptions"], export["notifications"]) == ([], [])

    async def test_large_export_is_one_document(self, rest):
        items = [{"to": "alice", "title": f"{n} {'x' * 400}"} for n in range(1_200)]
        await rest.app.post("/v1/notifications/bulk", json=items)
        export = (await rest.app.get("/v1/recipients/alice/export")).json()
        assert len({one["id"] for one in export["notifications"]}) == 1_200

    async def test_export_of_an_unknown_recipient_is_a_404(self, rest):
        assert refused(await rest.app.get("/v1/recipients/alice/export"), 404, "not_found")


class TestTopics:
    async def test_subscription_is_created_once(self, rest):
        created = await rest.app.put("/v1/topics/admins/subscriptions/alice")
        repeated = await rest.app.put("/v1/topics/admins/subscriptions/alice")
        assert (created.status_code, repeated.status_code) == (201, 200)
        assert created.json() == repeated.json() == created.json() | {"topic": "admins", "recipient": "alice"}

    async def test_subscriptions_are_listed_by_recipient(self, rest):
        for key in ("bob", "alice", "carol"):
            await rest.app.put(f"/v1/topics/admins/subscriptions/{key}")
        page = (await rest.app.get("/v1/topics/admins/subscriptions?limit=2")).json()
        assert ([one["recipient"] for one in page["subscriptions"]], page["next"]) == (["alice", "bob"], "bob")
        last = (await rest.app.get("/v1/topics/admins/subscriptions?limit=2&after=bob")).json()
        assert ([one["recipient"] for one in last["subscriptions"]], last["next"]) == (["carol"], None)

    async def test_topic_without_subscribers_is_empty(self, rest):
        assert (await rest.app.get("/v1/topics/admins/subscriptions")).json() == {"subscriptions": [], "next": None}
        assert (await rest.app.get("/v1/topics/presence-x/presence")).json() == {"topic": "presence-x", "members": []}

    async def test_ended_subscription_keeps_earlier_notifications_and_stops_later_ones(self, rest):
        await rest.app.put("/v1/topics/admins/subscriptions/alice")
        rest.clock.advance(1)
        await rest.send({"topic": "admins"}, "before")
        rest.clock.advance(1)
        assert (await rest.app.delete("/v1/topics/admins/subscriptions/alice")).status_code == 204
        await rest.send({"topic": "admins"}, "after")
        listed = (await rest.recipient("alice").get("/v1/inbox")).json()["notifications"]
        assert [one["title"] for one in listed] == ["before"]
        assert any(isinstance(event, SubscriptionEnded) for event in rest.published)
        assert refused(await rest.app.delete("/v1/topics/admins/subscriptions/alice"), 404, "not_found")

    async def test_role_topic_cannot_be_subscribed_to(self, rest):
        for method in ("PUT", "DELETE"):
            response = await rest.app.request(method, "/v1/topics/role.admin/subscriptions/alice")
            assert refused(response, 422, "invalid")
            assert fields(response).keys() == {"topic"}
        await rest.app.put("/v1/recipients/alice", json={"roles": ["admin"]})
        listed = (await rest.app.get("/v1/topics/role.admin/subscriptions")).json()["subscriptions"]
        assert [one["recipient"] for one in listed] == ["alice"]

    @pytest.mark.parametrize("topic", ["no%20spaces", "x" * 165, "ключ", "a%2Fb"])
    async def test_invalid_topic_is_refused(self, rest, topic):
        for request in (
            rest.app.put(f"/v1/topics/{topic}/subscriptions/alice"),
            rest.app.get(f"/v1/topics/{topic}/subscriptions"),
            rest.app.get(f"/v1/topics/{topic}/presence"),
        ):
            response = await request
            assert refused(response, 422, "invalid")
            assert fields(response).keys() == {"topic"}


class TestTenants:
    async def test_put_sets_name_and_settings_of_a_tenant(self, rest):
        created = await rest.app.put("/v1/tenants/acme", json={"name": "Acme", "settings": {"plan": "team"}})
        assert (created.status_code, created.json()["key"]) == (201, "acme")
        repeated = await rest.app.put("/v1/tenants/acme", json={"name": "Acme Studios"})
        assert (repeated.status_code, repeated.json()["settings"]) == (200, {})
        assert (await rest.app.get("/v1/tenants/acme")).json() == repeated.json()

    async def test_tenant_is_created_on_first_use(self, rest):
        assert refused(await rest.app.get("/v1/tenants/acme"), 404, "not_found")
        await rest.app.put("/v1/recipients/alice?tenant=acme", json={})
        assert (await rest.app.get("/v1/tenants/acme")).json()["name"] is None

    @pytest.mark.parametrize("key", ["*", "x" * 201])
    async def test_invalid_tenant_key_is_refused(self, rest, key):
        assert fields(await rest.app.put(f"/v1/tenants/{key}", json={})).keys() == {"key"}

    async def test_invalid_tenant_fields_are_all_named(self, rest):
        response = await rest.app.put("/v1/tenants/acme", json={"name": 1, "settings": [], "plan": "team"})
        assert fields(response).keys() == {"name", "settings", "plan"}

    async def test_tenant_is_accepted_in_the_query_or_in_the_body(self, rest):
        await rest.app.put("/v1/recipients/alice", json={"tenant": "acme", "name": "in the body"})
        record = (await rest.app.get("/v1/recipients/alice?tenant=acme")).json()
        assert (record["name"], record["tenant"]) == ("in the body", "acme")
        same_tenant = await rest.app.put("/v1/recipients/alice?tenant=acme", json={"tenant": "acme"})
        assert same_tenant.status_code == 200
        differ = await rest.app.put("/v1/recipients/alice?tenant=globex", json={"tenant": "acme"})
        assert fields(differ).keys() == {"tenant"}

    async def test_wildcard_tenant_is_refused_for_a_record(self, rest):
        assert fields(await rest.app.put("/v1/recipients/a?tenant=*", json={})).keys() == {"tenant"}

    async def test_tenant_data_is_unknown_in_other_tenants_and_outside(self, rest):
        id = await rest.send("alice", tenant="acme")
        announced = await rest.send({"tenant": "acme"})
        await rest.app.put("/v1/recipients/alice?tenant=acme", json=ALICE)
        await rest.app.put("/v1/topics/admins/subscriptions/alice?tenant=acme")
        unknown_id = "01a1f804-8b85-7030-8305-21c740aa26df"
        for tenant in ("", "?tenant=globex"):
            for path in (f"/v1/notifications/{id}", f"/v1/notifications/{announced}"):
                for method, body in (("GET", {}), ("DELETE", {}), ("PATCH", {"json": {"title": "mine"}})):
                    other_response = await rest.app.request(method, path + tenant, **body)
                    unknown = await rest.app.request(method, f"/v1/notifications/{unknown_id}{tenant}", **body)
                    assert refused(other_response, 404, "not_found")
                    assert other_response.content == unknown.content
            for path in ("/v1/recipients/alice", "/v1/recipients/alice/export"):
                assert refused(await rest.app.get(path + tenant), 404, "not_found")
            assert (await rest.app.get(f"/v1/recipients{tenant}")).json()["recipients"] == []
            assert (await rest.app.get(f"/v1/topics/admins/subscriptions{tenant}")).json()["subscriptions"] == []
            ended = await rest.app.delete(f"/v1/topics/admins/subscriptions/alice{tenant}")
            assert refused(ended, 404, "not_found")
            assert refused(await rest.app.delete(f"/v1/recipients/alice{tenant}"), 404, "not_found")
        stored = await rest.app.get(f"/v1/notifications/{id}?tenant=acme")
        assert (stored.status_code, stored.json()["title"], stored.json()["tenant"]) == (200, "Hello", "acme")
