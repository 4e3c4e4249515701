"""Operators of the console: set-up, sign-in, sessions, roles, forged requests, guessed passwords, and the audit."""

import contextlib
import json
import re
import sqlite3
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from bellcast.api.app import HANDLERS
from bellcast.auth.keys import SCOPES
from bellcast.model.operators import ROLES
from tests.journey.operators import OWN, PASSWORD, browser, set_up, signed_in
from tests.journey.rest import Caller, Rest, refused

# Seconds.
MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SAME_SITE = "https://shop.bell.test"


def hashed(password: str) -> str:
    return f"hash of {password}"


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2id takes 0.1 s a password; tests/unit/auth/test_passwords.py tests it."""
    monkeypatch.setattr("bellcast.auth.passwords.hash_password", hashed)
    monkeypatch.setattr("bellcast.auth.passwords.matches", lambda password, stored: hashed(password) == stored)


async def test_setup_code_makes_the_first_owner_once(rest: Rest) -> None:
    assert (await rest.anonymous.get("/v1/setup")).json() == {"needed": True, "provider": None}
    code = (await rest.app.post("/v1/setup-codes")).json()["code"]
    body = {"code": code, "name": "owner", "password": PASSWORD}
    owner = browser(rest)
    assert (await owner.post("/v1/setup", json=body)).json()["role"] == "owner"
    assert (await owner.get("/v1/me")).json()["name"] == "owner"
    assert (await rest.anonymous.get("/v1/setup")).json() == {"needed": False, "provider": None}
    assert refused(await browser(rest).post("/v1/setup", json=body | {"name": "eve"}), 403, "forbidden")
    assert refused(await rest.app.post("/v1/setup-codes"), 409, "conflict")


async def test_setup_code_expires_after_a_day(rest: Rest) -> None:
    code = (await rest.app.post("/v1/setup-codes")).json()["code"]
    rest.clock.advance(DAY)
    response = await browser(rest).post("/v1/setup", json={"code": code, "name": "o", "password": PASSWORD})
    assert refused(response, 403, "forbidden")


async def test_setup_codes_cannot_be_guessed_often(rest: Rest) -> None:
    guesser = browser(rest)
    guess = {"code": "guess", "name": "eve", "password": PASSWORD}
    for _ in range(10):
        assert refused(await guesser.post("/v1/setup", json=guess), 403, "forbidden")
    response = await guesser.post("/v1/setup", json=guess)
    assert refused(response, 429, "too_many")
    assert 0 < int(response.headers["retry-after"]) <= 3600
    rest.clock.advance(HOUR)
    assert refused(await guesser.post("/v1/setup", json=guess), 403, "forbidden")


async def test_setup_codes_need_the_project_secret(rest: Rest) -> None:
    key = (await rest.app.post("/v1/keys", json={"name": "k", "scopes": ["send", "read", "manage"]})).json()["key"]
    for headers in ({"authorization": f"Bearer {key}"}, rest.recipient("alice").headers):
        assert refused(await rest.anonymous.post("/v1/setup-codes", headers=headers), 403, "forbidden")
    assert refused(await rest.anonymous.post("/v1/setup-codes"), 401, "unauthenticated")


async def test_cookie_is_bound_to_the_host_and_hidden_from_scripts(rest: Rest) -> None:
    code = (await rest.app.post("/v1/setup-codes")).json()["code"]
    response = await browser(rest).post("/v1/setup", json={"code": code, "name": "o", "password": PASSWORD})
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("__Host-bellcast=")
    assert {"Path=/", "HttpOnly", "SameSite=Lax", "Secure"} <= set(cookie.split("; "))
    assert "domain" not in cookie.lower()
    assert response.headers["cache-control"] == "no-store"


async def test_password_is_not_accepted_over_plain_http_from_elsewhere(rest: Rest) -> None:
    await set_up(rest)
    body = {"name": "owner", "password": PASSWORD}
    plain = browser(rest, "http://bell.test")
    assert refused(await plain.post("/v1/session", json=body), 403, "forbidden")
    local = browser(rest, "http://127.0.0.1:8787")
    response = await local.post("/v1/session", json=body)
    assert response.headers["set-cookie"].startswith("bellcast-console=")
    assert (await local.get("/v1/me")).json()["name"] == "owner"


async def test_sign_out_ends_the_session_on_the_server(rest: Rest) -> None:
    owner = await set_up(rest)
    stolen = dict(owner.cookies)
    assert (await owner.delete("/v1/session")).status_code == 204
    assert refused(await browser(rest).get("/v1/me", headers=as_cookie(stolen)), 401, "unauthenticated")


async def test_planted_session_is_not_upgraded_by_sign_in(rest: Rest) -> None:
    await set_up(rest)
    victim = browser(rest)
    planted = {"__Host-bellcast": "planted-by-an-attacker"}
    response = await victim.post(
        "/v1/session", json={"name": "owner", "password": PASSWORD}, headers=as_cookie(planted)
    )
    assert response.status_code == 200
    assert "planted" not in response.headers["set-cookie"]
    assert refused(await browser(rest).get("/v1/me", headers=as_cookie(planted)), 401, "unauthenticated")


async def test_sign_in_again_ends_the_earlier_session(rest: Rest) -> None:
    owner = await set_up(rest)
    earlier = dict(owner.cookies)
    assert (await owner.post("/v1/session", json={"name": "owner", "password": PASSWORD})).status_code == 200
    assert (await owner.get("/v1/me")).status_code == 200
    assert refused(await browser(rest).get("/v1/me", headers=as_cookie(earlier)), 401, "unauthenticated")


async def test_session_ends_when_idle_and_after_a_week(rest: Rest) -> None:
    owner = await set_up(rest)
    rest.clock.advance(12 * HOUR)
    assert refused(await owner.get("/v1/me"), 401, "unauthenticated")
    await owner.post("/v1/session", json={"name": "owner", "password": PASSWORD})
    for _ in range(16):
        rest.clock.advance(10 * HOUR)
        assert (await owner.get("/v1/me")).status_code == 200
    rest.clock.advance(8 * HOUR)
    assert refused(await owner.get("/v1/me"), 401, "unauthenticated")


FOREIGN = {
    "another site": {"origin": "https://evil.test", "sec-fetch-site": "cross-site"},
    "a page of the same site": {"origin": SAME_SITE, "sec-fetch-site": "same-site"},
    "a browser without fetch metadata": {"origin": "https://evil.test"},
    "a sandboxed frame": {"origin": "null", "sec-fetch-site": "cross-site"},
    "another port": {"origin": "https://bell.test:8443"},
    "plain HTTP": {"origin": "http://bell.test"},
    "only fetch metadata": {"sec-fetch-site": "same-site"},
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
async def test_request_of_a_foreign_page_is_refused(rest: Rest, headers: dict[str, str]) -> None:
    owner = await set_up(rest)
    foreign = httpx.AsyncClient(
        transport=owner._transport, base_url="https://bell.test", cookies=dict(owner.cookies), headers=headers
    )
    body = {"name": "eve", "role": "owner", "password": PASSWORD}
    assert refused(await foreign.post("/v1/operators", json=body), 403, "forbidden")
    assert refused(await foreign.get("/v1/operators"), 403, "forbidden")
    assert refused(await foreign.delete("/v1/session"), 403, "forbidden")
    credentials = {"name": "owner", "password": PASSWORD}
    assert refused(await foreign.post("/v1/session", json=credentials), 403, "forbidden")
    assert [one["name"] for one in (await owner.get("/v1/operators")).json()["operators"]] == ["owner"]


async def test_change_without_an_origin_is_refused(rest: Rest) -> None:
    owner = await set_up(rest)
    headers = {"cookie": as_cookie(dict(owner.cookies))["cookie"]}
    response = await rest.client.post(
        "https://bell.test/v1/keys", json={"name": "k", "scopes": ["send"]}, headers=headers
    )
    assert refused(response, 403, "forbidden")


async def test_account_waits_after_five_failures(rest: Rest) -> None:
    await set_up(rest)
    guesser = browser(rest)
    for number in range(5):
        guess = {"name": "owner", "password": f"guess number {number}"}
        assert refused(await guesser.post("/v1/session", json=guess), 401, "unauthenticated")
    right = {"name": "owner", "password": PASSWORD}
    response = await guesser.post("/v1/session", json=right)
    assert refused(response, 429, "too_many")
    assert response.headers["retry-after"] == "30"
    rest.clock.advance(30)
    assert (await guesser.post("/v1/session", json=right)).status_code == 200
    wrong = {"name": "owner", "password": "wrong again, twice"}
    assert refused(await guesser.post("/v1/session", json=wrong), 401, "unauthenticated")


async def test_address_waits_after_twenty_failures_of_any_names(rest: Rest) -> None:
    await set_up(rest)
    guesser = browser(rest)
    for number in range(20):
        guess = {"name": f"name{number}", "password": "guess"}
        assert refused(await guesser.post("/v1/session", json=guess), 401, "unauthenticated")
    right = {"name": "owner", "password": PASSWORD}
    assert refused(await guesser.post("/v1/session", json=right), 429, "too_many")
    rest.clock.advance(15 * MINUTE)
    assert (await guesser.post("/v1/session", json=right)).status_code == 200


async def test_unknown_name_is_refused_like_a_wrong_password(rest: Rest) -> None:
    await set_up(rest)
    answers = [
        (await browser(rest).post("/v1/session", json={"name": name, "password": "wrong"})).json()
        for name in ("owner", "nonesuch")
    ]
    assert answers[0] == answers[1]


async def test_role_limits_every_operation(rest: Rest) -> None:
    """Each operation of servers answers each role as the table of roles says, and 403 never means another reason."""
    await set_up(rest)
    browsers = {role: await signed_in(rest, f"the-{role}", role) for role in ROLES}
    for endpoint in HANDLERS:
        declared = endpoint.operation
        if declared.required_scope not in SCOPES:
            continue
        method = endpoint.method
        path = endpoint.template.replace("{", "").replace("}", "")
        for role, client in browsers.items():
            response = await client.request(method, path, params={"nonsense": "x"})
            is_allowed = role in allowed_roles(declared.required_scope, declared.roles)
            assert (response.status_code == 403) is not is_allowed, (method, path, role, response.text)


def allowed_roles(scope: str, roles: tuple[str, ...] | None) -> tuple[str, ...]:
    if roles is not None:
        return roles
    readers = ("owner", "developer", "support")
    by_scope = {"admin": ("owner",), "read": readers, "observe": readers}
    return by_scope.get(scope, ("owner", "developer"))


async def test_developer_cannot_gain_rights_through_a_key(rest: Rest) -> None:
    developer = await signed_in(rest, "dev", "developer")
    assert refused(await developer.post("/v1/keys", json={"name": "k", "scopes": ["manage"]}), 403, "forbidden")
    assert (await developer.post("/v1/keys", json={"name": "k", "scopes": ["send", "read"]})).status_code == 201


async def test_key_manages_operators_up_to_its_own_scopes(rest: Rest) -> None:
    owner = await set_up(rest)
    id = (await owner.get("/v1/me")).json()["id"]
    key = await keyed(rest, "admin", "read", "observe")
    body = {"name": "x", "role": "support", "password": PASSWORD}
    made = (await key.post("/v1/operators", json=body)).json()
    for role in ("owner", "developer"):
        assert refused(await key.post("/v1/operators", json=body | {"name": role, "role": role}), 403, "forbidden")
        assert refused(await key.patch(f"/v1/operators/{made['id']}", json={"role": role}), 403, "forbidden")
    assert refused(await key.patch(f"/v1/operators/{id}", json={"password": "taken over now"}), 403, "forbidden")
    assert refused(await key.delete(f"/v1/operators/{id}"), 403, "forbidden")
    assert (await owner.get("/v1/me")).status_code == 200
    assert (await key.get("/v1/audit")).status_code == 200
    assert (await key.delete(f"/v1/operators/{made['id']}")).status_code == 204
    assert refused(await (await keyed(rest, "manage")).get("/v1/audit"), 403, "forbidden")


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
    # It has to name one of several.
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
    # Stored before such a body was refused.
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

    monkeypatch.setattr("bellcast.api.messages._find", find)
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


async def keyed(rest: Rest, *scopes: str) -> Caller:
    created = (await rest.app.post("/v1/keys", json={"name": "k", "scopes": scopes})).json()
    return Caller(rest.client, {"authorization": f"Bearer {created['key']}"})


async def test_refused_change_of_an_operator_changes_nothing(rest: Rest) -> None:
    owner = await set_up(rest)
    id = (await owner.get("/v1/me")).json()["id"]
    response = await owner.patch(f"/v1/operators/{id}", json={"role": "viewer", "password": "another password"})
    assert refused(response, 409, "conflict")
    assert (await owner.get("/v1/me")).json()["role"] == "owner"
    credentials = {"name": "owner", "password": PASSWORD}
    assert (await browser(rest).post("/v1/session", json=credentials)).status_code == 200


async def test_changed_role_and_password_take_effect_at_once(rest: Rest) -> None:
    owner = await set_up(rest)
    other = await signed_in(rest, "other", "owner")
    id = (await other.get("/v1/me")).json()["id"]
    assert (await owner.patch(f"/v1/operators/{id}", json={"role": "viewer"})).status_code == 204
    assert refused(await other.get("/v1/operators"), 403, "forbidden")
    assert (await owner.patch(f"/v1/operators/{id}", json={"password": "another password"})).status_code == 204
    assert refused(await other.get("/v1/me"), 401, "unauthenticated")


async def test_own_password_changes_with_the_current_one_and_ends_other_sessions(rest: Rest) -> None:
    owner = await set_up(rest)
    second = browser(rest)
    await second.post("/v1/session", json={"name": "owner", "password": PASSWORD})
    wrong = {"current": "not the password", "password": "a new long password"}
    assert refused(await owner.put("/v1/me/password", json=wrong), 401, "unauthenticated")
    right = wrong | {"current": PASSWORD}
    assert (await owner.put("/v1/me/password", json=right)).status_code == 200
    assert (await owner.get("/v1/me")).status_code == 200
    assert refused(await second.get("/v1/me"), 401, "unauthenticated")


async def test_last_owner_stays(rest: Rest) -> None:
    owner = await set_up(rest)
    id = (await owner.get("/v1/me")).json()["id"]
    assert refused(await owner.delete(f"/v1/operators/{id}"), 409, "conflict")
    assert refused(await owner.patch(f"/v1/operators/{id}", json={"role": "viewer"}), 409, "conflict")


@pytest.mark.parametrize("name", ["", "Alice", "<script>alert(1)</script>", "a b", "a\r\nSet-Cookie: x=y", "x" * 101])
async def test_name_of_an_operator_is_plain(rest: Rest, name: str) -> None:
    body = {"name": name, "role": "viewer", "password": PASSWORD}
    assert refused(await rest.app.post("/v1/operators", json=body), 422, "invalid")


async def test_short_password_is_refused(rest: Rest) -> None:
    body = {"name": "bob", "role": "viewer", "password": "elevenchars"}
    assert refused(await rest.app.post("/v1/operators", json=body), 422, "invalid")


async def test_audit_names_changes_failures_and_looks_of_support(rest: Rest) -> None:
    owner = await set_up(rest)
    support = await signed_in(rest, "helper", "support")
    await owner.post("/v1/keys", json={"name": "k", "scopes": ["send"]})
    await owner.get("/v1/keys")
    await support.get("/v1/recipients", params={"search": "ali"})
    await support.post("/v1/keys", json={"name": "k", "scopes": ["send"]})
    await browser(rest).post("/v1/session", json={"name": "my secret typed here", "password": "x"})
    entries = (await owner.get("/v1/audit")).json()["entries"]
    assert [(one["actor"], one["action"], one["outcome"]) for one in entries] == [
        ("unknown", "POST /v1/session", "unauthenticated"),
        ("helper", "POST /v1/keys", "forbidden"),
        ("helper", "GET /v1/recipients", "ok"),
        ("owner", "POST /v1/keys", "ok"),
        ("helper", "POST /v1/session", "ok"),
        ("project secret", "POST /v1/operators", "ok"),
        ("owner", "POST /v1/setup", "ok"),
        ("project secret", "POST /v1/setup-codes", "ok"),
    ]
    assert entries[2]["target"] == "/v1/recipients?search=ali"
    older = (await owner.get("/v1/audit", params={"limit": 1, "after": entries[-2]["id"]})).json()
    assert [one["id"] for one in older["entries"]] == [entries[-1]["id"]]


async def test_audit_names_what_changed_and_no_secret(rest: Rest) -> None:
    owner = await set_up(rest)
    body = {"name": "dora", "role": "viewer", "password": "first password of dora"}
    id = (await owner.post("/v1/operators", json=body)).json()["id"]
    await owner.patch(f"/v1/operators/{id}", json={"role": "support", "password": "second password of dora"})
    await owner.put("/v1/tenants/acme", json={"name": "Acme"})
    page = (await owner.get("/v1/audit")).json()["entries"]
    assert (page[0]["tenant"], page[0]["changes"][0]) == ("acme", {"field": "name", "from": None, "to": "Acme"})
    assert page[1]["changes"] == [
        {"field": "role", "from": "viewer", "to": "support"},
        {"field": "password", "from": None, "to": "changed"},
    ]
    assert "password of dora" not in str(page)


async def test_audit_names_changed_fields_of_objects_without_secrets(rest: Rest) -> None:
    owner = await set_up(rest)
    provider = {"channel": "email", "url": "smtp://user:first-secret@mail.example.com"}
    await owner.put("/v1/providers/mail", json=provider)
    await owner.put("/v1/providers/mail", json=provider | {"url": "smtp://user:second-secret@mail.example.com"})
    hook = {"url": "https://example.com/hook?key=third-secret", "events": ["*"]}
    id = (await owner.post("/v1/webhooks", json=hook)).json()["id"]
    await owner.patch(f"/v1/webhooks/{id}", json={"active": False})
    await owner.post(f"/v1/webhooks/{id}/rotate")
    await owner.put("/v1/workflows/w", json={"steps": [{"key": "later", "type": "delay", "for": "1h"}]})
    await owner.patch("/v1/workflows/w", json={"active": False})
    await owner.put("/v1/recipients/alice", json={"email": "alice@example.com", "locale": "de"})
    page = (await owner.get("/v1/audit")).json()["entries"]
    changes = [{one["field"]: (one["from"], one["to"]) for one in entry["changes"]} for entry in page]
    assert changes[0] == {"email": (None, "changed"), "locale": (None, "de")}
    assert changes[1] == {"active": (True, False)}
    assert changes[2]["version"] == (None, 1)
    assert changes[3] == {"secret": (None, "changed")}
    assert changes[4] == {"active": (True, False)}
    assert changes[5]["events"] == (None, ["*"])
    assert changes[6] == {"url": (None, "changed")}
    assert changes[7]["channel"] == (None, "email")
    assert not re.search("(first|second|third)-secret|alice@", str(page))


async def test_writing_a_secret_needs_a_recent_password(rest: Rest) -> None:
    owner = await set_up(rest)
    rest.clock.advance(10 * MINUTE)
    provider = {"channel": "email", "url": "smtp://mail.example.com"}
    assert refused(await owner.put("/v1/providers/mail", json=provider), 403, "password_required")
    hook = {"url": "https://example.com/hook", "events": ["*"]}
    assert refused(await owner.post("/v1/webhooks", json=hook), 403, "password_required")
    assert refused(await owner.post("/v1/webhooks/w/rotate"), 403, "password_required")
    # Keys have no password.
    assert (await rest.app.post("/v1/webhooks", json=hook)).status_code == 201


async def test_settings_for_owners_need_a_recent_password(rest: Rest) -> None:
    """Keys of another issuer sign in as any recipient."""
    owner = await set_up(rest)
    rest.clock.advance(10 * MINUTE)
    wanted = {"jwks_url": "https://evil.example/keys"}
    refusal = await owner.patch("/v1/settings", json={"revision": 0, "set": wanted})
    assert refused(refusal, 403, "password_required")
    assert (await owner.patch("/v1/settings", json={"revision": 0, "set": {"limit_title": "99"}})).status_code == 200
    assert (await rest.app.patch("/v1/settings", json={"revision": 1, "set": wanted})).status_code == 200
    assert refused(await owner.post("/v1/settings/rollback", json={"revision": 2, "to": 1}), 403, "password_required")
    assert (await owner.put("/v1/session/verification", json={"password": PASSWORD})).status_code == 204
    assert (await owner.post("/v1/settings/rollback", json={"revision": 2, "to": 1})).status_code == 200


async def test_changed_and_removed_entries_of_the_audit_are_found(rest: Rest) -> None:
    owner = await set_up(rest)
    for name in ("a", "b", "c"):
        await owner.post("/v1/keys", json={"name": name, "scopes": ["send"]})
    verified = (await owner.get("/v1/audit/verification")).json()
    assert (verified["checked"], verified["broken"], verified["is_complete"]) == (5, None, True)
    part = (await owner.get("/v1/audit/verification", params={"after": 2, "limit": 2})).json()
    assert (part["checked"], part["last"]["number"], part["is_complete"]) == (2, 4, False)
    await tamper(rest, "DELETE FROM audit_entries WHERE number = 3")
    for after in (0, 2):
        broken = (await owner.get("/v1/audit/verification", params={"after": after})).json()["broken"]
        assert broken["number"] == 4
    await tamper(rest, "UPDATE audit_entries SET actor = 'eve' WHERE number = 2")
    assert (await owner.get("/v1/audit/verification")).json()["broken"]["actor"] == "eve"


async def tamper(rest: Rest, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(rest.file)) as connection, connection:
        connection.execute(statement)


async def test_refused_attempts_of_keys_are_recorded_but_bounded(rest: Rest) -> None:
    key = await keyed(rest, "send")
    for _ in range(20):
        assert refused(await key.get("/v1/operators"), 403, "forbidden")
    entries = (await rest.app.get("/v1/audit")).json()["entries"]
    refusals = [one for one in entries if one["outcome"] == "forbidden"]
    assert {one["actor"] for one in refusals} == {f"key:{key.headers['authorization'].split('_')[1]}"}
    assert 1 <= len(refusals) <= 2


async def test_credentials_in_a_header_take_precedence_over_the_cookie(rest: Rest) -> None:
    viewer = await signed_in(rest, "viewer", "viewer")
    assert (await viewer.get("/v1/keys", headers=rest.app.headers)).status_code == 200


async def test_no_response_contains_a_password_or_a_hash(rest: Rest) -> None:
    owner = await set_up(rest)
    for path in ("/v1/operators", "/v1/me", "/v1/audit"):
        text = (await owner.get(path)).text
        assert PASSWORD not in text
        assert "password" not in text.replace("/v1/me/password", "")


async def test_page_cannot_be_framed_and_runs_no_foreign_script(rest: Rest) -> None:
    for path in ("/console", "/console/", "/console/setup", "/console/recipients/x%2Fy"):
        response = await rest.anonymous.get(path)
        assert response.status_code == 200
        policy = response.headers["content-security-policy"]
        assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy.split("; "))
        assert "unsafe" not in policy
        assert response.headers["x-frame-options"] == "DENY"
        assert "<script>" not in response.text


async def test_modules_are_served_and_revalidated(rest: Rest) -> None:
    response = await rest.anonymous.get("/console/console.js")
    assert response.headers["content-type"].startswith("text/javascript")
    again = await rest.anonymous.get("/console/console.js", headers={"if-none-match": response.headers["etag"]})
    assert again.status_code == 304
    assert (await rest.anonymous.get("/console/..%2f__init__.py")).headers["content-type"].startswith("text/html")


def as_cookie(cookies: dict[str, str]) -> dict[str, str]:
    return OWN | {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
