"""A template that a type uses cannot be deleted, and a type cannot name one that does not exist."""

from pathlib import Path

import pytest

from bellcast.api import objects, templates
from tests.journey.rest import Rest
from tests.journey.test_email import app


async def test_template_names_its_uses_and_stays_while_it_has_any(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        refused = await client.put("/v1/types/booking", json={"template": "missing"})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "template"
        written = await client.put("/v1/templates/hello", json={"inbox": {"title": "Hello"}})
        assert (written.status_code, written.json()["uses"]) == (201, [])
        assert (await client.put("/v1/types/booking", json={"template": "hello"})).status_code == 201
        read = (await client.get("/v1/templates/hello")).json()
        assert read["uses"] == ["types/booking"]
        assert (await client.put("/v1/templates/hello", json=read)).status_code == 200
        assert (await client.get("/v1/templates")).json()["templates"][0]["uses"] == ["types/booking"]
        refused = await client.delete("/v1/templates/hello")
        assert refused.status_code == 409
        assert "types/booking" in refused.json()["detail"]
        assert (await client.put("/v1/templates/hello?tenant=acme", json={"inbox": {"title": "Hi"}})).status_code == 201
        assert (await client.delete("/v1/templates/hello?tenant=acme")).status_code == 204
        await client.delete("/v1/types/booking")
        assert (await client.delete("/v1/templates/hello")).status_code == 204


async def test_unknown_layout_is_refused(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        refused = await client.put("/v1/templates/t", json={"email": {"text": "Hi", "layout": "fancy"}})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "email.layout"
        assert (await client.put("/v1/templates/t", json={"email": {"text": "Hi", "layout": None}})).status_code == 201


async def test_template_of_a_workflow_stays(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/templates/hello", json={"email": {"subject": "Hello", "text": "Hi"}})
        steps = [{"key": "mail", "type": "email", "template": "hello"}]
        branch = {"key": "b", "type": "branch", "branches": [{"if": {"var": "data.x", "op": "exists"}, "steps": steps}]}
        written = await client.put("/v1/workflows/greeting", json={"steps": [branch]})
        assert written.status_code == 201, written.text
        assert (await client.get("/v1/templates/hello")).json()["uses"] == ["workflows/greeting"]
        assert (await client.delete("/v1/templates/hello")).status_code == 409
        await client.delete("/v1/workflows/greeting")
        assert (await client.delete("/v1/templates/hello")).status_code == 204


async def put_types(rest: Rest, count: int, tenant: str = "") -> None:
    for number in range(count):
        await rest.store.documents.put("types", tenant, f"t{number:04}", b'{"template":"hello"}', 1)


async def test_read_of_a_template_searches_and_lists_a_limited_number_of_uses(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "MAX_SEARCHED", 200)
    await put_types(rest, 120)
    await rest.store.documents.put("types", "acme", "own", b'{"template":"other"}', 1)
    await put_types(rest, 200, "globex")
    await rest.store.documents.put("types", "zeta", "last", b'{"template":"rare"}', 1)
    for key in ("hello", "other", "rare"):
        await rest.store.documents.put("templates", "", key, b'{"inbox":{"title":"Hello"}}', 1)
    listed = (await rest.app.get("/v1/templates")).json()["templates"]
    uses = {one["key"]: one["uses"] for one in listed}
    assert len(uses["hello"]) == objects.MAX_USES
    assert (uses["other"], uses["rare"]) == (["types/own?tenant=acme"], [])
    refused = await rest.app.delete("/v1/templates/rare")  # a deletion searches all
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


async def test_read_of_a_tenants_template_searches_no_other_tenant(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    await rest.store.documents.put("templates", "", "hello", b'{"inbox":{"title":"Hello"}}', 1)
    for tenant in ("", "acme", "globex"):
        await put_types(rest, 1, tenant)
    searched: list[str] = []
    page = rest.store.documents.page

    async def spied(kind: str, tenant: str, after: str, limit: int) -> object:
        searched.append(tenant)
        return await page(kind, tenant, after, limit)

    async def unused(*args: object) -> object:
        raise AssertionError(args)

    monkeypatch.setattr(rest.store.documents, "page", spied)
    monkeypatch.setattr(rest.store.documents, "of_all_tenants", unused)
    read = (await rest.app.get("/v1/templates/hello?tenant=acme")).json()
    assert read["uses"] == ["types/t0000"]
    assert set(searched) == {"", "acme"}
