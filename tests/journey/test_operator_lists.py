"""Lists for operators: tenants, topics, and connections that are open or were closed."""

import contextlib
import os
import platform
from datetime import datetime
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from bellcast import build
from bellcast.console.types import STORED_MS, StatsPoint
from bellcast.kernel import ids, times
from bellcast.kernel.db import lists
from bellcast.kernel.times import HOUR_MS, MINUTE_MS
from bellcast.live.admission import MAX_ORIGIN
from tests.contract.channels.test_store_messages import message
from tests.faults.raw_sockets import eventually
from tests.journey.rest import Caller, Rest, fields, refused
from tests.servers import ServerProcess
from tests.wire.clients import websocket


async def test_tenants_are_listed_by_key_with_their_recipients(rest: Rest) -> None:
    for tenant, recipients in (("acme", 2), ("acorn", 0), ("globex", 1)):
        settings = {"sends_per_day": 100} if tenant == "acme" else {}
        await rest.app.put(f"/v1/tenants/{tenant}", json={"name": tenant.title(), "settings": settings})
        for number in range(recipients):
            await rest.app.put(f"/v1/recipients/r{number}?tenant={tenant}", json={})
    first = (await rest.app.get("/v1/tenants", params={"limit": 2})).json()
    assert [(one["key"], one["name"], one["recipients"]) for one in first["tenants"]] == [
        ("acme", "Acme", 2),
        ("acorn", "Acorn", 0),
    ]
    assert (first["next"], first["total"]) == ("acorn", {"value": 3, "exact": True})
    second = (await rest.app.get("/v1/tenants", params={"after": "acorn"})).json()
    assert [one["key"] for one in second["tenants"]] == ["globex"]
    assert (second["next"], second["total"]) == (None, None)
    assert len((await rest.app.get("/v1/tenants?prefix=ac")).json()["tenants"]) == 2


async def test_topics_are_listed_by_name_with_their_subscribers(rest: Rest) -> None:
    for topic, subscribers in (("deploys", 3), ("alerts", 1), ("deploys.eu", 1)):
        for number in range(subscribers):
            await rest.app.put(f"/v1/topics/{topic}/subscriptions/r{number}?tenant=acme", json={})
    listed = (await rest.app.get("/v1/topics", params={"tenant": "acme", "limit": 2})).json()
    assert listed["total"] == {"value": 3, "exact": False}
    assert [(one["topic"], one["subscribers"]) for one in listed["topics"]] == [("alerts", 1), ("deploys", 3)]
    following = (await rest.app.get("/v1/topics", params={"tenant": "acme", "after": listed["next"]})).json()
    assert [one["topic"] for one in following["topics"]] == ["deploys.eu"]
    assert len((await rest.app.get("/v1/topics?tenant=acme&prefix=deploys")).json()["topics"]) == 2
    # A topic has no creation time.
    assert fields(await rest.app.get("/v1/topics?from=2020-01-01T00:00:00Z")).keys() == {"from"}
    assert (await rest.app.get("/v1/topics?tenant=globex")).json() == {
        "topics": [],
        "next": None,
        "scanned_until": None,
        "total": {"value": 0, "exact": True},
    }


def get(server: ServerProcess, path: str, **params: Any) -> Any:
    return httpx.get(f"{server.url}{path}", headers=server.as_app(), params=params).json()


def delete(server: ServerProcess, id: str, **params: Any) -> httpx.Response:
    return httpx.delete(f"{server.url}/v1/connections/{id}", headers=server.as_app(), params=params)


def test_connections_are_filtered(bellcast_server: ServerProcess) -> None:
    claims = {"tenant": "lists", "topics": ["*"]}
    with (
        websocket(bellcast_server, "ann", topics="presence-room", claims=claims) as ann,
        websocket(bellcast_server, "ben", claims=claims) as ben,
    ):
        ids = {name: one.until("ready")["connection"] for name, one in (("ann", ann), ("ben", ben))}

        def listed(**params: Any) -> set[str]:
            found = get(bellcast_server, "/v1/connections", tenant="lists", **params)["connections"]
            return {one["id"] for one in found}

        assert listed() == set(ids.values())
        assert listed(recipient="ann") == {ids["ann"]} == listed(topic="presence-room")
        assert listed(protocol="native") == set(ids.values())
        assert listed(protocol="pusher") == set()
        newest = max(
            one["connected_at"] for one in get(bellcast_server, "/v1/connections", tenant="lists")["connections"]
        )
        assert listed(**{"from": newest}) | listed(to=newest) == set(ids.values())
        assert listed(**{"from": newest})
        assert listed(**{"from": "2999-01-01T00:00:00Z"}) == set() == listed(to="2020-01-01T00:00:00Z")
        page = get(bellcast_server, "/v1/connections", tenant="lists", limit=1)
        assert page["total"] == {"value": 2, "exact": True}
        page = get(bellcast_server, "/v1/connections", tenant="lists", limit=1, protocol="native")
        assert page["total"] == {"value": 2, "exact": False}
        (topic,) = get(bellcast_server, "/v1/topics", tenant="lists")["topics"]
        expected = {"topic": "presence-room", "tenant": "lists", "subscribers": 0, "followers": 1, "present": 1}
        assert topic == expected
        assert expected in get(bellcast_server, "/v1/topics", tenant="*", limit=200)["topics"]


@pytest.mark.parametrize(("state", "at"), [("open", "connected_at"), ("closed", "closed_at")])
def test_connections_are_listed_newest_first(bellcast_server: ServerProcess, state: str, at: str) -> None:
    tenant, number = f"order-{state}", 7

    def page(**params: Any) -> Any:
        return get(bellcast_server, "/v1/connections", tenant=tenant, state=state, **params)

    with contextlib.ExitStack() as opened:
        for _ in range(number):
            client = opened.enter_context(websocket(bellcast_server, "ann", claims={"tenant": tenant}))
            id = client.until("ready")["connection"]
            if state == "closed":
                assert delete(bellcast_server, id, tenant=tenant).status_code == 204
                assert eventually(lambda id=id: id in {one["id"] for one in page()["connections"]})
        rows = page()["connections"]
        moments = [datetime.fromisoformat(one[at]) for one in rows]  # texts of whole seconds have no fraction
        assert moments == sorted(moments, reverse=True)
        pages = [page(limit=3)]
        while pages[-1]["next"] is not None:
            pages.append(page(limit=3, after=pages[-1]["next"]))
        listed = [one["id"] for each in pages for one in each["connections"]]
        assert (listed, len(set(listed))) == ([one["id"] for one in rows], number)
    assert (
        httpx.get(
            f"{bellcast_server.url}/v1/connections", headers=bellcast_server.as_app(), params={"after": "x"}
        ).status_code
        == 400
    )


@pytest.mark.parametrize(
    ("reconnect", "code", "reason"), [(True, 1012, "reconnect_requested"), (False, 4403, "closed_by_operator")]
)
def test_closed_connection_is_listed_with_its_reason(
    bellcast_server: ServerProcess, reconnect: bool, code: int, reason: str
) -> None:
    with websocket(bellcast_server, "cut", claims={"tenant": "cut"}) as client:
        id = client.until("ready")["connection"]
        assert delete(bellcast_server, id, tenant="other").status_code == 404
        response = delete(bellcast_server, id, tenant="cut", reconnect=reconnect)
        assert response.status_code == 204
        assert client.until("close")["reason"] == reason

    def listed() -> list[dict[str, Any]]:
        closed = get(bellcast_server, "/v1/connections", tenant="cut", state="closed")["connections"]
        return [one for one in closed if one["id"] == id]

    assert eventually(lambda: len(listed()) == 1)
    (one,) = listed()
    assert (one["code"], one["reason"], one["recipient"]) == (code, reason, "cut")
    assert one["node"]
    # A time on a full second has no fraction, so their texts have another order than the times.
    assert datetime.fromisoformat(one["closed_at"]) >= datetime.fromisoformat(one["connected_at"])
    assert delete(bellcast_server, id, tenant="cut").status_code == 404


def test_viewer_sees_why_a_connection_was_closed_but_no_address(bellcast_server: ServerProcess) -> None:
    url, body = bellcast_server.url, {"name": "viewer-of-ends", "password": "correct horse battery"}
    created = httpx.post(f"{url}/v1/operators", headers=bellcast_server.as_app(), json=body | {"role": "viewer"})
    assert created.status_code == 201
    with websocket(bellcast_server, "cut", claims={"tenant": "ends"}) as client:
        id = client.until("ready")["connection"]
        assert delete(bellcast_server, id, tenant="ends", reconnect=True).status_code == 204
    with httpx.Client(base_url=url, headers={"origin": url}, timeout=60) as viewer:
        assert viewer.post("/v1/session", json=body).status_code == 200

        def closed() -> list[dict[str, Any]]:
            page: Any = viewer.get("/v1/connections", params={"tenant": "ends", "state": "closed"}).json()
            return list(page["connections"])

        assert eventually(lambda: len(closed()) == 1)
        (one,) = closed()
    assert (one["id"], one["reason"], one["address"]) == (id, "reconnect_requested", None)


def test_connection_is_listed_with_its_origin(bellcast_server: ServerProcess) -> None:
    url, token = bellcast_server.url, bellcast_server.token("ann", tenant="origins")
    site = "https://" + "a" * MAX_ORIGIN
    with (
        connect(f"{url.replace('http', 'ws')}/v1/ws?token={token}", additional_headers={"origin": site}) as socket,
        httpx.stream(
            "GET", f"{url}/v1/stream", params={"token": token}, headers={"origin": "https://shop.example"}
        ) as response,
        websocket(bellcast_server, "ben", claims={"tenant": "origins"}) as other,
    ):
        socket.recv()
        lines = response.iter_lines()
        assert next(lines).startswith("retry:")
        other.until("ready")
        listed = get(bellcast_server, "/v1/connections", tenant="origins")["connections"]
    assert {one["origin"] for one in listed} == {site[:MAX_ORIGIN], "https://shop.example", None}


async def test_total_of_recipients_is_counted_up_to_a_limit(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("ann", "ben", "bob", "bud"):
        await rest.app.put(f"/v1/recipients/{key}?tenant=acme", json={})

    async def total(**params: object) -> Any:
        return (await rest.app.get("/v1/recipients", params={"tenant": "acme", "limit": 2, **params})).json()["total"]

    assert await total() == {"value": 4, "exact": True}
    assert await total(prefix="b") == {"value": 3, "exact": True}
    assert await total(prefix="a") == {"value": 1, "exact": True}
    assert await total(after="ann") is None
    monkeypatch.setattr(lists, "MAX_COUNTED_ITEMS", 3)
    assert await total() == {"value": 3, "exact": False}
    assert await total(prefix="b") == {"value": 3, "exact": True}


async def test_total_of_a_filtered_list_counts_its_matches(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    for tenant, key in (("acme", "ann"), ("acme", "ben"), ("acme", "bob"), ("acme", "bud"), ("globex", "cat")):
        rest.clock.advance(1)
        await rest.app.put(f"/v1/recipients/{key}?tenant={tenant}", json={})
    since = times.to_rfc3339(rest.clock.now() - 3000)

    async def total(tenant: str, **params: object) -> Any:
        query = {"tenant": tenant, "from": since, "limit": 1, **params}
        return (await rest.app.get("/v1/recipients", params=query)).json()["total"]

    assert await total("acme") == {"value": 3, "exact": True}
    assert await total("*") == {"value": 4, "exact": True}
    monkeypatch.setattr(lists, "MAX_SCANNED_ROWS", 3)
    assert await total("acme") == {"value": 2, "exact": False}


async def bound_to(rest: Rest, *tenants: str) -> Caller:
    scopes = ["read", "observe", "manage"]
    key = (await rest.app.post("/v1/keys", json={"name": "k", "scopes": scopes, "tenants": tenants})).json()["key"]
    return Caller(rest.client, {"authorization": f"Bearer {key}"})


async def pages(caller: Caller, path: str, rows: str, **params: Any) -> list[dict[str, Any]]:
    """All items of a list, read in pages of one."""
    found, after = [], ""
    while True:
        page = (await caller.get(path, params={"limit": 1, **params} | ({"after": after} if after else {}))).json()
        found += page[rows]
        after = page["next"]
        if after is None:
            return found


@pytest.mark.parametrize(("path", "rows", "name"), [("recipients", "recipients", "key"), ("topics", "topics", "topic")])
async def test_recipients_and_topics_of_all_tenants_are_those_of_the_caller(
    rest: Rest, path: str, rows: str, name: str
) -> None:
    for tenant in ("", "a/b", "acme", "globex"):
        for key in ("ann", "ben"):
            await rest.app.put(f"/v1/topics/t.{key}/subscriptions/{key}", params={"tenant": tenant}, json={})
    prefix = "t." if path == "topics" else ""
    every = [(tenant, f"{prefix}{key}") for tenant in (None, "a/b", "acme", "globex") for key in ("ann", "ben")]
    found = await pages(rest.app, f"/v1/{path}", rows, tenant="*")
    assert [(one["tenant"], one[name]) for one in found] == every
    bens = (await rest.app.get(f"/v1/{path}", params={"tenant": "*", "prefix": f"{prefix}b"})).json()[rows]
    assert [(one["tenant"], one[name]) for one in bens] == every[1::2]
    assert len(await pages(rest.app, f"/v1/{path}", rows)) == 2
    two, one = await bound_to(rest, "acme", "a/b"), await bound_to(rest, "acme")
    for caller, tenants in ((two, ("a/b", "acme")), (one, ("acme",))):
        for params in ({}, {"tenant": "*"}):
            own = await pages(caller, f"/v1/{path}", rows, **params)
            assert [(one["tenant"], one[name]) for one in own] == [one for one in every if one[0] in tenants]
        assert refused(await caller.get(f"/v1/{path}?tenant=globex"), 403, "forbidden")
        # A cursor of another tenant shows nothing of it.
        after = (await caller.get(f"/v1/{path}", params={"after": "a%2Fb/", "limit": 9})).json()[rows]
        assert {one["tenant"] for one in after} <= set(tenants)
    assert refused(await rest.app.get(f"/v1/{path}?tenant=*&after=ann"), 400, "bad_request")
    if path == "recipients":
        total = (await rest.app.get("/v1/recipients?tenant=*&limit=1")).json()["total"]
        assert total == {"value": 8, "exact": True}
        assert (await two.get("/v1/recipients?limit=1&prefix=b")).json()["total"] == {"value": 2, "exact": True}


async def test_totals_are_on_the_first_page(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    for tenant in ("acme", "acme", "globex"):
        rest.clock.advance(1)
        await rest.app.post("/v1/notifications", json={"to": "ann", "title": "x", "tenant": tenant})
        await rest.app.post("/v1/notifications", json={"to": {"tenant": tenant}, "title": "x"})
    bound = await bound_to(rest, "acme", "else")

    async def total(caller: Caller, path: str, **params: Any) -> Any:
        return (await caller.get(f"/v1/{path}", params={"limit": 1, **params})).json()["total"]

    for path in ("notifications", "announcements"):
        assert await total(rest.app, path, tenant="*") == {"value": 3, "exact": True}
        assert await total(rest.app, path, tenant="acme", type="general") == {"value": 2, "exact": True}
        assert await total(bound, path) == {"value": 2, "exact": True}
        first = (await rest.app.get(f"/v1/{path}?tenant=*&limit=1")).json()
        assert await total(rest.app, path, tenant="*", after=first["next"]) is None
        with monkeypatch.context() as few:
            few.setattr("bellcast.kernel.db.lists.MAX_SCANNED_ROWS", 2)
            assert await total(rest.app, path, tenant="*") == {"value": 2, "exact": False}
    entries = (await rest.app.get("/v1/audit")).json()["entries"]
    assert await total(rest.app, "audit") == {"value": len(entries), "exact": True}
    monkeypatch.setattr(lists, "MAX_COUNTED_ITEMS", 0)
    assert await total(rest.app, "audit", limit=200) == {"value": len(entries), "exact": True}


async def test_keys_operators_and_pusher_apps_have_pages(rest: Rest) -> None:
    for name in ("b", "a", "c"):
        rest.clock.advance(1)
        await rest.app.post("/v1/keys", json={"name": name, "scopes": ["read"], "tenants": ["acme"]})
        body = {"name": name, "role": "viewer", "password": "correct horse battery"}
        await rest.app.post("/v1/operators", json=body)
        await rest.app.post("/v1/pusher-apps", json={"name": name})
    assert [one["name"] for one in await pages(rest.app, "/v1/keys", "keys")] == ["b", "a", "c"]
    assert [one["name"] for one in await pages(rest.app, "/v1/operators", "operators")] == ["a", "b", "c"]
    assert [one["name"] for one in await pages(rest.app, "/v1/pusher-apps", "apps")] == ["", "b", "a", "c"]
    assert (await rest.app.get("/v1/keys")).json()["next"] is None
    for path in ("/v1/keys", "/v1/pusher-apps"):
        assert refused(await rest.app.get(path, params={"after": "x"}), 400, "bad_request")
    rest.clock.advance(1)
    own = await bound_to(rest, "acme")
    assert [one["name"] for one in await pages(own, "/v1/keys", "keys")] == ["b", "a", "c", "k"]
    other = await bound_to(rest, "globex")
    assert [one["name"] for one in await pages(other, "/v1/keys", "keys")] == ["k"]


async def test_keys_of_a_tenant_are_those_that_may_use_it(rest: Rest) -> None:
    for name, tenants in (("of all", None), ("of acme", ["acme"]), ("of both", ["acme", "globex"])):
        rest.clock.advance(1)
        await rest.app.post("/v1/keys", json={"name": name, "scopes": ["read"], "tenants": tenants})

    async def names(caller: Caller, **params: Any) -> list[str]:
        return [one["name"] for one in await pages(caller, "/v1/keys", "keys", **params)]

    assert await names(rest.app) == await names(rest.app, tenant="*") == ["of all", "of acme", "of both"]
    assert await names(rest.app, tenant="globex") == ["of all", "of both"]
    assert await names(rest.app, tenant="") == ["of all"]
    assert refused(await rest.app.get("/v1/keys", params={"tenant": "a\nb"}), 422, "invalid")
    rest.clock.advance(1)
    own = await bound_to(rest, "acme")
    for params in ({}, {"tenant": "*"}, {"tenant": "acme"}):
        assert await names(own, **params) == ["of acme", "k"]
    two = await bound_to(rest, "acme", "globex")
    assert await names(two, tenant="globex") == ["of both", "k"]
    for caller in (own, two):
        assert refused(await caller.get("/v1/keys?tenant=initech"), 403, "forbidden")


async def test_recipients_and_tenants_are_filtered_by_their_creation(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = rest.clock.now()
    for number in range(3):
        await rest.app.put(f"/v1/recipients/r{number}", params={"tenant": f"t{number}"}, json={})
        await rest.app.put(f"/v1/recipients/r{number}", json={})
        rest.clock.advance(60)
    between = {"from": times.to_rfc3339(begun + 1), "to": times.to_rfc3339(begun + 120_000)}
    for path, rows in (("/v1/recipients", "recipients"), ("/v1/tenants", "tenants")):
        page = (await rest.app.get(path, params=between)).json()
        assert [one["key"][1:] for one in page[rows]] == ["1"]
        assert (page["next"], page["scanned_until"], page["total"]) == (None, None, {"value": 1, "exact": True})
        with monkeypatch.context() as few:
            few.setattr("bellcast.kernel.db.lists.MAX_SCANNED_ROWS", 1)
            page = (await rest.app.get(path, params=between)).json()
            assert (page[rows], page["scanned_until"][1:], page["total"]["exact"]) == ([], "0", False)
            export = await rest.app.get(path, params=between, headers={"accept": "application/x-ndjson"})
            assert export.text.count("\n") == 1


async def test_recipient_cannot_close_or_list(rest: Rest) -> None:
    alice = rest.recipient("alice")
    assert refused(await alice.delete("/v1/connections/c"), 403, "forbidden")
    for path in ("/v1/tenants", "/v1/topics"):
        assert refused(await alice.get(path), 403, "forbidden")


async def test_numbers_over_time_are_those_of_all_nodes(rest: Rest) -> None:
    begun = rest.clock.now() // (15 * MINUTE_MS) * 15 * MINUTE_MS
    rest.clock.advance((begun + 2 * MINUTE_MS - rest.clock.now()) / 1000)
    for minute in range(2):
        for node in ("a", "b"):
            point = StatsPoint(connections=30, sends=3, durations=(0, 4))
            await rest.store.stats.add(node, begun + minute * MINUTE_MS, point, STORED_MS, {})
    names = ["connections", "sends", "latency_p95", "queue_age"]
    both = (await rest.app.get("/v1/stats/series", params={"metrics": ",".join(names), "step": "15m"})).json()
    assert both == {"step": "15m", "metrics": names, "points": [[begun, 10.0, 12, 2.5, 0]]}
    one = (await rest.app.get("/v1/stats/series", params={"metrics": names[:2], "node": "a"})).json()
    assert one["points"] == [[begun, 5.0, 3], [begun + MINUTE_MS, 5.0, 3]]
    every = (await rest.app.get("/v1/stats/series", params={"step": "10s"})).json()
    assert (len(every["metrics"]), every["points"]) == (11, [])


async def test_numbers_over_time_are_bounded(rest: Rest) -> None:
    wrong = await rest.app.get("/v1/stats/series", params={"metrics": "sends,people"})
    assert fields(wrong).keys() == {"metrics"}
    long = await rest.app.get("/v1/stats/series", params={"from": "2020-01-01T00:00:00Z"})
    assert fields(long).keys() == {"from"}


async def test_nodes_are_listed_with_their_load(rest: Rest) -> None:
    (one,) = (await rest.app.get("/v1/nodes")).json()["nodes"]
    assert one.pop("memory") > 1_000_000
    assert one.pop("cpu") >= 0
    assert one.pop("id")
    assert one == {
        "version": build.version(),
        "commit": build.commit(),
        "role": "server",
        "host": platform.node(),
        "pid": os.getpid(),
        "runs_jobs": False,
        "started_at": "2025-06-15T15:06:40Z",
        "reported_at": "2025-06-15T15:06:40Z",
        "connections": 0,
        "queue_age": None,
        "settings_revision": 0,
        "schema_version": 1,
        "is_self": True,
    }


async def test_hours_of_a_tenant_are_for_its_callers(rest: Rest) -> None:
    hour = rest.clock.now() // HOUR_MS * HOUR_MS
    tenants = {"acme": StatsPoint(connections=12, sends=3), "": StatsPoint(sends=7)}
    await rest.store.stats.add("a", hour, StatsPoint(), STORED_MS, tenants)
    acme = (await rest.app.get("/v1/stats/series", params={"tenant": "acme", "metrics": "sends"})).json()
    assert acme == {"step": "1h", "metrics": ["sends"], "points": [[hour, 3]]}
    default = (await rest.app.get("/v1/stats/series", params={"tenant": "", "metrics": "sends"})).json()
    assert default["points"] == [[hour, 7]]
    everything = (await rest.app.get("/v1/stats/series", params={"tenant": "*"})).json()
    assert (everything["step"], len(everything["metrics"])) == ("1m", 11)
    for wrong in ({"tenant": "acme", "step": "1m"}, {"step": "1h"}):
        assert fields(await rest.app.get("/v1/stats/series", params=wrong)).keys() == {"step"}
    assert fields(await rest.app.get("/v1/stats/series", params={"tenant": "acme", "metrics": "queue_age"}))
    key = (await rest.app.post("/v1/keys", json={"name": "k", "scopes": ["observe"], "tenants": ["acme"]})).json()
    bound = Caller(rest.client, {"authorization": f"Bearer {key['key']}"})
    assert (await bound.get("/v1/stats/series", params={"metrics": "sends"})).json() == acme
    assert refused(await bound.get("/v1/stats/series", params={"tenant": "globex"}), 403, "forbidden")


@pytest.mark.parametrize(("path", "bound"), [("/v1/nodes", 403), ("/v1/stats/series", 200)])
async def test_numbers_of_nodes_need_observe(rest: Rest, path: str, bound: int) -> None:
    for scope, tenants, status in (("observe", None, 200), ("send", None, 403), ("observe", ["acme"], bound)):
        body = {"name": "k", "scopes": [scope]} | ({} if tenants is None else {"tenants": tenants})
        key = (await rest.app.post("/v1/keys", json=body)).json()["key"]
        caller = Caller(rest.client, {"authorization": f"Bearer {key}"})
        assert (await caller.get(path)).status_code == status


async def test_messages_and_runs_of_all_tenants_are_those_of_the_caller(rest: Rest) -> None:
    step = {"key": "wait", "type": "delay", "for": "1h"}
    for tenant in ("acme", "globex"):
        await rest.app.put("/v1/workflows/later", params={"tenant": tenant}, json={"steps": [step]})
        await rest.app.post("/v1/workflows/later/trigger", json={"to": "ann", "tenant": tenant})
        await rest.store.messages.add(
            [message(tenant=tenant, id=ids.derived(1, tenant.encode().ljust(10)), recipient="ann")]
        )
    key = (await rest.app.post("/v1/keys", json={"name": "k", "scopes": ["read"], "tenants": ["acme", "else"]})).json()
    bound = Caller(rest.client, {"authorization": f"Bearer {key['key']}"})
    for path, rows in (("/v1/messages", "messages"), ("/v1/runs", "runs")):
        every = (await rest.app.get(path, params={"tenant": "*"})).json()
        assert ([one["tenant"] for one in every[rows]], every["scanned_until"]) == (["globex", "acme"], None)
        for tenant, value in (("*", 2), ("acme", 1)):
            first = (await rest.app.get(path, params={"tenant": tenant, "limit": 1})).json()
            assert first["total"] == {"value": value, "exact": True}
            assert (await rest.app.get(path, params={"tenant": tenant, "after": first[rows][0]["id"]})).json()[
                "total"
            ] is None
        assert [one["tenant"] for one in (await bound.get(path, params={"tenant": "*"})).json()[rows]] == ["acme"]
        assert refused(await bound.get(path, params={"tenant": "globex"}), 403, "forbidden")
        wrong = await rest.app.get(path, params={"tenant": "*", "recipient": "ann"})
        assert fields(wrong).keys() == {"tenant"}
        assert len((await rest.app.get(path, params={"tenant": "acme", "recipient": "ann"})).json()[rows]) == 1
    assert (await rest.app.get("/v1/messages", params={"tenant": "*", "provider": "smtp"})).json()["messages"] == []
