"""Dry runs return the response of the real request with status 200, and change nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.journey.channels import opened
from tests.journey.rest import Caller, fields, refused
from tests.journey.test_email import app
from tests.journey.test_explain import EMAIL
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


async def test_dry_run_plans_and_writes_nothing(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json=EMAIL)
        await client.put("/v1/recipients/carol", json={"email": "carol@example.com"})
        await client.put("/v1/recipients/carol/preferences", json={"digest": {"booking": "daily"}})
        draft = {"to": ["alice", "bob", "carol"], "title": "Hi", "type": "booking", "channels": ["inbox", "email"]}
        planned = await client.post("/v1/notifications?dry_run=true", json=draft)
        assert planned.status_code == 200
        body = planned.json()
        assert body["recipients"] == 3
        plan = {(one["recipient"], one["channel"]): (one["outcome"], one["rule"]) for one in body["plan"]}
        assert plan == {
            ("alice", "inbox"): ("send", None),
            ("alice", "email"): ("send", None),
            ("bob", "inbox"): ("send", None),
            ("bob", "email"): ("skip", "no_address"),
            ("carol", "inbox"): ("send", None),
            ("carol", "email"): ("hold", "digest"),
        }
        assert body["plan"][-1]["at"] is not None
        assert (await client.get("/v1/messages")).json()["messages"] == []
        assert (await client.get("/v1/recipients/bob")).status_code == 404
        assert (await client.get("/v1/recipients/alice")).json()["unread"] == 0
        await client.put("/v1/templates/t", json={"inbox": {"title": "{{ data.client }}"}})
        refused = await client.post("/v1/notifications?dry_run=true", json={"to": "alice", "template": "t"})
        assert refused.json()["errors"][0]["field"] == "data.client"


async def test_send_is_refused_for_the_same_fields_now_later_and_in_a_dry_run(tmp_path: Path) -> None:
    drafts = (
        ({"to": "alice", "type": "booking", "channels": ["sms"]}, ["title"]),
        ({"to": {"all": True, "tenant": "*"}, "title": "Hi", "channels": ["email"]}, ["channels"]),
        ({"to": {"all": True}, "template": "mail", "channels": ["email"]}, []),
    )
    later = {"send_at": f"{datetime.now(UTC) + timedelta(hours=1):%FT%TZ}"}
    async with app(tmp_path) as (_, client):
        await client.put("/v1/templates/mail", json={"email": {"subject": "Hi", "text": "Hi"}})
        for draft, wrong in drafts:
            for query, time in (("", {}), ("?dry_run=true", {}), ("", later), ("?dry_run=true", later)):
                response = await client.post(f"/v1/notifications{query}", json=draft | time)
                assert (list(fields(response)), response.is_success) == (wrong, not wrong), (draft, query, time)


async def test_dry_run_lists_a_hundred_recipients_and_uses_no_quota(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/tenants/acme", json={"settings": {"sends_per_day": 1}})
        draft = {"to": [f"r{n}" for n in range(150)], "title": "Hi", "tenant": "acme"}
        body = (await client.post("/v1/notifications?dry_run=true", json=draft)).json()
        assert (body["recipients"], len(body["plan"])) == (150, 100)
        sent = await client.post("/v1/notifications", json={"to": "alice", "title": "Hi", "tenant": "acme"})
        assert sent.status_code == 201
        audience = await client.post("/v1/notifications?dry_run=true", json={"to": {"all": True}, "title": "Hi"})
        assert audience.json() == {"recipients": 0, "plan": []}


async def test_audience_is_planned_for_its_first_hundred_members(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        many = [{"key": f"r{number:03}", "email": f"r{number}@example.com"} for number in range(101)]
        await client.post("/v1/recipients/bulk", json=many)
        for key in ("r007", "r009", "alice"):
            await client.put(f"/v1/topics/desk/subscriptions/{key}")
        await client.put("/v1/recipients/r007/preferences", json={"channels": {"email": False}})
        draft: dict[str, Any] = {"title": "a", "channels": ["inbox", {"channel": "email", "after": "1h"}]}

        async def planned(path: str, **fields: Any) -> tuple[int | None, list[tuple[Any, ...]]]:
            response = await client.post(f"{path}?dry_run=true", json=fields)
            assert response.status_code == 200, response.text
            plan = response.json()
            shown = [(one["recipient"], one["channel"], one["outcome"], one["rule"]) for one in plan["plan"]]
            return plan["recipients"], shown

        mails = [("alice", "skip", "no_address"), ("r007", "skip", "channel"), ("r009", "send", None)]
        both = [one for key, *how in mails for one in ((key, "inbox", "send", None), (key, "email", *how))]
        assert await planned("/v1/notifications", to={"topic": "desk"}, **draft) == (3, both)
        assert await planned("/v1/notifications", to={"role": "none"}, **draft) == (0, [])
        number, everyone = await planned("/v1/notifications", to={"all": True}, **draft)
        assert (number, len(everyone), everyone[-1][0]) == (102, 200, "r098")
        assert await planned("/v1/notifications", to={"all": True, "tenant": "*"}, title="a") == (None, [])
        refused_draft = {"to": {"all": True}, "template": "unknown"}
        refused = await client.post("/v1/notifications?dry_run=true", json=refused_draft)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "template")
        await client.put(
            "/v1/workflows/w", json={"steps": [{"key": "m", "type": "email", "subject": "s", "text": "t"}]}
        )
        steps = [(key, "email", *how) for key, *how in mails]
        assert await planned("/v1/workflows/w/trigger", to={"topic": "desk"}) == (3, steps)
        assert (await client.get("/v1/messages")).json()["messages"] == []


async def test_dry_run_of_a_trigger_plans_its_channels(tmp_path: Path) -> None:
    steps = [
        {"key": "bell", "type": "inbox", "title": "Hi"},
        {"key": "mail", "type": "email", "subject": "Hi", "text": "Hi"},
    ]
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json=EMAIL)
        await client.put("/v1/workflows/booking", json={"steps": steps, "type": "booking"})
        await client.put("/v1/recipients/alice/preferences", json={"workflows": {"booking": {"email": False}}})
        trigger = "/v1/workflows/booking/trigger?dry_run=true"
        planned = await client.post(trigger, json={"to": ["alice", "bob"]})
        assert planned.status_code == 200, planned.text
        found = [(one["recipient"], one["channel"], one["outcome"], one["rule"]) for one in planned.json()["plan"]]
        assert found == [
            ("alice", "inbox", "send", None),
            ("alice", "email", "skip", "workflow"),
            ("bob", "inbox", "send", None),
            ("bob", "email", "skip", "no_address"),
        ]
        everyone = (await client.post(trigger, json={"to": {"all": True}})).json()
        assert (everyone["recipients"], [one["recipient"] for one in everyone["plan"]]) == (1, ["alice"] * 2)
        assert (await client.post(trigger, json={"to": "alice", "send_at": "?"})).status_code == 422
        assert (await client.get("/v1/runs")).json()["runs"] == []
