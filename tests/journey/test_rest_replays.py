"""Failures by cause and replays over REST; attempts and file of a message."""

import asyncio
from typing import Any

import msgspec
import pytest

from bellcast.kernel.jobs import in_line
from bellcast.replays.store import MAX_RUNNING_REPLAYS
from bellcast.webhooks.types import WebhookDelivery
from bellcast.webhooks.webhooks import DELIVERY_JOB_KIND
from tests.contract.app import App
from tests.contract.replays.test_store_replays import add_failed, add_run, id_of, runner_of, set_dead
from tests.due_jobs import run_due
from tests.journey.operators import keyed, set_up, signed_in
from tests.journey.rest import Caller, Rest, refused


@pytest.fixture
def app(rest: Rest) -> App:
    return App(rest.store, rest.clock)


async def run_replays(rest: Rest) -> None:
    runner = runner_of(App(rest.store, rest.clock))
    while await run_due(runner):
        pass


async def counts(rest: Rest, query: str = "") -> dict[str, int]:
    page = (await rest.app.get(f"/v1/failures/causes{query}")).json()
    return {one["cause"]: one["count"] for one in page["causes"]}


async def test_failures_are_grouped_by_cause_and_listed(rest: Rest, app: App) -> None:
    await add_failed(app, 1, reason="550 <alice@example.com>: no such user")
    await add_failed(app, 2, reason="550 <bob@example.com>: no such user")
    await add_run(app, 3)
    await set_dead(app, id_of(4))
    await add_failed(app, 5, tenant="acme")
    assert await counts(rest) == {"550 ADDRESS: no such user": 2, "HTTP 502": 1, "KeyError: 'x'": 1}
    assert await counts(rest, "?kind=run") == {"HTTP 502": 1}
    assert await counts(rest, "?workflow=welcome&channel=email") == {}
    page = (await rest.app.get("/v1/failures", params={"cause": "550 ADDRESS: no such user", "limit": 1})).json()
    assert [(one["id"], one["reason"]) for one in page["failures"]] == [
        (id_of(2), "550 <bob@example.com>: no such user")
    ]
    rest_of_it = await rest.app.get("/v1/failures", params={"channel": "email", "after": page["next"]})
    assert ([one["id"] for one in rest_of_it.json()["failures"]], rest_of_it.json()["next"]) == ([id_of(1)], None)
    assert refused(await rest.app.get("/v1/failures?kind=webhook"), 422, "invalid")


async def test_dead_deliveries_are_found_by_their_job_and_webhook(rest: Rest, app: App) -> None:
    """The jobs of a webhook wait in its line."""
    for number, webhook in ((1, "w1"), (2, "w2"), (3, "w1")):
        payload = msgspec.json.encode(WebhookDelivery("", webhook, id_of(number)))
        await set_dead(app, id_of(number), kind=in_line(DELIVERY_JOB_KIND, webhook), payload=payload, error="HTTP 410")
    found = (await rest.app.get("/v1/failures", params={"webhook": "w1"})).json()["failures"]
    assert [(one["id"], one["job"], one["webhook"]) for one in found] == [
        (id_of(3), "webhook", "w1"),
        (id_of(1), "webhook", "w1"),
    ]
    causes = (await rest.app.get("/v1/failures/causes", params={"job": "webhook"})).json()["causes"]
    assert {(one["job"], one["webhook"], one["count"]) for one in causes} == {
        ("webhook", "w1", 2),
        ("webhook", "w2", 1),
    }


async def test_failures_of_all_tenants_are_those_of_the_caller(rest: Rest, app: App) -> None:
    for number, tenant in ((1, "acme"), (2, "globex"), (3, ""), (4, "acme")):
        await add_failed(app, number, tenant=tenant)
    every = (await rest.app.get("/v1/failures?tenant=*&limit=3")).json()
    assert [one["tenant"] for one in every["failures"]] == ["acme", None, "globex"]
    assert every["total"] == {"value": 4, "exact": True}
    older = (await rest.app.get("/v1/failures", params={"tenant": "*", "after": every["next"]})).json()
    assert ([one["tenant"] for one in older["failures"]], older["total"]) == (["acme"], None)
    filtered = (await rest.app.get("/v1/failures?tenant=*&limit=1&channel=email")).json()
    assert filtered["total"] == {"value": 2, "exact": False}
    assert await totals(rest.app) == {("acme", 2), ("globex", 1), (None, 1)}
    body = {"name": "k", "scopes": ["read"], "tenants": ["acme", "initech"]}
    key = (await rest.app.post("/v1/keys", json=body)).json()["key"]
    bound = Caller(rest.client, {"authorization": f"Bearer {key}"})
    page = (await bound.get("/v1/failures?limit=1")).json()
    assert ([one["tenant"] for one in page["failures"]], page["total"]) == (["acme"], {"value": 2, "exact": True})
    assert await totals(bound) == {("acme", 2)}
    assert refused(await bound.get("/v1/failures?tenant=globex"), 403, "forbidden")


async def totals(caller: Caller) -> set[tuple[str | None, int]]:
    causes = (await caller.get("/v1/failures/causes?tenant=*")).json()["causes"]
    return {(one["tenant"], one["count"]) for one in causes}


async def test_replays_are_filtered_by_their_start(rest: Rest) -> None:
    for _ in range(2):
        await rest.app.post("/v1/replays", json={"filter": {}})
        rest.clock.advance(60)
    second, first = (await rest.app.get("/v1/replays")).json()["replays"]
    for params, found in (
        ({"from": second["created_at"]}, [second]),
        ({"to": second["created_at"]}, [first]),
        ({"from": first["created_at"], "limit": 1}, [second]),
    ):
        assert (await rest.app.get("/v1/replays", params=params)).json()["replays"] == found


async def test_dry_run_counts_effects_and_starts_nothing(rest: Rest, app: App) -> None:
    await add_failed(app, 1, 2)
    await add_run(app, 3)
    email = {"kind": "message", "channel": "email", "workflow": None, "job": None, "count": 2}
    run = {"kind": "run", "channel": None, "workflow": "welcome", "job": None, "count": 1}
    for path, flag in (("/v1/replays", True), ("/v1/replays?dry_run=true", False)):
        planned = await rest.app.post(path, json={"filter": {}, "dry_run": flag})
        assert planned.status_code == 200
        assert planned.json() == {"id": None, "matched": 3, "exact": True, "effects": [email, run]}
    assert (await rest.app.get("/v1/replays")).json() == {"replays": [], "next": None}


async def test_replay_runs_once_and_shows_its_progress(rest: Rest, app: App) -> None:
    await add_failed(app, 1, 2)
    started = await rest.app.post("/v1/replays", json={"filter": {"channel": "email"}})
    assert started.status_code == 202
    id = started.json()["id"]
    assert (await rest.app.get(f"/v1/replays/{id}")).json()["state"] == "running"
    await run_replays(rest)
    replay = (await rest.app.get(f"/v1/replays/{id}")).json()
    assert (replay["state"], replay["matched"], replay["retried"], replay["filter"]["channel"]) == (
        "done",
        2,
        2,
        "email",
    )
    assert (await rest.app.get("/v1/replays?limit=1")).json()["replays"] == [replay]
    assert refused(await rest.app.delete(f"/v1/replays/{id}"), 409, "conflict")
    assert refused(await rest.app.get(f"/v1/replays/{id}?tenant=acme"), 404, "not_found")
    again = await rest.app.post("/v1/replays", json={"ids": [id_of(1), id_of(2)], "dry_run": True})
    assert again.json()["matched"] == 0


async def test_cancelled_replay_leaves_the_rest(rest: Rest, app: App) -> None:
    await add_failed(app, 1)
    id = (await rest.app.post("/v1/replays", json={"ids": [id_of(1)]})).json()["id"]
    assert (await rest.app.delete(f"/v1/replays/{id}")).status_code == 204
    await run_replays(rest)
    assert (await rest.app.get("/v1/failures")).json()["failures"][0]["id"] == id_of(1)
    assert refused(await rest.app.delete("/v1/replays/unknown"), 404, "not_found")


async def test_key_that_starts_replays_reads_their_progress(rest: Rest) -> None:
    manager, reader, sender = [await keyed(rest, scope) for scope in ("manage", "read", "send")]
    id = (await manager.post("/v1/replays", json={"filter": {}})).json()["id"]
    for caller in (manager, reader):
        assert (await caller.get(f"/v1/replays/{id}")).json()["id"] == id
    assert refused(await sender.get(f"/v1/replays/{id}"), 403, "forbidden")


async def test_replays_of_all_tenants_are_those_of_the_caller(rest: Rest, app: App) -> None:
    started = []
    for number, tenant in enumerate(("acme", "globex", "", "acme")):
        await add_failed(app, number, tenant=tenant)
        rest.clock.advance(60)
        response = await rest.app.post("/v1/replays", params={"tenant": tenant}, json={"filter": {}})
        started.append((tenant or None, response.json()["id"]))

    async def listed(caller: Caller, **params: Any) -> list[tuple[str | None, str]]:
        found, after = [], ""
        while after is not None:
            page = await caller.get("/v1/replays", params={"limit": 1, "after": after, **params})
            found += [(one["tenant"], one["id"]) for one in page.json()["replays"]]
            after = page.json()["next"]
        return found

    newest = started[::-1]
    assert await listed(rest.app, tenant="*") == newest
    assert await listed(rest.app) == [newest[1]]
    second = (await rest.app.get(f"/v1/replays/{started[1][1]}?tenant=globex")).json()["created_at"]
    assert await listed(rest.app, tenant="*", **{"from": second}) == newest[:3]
    assert await listed(rest.app, tenant="*", to=second) == newest[3:]

    async def bound_to(*tenants: str) -> Caller:
        body = {"name": "k", "scopes": ["read"], "tenants": tenants}
        key = (await rest.app.post("/v1/keys", json=body)).json()["key"]
        return Caller(rest.client, {"authorization": f"Bearer {key}"})

    for caller in (await bound_to("acme"), await bound_to("acme", "initech")):
        for params in ({}, {"tenant": "*"}, {"tenant": "acme"}):
            assert await listed(caller, **params) == [newest[0], newest[3]]
        assert refused(await caller.get("/v1/replays?tenant=globex"), 403, "forbidden")
        # A cursor of another tenant's replay shows nothing of it.
        after = await caller.get("/v1/replays", params={"after": newest[1][1]})
        assert [one["tenant"] for one in after.json()["replays"]] == ["acme"]


async def test_replays_that_start_together_are_bounded(rest: Rest) -> None:
    starts = [rest.app.post("/v1/replays", json={"filter": {}}) for _ in range(MAX_RUNNING_REPLAYS + 2)]
    statuses = sorted([response.status_code for response in await asyncio.gather(*starts)])
    assert statuses == [202] * MAX_RUNNING_REPLAYS + [409] * 2


@pytest.mark.parametrize("body", [{}, {"ids": ["a"], "filter": {}}, {"ids": []}, {"filter": {"recipient": "alice"}}])
async def test_replay_needs_either_ids_or_a_filter(rest: Rest, body: dict[str, Any]) -> None:
    assert refused(await rest.app.post("/v1/replays", json=body), 422, "invalid")


@pytest.mark.thorough
async def test_replay_is_audited_and_limited_to_the_operators_tenants(rest: Rest, app: App) -> None:
    await add_failed(app, 1, tenant="acme")
    owner = await set_up(rest)
    developer = await signed_in(rest, "dev", "developer", ["acme"])
    support = await signed_in(rest, "help", "support")
    assert refused(await support.post("/v1/replays", json={"filter": {}}), 403, "forbidden")
    foreign = await developer.post("/v1/replays?tenant=globex", json={"filter": {}})
    assert refused(foreign, 403, "forbidden")
    planned = await developer.post("/v1/replays?tenant=acme", json={"filter": {}, "dry_run": True})
    assert planned.json()["matched"] == 1
    assert (await developer.post("/v1/replays?tenant=acme", json={"filter": {}})).json()["matched"] == 1
    entries = (await owner.get("/v1/audit")).json()["entries"]
    # The dry run has none.
    (entry,) = [one for one in entries if one["action"] == "POST /v1/replays" and one["outcome"] == "ok"]
    changed = {one["field"]: one["to"] for one in entry["changes"]}
    assert (entry["actor"], entry["tenant"], changed["matched"]) == ("dev", "acme", 1)


async def test_attempts_and_file_of_a_message(rest: Rest, app: App) -> None:
    await add_failed(app, 1, reason="HTTP 500")
    attempts = (await rest.app.get(f"/v1/messages/{id_of(1)}/attempts")).json()
    assert attempts == {"state": "failed", "reason": "HTTP 500", "attempts": []}
    file = await rest.app.get(f"/v1/messages/{id_of(1)}/eml")
    assert file.headers["content-disposition"] == f'attachment; filename="{id_of(1)}.eml"'
    assert file.text == (await rest.app.get(f"/v1/messages/{id_of(1)}/raw")).text
    for name in ("attempts", "eml"):
        assert refused(await rest.app.get(f"/v1/messages/{id_of(1)}/{name}?tenant=acme"), 404, "not_found")
