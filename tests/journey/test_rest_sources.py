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
