"""Objects that files in git describe, over REST: read as a whole, planned, and written in one transaction."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests import engines
from tests.journey import operators
from tests.journey import rest as rests
from tests.journey.operators import PASSWORD
from tests.journey.rest import Caller, Rest, fields, refused


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.thorough)])
async def rest(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rest]:
    """The API on each store: a bundle is one transaction."""
    engine = engines.FreshPostgresEngine if request.param == "postgres" else None
    async with rests.opened(tmp_path, engine=engine) as opened:
        yield opened


TEMPLATE = {"email": {"subject": "Booking", "html": "<p>Hello {{ data.client }}</p>"}}
WORKFLOW = {"steps": [{"key": "mail", "type": "email", "template": "booking"}]}
BELL = {"steps": [{"key": "bell", "type": "inbox", "title": "Hello"}]}
SMTP = "smtp://user:hunter2hunter2@mail.example.com:587"
PROVIDER = {"channel": "email", "url": SMTP}


def item(kind: str, key: str, values: Any, tenant: str | None = None, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "key": key, "tenant": tenant, "values": values, **more}


async def push(caller: Any, *objects: Any, dry_run: bool = False, **more: Any) -> Any:
    body = {"source": "shop", "commit": "1a2b3c4d5e", "objects": list(objects), **more}
    return await caller.post("/v1/bundle", json=body, params={"dry_run": "true"} if dry_run else {})


async def actions(caller: Any, *objects: Any, **more: Any) -> list[str]:
    response = await push(caller, *objects, **more)
    assert response.status_code == 200, response.text
    return [one["action"] for one in response.json()["changes"]]


async def state(rest: Rest, tenant: str = "*") -> dict[tuple[str, str, str | None], Any]:
    response = await rest.app.get("/v1/bundle", params={"tenant": tenant})
    assert response.status_code == 200, response.text
    return {(one["kind"], one["key"], one["tenant"]): one for one in response.json()["objects"]}


EVERY_KIND = [
    item("types", "booking", {"template": "booking", "required": ["inbox"]}),
    item("templates", "booking", TEMPLATE),
    item("workflows", "booking", WORKFLOW),
    item("workflows", "chain", {"steps": [{"key": "next", "type": "trigger", "workflow": "booking", "to": "alice"}]}),
    item("sources", "booked", {"event": "booked", "workflow": "chain", "to": "{{ event.data.to }}"}),
    item("providers", "mail", PROVIDER),
    item(
        "preference-defaults", "", {"workflows": {"booking": {"email": False}}, "types": {"booking": {"email": True}}}
    ),
    item("templates", "booking", {"email": {"subject": "Acme"}}, "acme"),
    item("workflows", "booking", BELL, "acme"),
]


class TestWrites:
    async def test_objects_of_every_kind_that_refer_to_each_other_are_written_in_any_order(self, rest: Rest) -> None:
        objects = [*reversed(EVERY_KIND)]
        assert set(await actions(rest.app, *objects, dry_run=True)) == {"create"}
        assert await state(rest) == {}
        assert set(await actions(rest.app, *objects)) == {"create"}
        assert set(await actions(rest.app, *objects)) == {"none"}
        found = await state(rest)
        assert set(found) == {(one["kind"], one["key"], one["tenant"]) for one in EVERY_KIND}
        assert found["workflows", "booking", None]["values"] == WORKFLOW
        assert found["workflows", "booking", "acme"]["values"] == BELL
        assert found["templates", "booking", None]["values"] == TEMPLATE
        assert (await rest.app.get("/v1/workflows/booking")).json()["version"] == 1
        versions = (await rest.app.get("/v1/workflows/booking/versions")).json()["versions"]
        assert [one["note"] for one in versions] == ["shop @ 1a2b3c4"]

    async def test_values_of_a_read_are_equal_to_what_is_stored(self, rest: Rest) -> None:
        await push(rest.app, *EVERY_KIND)
        read = [
            item(*name[:2], one["values"], name[2], if_match=one["etag"]) for name, one in (await state(rest)).items()
        ]
        assert set(await actions(rest.app, *read)) == {"none"}

    async def test_bundle_with_one_wrong_object_writes_nothing(self, rest: Rest) -> None:
        response = await push(
            rest.app,
            item("templates", "booking", TEMPLATE),
            item("workflows", "booking", WORKFLOW),
            item("workflows", "bad", {"steps": [{"key": "later", "type": "delay", "for": "soon"}]}),
            item("sources", "bad", {"event": "x", "workflow": "nowhere", "to": "alice"}),
        )
        assert refused(response, 422, "invalid")
        assert fields(response).keys() == {"objects.2.values.steps.0.for"}
        missing = await push(rest.app, item("workflows", "booking", WORKFLOW))
        assert fields(missing).keys() == {"objects.0.values.steps.0.template"}
        assert await state(rest) == {}

    async def test_object_that_was_changed_since_the_plan_refuses_all(self, rest: Rest) -> None:
        await push(rest.app, *EVERY_KIND)
        planned = await state(rest)
        await rest.app.put("/v1/types/booking", json={"name": "Changed"})
        before = await state(rest)
        wanted = [
            item("workflows", "booking", BELL, if_match=planned["workflows", "booking", None]["etag"]),
            item("types", "booking", {"name": "Bookings"}, if_match=planned["types", "booking", None]["etag"]),
            item("types", "new", {"name": "New"}, if_match=None),
        ]
        assert refused(await push(rest.app, *wanted), 412, "precondition_failed")
        assert refused(await push(rest.app, *wanted, dry_run=True), 412, "precondition_failed")
        assert await state(rest) == before
        existing = item("types", "booking", {"name": "Bookings"}, if_match=None)
        assert refused(await push(rest.app, existing), 412, "precondition_failed")

    async def test_write_between_the_check_and_the_commit_refuses_all(
        self, rest: Rest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await push(rest.app, *EVERY_KIND)
        documents = type(rest.store.documents)
        apply = documents.apply

        async def changed_first(self: Any, *args: Any) -> bool:
            await self.put("types", "", "booking", b'{"name":"Between"}', 1)
            return await apply(self, *args)

        monkeypatch.setattr(documents, "apply", changed_first)
        wanted = [item("workflows", "booking", BELL), item("types", "booking", {"name": "Bookings"})]
        assert refused(await push(rest.app, *wanted), 412, "precondition_failed")
        assert (await rest.app.get("/v1/workflows/booking")).json()["version"] == 1

    async def test_object_in_use_is_not_deleted(self, rest: Rest) -> None:
        await push(rest.app, *EVERY_KIND)
        refusal = await push(rest.app, item("templates", "booking", None))
        assert refused(refusal, 409, "conflict")
        assert "workflows/booking" in refusal.json()["detail"]
        gone = [item(one["kind"], one["key"], None, one["tenant"]) for one in EVERY_KIND]
        assert set(await actions(rest.app, *gone)) == {"delete"}
        assert await state(rest) == {}

    async def test_names_and_sizes_are_checked(self, rest: Rest) -> None:
        twice = item("types", "booking", {})
        wrong = await push(rest.app, twice, twice, item("webhooks", "x", {}), item("workflows", "a b", BELL))
        assert fields(wrong).keys() == {"objects.1.key", "objects.2.kind", "objects.3.key"}
        many = await push(rest.app, *[item("types", str(number), {}) for number in range(1_001)])
        assert refused(many, 422, "invalid")
        large = [item("types", str(number), {"name": "x" * 250_000}) for number in range(34)]
        assert refused(await push(rest.app, *large), 413, "too_large")


class TestPlans:
    async def test_plan_has_the_difference_and_the_effects(self, rest: Rest) -> None:
        await push(rest.app, item("workflows", "booking", BELL))
        after = {
            "steps": [{"key": "bell", "type": "inbox", "title": "Hi"}, {"key": "sms", "type": "sms", "text": "Hi"}]
        }
        (change,) = (await push(rest.app, item("workflows", "booking", after), dry_run=True)).json()["changes"]
        assert change["action"] == "update"
        assert change["diff"] == [
            {"field": "steps.bell.title", "before": "Hello", "after": "Hi"},
            {"field": "steps.sms", "before": None, "after": after["steps"][1]},
        ]
        assert [one["code"] for one in change["effects"]] == ["credentials_missing"]

    async def test_plan_has_the_effects_of_created_objects_in_the_state_after_it(self, rest: Rest) -> None:
        await push(rest.app, item("templates", "booking", {**TEMPLATE, "sms": {"text": "Booked"}}))
        sent = await rest.app.post("/v1/notifications", json={"to": "alice", "title": "Hi", "type": "order"})
        assert sent.status_code in (200, 201, 202), sent.text
        order = {"data": {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}}
        steps = [{"key": "sms", "type": "sms", "text": "Hi"}, {"key": "mail", "type": "email", "template": "order"}]
        created = [
            item("workflows", "order", {"steps": steps, "type": "order"}),
            item("types", "order", order),
            item("templates", "order", TEMPLATE),
            item("templates", "booking", {"email": {"html": "<p>{{ data.place }}</p>"}}, "acme"),
        ]

        async def effects(*objects: Any) -> dict[str, list[str]]:
            planned = await push(rest.app, *objects, dry_run=True)
            assert planned.status_code == 200, planned.text
            return {
                f"{one['kind']}/{one['key']}": [effect["text"] for effect in one["effects"]]
                for one in planned.json()["changes"]
            }

        assert await effects(*created) == {
            "workflows/order": ["No provider is configured for e-mail.", "No provider is configured for SMS."],
            "types/order": ["The last send would be refused: data.total is missing."],
            "templates/order": [],
            "templates/booking": ["Sends without data.place are refused."],
        }
        after = await effects(*created, item("providers", "mail", PROVIDER))
        assert after["workflows/order"] == ["No provider is configured for SMS."]

    async def test_unmanaged_object_is_adopted_and_that_of_another_source_refused(self, rest: Rest) -> None:
        await rest.app.put("/v1/workflows/booking", json=BELL)
        assert (await rest.app.get("/v1/workflows/booking")).json()["managed"] is None
        wanted = item("workflows", "booking", BELL)
        assert await actions(rest.app, wanted, dry_run=True) == ["adopt"]
        assert await actions(rest.app, wanted) == ["adopt"]
        managed = (await rest.app.get("/v1/workflows/booking")).json()["managed"]
        assert (managed["source"], managed["commit"], managed["lock"]) == ("shop", "1a2b3c4d5e", False)
        refusal = await push(rest.app, wanted, source="other")
        assert refused(refusal, 409, "conflict")
        assert "shop" in refusal.json()["detail"]

    async def test_change_in_the_console_is_drift(self, rest: Rest) -> None:
        await push(rest.app, item("types", "booking", {"name": "Bookings"}))
        await rest.app.put("/v1/types/booking", json={"name": "By hand"})
        wanted = item("types", "booking", {"name": "Bookings"})
        (change,) = (await push(rest.app, wanted, dry_run=True)).json()["changes"]
        assert (change["action"], change["diff"]) == (
            "drift",
            [{"field": "name", "before": "By hand", "after": "Bookings"}],
        )
        assert await actions(rest.app, item("types", "booking", {"name": "By hand"}), dry_run=True) == ["none"]
        assert await actions(rest.app, item("types", "booking", None), dry_run=True) == ["drift"]
        assert await actions(rest.app, wanted) == ["drift"]
        assert await actions(rest.app, wanted) == ["none"]


class TestLock:
    async def test_locked_object_is_only_written_by_its_source(self, rest: Rest) -> None:
        await push(rest.app, *EVERY_KIND, lock=True)
        writes: list[tuple[str, str, Any]] = [
            ("PUT", "/v1/types/booking", {"name": "x"}),
            ("DELETE", "/v1/types/booking", None),
            ("PUT", "/v1/templates/booking?tenant=acme", TEMPLATE),
            ("PUT", "/v1/workflows/booking", BELL),
            ("PATCH", "/v1/workflows/booking", {"version": 1}),
            ("DELETE", "/v1/workflows/booking", None),
            ("DELETE", "/v1/sources/booked", None),
            ("PUT", "/v1/providers/mail", PROVIDER),
            ("DELETE", "/v1/providers/mail", None),
            ("PUT", "/v1/preference-defaults", {}),
            ("DELETE", "/v1/preference-defaults", None),
        ]
        before = await state(rest)
        for method, path, body in writes:
            response = await rest.app.request(method, path, **({} if body is None else {"json": body}))
            assert refused(response, 409, "managed"), path
            assert (response.json()["source"], response.json()["commit"]) == ("shop", "1a2b3c4d5e")
        assert await state(rest) == before
        draft = await rest.app.put("/v1/workflows/booking/draft", json={"values": BELL, "base": 1})
        assert draft.status_code == 201
        tagged = {"if-match": draft.headers["etag"]}
        assert refused(await rest.app.post("/v1/workflows/booking/publish", headers=tagged), 409, "managed")
        dry = {"dry_run": "true"}
        assert (await rest.app.put("/v1/workflows/booking", json=BELL, params=dry)).status_code == 200
        assert (await rest.app.patch("/v1/workflows/booking", json={"active": False})).status_code == 200
        assert await actions(rest.app, item("types", "booking", {"template": "booking"}), lock=True) == ["update"]

    @pytest.mark.thorough
    async def test_owner_unlocks_with_a_fresh_password(self, rest: Rest) -> None:
        owner = await operators.set_up(rest)
        developer = await operators.signed_in(rest, "dev", "developer")
        await push(rest.app, item("types", "booking", {"name": "Bookings"}), lock=True)
        name = {"kind": "types", "key": "booking"}
        assert refused(await developer.post("/v1/bundle/unlock", json=name), 403, "forbidden")
        rest.clock.advance(11 * 60)
        assert refused(await owner.post("/v1/bundle/unlock", json=name), 403, "password_required")
        await owner.put("/v1/session/verification", json={"password": PASSWORD})
        unlocked = await owner.post("/v1/bundle/unlock", json=name)
        assert unlocked.status_code == 200, unlocked.text
        assert unlocked.json()["unlocked_at"] is not None
        entries = (await rest.app.get("/v1/audit")).json()["entries"]
        assert next(one["actor"] for one in entries if one["action"] == "POST /v1/bundle/unlock") == "owner"
        assert (await owner.put("/v1/types/booking", json={"name": "By hand"})).status_code == 200
        wanted = item("types", "booking", {"name": "Bookings"})
        assert await actions(rest.app, wanted, dry_run=True, lock=True) == ["drift"]
        await push(rest.app, wanted, lock=True)
        assert refused(await owner.put("/v1/types/booking", json={}), 409, "managed")
        assert refused(await owner.post("/v1/bundle/unlock", json={**name, "key": "other"}), 404, "not_found")
        assert refused(await push(rest.app, wanted, source="second"), 409, "conflict")
        assert (await owner.post("/v1/bundle/unlock", json=name)).status_code == 200
        assert (await push(rest.app, wanted, source="second")).status_code == 200

    async def test_deleted_object_is_no_longer_managed(self, rest: Rest) -> None:
        objects: list[tuple[str, Any]] = [
            ("/v1/sources/booked", None),
            ("/v1/workflows/chain", None),
            ("/v1/workflows/booking", BELL),
            ("/v1/types/booking", {"name": "x"}),
            ("/v1/templates/booking?tenant=acme", TEMPLATE),
            ("/v1/providers/mail", PROVIDER),
            ("/v1/preference-defaults", {}),
        ]
        await push(rest.app, *EVERY_KIND)
        assert (await rest.app.get("/v1/types/booking")).json()["managed"]["source"] == "shop"
        for path, _ in objects:
            assert (await rest.app.delete(path)).status_code == 204, path
            again = await rest.app.delete(path)
            assert (again.status_code, again.json()["code"]) == (404, "not_found"), path
        for path, value in reversed(objects):
            if value is not None:
                assert (await rest.app.put(path, json=value)).status_code in (200, 201), path
                assert (await rest.app.get(path)).json()["managed"] is None, path
        other = await push(rest.app, item("types", "booking", {"name": "x"}), source="other")
        assert [one["action"] for one in other.json()["changes"]] == ["adopt"]
        assert (await push(rest.app, item("types", "booking", None), source="other")).status_code == 200
        assert (await rest.app.put("/v1/types/booking", json={})).json()["managed"] is None


class TestSecrets:
    async def test_url_of_a_provider_is_never_read_and_stays_if_a_variable_has_no_value(self, rest: Rest) -> None:
        await push(rest.app, item("providers", "mail", PROVIDER))
        response = await rest.app.get("/v1/bundle")
        assert "hunter2" not in response.text
        (found,) = response.json()["objects"]
        assert found["values"] == {"channel": "email", "url": "${BELLCAST_PROVIDER_MAIL}"}
        faster = item("providers", "mail", {**found["values"], "rate": 10})
        planned = await push(rest.app, faster, dry_run=True)
        assert planned.json()["changes"][0]["diff"] == [{"field": "rate", "before": None, "after": 10.0}]
        await push(rest.app, faster)
        other = SMTP.replace("hunter2hunter2", "hunter3hunter3")
        changed = await push(rest.app, item("providers", "mail", {"channel": "email", "url": other, "rate": 10}))
        assert changed.json()["changes"][0]["action"] == "update"
        assert changed.json()["changes"][0]["diff"] == [{"field": "url", "before": None, "after": "changed"}]
        assert "hunter" not in changed.text + (await rest.app.get("/v1/audit")).text
        unknown = await push(rest.app, item("providers", "sms", found["values"]))
        assert fields(unknown)["objects.0.values.url"] == (
            "has no value and none is stored: set BELLCAST_PROVIDER_MAIL, or add the provider in the console first"
        )

    async def test_no_two_providers_share_a_variable(self, rest: Rest) -> None:
        """The author of one could otherwise receive the URL of the other by its next push."""
        places = [("", "acme-mail"), ("", "acme_mail"), ("acme", "mail"), ("acme", "eu-mail"), ("acme-eu", "mail")]
        places += [("acme_eu", "mail"), ("acme.eu", "mail"), ("acme", "eu.mail"), ("acme", "eu_mail"), ("Acme", "mail")]
        for tenant, key in places:
            at = {"tenant": tenant} if tenant else {}
            response = await rest.app.put(f"/v1/providers/{key}", json=PROVIDER, params=at)
            assert response.status_code == 201, response.text
        found = [one["values"]["url"] for one in (await state(rest)).values()]
        assert len(set(found)) == len(found) == len(places)
        assert {"${BELLCAST_PROVIDER_ACME_MAIL}", "${BELLCAST_PROVIDER_ACME__MAIL}"} < set(found)


class TestTenants:
    async def test_bound_callers_use_the_objects_of_their_tenants_only(self, rest: Rest) -> None:
        await push(rest.app, *EVERY_KIND)
        key = (await rest.app.post("/v1/keys", json={"name": "k", "scopes": ["manage"], "tenants": ["acme"]})).json()
        acme = Caller(rest.client, {"authorization": f"Bearer {key['key']}"})
        read = (await acme.get("/v1/bundle", params={"tenant": "*"})).json()["objects"]
        assert {one["tenant"] for one in read} == {"acme"}
        assert refused(await acme.get("/v1/bundle?tenant=globex"), 403, "forbidden")
        for tenant in (None, "globex", ""):
            assert refused(await push(acme, item("workflows", "booking", BELL, tenant)), 403, "forbidden")
        hidden = {"event": "x", "notification": {"to": "a", "title": "x", "tenant": "globex"}}
        assert refused(await push(acme, item("sources", "x", hidden, "acme")), 403, "forbidden")
        assert await actions(acme, item("workflows", "booking", BELL, "acme")) == ["none"]

    async def test_push_is_audited_with_its_objects(self, rest: Rest) -> None:
        await push(rest.app, *EVERY_KIND)
        (entry,) = [
            one for one in (await rest.app.get("/v1/audit")).json()["entries"] if one["action"] == "POST /v1/bundle"
        ]
        changed = {one["field"]: one["to"] for one in entry["changes"]}
        assert changed["workflows/booking?tenant=acme"] == "create"
        assert (changed["source"], changed["commit"]) == ("shop", "1a2b3c4d5e")
