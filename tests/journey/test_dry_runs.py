"""Dry runs return the response of the real request with status 200, and change nothing."""

import pytest

from tests.journey.channels import opened
from tests.journey.rest import Caller, fields, refused
from tests.journey.test_rest_inbox import badge, ids
from tests.journey.test_rest_inbox_actions import BUTTONS

ADDED = ("created_at", "id")


def compared(body):
    return {name: value for name, value in body.items() if name not in ADDED}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/recipients/alice", {"name": "Alice", "roles": ["admin", "admin"], "chat": {"telegram": 7}}),
        ("/v1/tenants/acme", {"name": "Acme", "settings": {"plan": "team"}}),
        ("/v1/topics/desk/subscriptions/alice", {}),
    ],
)
async def test_put_is_planned_whether_the_object_is_new_or_known(rest, path, body):
    planned = await rest.app.put(f"{path}?dry_run=true", json=body)
    assert planned.status_code == 200
    read = {"/v1/topics/desk/subscriptions/alice": "/v1/recipients/alice"}.get(path, path)
    assert refused(await rest.app.get(read), 404, "not_found")
    written = await rest.app.put(path, json=body)
    assert compared(planned.json()) == compared(written.json())
    again = await rest.app.put(f"{path}?dry_run=true", json=body)
    assert (again.status_code, again.json()) == (200, written.json())


async def test_patch_of_a_recipient_is_planned(rest):
    assert refused(await rest.app.patch("/v1/recipients/alice?dry_run=true", json={"name": "A"}), 404, "not_found")
    await rest.app.put("/v1/recipients/alice", json={"name": "Alice", "email": "a@example.com", "roles": ["admin"]})
    before = (await rest.app.get("/v1/recipients/alice")).json()
    planned = await rest.app.patch("/v1/recipients/alice?dry_run=true", json={"name": None, "data": {"a": 1}})
    assert planned.json() == {**before, "name": None, "data": {"a": 1}}
    assert (await rest.app.get("/v1/recipients/alice")).json() == before
    replaced = await rest.app.put("/v1/recipients/alice?dry_run=true", json={"name": "B"})
    assert replaced.json() == {**before, "name": "B", "email": None, "roles": []}


async def test_limits_of_a_tenant_are_validated(rest):
    planned = await rest.app.put("/v1/tenants/acme?dry_run=true", json={"settings": {"weight": 0}})
    assert fields(planned).keys() == {"settings.weight"}


async def test_bulk_is_planned_for_the_first_hundred_recipients(rest):
    many = [f"r{number}" for number in range(99)]
    items = [
        {"to": many, "title": "a"},
        {"to": "x"},
        {"to": ["y", "z"], "title": "b"},
        {"to": {"all": True}, "title": "c"},
    ]
    planned = await rest.app.post("/v1/notifications/bulk?dry_run=true", json=[*items, {"to": "w", "title": "d"}])
    assert planned.status_code == 200
    first, second, third, fourth, fifth = planned.json()["results"]
    assert (first["recipients"], len(first["plan"])) == (99, 99)
    assert first["plan"][0] == {"recipient": "r0", "channel": "inbox", "outcome": "send", "rule": None, "at": None}
    assert second["error"]["errors"][0]["field"] == "1.title"
    assert (third["recipients"], [one["recipient"] for one in third["plan"]]) == (2, ["y"])
    assert (fourth, fifth) == ({"recipients": None, "plan": []}, {"recipients": 1, "plan": []})
    assert refused(await rest.app.get("/v1/recipients/r0"), 404, "not_found")


async def test_push_endpoint_is_validated_only(rest):
    alice, body = rest.recipient("alice"), {"kind": "fcm", "token": "abc"}
    for client, path in ((alice, "/v1/push-endpoints"), (rest.app, "/v1/recipients/alice/push-endpoints")):
        planned = await client.post(f"{path}?dry_run=true", json=body)
        assert (planned.status_code, planned.json()) == (200, {"id": ""})
        assert fields(await client.post(f"{path}?dry_run=true", json={"kind": "fcm"})).keys() == {"token"}
        assert (await client.get(path)).json() == {"push_endpoints": []}
    id = (await alice.post("/v1/push-endpoints", json=body)).json()["id"]
    assert (await alice.post("/v1/push-endpoints?dry_run=true", json=body)).json() == {"id": id}


async def test_snooze_and_action_are_planned(rest):
    await rest.send("alice", "one", actions=BUTTONS)
    await rest.send("alice", "two")
    alice = rest.recipient("alice")
    one, two = map((await ids(alice)).get, ("one", "two"))
    snooze = {"ids": [one, two], "for": "3h"}
    planned = await alice.post("/v1/inbox/snooze?dry_run=true", json=snooze)
    assert planned.json() == {"changed": 2, "unread": 0, "unseen": 0}
    assert await badge(alice) == (2, 2)
    path = f"/v1/inbox/{one}/actions"
    planned = (await alice.post(f"{path}/no?dry_run=true")).json()
    assert refused(await alice.post(f"{path}/yes?dry_run=true"), 404, "no_handler")
    assert refused(await alice.post(f"{path}/maybe?dry_run=true"), 404, "not_found")
    assert await badge(alice) == (2, 2)
    taken = (await alice.post(f"{path}/no")).json()
    assert planned["acted"]["key"] == "no"
    assert planned.keys() == taken.keys()
    assert [name for name in taken if planned[name] != taken[name]] in ([], ["seen_at", "read_at", "acted"])
    assert refused(await alice.post(f"{path}/yes?dry_run=true"), 409, "conflict")
    assert (await alice.post("/v1/inbox/snooze?dry_run=true", json=snooze)).json()["unread"] == 0
    assert (await alice.post("/v1/inbox/snooze", json=snooze)).json() == {"changed": 2, "unread": 0, "unseen": 0}


async def test_provider_is_planned_with_a_masked_url(rest):
    body = {"channel": "sms", "url": "twilio://SID:TOKEN@default?from=%2B1"}
    planned = await rest.app.put("/v1/providers/texts?dry_run=true", json=body)
    written = await rest.app.put("/v1/providers/texts", json=body)
    assert (planned.status_code, planned.json()) == (200, written.json())
    again = await rest.app.put("/v1/providers/texts?dry_run=true", json=written.json())
    assert (again.status_code, again.json()) == (200, written.json())


async def test_planned_event_is_not_published(rest):
    event = {"topic": "desk", "name": "lead.assigned"}
    before = list(rest.published)
    planned = await rest.app.post("/v1/events?dry_run=true", json=event)
    assert (planned.status_code, planned.json(), rest.published) == (200, {}, before)
    assert fields(await rest.app.post("/v1/events?dry_run=true", json={"topic": "desk"})).keys() == {"name"}


@pytest.mark.parametrize("path", ["/v1/inbox/read", "/v1/tokens"])
async def test_dry_run_is_refused_where_it_is_not_documented(rest, path):
    client = rest.recipient("alice") if "inbox" in path else rest.app
    assert fields(await client.post(f"{path}?dry_run=true", json={})).keys() == {"dry_run"}


async def test_plan_shows_recipients_of_an_audience_only_with_the_scope_read(tmp_path):
    """Only those that the request itself names are shown to other callers."""
    followers, named = {"to": {"topic": "news"}, "title": "Hi"}, {"to": "alice", "title": "Hi"}
    hidden = [
        ("/v1/notifications", followers),
        ("/v1/notifications/bulk", [followers]),
        ("/v1/workflows/w/trigger", {"to": {"topic": "news"}}),
        ("/v1/schedules/s/run", None),
    ]
    async with opened(tmp_path) as world:
        await world.put("/v1/topics/news/subscriptions/alice", {})
        await world.put("/v1/workflows/w", {"steps": [{"key": "bell", "type": "inbox", "title": "Hi"}]})
        schedule = {"cron": "0 8 * * 1", "timezone": "UTC", "workflow": "w", "to": "alice"}
        await world.put("/v1/schedules/s", schedule)
        for scopes in (["send"], ["send", "read"]):
            key = (await world.request("POST", "/v1/keys", {"name": "k", "scopes": scopes}))["key"]
            caller = Caller(world.client, {"authorization": f"Bearer {key}"})
            for path, body in hidden:
                planned = await caller.post(f"{path}?dry_run=true", json=body)
                assert planned.status_code == 200, planned.text
                assert ("alice" in planned.text, '"recipients":1' in planned.text) == ("read" in scopes, True), path
            for path, body in (("/v1/notifications", named), ("/v1/workflows/w/trigger", {"to": "alice"})):
                plan = (await caller.post(f"{path}?dry_run=true", json=body)).json()["plan"]
                assert [one["recipient"] for one in plan] == ["alice"]
