"""Addresses to which nothing is sent."""

from pathlib import Path

import pytest

from tests.journey.test_email import app
from tests.journey.test_explain import explain


async def test_suppressions_are_written_listed_and_deleted(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json={"email": "Alice@Example.com", "phone": "+436601234567"})
        path = "/v1/suppressions/email/ALICE@example.com"
        created = await client.put(path, json={"reason": "by phone"})
        assert created.status_code == 201
        assert (created.json()["address"], created.json()["reason"]) == ("alice@example.com", "by phone")
        again = await client.put(path, json={"reason": "complaint"})
        assert (again.status_code, again.json()["created_at"]) == (200, created.json()["created_at"])
        assert (await client.put("/v1/suppressions/sms/%2B436601234567")).json()["reason"] == "manual"
        first = (await client.get("/v1/suppressions?limit=1")).json()
        assert [one["channel"] for one in first["suppressions"]] == ["email"]
        rest = (await client.get("/v1/suppressions", params={"after": first["next"]})).json()
        assert ([one["address"] for one in rest["suppressions"]], rest["next"]) == (["+436601234567"], None)
        email = (await explain(client, type="booking", channel="email"))["channels"][0]
        assert (email["outcome"], email["rule"]) == ("skip", "suppressed")
        assert (await client.delete(path)).status_code == 204
        assert (await client.delete(path)).status_code == 404
        assert (await explain(client, type="booking", channel="email"))["channels"][0]["outcome"] == "send"
        assert (await client.get("/v1/suppressions?tenant=acme")).json()["suppressions"] == []


async def test_suppressions_are_found_by_a_part_of_their_address(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        for path in ("email/alice@example.com", "email/bob@example.org", "sms/%2B436601234567"):
            await client.put(f"/v1/suppressions/{path}")
            await client.put(f"/v1/suppressions/{path}?tenant=acme")
        for query, found in (
            ("text=EXAMPLE.com", ["alice@example.com"]),
            ("text=_", []),
            ("text=66&tenant=*", ["+436601234567"] * 2),
            ("text=", ["alice@example.com", "bob@example.org", "+436601234567"]),
        ):
            rows = (await client.get(f"/v1/suppressions?{query}")).json()["suppressions"]
            assert [one["address"] for one in rows] == found
        assert (await client.get("/v1/suppressions", params={"text": "x" * 101})).status_code == 422


@pytest.mark.parametrize("path", ["fax/1", "email/nonsense", "sms/0660", "inbox/alice"])
async def test_unusable_suppression_is_refused(tmp_path: Path, path: str) -> None:
    async with app(tmp_path) as (_, client):
        assert (await client.put(f"/v1/suppressions/{path}", json={})).status_code == 422
