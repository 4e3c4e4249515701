"""Event sources over REST."""

from datetime import datetime

from bellcast.documents import recorder
from bellcast.documents.recorder import Recorder
from bellcast.inbox.quotas import Quotas
from bellcast.kernel import times
from bellcast.kernel.errors import Unavailable
from bellcast.server.nodes import NodeSettings
from tests.journey.channels_app import app
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
        return {one["key"]: one.get("recent_events") for one in listed}

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
    # The project's source counts the events of all tenants, which a list of one tenant does not show.
    assert [(await recent(tenant))["leads"] for tenant in ("", "acme")] == [(await recent("*"))["leads"], None]
    rest.clock.advance(82_800)  # 23 hours: the first hour is over
    assert (await recent("*"))["leads"] == {"value": 1, "exact": True, "last_at": last}
    rest.clock.advance(3_600)
    assert (await recent("*"))["leads"] == {"value": 0, "exact": False, "last_at": last}


async def test_recent_events_are_those_of_this_source_and_end_with_it(rest, monkeypatch):
    monkeypatch.setattr(recorder, "MAX_WAITING_OBJECTS", 1)
    event = {"topic": "private-provider.alice", "name": "lead.assigned", "data": {"client": "Bob", "total": 100}}
    await rest.app.put("/v1/sources/leads", json=BODY)
    await rest.app.put("/v1/sources/leads", json=BODY, params={"tenant": "acme"})

    async def recent():
        listed = (await rest.app.get("/v1/sources", params={"tenant": "*"})).json()["sources"]
        return [(one["recent_events"]["value"], one["recent_events"]["exact"]) for one in listed]

    assert (await rest.app.post("/v1/events", json=event)).status_code == 202
    assert await recent() == [(1, True), (0, True)]
    assert (await rest.app.post("/v1/events", json=event | {"tenant": "acme"})).status_code == 202
    assert await recent() == [(1, False), (0, False)]  # the second was dropped
    await rest.app.delete("/v1/sources/leads")
    await rest.app.put("/v1/sources/leads", json=BODY)
    assert await recent() == [(0, False), (0, False)]


async def test_events_are_stored_at_the_end_when_other_nodes_know_of_it(tmp_path, monkeypatch):
    event = {"topic": "private-provider.alice", "name": "lead.assigned", "data": {"client": "Bob", "total": 100}}
    steps = []

    def note(owner, name, step):
        run = getattr(owner, name)

        async def noted(*arguments):
            steps.append(step(arguments))
            await run(*arguments)

        monkeypatch.setattr(owner, name, noted)

    async def fail(*_):
        raise Unavailable

    async with app(tmp_path) as (server, client):
        assert (await client.put("/v1/sources/leads", json=BODY)).status_code == 201
        assert (await client.post("/v1/events", json=event)).status_code == 202
        note(Recorder, "flush", lambda _: "records")
        note(NodeSettings, "remove", lambda _: "settings")
        note(server.broker, "publish", lambda events: type(events[0]).__name__)
        monkeypatch.setattr(Quotas, "save", fail)
    monkeypatch.undo()
    assert steps[-2:] == ["records", "records"]
    assert steps.index("settings") < steps.index("NodeLeft") < steps.index("records")
    async with app(tmp_path) as (_, client):
        (listed,) = (await client.get("/v1/sources")).json()["sources"]
        assert listed["recent_events"]["value"] == 1
