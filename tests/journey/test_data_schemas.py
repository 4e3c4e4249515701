"""Schemas of data: what sends and triggers of a type must contain, and what is known about their data so far."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bellcast.templates import budget
from bellcast.templates.budget import budget_of
from bellcast.workflows import recent_data
from tests.journey.channels import opened
from tests.journey.rest import fields, refused

SCHEMA = {
    "type": "object",
    "required": ["total"],
    "properties": {"total": {"type": "number", "x-label": "Total"}, "card": {"type": "string", "x-private": True}},
}
STEPS = [{"key": "bell", "type": "inbox", "title": "Paid {{ data.total }}"}]
WRONG = {"total": "12"}


@pytest.fixture
async def rest(tmp_path: Path) -> AsyncIterator[Any]:
    """A server, and its live feed."""
    async with opened(tmp_path) as world:
        yield SimpleNamespace(app=world.client, feed=world.app.feed)


def warnings(rest: Any) -> list[str]:
    return [event.text for event in rest.feed._rings["warning"]]


async def put_type(rest: Any, **fields: object) -> None:
    response = await rest.app.put("/v1/types/order", json={"data": SCHEMA, **fields})
    assert response.status_code in (200, 201), response.text


def to_alice(data: object, **fields: object) -> dict[str, object]:
    return {"to": "alice", "type": "order", "title": "Paid", "data": data, **fields}


class TestSends:
    @pytest.mark.parametrize("to", ["alice", ["alice", "bob"], {"all": True}])
    @pytest.mark.parametrize("dry_run", ["false", "true"])
    async def test_data_that_the_type_forbids_is_refused(self, rest, to, dry_run):
        await put_type(rest)
        response = await rest.app.post("/v1/notifications", params={"dry_run": dry_run}, json=to_alice(WRONG, to=to))
        assert response.status_code == 422
        assert set(fields(response)) == {"data.total"}
        accepted = await rest.app.post("/v1/notifications", json=to_alice({"total": 12}, to=to))
        assert accepted.status_code == 201

    async def test_missing_data_is_refused_also_after_an_accepted_send(self, rest):
        await put_type(rest)
        for data, status in (({"total": 1}, 201), ({}, 422), ({"total": 1}, 201)):
            assert (await rest.app.post("/v1/notifications", json=to_alice(data))).status_code == status

    async def test_bulk_refuses_only_the_wrong_item(self, rest):
        await put_type(rest)
        items = [to_alice({"total": 1}), to_alice(WRONG)]
        response = await rest.app.post("/v1/notifications/bulk", json=items)
        first, second = response.json()["results"]
        assert "error" not in first
        assert "data.total" in str(second)

    async def test_later_send_is_checked_when_it_is_accepted(self, rest):
        await put_type(rest)
        later = to_alice(WRONG, send_at="2026-07-01T00:00:00Z")
        assert set(fields(await rest.app.post("/v1/notifications", json=later))) == {"data.total"}

    async def test_type_that_warns_accepts_and_reports(self, rest):
        await put_type(rest, data_check="warn")
        assert (await rest.app.post("/v1/notifications", json=to_alice(WRONG))).status_code == 201
        assert warnings(rest) == ["data of type order: data.total must be of type number"]

    async def test_tenants_own_schema_replaces_that_of_the_project(self, rest):
        await put_type(rest)
        assert (await rest.app.put("/v1/types/order?tenant=acme", json={})).status_code == 201
        assert (await rest.app.post("/v1/notifications", json=to_alice(WRONG, tenant="acme"))).status_code == 201


class TestTriggers:
    async def trigger(self, rest: Any, **workflow: object):
        written = await rest.app.put("/v1/workflows/order", json={"type": "order", "steps": STEPS, **workflow})
        assert written.status_code in (200, 201)
        return await rest.app.post("/v1/workflows/order/trigger", json={"to": "alice", "data": WRONG})

    async def test_workflow_without_a_schema_has_that_of_its_type(self, rest):
        await put_type(rest)
        assert set(fields(await self.trigger(rest))) == {"data.total"}

    async def test_workflow_with_a_schema_does_not_have_that_of_its_type(self, rest):
        await put_type(rest)
        assert (await self.trigger(rest, data={"type": "object"})).status_code == 202

    async def test_type_that_warns_accepts_triggers(self, rest):
        await put_type(rest, data_check="warn")
        assert (await self.trigger(rest)).status_code == 202
        assert len(warnings(rest)) == 1


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ({"$ref": "#/x"}, "data.$ref"),
        ({"properties": {"a": {"pattern": "(a+)+"}}}, "data.properties.a.pattern"),
        ({"x-private": "yes"}, "data.x-private"),
        ({"x-label": 5}, "data.x-label"),
    ],
)
async def test_hostile_or_wrong_schema_is_refused(rest, schema, field):
    response = await rest.app.put("/v1/types/order", json={"data": schema})
    assert field in fields(response)


async def test_dry_run_of_a_type_counts_the_sends_that_it_would_refuse(rest):
    for number in range(5):
        await rest.app.post("/v1/notifications", json=to_alice(WRONG if number < 2 else {"total": number}))
    planned = await rest.app.put("/v1/types/order", params={"dry_run": "true"}, json={"data": SCHEMA})
    assert planned.json()["effects"] == [
        {
            "code": "data_refused",
            "n": 2,
            "text": "Of the last 5 sends, 2 would be refused: data.total must be of type number.",
        }
    ]
    warns = await rest.app.put(
        "/v1/types/order", params={"dry_run": "true"}, json={"data": SCHEMA, "data_check": "warn"}
    )
    assert warns.json()["effects"] == []
    assert refused(await rest.app.get("/v1/types/order"), 404, "not_found")


@pytest.mark.parametrize(("bound", "value"), [("MAX_COMPARED_BYTES", 50), ("MAX_COMPARED_SECONDS", 0)])
async def test_large_data_is_compared_in_part(rest, monkeypatch, bound, value):
    for number in range(30):
        await rest.app.post("/v1/notifications", json=to_alice({"total": f"{number:08}"}))
    monkeypatch.setattr(recent_data, bound, value)
    planned = await rest.app.put("/v1/types/order", params={"dry_run": "true"}, json={"data": SCHEMA})
    (effect,) = planned.json()["effects"]
    assert 0 < effect["n"] < 5
    if bound == "MAX_COMPARED_BYTES":
        assert (await rest.app.get("/v1/types/order/inferred-schema")).json()["seen"] == effect["n"]


@pytest.mark.parametrize("checked", ["send", "trigger", "publication", "schedules"])
async def test_check_of_data_is_charged_to_its_tenant(rest, monkeypatch, checked):
    """Otherwise 40 triggers with a schema that takes 0.15 s to check stop the server for 6 s."""
    await put_type(rest)
    await rest.app.put("/v1/workflows/order?tenant=acme", json={"steps": STEPS, "data": SCHEMA})
    request = {
        "send": ("POST", "/v1/notifications", to_alice({"total": 1}, tenant="acme")),
        "trigger": ("POST", "/v1/workflows/order/trigger", {"to": "alice", "data": {"total": 1}, "tenant": "acme"}),
        "publication": ("PUT", "/v1/types/order?tenant=acme&dry_run=true", {"data": SCHEMA}),
        "schedules": ("PUT", "/v1/workflows/daily?tenant=acme&dry_run=true", {"steps": STEPS, "data": SCHEMA}),
    }
    await rest.app.put("/v1/workflows/daily?tenant=acme", json={"steps": STEPS})
    daily = {"cron": "0 3 * * *", "workflow": "daily", "to": "alice", "data": {"total": 1}}
    assert (await rest.app.put("/v1/schedules/daily?tenant=acme", json=daily)).status_code == 201
    await rest.app.request(*request["send"][:2], json=request["send"][2])
    seconds = itertools.count()
    for module in (budget, recent_data):
        monkeypatch.setattr(module, "thread_time", lambda: next(seconds))
    method, path, body = request[checked]
    assert (await rest.app.request(method, path, json=body)).status_code in (200, 201, 202)
    assert budget_of("acme").seconds_to_wait() > 0
    assert budget_of("globex").seconds_to_wait() == 0


async def test_data_is_compared_page_by_page(rest, monkeypatch):
    for number in range(7):
        await rest.app.post("/v1/notifications", json=to_alice({"total": number}))
    monkeypatch.setattr(recent_data, "PAGE", 2)
    assert (await rest.app.get("/v1/types/order/inferred-schema")).json()["seen"] == 7


async def test_schema_is_inferred_from_shapes_without_values(rest):
    assert refused(await rest.app.get("/v1/types/order/inferred-schema"), 404, "not_found")
    orders = {f"order-{number:06}": {"secret": "hunter2"} for number in range(3)}
    for data in ({"total": 1, "items": [{"name": "a"}], "orders": orders}, {"total": 2.5, "note": None, "orders": {}}):
        await rest.app.post("/v1/notifications", json=to_alice(data))
    inferred = await rest.app.get("/v1/types/order/inferred-schema")
    item = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    schema = {
        "type": "object",
        "properties": {
            "note": {"type": "null"},
            "total": {"type": "number"},
            "items": {"type": "array", "items": item},
            "orders": {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "properties": {"secret": {"type": "string"}},
                    "required": ["secret"],
                },
            },
        },
        "required": ["total", "orders"],
    }
    assert inferred.json()["seen"] == 2
    assert {**inferred.json()["schema"], "required": ["total", "orders"]} == schema
    assert "hunter2" not in inferred.text


async def test_data_of_tenants_with_an_object_of_their_own_is_not_compared(rest):
    await rest.app.put("/v1/workflows/order", json={"steps": STEPS})
    for tenant in ("acme", "globex"):
        if tenant == "acme":
            await rest.app.put("/v1/workflows/order?tenant=acme", json={"steps": STEPS})
            await rest.app.put("/v1/types/order?tenant=acme", json={})
        await rest.app.post("/v1/workflows/order/trigger", json={"to": "alice", "data": WRONG, "tenant": tenant})
        await rest.app.post("/v1/notifications", json=to_alice(WRONG, tenant=tenant))
    for path, values in (("/v1/workflows/order", {"steps": STEPS}), ("/v1/types/order", {})):
        planned = await rest.app.put(f"{path}?dry_run=true", json={**values, "data": SCHEMA})
        assert [one["n"] for one in planned.json()["effects"] if one["code"] == "data_refused"] == [1]
        assert (await rest.app.get(f"{path}/inferred-schema")).json()["seen"] == 1


async def test_schema_of_a_workflow_is_inferred_from_its_triggers(rest):
    await rest.app.put("/v1/workflows/order", json={"steps": STEPS})
    assert refused(await rest.app.get("/v1/workflows/order/inferred-schema"), 404, "not_found")
    await rest.app.post("/v1/workflows/order/trigger", json={"to": ["alice", "bob"], "data": {"total": 1}})
    inferred = (await rest.app.get("/v1/workflows/order/inferred-schema")).json()
    assert inferred == {
        "schema": {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]},
        "seen": 1,
    }
    written = await rest.app.put("/v1/workflows/order", json={"steps": STEPS, "data": inferred["schema"]})
    assert written.status_code == 200
