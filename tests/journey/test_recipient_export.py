"""A recipient requests an export of all data about it, and then the erasure."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bellcast.kernel.events import inbox_stream, topic_stream
from bellcast.webhooks.store import WebhookEvents
from bellcast.webhooks.types import WebhookEvent
from tests.journey.channels_app import app, ended
from tests.store import Store

TOKEN = "cVx3:APA91bH"
LATER = {"steps": [{"key": "later", "type": "delay", "for": "1h"}]}


async def test_export_contains_messages_and_runs_without_secrets(tmp_path: Path) -> None:
    async with app(tmp_path) as (server, client):
        await client.put("/v1/recipients/alice", json={"email": "alice@example.com"})
        await client.post("/v1/recipients/alice/push-endpoints", json={"kind": "fcm", "token": TOKEN})
        await client.put("/v1/suppressions/email/alice@example.com", json={"reason": "asked by phone"})
        assert (await client.put("/v1/workflows/welcome", json=LATER)).status_code == 201
        await client.post("/v1/workflows/welcome/trigger", json={"to": "alice", "data": {"plan": "pro"}})
        await client.post("/v1/notifications", json={"to": "alice", "title": "Hi", "channels": ["inbox", "push"]})
        (message,) = await ended(client)
        assert message["to"] == TOKEN
        body = {"type": "message.sent", "data": {"recipient": "alice", "channel": "push", "to": TOKEN}}
        engines = server.engines
        now = engines.clock.now()
        event = WebhookEvent(
            id=engines.new_id(now), tenant="", recipient="alice", type="message.sent", body=msgspec.json.encode(body)
        )
        await WebhookEvents(engines.db).add([event], now)
        response = await client.get("/v1/recipients/alice/export")
        export = response.json()
        assert [one["id"] for one in export["messages"]] == [message["id"]]
        assert [(one["workflow"], one["data"]) for one in export["runs"]] == [("welcome", {"plan": "pro"})]
        assert {one["channel"] for one in export["decisions"]} == {"inbox", "push"}
        assert [one["kind"] for one in export["push_endpoints"]] == ["fcm"]
        assert [one["reason"] for one in export["suppressions"]] == ["asked by phone"]
        assert [one["body"]["data"]["to"] for one in export["webhook_events"]] == [""]
        assert TOKEN not in response.text
        assert export["counters"] == export["awaited_events"] == export["devices"] == export["joined_topics"] == []


async def test_tenant_export_has_a_line_for_each_item_of_a_recipient(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/workflows/welcome", json=LATER)
        await client.post("/v1/workflows/welcome/trigger", json={"to": "alice", "tenant": "acme"})
        await client.post("/v1/notifications", json={"to": "alice", "tenant": "acme", "title": "Hi"})
        lines = [msgspec.json.decode(line) for line in (await client.get("/v1/tenants/acme/export")).text.splitlines()]
        assert [next(iter(line)) for line in lines] == ["tenant", "recipient", "notification", "run"]
        assert lines[-1]["run"]["workflow"] == "welcome"


async def test_tenant_export_ends_with_recipients_without_a_record(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/workflows/welcome", json=LATER)
        for key in ("bob", "carol", "alice"):
            await client.post("/v1/workflows/welcome/trigger", json={"to": key, "tenant": "acme"})
        await client.post("/v1/workflows/welcome/trigger", json={"to": "dave", "tenant": "globex"})
        await client.put("/v1/recipients/bob?tenant=acme", json={"name": "Bob"})
        lines = [msgspec.json.decode(line) for line in (await client.get("/v1/tenants/acme/export")).text.splitlines()]
        recipients = [line["recipient"] for line in lines if "recipient" in line]
        assert [one["key"] for one in recipients] == ["bob", "alice", "carol"]
        assert recipients[1] == {"key": "alice"}
        assert [line["run"]["recipient"] for line in lines if "run" in line] == ["bob", "alice", "carol"]


async def test_recipient_that_only_a_run_names_is_exported_and_erased(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/workflows/welcome", json=LATER)
        await client.post("/v1/workflows/welcome/trigger", json={"to": "alice"})
        export = (await client.get("/v1/recipients/alice/export")).json()
        assert (export["recipient"], len(export["runs"]), export["preferences"]) == (None, 1, None)
        assert (await client.delete("/v1/recipients/alice")).status_code == 204
        assert (await client.get("/v1/runs")).json()["runs"] == []
        assert (await client.delete("/v1/recipients/alice")).status_code == 404


async def test_erasure_removes_the_kept_live_events_to_the_recipient(tmp_path: Path) -> None:
    async with app(tmp_path) as (server, client):
        await client.put("/v1/recipients/alice", json={})
        event = {"recipient": "alice", "name": "export.ready", "data": {"url": "/exports/9"}}
        assert (await client.post("/v1/events", json=event)).status_code == 202
        history, stream = server.engines.history, inbox_stream("", "alice")
        assert len((await history.page("", stream, None, 10)).events) == 1
        assert (await client.delete("/v1/recipients/alice")).status_code == 204
        assert (await history.page("", stream, None, 10)).events == ()


@pytest.mark.parametrize(("path", "erase"), [("recipients/alice?tenant=acme", "delete"), ("tenants/acme", "erase")])
async def test_erasure_removes_live_events_that_are_published_during_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, erase: str
) -> None:
    async with app(tmp_path) as (server, client):
        await client.put("/v1/recipients/alice?tenant=acme", json={})
        store, history = Store(server.engines.db), server.engines.history
        table = type(store.recipients if erase == "delete" else store.tenants)
        erased = getattr(table, erase)

        async def publish_and_erase(self: Any, *args: Any) -> Any:
            await publish()
            return await erased(self, *args)

        async def publish() -> None:
            for target in ({"recipient": "alice"}, {"topic": "hall"}):
                event = {**target, "tenant": "acme", "name": "n", "data": 1}
                assert (await client.post("/v1/events", json=event)).status_code == 202

        monkeypatch.setattr(table, erase, publish_and_erase)
        await publish()
        assert (await client.delete(f"/v1/{path}")).status_code == 204
        found = [
            len((await history.page("acme", stream, None, 10)).events)
            for stream in (inbox_stream("acme", "alice"), topic_stream("acme", "hall"))
        ]
        assert found == [0, 2 if erase == "delete" else 0]
