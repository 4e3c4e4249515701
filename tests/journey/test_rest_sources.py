"""Event sources over REST."""

from datetime import datetime

from bellcast.kernel import times
from tests.journey.rest import fields, refused

BODY = {
    "event": "lead.assigned",
    "topic": "private-provider.{provider}",
    "if": {"var": "event.data.total", "op": "gte", "value": 100},
    "notification": {"to": "{{ topic.provider }}", "title": "Lead of {{ event.data.client }}"},
}


async def titles(rest, recipient):
    inbox = await rest.recipient(recipient).get("/v1/inbox")
    return [one["title"] for one in inbox.json()["notifications"]]


async def test_source_is_written_applied_and_deleted(rest):
    created = await rest.app.put("/v1/sources/leads", json=BODY)
    assert created.status_code == 201, created.text
    shown = (await rest.app.get("/v1/sources/leads")).json()
    assert shown | BODY == shown
    assert (shown["key"], shown["tenant"], shown["last_error"], shown["last_error_at"]) == ("leads", None, None, None)
    assert (await rest.app.put("/v1/sources/leads", json=shown)).status_code == 200
    event = {"topic": "private-provider.alice", "name": "lead.assigned", "data": {"client": "Bob", "total": 100}}
    assert (await rest.app.post("/v1/events", json=event)).status_code == 202
    assert await titles(rest, "alice") == ["Lead of Bob"]
    assert (await rest.app.delete("/v1/sources/leads")).status_code == 204
    assert (await rest.app.post("/v1/events", json=event)).status_code == 202
    assert await titles(rest, "alice") == ["Lead of Bob"]


async def test_last_error_is_shown(rest):
    await rest.app.put("/v1/sources/leads", json={**BODY, "if": None})
    event = {"topic": "private-provider.alice", "name": "lead.assigned", "data": {}}
    assert (await rest.app.post("/v1/events", json=event)).status_code == 202
    (shown,) = (await rest.app.get("/v1/sources")).json()["sources"]
    assert shown["last_error"] == "event.data.client has no value"
    assert datetime.fromisoformat(shown["last_error_at"]) == times.to_rfc3339(rest.clock.now())


async def test_wrong_sources_are_refused(rest):
    assert "workflow" in fields(await rest.app.put("/v1/sources/x", json={"event": "e", "workflow": "none", "to": "a"}))
    assert "if.var" in fields(await rest.app.put("/v1/sources/x", json={**BODY, "if": {"var": "data.x", "value": 1}}))
    assert refused(await rest.app.put("/v1/sources/x", json={**BODY, "typo": 1}), 422, "invalid")
    assert (await rest.app.put("/v1/sources/x?dry_run=true", json=BODY)).status_code == 200
    assert refused(await rest.app.get("/v1/sources/x"), 404, "not_found")


async def test_sources_are_listed_with_their_recent_events(rest):
    await rest.app.put("/v1/sources/leads", json=BODY)
    await rest.app.put("/v1/sources/own", json=BODY | {"event": "lead.lost"}, params={"tenant": "acme"})
    event = {"topic": "private-provider.alice", "name": "lead.assigned", "data": {"client": "Bob", "total": 100}}

    async def publish(**fields):
        assert (await rest.app.post("/v1/events", json=event | fields)).status_code == 202

    async def recent(tenant):
        listed = (await rest.app.get("/v1/sources", params={"tenant": tenant})).json()["sources"]
        return {one["key"]: one["recent_events"] for one in listed}

    never = {"value": 0, "exact": True, "last_at": None}
    assert await recent("*") == {"leads": never, "own": never}
    await publish(data={"total": 1})  # does not meet the condition
    await publish()
    await publish(tenant="acme")
    rest.clock.advance(7_200)
    await publish(tenant="acme")
    await publish(tenant="acme", name="lead.lost")
    last = times.to_rfc3339(rest.clock.now()).isoformat().replace("+00:00", "Z")
    assert await recent("*") == {
        "leads": {"value": 3, "exact": True, "last_at": last},
        "own": {"value": 1, "exact": True, "last_at": last},
    }
    assert [(await recent(tenant))["leads"]["value"] for tenant in ("", "acme")] == [1, 2]
    rest.clock.advance(82_800)  # 23 hours: the first hour is over
    assert (await recent("*"))["leads"] == {"value": 1, "exact": True, "last_at": last}
    rest.clock.advance(3_600)
    assert (await recent("*"))["leads"] == {"value": 0, "exact": False, "last_at": last}
