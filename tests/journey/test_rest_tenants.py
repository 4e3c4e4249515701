"""A tenant from its creation to its erasure, over REST."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from bellcast.documents.types import DRAFTED
from bellcast.operators.types import VERIFIED_MS
from bellcast.tenants.store import Tenants
from tests.journey.channels import opened
from tests.journey.operators import keyed, set_up, signed_in
from tests.journey.rest import Rest, fields, refused

SCHEDULE = {"cron": "0 8 * * 1", "timezone": "Europe/Vienna", "notification": {"to": "alice", "title": "Plan the week"}}
MAIL = {"channel": "email", "url": "smtp://mail.example.com"}
SILENT = {"channels": {"push": False}}


async def test_tenant_limits_are_validated_and_other_settings_are_free(rest: Rest) -> None:
    settings = {"weight": 0, "sends_per_second": -1, "sends_per_day": 1.5, "retention_days": "90", "plan": "team"}
    settings |= {"key": "globex", "name": None}
    response = await rest.app.put("/v1/tenants/acme", json={"settings": settings})
    assert refused(response, 422, "invalid")
    assert set(fields(response)) == {f"settings.{name}" for name in settings if name != "plan"}
    for weight in (1e-300, 1001):
        assert refused(await rest.app.put("/v1/tenants/acme", json={"settings": {"weight": weight}}), 422, "invalid")
    good = {"weight": 2, "sends_per_second": 10, "sends_per_day": 0, "retention_days": 90, "plan": "team"}
    assert (await rest.app.put("/v1/tenants/acme", json={"settings": good})).json()["settings"] == good


@pytest.mark.parametrize(
    ("path", "mine", "theirs"),
    [
        ("/v1/tenants/acme", {"settings": {"plan": "team"}}, {"name": "Acme"}),
        ("/v1/tenants/acme/brand", {"color": "#123456"}, {"color": "#654321"}),
        ("/v1/preference-defaults", {"channels": {"sms": False}}, {"channels": {"push": False}}),
        ("/v1/preference-defaults?tenant=acme", {"channels": {"sms": False}}, {"channels": {"push": False}}),
    ],
)
async def test_conditional_write_does_not_overwrite_the_change_of_another_operator(
    rest: Rest, path: str, mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    await rest.app.put("/v1/tenants/acme", json={})
    read = {"if-match": (await rest.app.get(path)).headers["etag"]}
    assert (await rest.app.put(path, json=theirs, headers=read)).status_code == 200
    stored = await rest.app.get(path)
    assert refused(await rest.app.put(path, json=mine, headers=read), 412, "precondition_failed")
    assert (await rest.app.get(path)).json() == stored.json()
    for current in (stored.headers["etag"], "*"):
        assert (await rest.app.put(path, json=mine, headers={"if-match": current})).status_code == 200


async def test_conditional_change_of_preference_defaults_and_a_new_tenant_are_refused(rest: Rest) -> None:
    path = "/v1/preference-defaults"
    read = {"if-match": (await rest.app.get(path)).headers["etag"]}
    await rest.app.patch(path, json={"channels": {"sms": False}})
    assert refused(await rest.app.patch(path, json={}, headers=read), 412, "precondition_failed")
    assert refused(await rest.app.delete(path, headers=read), 412, "precondition_failed")
    current = {"if-match": (await rest.app.get(path)).headers["etag"]}
    assert (await rest.app.delete(path, headers=current)).status_code == 204
    assert refused(await rest.app.delete(path, headers={"if-match": "*"}), 404, "not_found")
    only_new = {"if-none-match": "*"}
    assert (await rest.app.put("/v1/tenants/acme", json={}, headers=only_new)).status_code == 201
    assert refused(await rest.app.put("/v1/tenants/acme", json={}, headers=only_new), 412, "precondition_failed")


@pytest.mark.parametrize(
    ("path", "mine", "theirs"),
    [
        ("/v1/tenants/acme", {"name": "Acme", "settings": {"b": 1, "a": {"d": 1, "c": 2}}}, {"name": "Other"}),
        ("/v1/tenants/acme/brand", {"name": "Acme", "color": "#0a5c36"}, {"name": "Other"}),
        ("/v1/preference-defaults", {"channels": {"sms": False}, "digest": {"b": "daily", "a": "hourly"}}, SILENT),
        ("/v1/preference-defaults?tenant=acme", {"types": {"b": {"sms": False}, "a": {"email": False}}}, SILENT),
        ("/v1/schedules/week", SCHEDULE, {**SCHEDULE, "cron": "0 9 * * 1"}),
        ("/v1/providers/mail", MAIL, {**MAIL, "priority": 2}),
    ],
)
async def test_response_to_a_write_has_the_condition_of_the_next(
    rest: Rest, path: str, mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    await rest.app.put("/v1/tenants/acme", json={})
    for write in (rest.app.put, rest.app.patch) if "defaults" in path else (rest.app.put,):
        written = (await write(path, json=mine)).headers["etag"]
        assert (await rest.app.get(path)).headers["etag"].startswith(f"{written[:-1]}.")
        following = await write(path, json=theirs, headers={"if-match": written})
        assert following.status_code == 200, following.text
        assert refused(await write(path, json=mine, headers={"if-match": written}), 412, "precondition_failed")
        assert (await write(path, json=mine, headers={"if-match": following.headers["etag"]})).status_code == 200
    planned = await rest.app.put("/v1/schedules/week", json=SCHEDULE, params={"dry_run": "true"})
    assert (planned.status_code, "etag" in planned.headers) == (200, False)


async def test_conditional_erasure_does_not_erase_a_tenant_that_has_changed(rest: Rest) -> None:
    path = "/v1/tenants/acme"
    await rest.app.put(path, json={})
    read = {"if-match": (await rest.app.get(path)).headers["etag"]}
    await rest.app.put(path, json={"name": "Acme"})
    assert refused(await rest.app.delete(path, headers=read), 412, "precondition_failed")
    current = {"if-match": (await rest.app.get(path)).headers["etag"]}
    assert (await rest.app.delete(path, headers=current)).status_code == 204
    assert refused(await rest.app.delete(path, headers=current), 404, "not_found")


async def test_conditional_erasure_compares_the_tenant_that_it_erases(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, begin = "/v1/tenants/acme", Tenants.begin_erasure
    await rest.app.put(path, json={})
    read = {"if-match": (await rest.app.get(path)).headers["etag"]}

    async def begin_later(self: Tenants, *args: Any) -> Any:
        await self.put("acme", "Acme", {}, rest.clock.now())
        return await begin(self, *args)

    monkeypatch.setattr(Tenants, "begin_erasure", begin_later)
    assert refused(await rest.app.delete(path, headers=read), 412, "precondition_failed")
    shown = (await rest.app.get(path)).json()
    assert (shown["name"], shown["erasing_since"]) == ("Acme", None)


async def test_retention_of_a_tenant_is_for_owners_with_a_recent_password(rest: Rest, cheap_hashes: None) -> None:
    """It deletes notifications, like the erasure of the tenant."""
    owner, developer = await set_up(rest), await signed_in(rest, "dev", "developer")
    kept = {"settings": {"retention_days": 90}}
    assert (await rest.app.put("/v1/tenants/acme", json=kept)).status_code == 201
    for settings in ({"retention_days": 1}, {"retention_days": 0}, {}):
        for query in ({}, {"dry_run": "true"}):
            refusal = await developer.put("/v1/tenants/acme", json={"settings": settings}, params=query)
            assert refused(refusal, 403, "forbidden")
            assert "retention_days" in refusal.json()["detail"]
    named = {**kept, "name": "Acme"}
    assert (await developer.put("/v1/tenants/acme", json=named)).status_code == 200
    assert (await owner.put("/v1/tenants/acme", json={"settings": {"retention_days": 30}})).status_code == 200
    rest.clock.advance(VERIFIED_MS / 1000)
    assert refused(await owner.put("/v1/tenants/acme", json=kept), 403, "password_required")
    assert (
        await owner.put("/v1/tenants/acme", json={"settings": {"retention_days": 30, "plan": "x"}})
    ).status_code == 200
    allowed = await keyed(rest, "manage")
    assert (await allowed.put("/v1/tenants/acme", json=kept)).status_code == 200


async def test_tenant_settings_apply_to_the_next_send(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/recipients/alice?tenant=acme", {"email": "alice@example.com"})
        for url in ("https://one.example", "https://two.example", None):
            if url is None:
                await world.request("DELETE", "/v1/tenants/acme")
                await world.put("/v1/recipients/alice?tenant=acme", {"email": "alice@example.com"})
            else:
                await world.put("/v1/tenants/acme", {"settings": {"app_url": url}})
            await world.send(tenant="acme", channels=["email"], action_url="/bookings/7")
            text = (await world.messages(tenant="acme"))[-1]["content"]["text"]
            assert ("/bookings/7" in text) == (url is not None)
            assert url is None or f"{url}/bookings/7" in text


async def test_tenant_export_has_one_object_per_line(rest: Rest) -> None:
    await rest.app.put("/v1/tenants/acme", json={"name": "Acme"})
    await rest.app.post("/v1/notifications", json={"to": "alice", "title": "Hello", "tenant": "acme"})
    await rest.app.post("/v1/notifications", json={"to": {"tenant": "acme"}, "title": "To all"})
    await rest.app.post("/v1/notifications", json={"to": "alice", "title": "Another's", "tenant": "globex"})
    response = await rest.app.get("/v1/tenants/acme/export")
    assert response.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert [next(iter(line)) for line in lines] == ["tenant", "announcement", "recipient", "notification"]
    assert lines[0]["tenant"]["name"] == "Acme"
    assert (lines[1]["announcement"]["title"], lines[3]["notification"]["title"]) == ("To all", "Hello")
    assert refused(await rest.app.get("/v1/tenants/nobody/export"), 404, "not_found")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_export_that_is_not_read_stops(rest: Rest, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    items = [{"to": "alice", "tenant": "acme", "title": f"{n} {'x' * 400}"} for n in range(1_200)]
    await rest.app.post("/v1/notifications/bulk", json=items)
    read: list[str] = []
    export_tenant = rest.store.exports.tenant

    async def counted(key: str) -> AsyncIterator[tuple[str, Any]]:
        rows = await export_tenant(key)
        assert rows is not None

        async def pairs() -> AsyncIterator[tuple[str, Any]]:
            async for kind, row in rows:
                read.append(kind)
                yield kind, row

        return pairs()

    monkeypatch.setattr(type(rest.store.exports), "tenant", staticmethod(counted))
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"} if method == "GET" else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    path, headers = "/v1/tenants/acme/export", [(b"authorization", rest.app.headers["authorization"].encode())]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "query_string": b"",
    }
    app = cast(Any, rest.client)._transport.app
    await app({**scope, "raw_path": path.encode(), "headers": headers, "client": ("127.0.0.1", 1)}, receive, send)
    assert sent[0]["status"] == 200
    assert len(read) < 200


@pytest.mark.parametrize("has_record", [True, False])
async def test_erasure_deletes_objects_and_drafts(rest: Rest, *, has_record: bool) -> None:
    if has_record:
        await rest.send("alice", tenant="acme")
    flow = {"steps": [{"key": "bell", "type": "inbox", "title": "Private"}]}
    bodies = {"workflows/flow": flow, **{f"{kind}/flow/draft": {"values": flow} for kind in DRAFTED}}
    for path, body in bodies.items():
        assert (await rest.app.put(f"/v1/{path}?tenant=acme", json=body)).status_code == 201
    assert (await rest.app.delete("/v1/tenants/acme")).status_code == 204
    assert [(await rest.app.get(f"/v1/{path}?tenant=acme")).status_code for path in bodies] == [404] * len(bodies)
    assert (await rest.app.delete("/v1/tenants/acme")).status_code == 404


async def test_erased_tenant_is_not_found(rest: Rest) -> None:
    sent = await rest.app.post("/v1/notifications", json={"to": "alice", "title": "Hello", "tenant": "acme"})
    id = sent.json()["notifications"][0]["id"]
    await rest.app.post("/v1/notifications", json={"to": "alice", "title": "Another's", "tenant": "globex"})
    assert (await rest.app.delete("/v1/tenants/acme")).status_code == 204
    for path in ("/v1/tenants/acme", "/v1/recipients/alice?tenant=acme", f"/v1/notifications/{id}?tenant=acme"):
        assert (await rest.app.get(path)).status_code == 404
    assert (await rest.app.get("/v1/recipients/alice?tenant=globex")).json()["unread"] == 1
    assert refused(await rest.app.delete("/v1/tenants/acme"), 404, "not_found")
