"""The lists of jobs, suppressions and providers with the tenant `*`."""

from typing import Any

import pytest

from tests.contract.app import App
from tests.contract.replays.test_store_replays import set_dead
from tests.journey.rest import Caller, Rest, refused
from tests.journey.test_operator_lists import bound_to, pages

TENANTS = ("", "a/b", "acme", "globex")
PROVIDER = {"channel": "email", "url": "smtp://mail.example.com?from=a@example.com"}


@pytest.fixture
async def filled(rest: Rest) -> Rest:
    for number, tenant in enumerate(TENANTS):
        of = {"tenant": tenant}
        await set_dead(App(rest.store, rest.clock), f"job-{9 - number}", tenant)
        for address in ("a@x.at", "b@x.at"):
            assert (await rest.app.put(f"/v1/suppressions/email/{address}", params=of, json={})).status_code == 201
        for key in ("one", "two"):
            assert (await rest.app.put(f"/v1/providers/{key}", params=of, json=PROVIDER)).status_code == 201
    return rest


def expected(name: str, *tenants: str) -> list[tuple[str | None, str]]:
    """The items of some tenants in the order of the list: jobs by id, the others by tenant and key."""
    if name == "jobs":
        return sorted(((one or None, f"job-{9 - TENANTS.index(one)}") for one in tenants), key=lambda item: item[1])
    keys = ("a@x.at", "b@x.at") if name == "suppressions" else ("one", "two")
    return [(one or None, key) for one in tenants for key in keys]


@pytest.mark.parametrize(("name", "field"), [("jobs", "id"), ("suppressions", "address"), ("providers", "key")])
async def test_list_of_all_tenants_has_those_of_the_caller(filled: Rest, name: str, field: str) -> None:
    async def found(caller: Caller, tenant: str | None) -> list[tuple[Any, Any]]:
        query = {} if tenant is None else {"tenant": tenant}
        return [(one["tenant"], one[field]) for one in await pages(caller, f"/v1/{name}", name, **query)]

    assert await found(filled.app, "*") == expected(name, *TENANTS)
    assert await found(filled.app, None) == expected(name, "")
    assert await found(filled.app, "a/b") == expected(name, "a/b")
    two, one = await bound_to(filled, "acme", "a/b"), await bound_to(filled, "globex")
    assert await found(two, "*") == await found(two, None) == expected(name, "a/b", "acme")
    assert await found(one, "*") == await found(one, None) == expected(name, "globex")
    for caller in (two, one):
        assert refused(await caller.get(f"/v1/{name}?tenant=other"), 403, "forbidden")


@pytest.mark.parametrize("name", ["suppressions", "providers"])
async def test_cursor_of_one_tenant_is_invalid_for_all_tenants(filled: Rest, name: str) -> None:
    cursor = (await filled.app.get(f"/v1/{name}", params={"limit": 1})).json()["next"]
    response = await filled.app.get(f"/v1/{name}", params={"tenant": "*", "after": cursor})
    assert refused(response, 400, "bad_request")
