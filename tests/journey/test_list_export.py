"""Lists as CSV and NDJSON."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from bellcast.rest import operations
from bellcast.server.api_app import HANDLERS
from tests.contract.app import App
from tests.contract.replays.test_store_replays import set_dead
from tests.journey.operators import set_up, signed_in
from tests.journey.rest import Rest, refused

CSV, NDJSON = {"accept": "text/csv"}, {"accept": "application/x-ndjson"}
# Lists that grow with each request, or whose numbers change continuously.
CHANGING = {"/v1/audit", "/v1/nodes", "/v1/requests"}
EXPORTED = [endpoint.path for endpoint in HANDLERS if endpoint.operation.is_exported]


def rows(response: httpx.Response) -> list[dict[str, str]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


def items(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    return [msgspec.json.decode(line) for line in response.content.splitlines()]


async def test_export_has_all_pages_and_the_values_of_the_list(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MAX_PAGE_ROWS", 2)
    for number in range(5):
        await rest.send("alice", f"=number {number}", tags=["a", "b"])
    await rest.send("bob", "other")
    params = {"recipient": "alice"}
    listed = (await rest.app.get("/v1/notifications", params=params)).json()["notifications"]
    response = await rest.app.get("/v1/notifications", params=params, headers=NDJSON)
    assert items(response) == listed
    assert response.headers["content-disposition"] == 'attachment; filename="notifications.ndjson"'
    table = rows(await rest.app.get("/v1/notifications", params=params, headers=CSV))
    assert [row["title"] for row in table] == [f"'=number {number}" for number in (4, 3, 2, 1, 0)]
    # The only field that most items do not have.
    assert [column for column in table[0] if column != "awaits_return"] == list(listed[0])
    assert table[0]["tags"] == '["a","b"]'
    one_page = await rest.app.get("/v1/notifications", params=params | {"limit": 1}, headers=CSV)
    assert [row["id"] for row in rows(one_page)] == [listed[0]["id"]]
    monkeypatch.setattr(operations, "MAX_EXPORT_ROWS", 4)
    assert len(items(await rest.app.get("/v1/notifications", params=params, headers=NDJSON))) == 4


async def test_search_of_a_rare_item_continues_in_the_export(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bellcast.kernel.db.lists.MAX_SCANNED_ROWS", 2)
    await rest.send("alice", "rare", type="rare")
    for _ in range(5):
        await rest.send("alice", "usual")
    assert (await rest.app.get("/v1/notifications", params={"type": "rare"})).json()["notifications"] == []
    found = rows(await rest.app.get("/v1/notifications", params={"type": "rare"}, headers=CSV))
    assert [row["title"] for row in found] == ["rare"]


@pytest.mark.parametrize("path", EXPORTED)
async def test_empty_export_has_a_header_and_wrong_filters_are_refused(rest: Rest, path: str) -> None:
    header = (await rest.app.get(path, headers=CSV)).text.partition("\r\n")[0].split(",")
    assert {"id", "key", "topic", "address", "revision"} & set(header)
    assert refused(await rest.app.get(path, params={"limit": 0}, headers=CSV), 422, "invalid")
    assert refused(await rest.app.get(path, params={"surprise": 1}, headers=CSV), 422, "invalid")


async def test_exports_have_the_rows_of_the_list_and_no_secret(rest: Rest, cheap_hashes: None) -> None:
    await set_up(rest)
    hook = {"url": "https://app.example.com/hook", "events": ["message.sent"]}
    created = [
        (await rest.app.post(path, json=body)).json()
        for path, body in (
            ("/v1/keys", {"name": "shop", "scopes": ["send"]}),
            ("/v1/webhooks", hook),
            ("/v1/pusher-apps", {"name": "shop"}),
        )
    ]
    secrets = [created[0]["key"], created[1]["secret"], created[2]["secret"], "hunter2"]
    for path, body in (
        ("providers/mail", {"channel": "email", "url": "smtp://shop:hunter2@mail.example.com:587?from=a@example.com"}),
        ("templates/t", {"inbox": {"title": "Hello"}}),
        ("types/t", {"name": "T"}),
        ("workflows/w", {"steps": [{"key": "end", "type": "stop"}]}),
        ("schedules/s", {"cron": "0 8 * * 1", "notification": {"to": "alice", "title": "Hello"}}),
        ("suppressions/email/alice@example.com", {}),
    ):
        assert (await rest.app.put(f"/v1/{path}", json=body)).status_code == 201, path
    assert (await rest.app.patch("/v1/settings", json={"revision": 0, "set": {"limit_title": "99"}})).status_code == 200
    await set_dead(App(rest.store, rest.clock), "dead")
    assert (await rest.app.post("/v1/replays", json={"filter": {}})).status_code == 202
    for path in EXPORTED:
        exports = [await rest.app.get(path, headers=headers) for headers in (CSV, NDJSON)]
        assert not any(secret in export.text for secret in secrets for export in exports), path
        page = (await rest.app.get(path, params={"limit": 200})).json()
        if path not in CHANGING:
            listed = next(value for value in page.values() if isinstance(value, list))
            assert items(exports[1]) == listed, path
            assert len(rows(exports[0])) == len(listed), path
    for path in ("keys", "webhooks", "pusher-apps", "providers", "operators", "templates", "jobs", "replays", "nodes"):
        assert items(await rest.app.get(f"/v1/{path}", headers=NDJSON)), path


@pytest.mark.parametrize("role", ["support", "viewer"])
async def test_roles_that_read_lists_export_none(rest: Rest, cheap_hashes: None, role: str) -> None:
    operator = await signed_in(rest, "sue", role)
    for path in EXPORTED:
        assert refused(await operator.get(path, headers=CSV), 403, "forbidden"), path


@pytest.mark.thorough
async def test_exports_are_audited_and_need_a_role(rest: Rest) -> None:
    owner = await set_up(rest)
    support = await signed_in(rest, "sue", "support")
    assert (await rest.app.get("/v1/recipients", headers=NDJSON)).status_code == 200
    assert (await owner.get("/v1/runs?workflow=x", headers=CSV)).status_code == 200
    assert (await support.get("/v1/recipients")).status_code == 200
    assert refused(await support.get("/v1/recipients", headers=CSV), 403, "forbidden")
    entries = (await owner.get("/v1/audit")).json()["entries"]
    exports = [(one["actor"], one["target"], one["outcome"]) for one in entries if one["changes"]]
    assert ("project secret", "/v1/recipients", "ok") in exports
    assert ("owner", "/v1/runs?workflow=x", "ok") in exports
    assert [one["outcome"] for one in entries if one["actor"] == "sue" and one["target"] == "/v1/recipients"] == [
        "forbidden",
        "ok",
    ]


async def test_export_of_a_bound_key_has_its_tenants_only(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MAX_PAGE_ROWS", 1)
    for tenant in ("acme", "zoo", "other"):
        for number in range(2):
            await rest.send("alice", f"{tenant} {number}", tenant=tenant)
    body = {"name": "k", "scopes": ["read"], "tenants": ["acme", "zoo"]}
    key = (await rest.app.post("/v1/keys", json=body)).json()["key"]
    headers = CSV | {"authorization": f"Bearer {key}"}
    response = await rest.anonymous.get("/v1/notifications?tenant=*", headers=headers)
    assert sorted(row["title"] for row in rows(response)) == ["acme 0", "acme 1", "zoo 0", "zoo 1"]
    assert refused(await rest.anonymous.get("/v1/notifications?tenant=other", headers=headers), 403, "forbidden")
    tenants = rows(await rest.anonymous.get("/v1/tenants", headers=headers))
    assert {row["key"] for row in tenants} <= {"acme", "zoo"}


async def test_runs_are_limited_to_a_range_of_time(rest: Rest) -> None:
    assert (await rest.app.put("/v1/workflows/w", json={"steps": [{"key": "end", "type": "stop"}]})).status_code == 201
    assert (await rest.app.post("/v1/workflows/w/trigger", json={"to": "alice"})).status_code == 202
    rest.clock.advance(60)
    noon = datetime.fromtimestamp(rest.clock.now() / 1000, UTC).isoformat()
    assert (await rest.app.post("/v1/workflows/w/trigger", json={"to": "alice"})).status_code == 202
    newest, oldest = (one["id"] for one in (await rest.app.get("/v1/runs")).json()["runs"])
    for filters in ({}, {"recipient": "alice"}, {"workflow": "w"}):
        late = (await rest.app.get("/v1/runs", params={"from": noon} | filters)).json()["runs"]
        early = (await rest.app.get("/v1/runs", params={"to": noon} | filters)).json()["runs"]
        assert ([one["id"] for one in late], [one["id"] for one in early]) == ([newest], [oldest])
