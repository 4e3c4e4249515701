"""A template that a type uses cannot be deleted, and a type cannot name one that does not exist."""

from pathlib import Path

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
