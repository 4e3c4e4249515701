"""The parameters `tenant`, `from` and `to` of lists, including lists whose items belong to no tenant."""

import re
from typing import Any

import pytest

from bellcast.console.types import STORED_MS, StatsPoint
from bellcast.documents.types import Document
from bellcast.kernel import times
from bellcast.kernel.times import DAY_MS, HOUR_MS
from bellcast.server.api_app import HANDLERS
from tests.journey.operators import set_up
from tests.journey.rest import Caller, Rest, refused

pytestmark = pytest.mark.usefixtures("cheap_hashes")

LISTS = [
    endpoint.path
    for endpoint in HANDLERS
    if endpoint.method == "GET"
    and endpoint.operation.required_scope not in (None, "recipient", "operator")
    and "after" in (endpoint.operation.query_names or ())
    and endpoint.path != "/v1/audit/verification"
]


@pytest.mark.parametrize("path", LISTS)
async def test_list_takes_a_tenant(rest: Rest, path: str) -> None:
    response = await rest.app.get(re.sub(r"\{.*?\}", "x", path), params={"tenant": "acme"})
    assert response.status_code in (200, 404), response.text


@pytest.mark.parametrize("path", ["/v1/nodes", "/v1/operators", "/v1/pusher-apps", "/v1/settings/history"])
async def test_key_of_one_tenant_is_refused_by_lists_of_the_server(rest: Rest, path: str) -> None:
    body = {"name": "k", "scopes": ["admin", "configure", "observe", "read"], "tenants": ["acme"]}
    key = (await rest.app.post("/v1/keys", json=body)).json()["key"]
    bound = Caller(rest.client, {"authorization": f"Bearer {key}"})
    assert refused(await bound.get(path, params={"tenant": "acme"}), 403, "forbidden")


async def found(caller: Caller, path: str, field: str, **params: Any) -> list[Any]:
    page = (await caller.get(path, params=params)).json()
    return [one[field] for one in next(rows for rows in page.values() if isinstance(rows, list))]


async def test_tenants_operators_and_apps_are_those_of_the_tenant(rest: Rest) -> None:
    for tenant in ("acme", "globex"):
        rest.clock.advance(60)
        await rest.app.put(f"/v1/tenants/{tenant}", json={})
        body = {"name": f"of-{tenant}", "role": "viewer", "password": "correct horse battery", "tenants": [tenant]}
        assert (await rest.app.post("/v1/operators", json=body)).status_code == 201
        assert (await rest.app.post("/v1/pusher-apps", json={"name": tenant, "tenant": tenant})).status_code == 201
    await set_up(rest)
    moment = times.to_rfc3339(rest.clock.now())
    for path, field, own in (
        ("/v1/tenants", "key", ["acme"]),
        ("/v1/operators", "name", ["of-acme", "owner"]),
        ("/v1/pusher-apps", "name", ["acme"]),
    ):
        assert await found(rest.app, path, field, tenant="acme") == own
        everything = await found(rest.app, path, field)
        assert await found(rest.app, path, field, tenant="*") == everything
        late = await found(rest.app, path, field, **{"from": moment})
        assert sorted(late + await found(rest.app, path, field, to=moment)) == sorted(everything)
        assert [one in late for one in ("acme", "of-acme")] == [False, False]
        assert {"globex", "of-globex"} & set(late)
    key = (await rest.app.post("/v1/keys", json={"name": "k", "scopes": ["read"], "tenants": ["acme"]})).json()["key"]
    bound = Caller(rest.client, {"authorization": f"Bearer {key}"})
    assert await found(bound, "/v1/tenants", "key", tenant="*") == ["acme"]
    assert refused(await bound.get("/v1/tenants?tenant=globex"), 403, "forbidden")


async def test_sends_of_today_are_counted_by_the_budget_or_by_the_statistics(rest: Rest) -> None:
    # Noon, so that all hours below are on the same day.
    rest.clock.advance((DAY_MS * 3 // 2 - rest.clock.now() % DAY_MS) / 1000)
    now, nothing = rest.clock.now(), StatsPoint()
    await rest.send("alice", tenant="acme")
    await rest.send(["ann", "ben"], tenant="acme")
    await rest.app.put("/v1/tenants/idle", json={})
    await rest.app.put("/v1/tenants/zoo", json={"settings": {"sends_per_day": 100}})
    await rest.send("alice", tenant="zoo")
    await rest.store.tenants.add_usage(now // DAY_MS, {"zoo": 7})
    for node, at, sends in (
        ("node", now, 1),  # from this process, which has counted more since
        ("node", now - HOUR_MS, 10),
        ("other", now, 100),
        ("other", now - DAY_MS, 1_000),
    ):
        await rest.store.stats.add(node, at, nothing, STORED_MS, {"acme": StatsPoint(sends=sends)})
    counted = dict(zip(*[await found(rest.app, "/v1/tenants", field) for field in ("key", "sends_today")], strict=True))
    assert (counted["acme"], counted["zoo"]) == (112, 7)
    assert not counted["idle"]


async def test_revisions_are_filtered_by_their_time(rest: Rest) -> None:
    for number in range(4):
        rest.clock.advance(60)
        body = {"revision": number, "set": {"limit_title": str(100 + number)}}
        assert (await rest.app.patch("/v1/settings", json=body)).status_code == 200
        if number == 1:
            moment = times.to_rfc3339(rest.clock.now())
    path = "/v1/settings/history"
    assert await found(rest.app, path, "revision", tenant="*", **{"from": moment}) == [4, 3, 2]
    assert await found(rest.app, path, "revision", tenant="acme", to=moment) == [1]
    first = (await rest.app.get(path, params={"from": moment, "limit": 2})).json()
    assert ([one["revision"] for one in first["revisions"]], first["next"]) == ([4, 3], "3")
    last = (await rest.app.get(path, params={"from": moment, "limit": 2, "after": "3"})).json()
    assert ([one["revision"] for one in last["revisions"]], last["next"]) == ([2], None)


async def test_nodes_have_pages(rest: Rest) -> None:
    (id,) = await found(rest.app, "/v1/nodes", "id", limit=1, tenant="acme")
    assert await found(rest.app, "/v1/nodes", "id", after=id) == []
    assert await found(rest.app, "/v1/nodes", "id", to="2020-01-01T00:00:00Z") == []


async def test_page_of_revisions_is_one_read(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = times.to_rfc3339(rest.clock.now() + 1)
    for number in range(5):
        body = {"revision": number, "set": {"limit_title": str(100 + number)}}
        assert (await rest.app.patch("/v1/settings", json=body)).status_code == 200
        rest.clock.advance(60)
    documents, results = rest.store.documents, []
    newest = documents.newest

    async def counted(*args: Any) -> list[Document]:
        results.append(await newest(*args))
        return results[-1]

    async def refused(*_: Any) -> Any:
        raise AssertionError("a read of one revision")

    monkeypatch.setattr(type(documents), "newest", staticmethod(counted))
    monkeypatch.setattr(type(documents), "get", staticmethod(refused))
    assert await found(rest.app, "/v1/settings/history", "revision", to=moment) == [1]
    assert await found(rest.app, "/v1/settings/history", "revision", after="999999999", limit=10) == [5, 4, 3, 2, 1]
    assert [len(one) for one in results] == [1, 5]
