"""Operators and keys that are restricted to tenants cannot access other tenants."""

import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from bellcast.auth.keys import SCOPES
from bellcast.tenants.types import Tenant
from tests.journey.operators import set_up, signed_in
from tests.journey.rest import Caller, Rest, refused

pytestmark = pytest.mark.usefixtures("cheap_hashes")

# seconds
MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SAME_SITE = "https://shop.bell.test"


async def test_bound_operator_reads_its_tenants_only(rest: Rest) -> None:
    await set_up(rest)
    for number, tenant in enumerate(["acme", "globex", "initech"]):
        rest.clock.advance(1)
        await rest.app.put(f"/v1/tenants/{tenant}", json={"name": tenant})
        await rest.app.post(f"/v1/notifications?tenant={tenant}", json={"to": "alice", "title": str(number)})
    one, two = [
        await signed_in(rest, "-".join(tenants), "developer", tenants) for tenants in (["acme"], ["acme", "globex"])
    ]
    assert (await two.get("/v1/me")).json()["tenants"] == ["acme", "globex"]
    for path in ("/v1/notifications", "/v1/notifications?tenant=*"):
        assert [item["tenant"] for item in (await one.get(path)).json()["notifications"]] == ["acme"]
        assert [item["tenant"] for item in (await two.get(path)).json()["notifications"]] == ["globex", "acme"]
    first = (await two.get("/v1/notifications?limit=1")).json()
    older = (await two.get("/v1/notifications", params={"limit": 1, "after": first["next"]})).json()
    assert [item["tenant"] for item in older["notifications"]] == ["acme"]
    assert [item["key"] for item in (await two.get("/v1/tenants")).json()["tenants"]] == ["acme", "globex"]
    counts = [(await client.get("/v1/stats")).json()["store"]["recipients"] for client in (one, two)]
    assert counts == [1, 2]
    assert {item["tenant"] for item in (await two.get("/v1/requests")).json()["requests"]} <= {"acme", "globex"}
    assert (await one.get("/v1/recipients/alice")).status_code == 200
    # A caller with several tenants must name one.
    assert refused(await two.get("/v1/recipients/alice"), 403, "forbidden")
    assert (await two.get("/v1/recipients/alice?tenant=globex")).status_code == 200


async def test_bound_operator_cannot_gain_tenants(rest: Rest) -> None:
    owner = await set_up(rest)
    developer = await signed_in(rest, "dev", "developer", ["acme"])
    foreign = (await rest.app.post("/v1/keys", json={"name": "k", "scopes": ["send"], "tenants": ["globex"]})).json()
    own = (await developer.post("/v1/keys", json={"name": "own", "scopes": ["send"]})).json()
    assert own["tenants"] == ["acme"]
    for tenants in (["globex"], ["acme", "globex"]):
        body = {"name": "k", "scopes": ["send"], "tenants": tenants}
        assert refused(await developer.post("/v1/keys", json=body), 403, "forbidden")
    assert [one["id"] for one in (await developer.get("/v1/keys")).json()["keys"]] == [own["id"]]
    assert refused(await developer.delete(f"/v1/keys/{foreign['id']}"), 404, "not_found")
    limits = {"name": "Acme", "settings": {"sends_per_day": 0}}
    assert refused(await developer.put("/v1/tenants/acme", json=limits), 403, "forbidden")
    assert (await developer.put("/v1/tenants/acme", json={"name": "Acme"})).status_code == 201
    id = (await owner.get("/v1/me")).json()["id"]
    assert refused(await owner.patch(f"/v1/operators/{id}", json={"tenants": ["acme"]}), 422, "invalid")
    admin = (await rest.app.post("/v1/keys", json={"name": "a", "scopes": ["admin"], "tenants": ["acme"]})).json()[
        "key"
    ]
    bound = Caller(rest.client, {"authorization": f"Bearer {admin}"})
    assert refused(await bound.get("/v1/operators"), 403, "forbidden")
    assert {one["tenant"] for one in (await bound.get("/v1/audit")).json()["entries"]} == {"acme"}
    dev = next(one["id"] for one in (await owner.get("/v1/operators")).json()["operators"] if one["name"] == "dev")
    assert (await owner.patch(f"/v1/operators/{dev}", json={"tenants": ["globex"]})).status_code == 204
    assert refused(await developer.get("/v1/recipients?tenant=acme"), 403, "forbidden")
    assert (await owner.patch(f"/v1/operators/{dev}", json={"role": "owner"})).status_code == 204
    assert (await developer.get("/v1/me")).json()["tenants"] is None


async def test_bound_key_does_not_undo_a_limit_that_is_set_meanwhile(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound, read, settings = await bound_key(rest), rest.store.tenants.get, {"sends_per_day": 5}

    async def read_before_the_limit(key: str) -> Tenant | None:
        found = await read(key)
        monkeypatch.undo()
        assert (await rest.app.put("/v1/tenants/acme", json={"settings": settings})).status_code == 201
        return found

    monkeypatch.setattr(type(rest.store.tenants), "get", staticmethod(read_before_the_limit))
    assert refused(await bound.put("/v1/tenants/acme", json={"name": "Acme"}), 403, "forbidden")
    tenant = (await rest.app.get("/v1/tenants/acme")).json()
    assert (tenant["name"], tenant["settings"]) == (None, settings)


async def test_empty_bound_is_no_tenant(rest: Rest) -> None:
    owner, developer = await set_up(rest), await signed_in(rest, "dev", "developer", ["acme"])
    dev = next(one["id"] for one in (await owner.get("/v1/operators")).json()["operators"] if one["name"] == "dev")
    assert refused(await owner.patch(f"/v1/operators/{dev}", json={"tenants": []}), 422, "invalid")
    assert (await developer.get("/v1/me")).json()["tenants"] == ["acme"]
    await rest.store.operators.change(dev, None, None, ())
    for path in ("connections", "stats", "notifications", "requests", "recipients"):
        for query in ("", "?tenant=*", "?tenant=acme"):
            assert refused(await developer.get(f"/v1/{path}{query}"), 403, "forbidden"), (path, query)
    assert (await developer.get("/v1/tenants")).json()["tenants"] == []


async def bound_key(rest: Rest) -> Caller:
    """Return a caller with all scopes in Acme."""
    body = {"name": "acme", "scopes": SCOPES, "tenants": ["acme"]}
    key = (await rest.app.post("/v1/keys", json=body)).json()["key"]
    return Caller(rest.client, {"authorization": f"Bearer {key}"})


NOTICE = {"event": "moved", "topic": "t", "notification": {"to": {"var": "event.data.to"}, "title": "x"}}
TRIGGER = {"event": "moved", "topic": "t", "workflow": "inner", "to": {"var": "event.data.to"}}
INBOX = {"key": "bell", "type": "inbox", "title": "x"}


async def test_event_reaches_no_other_tenant_through_a_source(rest: Rest) -> None:
    key = await bound_key(rest)
    assert (await key.put("/v1/workflows/inner", json={"steps": [INBOX]})).status_code == 201
    for name, source in (("notice", NOTICE), ("trigger", TRIGGER)):
        assert (await key.put(f"/v1/sources/{name}", json=source)).status_code == 201
    event = {"topic": "t", "name": "moved", "data": {"to": {"tenant": "globex"}}}
    assert (await key.post("/v1/events", json=event)).status_code == 202
    for name in ("notice", "trigger"):
        assert "same as tenant" in ((await key.get(f"/v1/sources/{name}")).json()["last_error"] or ""), name
    assert (await rest.app.get("/v1/announcements?tenant=*")).json()["announcements"] == []


async def test_event_reaches_no_default_tenant_through_a_source(rest: Rest) -> None:
    key = await bound_key(rest)
    source = {"event": "moved", "topic": "t", "notification": {"to": "alice", "title": "x", "tenant": ""}}
    assert refused(await key.put("/v1/sources/s", json=source), 403, "forbidden")
    # Stored before such bodies were refused.
    await rest.store.documents.put("sources", "acme", "s", json.dumps(source).encode(), rest.clock.now())
    assert (await key.post("/v1/events", json={"topic": "t", "name": "moved", "data": {}})).status_code == 202
    sent = (await rest.app.get("/v1/notifications?tenant=*")).json()["notifications"]
    assert [(one["recipient"], one["tenant"]) for one in sent] == [("alice", "acme")]


LABELS = {
    ("acme", "acme"): "acme",
    ("globex", "acme"): None,
    (None, "acme"): None,
    ("acme", "*"): None,  # refused
}


async def test_bulk_request_has_the_tenant_of_all_its_items(rest: Rest) -> None:
    owner = await set_up(rest)
    developer = await signed_in(rest, "dev", "developer", ["acme"])
    for path, item in (
        ("/v1/recipients/bulk", {"key": "a"}),
        ("/v1/notifications/bulk", {"to": "a", "title": "x"}),
    ):
        for named in LABELS:
            rest.clock.advance(1)
            items = [item if tenant is None else {**item, "tenant": tenant} for tenant in named]
            assert (await owner.post(path, json=items)).status_code == 200
        rest.clock.advance(1)
        # The guard has checked the tenant of the refused item too.
        assert (await developer.post(path, json=[item, {}])).status_code == 200
        entries = (await owner.get("/v1/audit")).json()["entries"]
        labels = [one["tenant"] for one in reversed(entries) if one["action"] == f"POST {path}"]
        assert labels == [*LABELS.values(), "acme"]


async def test_dry_run_of_a_retry_retries_nothing(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    async def find(_: Any) -> Any:
        return SimpleNamespace(tenant="", id="m", digest=None, state="queued")

    async def retry(*_: Any) -> list[str]:
        return ["m"]

    monkeypatch.setattr("bellcast.channels.http._find", find)
    monkeypatch.setattr(type(rest.store.messages), "retry", retry)
    assert refused(await rest.app.post("/v1/messages/m/retry?dry_run=true"), 409, "conflict")


async def test_dry_run_of_a_suppression_checks_the_tenant(rest: Rest) -> None:
    for query in ("tenant=*", "tenant=*&dry_run=true"):
        response = await rest.app.put(f"/v1/suppressions/email/alice@example.com?{query}", json={})
        assert refused(response, 422, "invalid"), query


ESCAPES = {
    "another type": ("application/json", b'{"to": "a", "title": "x", "tenant": 1}'),
    "an escape": ("application/json", rb'{"to": {"\u0074enant": "globex"}, "title": "x"}'),
    "a second field": ("application/json", b'{"to": {"tenant": "acme", "tenant": "globex"}, "title": "x"}'),
    "lines": ("application/x-ndjson", b'{"to": "a", "title": "x"}\n \x0b{"to": {"tenant": "globex"}, "title": "x"}'),
    "the default tenant": ("application/json", b'{"to": {"all": true}, "title": "x", "tenant": ""}'),
    "the default tenant in an audience": ("application/json", b'{"to": {"all": true, "tenant": ""}, "title": "x"}'),
    "every tenant": ("application/json", b'[{"to": {"all": true, "tenant": "*"}, "title": "x"}]'),
}


@pytest.mark.parametrize(("content_type", "body"), ESCAPES.values(), ids=ESCAPES)
async def test_body_cannot_name_another_tenant(rest: Rest, content_type: str, body: bytes) -> None:
    key = (await rest.app.post("/v1/keys", json={"name": "k", "scopes": ["send"], "tenants": ["acme"]})).json()["key"]
    headers = {"authorization": f"Bearer {key}", "content-type": content_type}
    path = "/v1/notifications/bulk" if body[:1] == b"[" or b"\n" in body else "/v1/notifications"
    response = await rest.client.post(path, content=body, headers=headers)
    assert response.status_code in (400, 403), response.text
    for tenant in ("globex", "acme"):
        assert (await rest.app.get(f"/v1/notifications?tenant={tenant}")).json()["notifications"] == []
    assert (await rest.app.get("/v1/announcements?tenant=*")).json()["announcements"] == []


async def test_free_data_of_a_body_may_have_any_names(rest: Rest) -> None:
    key = (await rest.app.post("/v1/keys", json={"name": "k", "scopes": ["send"], "tenants": ["acme"]})).json()["key"]
    body = {"to": {"tenant": "acme"}, "title": "x", "data": {"tenant": "of a house"}}
    response = await rest.client.post("/v1/notifications", json=body, headers={"authorization": f"Bearer {key}"})
    assert response.status_code == 201


async def test_yaml_of_a_bound_caller_is_parsed_beside_the_event_loop(rest: Rest, yaml_threads: list[int]) -> None:
    key = (await rest.app.post("/v1/keys", json={"name": "k", "scopes": ["manage"], "tenants": ["acme"]})).json()["key"]
    headers = {"authorization": f"Bearer {key}", "content-type": "application/yaml"}
    written = await rest.client.put("/v1/templates/t?tenant=acme", content=b"sms: {text: Hello}", headers=headers)
    assert written.status_code == 201, written.text
    assert yaml_threads != []
    assert threading.get_ident() not in yaml_threads
