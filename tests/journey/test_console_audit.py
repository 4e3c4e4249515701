"""The audit log: what it names, what it hides, and how tampering is detected."""

import contextlib
import re
import sqlite3
from typing import Any

import pytest

from tests.journey.operators import PASSWORD, browser, keyed, set_up, signed_in
from tests.journey.rest import Rest, refused

pytestmark = pytest.mark.usefixtures("cheap_hashes")

# seconds
MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SAME_SITE = "https://shop.bell.test"


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


async def test_dry_runs_and_the_doctor_are_recorded_only_if_refused(rest: Rest) -> None:
    owner = await set_up(rest)
    viewer = await signed_in(rest, "vera", "viewer")
    checks: list[tuple[str, str, dict[str, Any] | None]] = [
        ("POST", "/v1/doctor", None),
        ("POST", "/v1/replays", {"filter": {}, "dry_run": True}),
        ("PATCH", "/v1/settings", {"revision": 0, "set": {"limit_title": "99"}, "dry_run": True}),
    ]
    for method, path, body in checks:
        assert (await owner.request(method, path, json=body)).status_code == 200
        assert refused(await viewer.request(method, path, json=body), 403, "forbidden")
        rest.clock.advance(2)  # refusals are recorded once a second
    entries = (await owner.get("/v1/audit", params={"limit": len(checks)})).json()["entries"]
    wanted = [("vera", f"{method} {path}", "forbidden") for method, path, _ in reversed(checks)]
    assert [(one["actor"], one["action"], one["outcome"]) for one in entries] == wanted


async def test_dry_run_is_known_by_its_parameter_and_not_by_the_text_of_the_query(rest: Rest) -> None:
    owner = await set_up(rest)
    body, last = {"locale": "de"}, {"limit": 1}
    before = (await owner.get("/v1/audit", params=last)).json()["entries"]
    assert (await owner.put("/v1/recipients/alice?dry_run=1", json=body)).status_code == 200
    assert (await owner.get("/v1/audit", params=last)).json()["entries"] == before
    assert (await owner.put("/v1/recipients/alice?tenant=dry_run=true", json=body)).status_code == 201
    (entry,) = (await owner.get("/v1/audit", params=last)).json()["entries"]
    assert (entry["action"], entry["tenant"]) == ("PUT /v1/recipients/{key}", "dry_run=true")
    assert (await owner.put("/v1/recipients/alice?dry_run=maybe", json=body)).status_code == 422
    (entry,) = (await owner.get("/v1/audit", params=last)).json()["entries"]
    assert entry["outcome"] == "invalid"


async def test_export_of_a_recipient_is_recorded_also_with_a_slash_at_the_end(rest: Rest) -> None:
    owner = await set_up(rest)
    assert (await rest.app.put("/v1/recipients/export", json={"locale": "de"})).status_code == 201
    assert (await owner.get("/v1/recipients/export")).status_code == 200  # a recipient with this key
    assert (await owner.get("/v1/recipients/export/export/")).status_code == 200
    entries = (await owner.get("/v1/audit")).json()["entries"]
    assert [one["action"] for one in entries if one["action"].startswith("GET")] == ["GET /v1/recipients/{key}/export"]


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


async def test_audit_names_what_editors_do_but_no_autosave(rest: Rest) -> None:
    owner = await set_up(rest)
    url, source = "/v1/templates/welcome", {"format": "html", "source": "<p>Welcome</p>"}
    values = {"values": {"sms": {"text": "Welcome"}}}
    await owner.post("/v1/templates/import", json=source)
    saved = await owner.put(f"{url}/draft", json=values)
    await owner.post(f"{url}/publish", json={}, headers={"if-match": saved.headers["etag"]})
    await owner.patch(url, json={"version": 1})
    await rest.app.put(f"{url}/draft", json=values)
    await owner.delete(f"{url}/draft")
    entries = (await owner.get("/v1/audit")).json()["entries"]
    assert [one["action"] for one in entries][:5] == [
        "DELETE /v1/templates/{key}/draft",
        "PATCH /v1/templates/{key}",
        "POST /v1/templates/{key}/publish",
        "POST /v1/templates/import",
        "POST /v1/setup",
    ]


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


async def test_settings_need_a_recent_password(rest: Rest) -> None:
    owner = await set_up(rest)
    rest.clock.advance(10 * MINUTE)
    wanted = {"jwks_url": "https://evil.example/keys"}
    refusal = await owner.patch("/v1/settings", json={"revision": 0, "set": wanted})
    assert refused(refusal, 403, "password_required")
    assert (await rest.app.patch("/v1/settings", json={"revision": 0, "set": {"limit_title": "99"}})).status_code == 200
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
