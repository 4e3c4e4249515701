"""The tenant in the body of a write is that of the write, so that an object of a tenant can be read, edited and sent back."""

from typing import Any

import pytest

from tests.journey.operators import set_up, signed_in
from tests.journey.rest import Rest, refused

pytestmark = pytest.mark.usefixtures("cheap_hashes")

WRITES = [
    ("/v1/types/booking", {"name": "Bookings"}),
    ("/v1/templates/hello", {"inbox": {"title": "Hello"}}),
    ("/v1/sources/leads", {"event": "lead", "notification": {"to": "alice", "title": "Lead"}}),
    ("/v1/workflows/booking", {"steps": [{"key": "bell", "type": "inbox", "title": "Hello"}]}),
    ("/v1/schedules/weekly", {"cron": "0 8 * * 1", "notification": {"to": "alice", "title": "Plan"}}),
    ("/v1/providers/mail", {"channel": "email", "url": "smtp://mail.example.com?from=a@example.com"}),
    ("/v1/preference-defaults", {"channels": {"email": False}}),
]


async def tenants_of(rest: Rest, path: str) -> list[str]:
    """Return the tenants that have this object; the project is the empty text."""
    kind, _, key = path.removeprefix("/v1/").partition("/")
    tenants = ("", "acme", "globex", "initech")
    return [tenant for tenant in tenants if await rest.store.documents.get(kind, tenant, key) is not None]


@pytest.mark.parametrize(("path", "body"), WRITES)
async def test_write_is_about_the_tenant_in_its_body(rest: Rest, path: str, body: dict[str, Any]) -> None:
    named = body | {"tenant": "acme"}
    for query in ("?tenant=globex", "?dry_run=true&tenant=globex"):
        response = await rest.app.put(f"{path}{query}", json=named)
        assert refused(response, 422, "invalid")
        assert [error["field"] for error in response.json()["errors"]] == ["tenant"]
    for tenant in ("*", "", 7, ["acme"], {"acme": 1}):
        response = await rest.app.put(path, json=body | {"tenant": tenant})
        assert [error["field"] for error in response.json()["errors"]] == ["tenant"], tenant
    assert await tenants_of(rest, path) == []
    written = await rest.app.put(path, json=named)
    assert written.status_code in {200, 201}, written.text
    assert written.json()["tenant"] == "acme"
    assert await tenants_of(rest, path) == ["acme"]
    read = (await rest.app.get(f"{path}?tenant=acme")).json()
    assert (await rest.app.put(path, json=read)).status_code == 200
    assert (await rest.app.put(f"{path}?tenant=acme", json=read | {"tenant": None})).status_code == 200
    assert await tenants_of(rest, path) == ["acme"]
    assert (await rest.app.put(path, json=body | {"tenant": None})).json()["tenant"] is None
    assert await tenants_of(rest, path) == ["", "acme"]


async def test_merge_patch_of_defaults_is_about_the_tenant_in_its_body(rest: Rest) -> None:
    changed = await rest.app.patch("/v1/preference-defaults", json={"tenant": "acme", "channels": {"email": False}})
    assert changed.json()["tenant"] == "acme"
    assert await tenants_of(rest, "/v1/preference-defaults") == ["acme"]


@pytest.mark.parametrize(("path", "body"), WRITES)
async def test_bound_caller_cannot_name_another_tenant_in_a_body(rest: Rest, path: str, body: dict[str, Any]) -> None:
    await set_up(rest)
    one = await signed_in(rest, "one", "developer", ["acme"])
    two = await signed_in(rest, "two", "developer", ["acme", "globex"])
    for caller, query, tenant in (
        (one, "", "globex"),
        (one, "?tenant=acme", "globex"),
        (one, "?tenant=globex", "globex"),
        (two, "", "acme"),
        (two, "?tenant=acme", "globex"),
        (two, "?tenant=acme", "initech"),
    ):
        response = await caller.put(f"{path}{query}", json=body | {"tenant": tenant})
        assert response.status_code == 403, (query, tenant)
    assert await tenants_of(rest, path) == []
    written = await one.put(path, json=body | {"tenant": "acme"})
    assert written.status_code in {200, 201}, written.text
    assert await tenants_of(rest, path) == ["acme"]


async def test_tenant_in_yaml_is_that_of_the_write(rest: Rest) -> None:
    headers, text = {"content-type": "application/yaml"}, "name: Bookings\ntenant: acme\n"
    response = await rest.app.put("/v1/types/booking?tenant=globex", content=text, headers=headers)
    assert response.json()["errors"] == [
        {"field": "tenant", "message": "must be the same in the query and in the body", "line": 2}
    ]
    assert (await rest.app.put("/v1/types/booking", content=text, headers=headers)).json()["tenant"] == "acme"
    assert await tenants_of(rest, "/v1/types/booking") == ["acme"]
