"""A support agent finds out why a recipient got no e-mail: timeline and explanation."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from bellcast.client import RequestRefused
from tests.journey.channels import opened
from tests.journey.channels_app import ended, eventually
from tests.journey.test_email import app
from tests.smtp_server import smtp_server

EMAIL = {"email": "alice@example.com"}


async def send(client: httpx.AsyncClient, **fields: Any) -> str:
    draft = {"to": "alice", "title": "Hi", "type": "booking", "channels": ["inbox", "email"], **fields}
    response = await client.post("/v1/notifications", json=draft)
    assert response.status_code == 201, response.text
    id: str = response.json()["notifications"][0]["id"]
    return id


async def timeline(client: httpx.AsyncClient, id: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = (await client.get(f"/v1/notifications/{id}")).json()["timeline"]
    return entries


async def explain(client: httpx.AsyncClient, **params: str) -> dict[str, Any]:
    response = await client.get("/v1/explain", params={"recipient": "alice", **params})
    assert response.status_code == 200, response.text
    explanation: dict[str, Any] = response.json()
    return explanation


async def test_required_type_is_the_rule_in_plan_timeline_and_explanation(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json=EMAIL)
        await client.put("/v1/types/booking", json={"required": ["email"]})
        await client.put("/v1/recipients/alice/preferences", json={"muted": {"*": True}})
        draft = {"to": "alice", "title": "Hi", "type": "booking", "channels": ["email"]}
        (planned,) = (await client.post("/v1/notifications?dry_run=true", json=draft)).json()["plan"]
        assert (planned["outcome"], planned["rule"]) == ("send", "required")
        id = await send(client, channels=["email"])
        routed = [entry for entry in await timeline(client, id) if entry["what"] == "routed"]
        assert [(entry["rule"], entry["by"]) for entry in routed] == [("required", "type")]
        (decided,) = (await explain(client, notification=id))["channels"]
        assert (decided["outcome"], decided["rule"], decided["by"]) == ("send", "required", "type")
        (now,) = (await explain(client, type="booking", channel="email"))["channels"]
        assert now["text"].startswith("The e-mail would be sent immediately because its type requires it. ")


@pytest.mark.parametrize("channels", [["inbox", "email"], ["email"]])
async def test_recalled_send_keeps_its_timeline(tmp_path: Path, channels: list[str]) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json=EMAIL)
        id = await send(client, channels=channels)
        await ended(client)
        assert (await client.delete(f"/v1/notifications/{id}")).status_code == 204
        assert (await client.delete(f"/v1/notifications/{id}")).status_code == 404
        (recalled,) = [one for one in await timeline(client, id) if one["what"] == "recalled"]
        assert (recalled["channel"], recalled["detail"]) == (None, None)
        assert [one["what"] for one in await timeline(client, id)][-1] == "recalled"


async def test_recalled_announcement_keeps_its_timeline(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json=EMAIL)
        await client.put("/v1/topics/desk/subscriptions/alice")
        draft = {"to": {"topic": "desk"}, "title": "Hi", "channels": ["inbox", "email"]}
        id = (await client.post("/v1/notifications", json=draft)).json()["announcement"]["id"]
        await ended(client)
        assert [one["what"] for one in await timeline(client, id)] == ["accepted", "created"]
        assert (await client.delete(f"/v1/notifications/{id}")).status_code == 204
        assert (await client.delete(f"/v1/notifications/{id}")).status_code == 404
        assert [one["what"] for one in await timeline(client, id)] == ["accepted", "recalled"]
        facts = (await explain(client, notification=id))["facts"]
        assert [one["what"] for one in facts][-1] == "recalled"


@pytest.mark.parametrize("tenant", ["", "acme"])
async def test_announcement_is_explained_to_each_recipient_who_has_it(tmp_path: Path, tenant: str) -> None:
    async with app(tmp_path) as (_, client):
        for key in ("alice", "bob"):
            await client.put(f"/v1/recipients/{key}?tenant={tenant}", json={"email": f"{key}@example.com"})
        # An announcement to all tenants has no other channels.
        everyone = {"all": True, "tenant": "*"} if tenant else {"all": True}
        mailed = ["inbox"] if tenant else ["inbox", "email"]
        ids: list[str] = []
        for channels in (["inbox"], mailed):
            sent = await client.post("/v1/notifications", json={"to": everyone, "title": "Hi", "channels": channels})
            ids.append(sent.json()["announcement"]["id"])
        await ended(client, 0 if tenant else 2, tenant=tenant)
        unopened = await client.get(
            "/v1/explain", params={"recipient": "bob", "notification": ids[0], "tenant": tenant}
        )
        assert (unopened.status_code, "has not opened" in unopened.text) == (404, not tenant)
        token = (await client.post("/v1/tokens", json={"recipient": "alice", "tenant": tenant or None})).json()["token"]
        alice = {"authorization": f"Bearer {token}"}
        await client.post("/v1/inbox/read", json={"ids": ids[:1]}, headers=alice)
        for id, channels in zip(ids, (["inbox"], mailed), strict=True):
            shown = await explain(client, notification=id, tenant=tenant)
            assert [(one["channel"], one["outcome"]) for one in shown["channels"]] == [
                (one, "send") for one in channels
            ]
            assert ("read" in [fact["what"] for fact in shown["facts"]]) == (id == ids[0])
        assert (await client.delete(f"/v1/notifications/{ids[0]}")).status_code == 204
        gone = {"recipient": "alice", "notification": ids[0], "tenant": tenant}
        recalled = await client.get("/v1/explain", params=gone)
        assert recalled.status_code == 404


async def test_timeline_has_the_messages_of_all_devices(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json=EMAIL)
        for number in range(7):
            token = {"kind": "fcm", "token": f"token-{number}"}
            assert (await client.post("/v1/recipients/alice/push-endpoints", json=token)).status_code == 201
        id = await send(client, channels=["email", "push"])
        messages = {one["id"]: one["channel"] for one in await ended(client, 8)}
        assert sorted(messages.values()) == ["email", *["push"] * 7]
        assert {one["message"] for one in await timeline(client, id)} == {None, *messages}
        shown = await explain(client, notification=id)
        missing = "No provider delivers push notifications to this app, so they are only stored: set BELLCAST_PUSH, or"
        assert missing in shown["text"]
        email, push = shown["channels"][-2:]
        assert (email["simulated"], push["simulated"]) == ("no_provider", "no_provider")
        assert push["text"].endswith(f" {push['hint']}")
        assert push["hint"].startswith(missing)
        assert "Add a provider of push notifications to this app." in [one["text"] for one in shown["actions"]]


async def test_channel_that_a_setting_simulates_lacks_no_provider(tmp_path: Path) -> None:
    async with app(tmp_path, EMAIL="smtp://127.0.0.1:1?from=a@example.com", SIMULATE="email") as (_, client):
        await client.put("/v1/recipients/alice", json=EMAIL)
        id = await send(client)
        await ended(client)
        shown = await explain(client, notification=id)
        bell, email = shown["channels"]
        assert (bell["simulated"], email["simulated"], email["hint"]) == (None, "setting", None)
        assert shown["presence"] is None
        assert (await explain(client))["presence"] == "The recipient is not connected."


async def test_timeline_lists_decisions_and_the_outcome_of_the_message(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json=EMAIL)
        id = await send(client)
        (message,) = await ended(client)
        entries = await timeline(client, id)
        found = [(one["what"], one["channel"]) for one in entries]
        assert found[:3] == [("accepted", None), ("routed", "inbox"), ("routed", "email")]
        assert found[3] == ("created", "inbox")  # what was decided comes before what it led to
        assert found[4:] == [("queued", "email"), ("simulated", "email")]
        assert entries[-1]["message"] == message["id"]
        assert [one["at"] for one in entries] == sorted(one["at"] for one in entries)


async def test_timeline_and_explanation_name_the_rule(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json={**EMAIL, "name": "Alice"})
        await client.put("/v1/types/booking", json={"name": "Bookings"})
        await client.put("/v1/recipients/alice/preferences", json={"types": {"booking": {"email": False}}})
        id = await send(client)
        skipped = [one for one in await timeline(client, id) if one["what"] == "skipped"]
        assert [(one["channel"], one["rule"], one["by"]) for one in skipped] == [("email", "type", "recipient")]
        sent = await explain(client, notification=id)
        channels = {one["channel"]: one for one in sent["channels"]}
        assert (channels["email"]["outcome"], channels["email"]["rule"]) == ("skip", "type")
        assert channels["email"]["text"] in sent["text"]
        assert channels["email"]["text"] == (
            "The e-mail was not sent, because e-mails of the type Bookings are switched off for Alice."
        )
        assert channels["email"]["reason"] == "e-mails of the type Bookings are switched off for Alice"
        now = await explain(client, type="booking", channel="email")
        assert [(one["outcome"], one["rule"], one["by"]) for one in now["channels"]] == [("skip", "type", "recipient")]
        # Stored decisions do not change with the preferences.
        await client.put("/v1/recipients/alice/preferences", json={})
        assert await explain(client, notification=id) == sent
        assert (await explain(client, type="booking", channel="email"))["channels"][0]["outcome"] == "send"


async def test_held_message_is_explained_in_the_recipients_zone(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json={**EMAIL, "timezone": "Europe/Vienna"})
        await client.put("/v1/recipients/alice/preferences", json={"digest": {"booking": "weekly"}})
        id = await send(client)
        (held,) = [one for one in await timeline(client, id) if one["what"] == "held"]
        assert (held["rule"], held["by"]) == ("digest", "recipient")
        assert held["detail"].startswith("until ")
        email = (await explain(client, notification=id))["channels"][-1]
        assert email["text"].startswith("The e-mail was held for the recipient's digest, until ")
        assert " 08:00 (Europe/Vienna). " in email["text"]
        assert email["at"] is not None


async def test_delayed_message_is_scheduled(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json=EMAIL)
        id = await send(client, channels=["inbox", {"channel": "email", "after": "10m", "unless": "seen"}])
        found = [one["what"] for one in await timeline(client, id)]
        assert found == ["accepted", "routed", "scheduled", "created"]


async def test_python_client_explains_and_manages_objects(tmp_path: Path) -> None:
    async with app(tmp_path) as (server, client):
        bell = server.client
        await bell.recipients.put("alice", email="alice@example.com")
        stored = await bell.templates.put("hello", {"inbox": {"title": "Hello {{ data.name }}"}})
        read = await bell.templates.get("hello")
        assert read == {**stored, "draft": None, "updated_at": read["updated_at"]}
        await bell.templates.put("hello", {"inbox": {"title": "Hi {{ data.name }}"}})
        versions = (await bell.templates.versions("hello"))["versions"]
        assert [one["version"] for one in versions] == [2, 1]
        assert await bell.templates.change("hello", version=1) == stored
        await bell.types.put("greeting", {"channels": ["inbox", "email"], "template": "hello"})
        assert [one["key"] for one in (await bell.types.list())["types"]] == ["greeting"]
        sent = await bell.notify("alice", type="greeting", template="hello", data={"name": "Ann"})
        (message,) = await ended(client)
        page = await bell.messages.list(notification=sent.id)
        assert [one.id for one in page.messages] == [message["id"]]
        assert (await bell.messages.get(message["id"])).state == "simulated"
        with pytest.raises(RequestRefused):
            await bell.messages.retry(message["id"])
        explained = await bell.explain("alice", notification=sent.id)
        assert [one.outcome for one in explained.channels] == ["send", "send"]
        await bell.types.delete("greeting")
        await bell.templates.delete("hello")
        assert (await bell.templates.list())["templates"] == []


async def test_recipient_alone_is_explained_by_the_last_notification_and_its_facts(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        assert (await explain(client))["verdict"] == "unknown_recipient"
        await client.put("/v1/recipients/alice", json=EMAIL)
        nothing = await explain(client)
        assert nothing["verdict"] == "nothing_sent"
        assert nothing["text"].startswith("Nothing has been sent to the recipient in the last 24 hours. ")
        await client.put("/v1/recipients/alice/preferences", json={"types": {"booking": {"email": False}}})
        id = await send(client)
        token = (await client.post("/v1/tokens", json={"recipient": "alice"})).json()["token"]
        refused = await client.get("/v1/inbox?limit=0", headers={"authorization": f"Bearer {token}"})
        found = await explain(client)
        assert found["verdict"] == "partly_delivered"
        assert "The recipient is not connected." in found["text"]
        facts = [(one["what"], one["channel"], one["rule"], one["notification"]) for one in found["facts"]]
        assert facts[-3:-1] == [("skipped", "email", "type", id), ("created", "inbox", None, id)]
        assert facts[-1] == ("refused", None, refused.json()["code"], None)
        assert [one["path"] for one in found["actions"]] == ["/v1/recipients/alice/preferences"]
        later = await explain(client, since="2999-01-01T00:00:00Z")
        assert (later["verdict"], later["facts"]) == ("nothing_sent", [])
        offset = await explain(client, since="2999-01-01T20:00:00+02:00")
        assert offset["text"].startswith("Nothing has been sent to the recipient since 2999-01-01 18:00:00 UTC. ")


async def test_key_that_only_a_waiting_run_names_is_explained_by_the_run(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        assert "Check the key and the tenant" in (await explain(client))["text"]
        steps = [{"key": "wait", "type": "delay", "for": "1h"}, {"key": "bell", "type": "inbox", "title": "Hi"}]
        await client.put("/v1/workflows/welcome", json={"steps": steps})
        run = (await client.post("/v1/workflows/welcome/trigger", json={"to": "alice"})).json()["run"]
        later = (await client.post("/v1/workflows/welcome/trigger", json={"to": "alice"})).json()["run"]
        assert (await client.delete(f"/v1/runs/{later}")).status_code == 204
        found = await explain(client)
        assert found["verdict"] == "unknown_recipient"
        assert f"The run {run} of the workflow welcome is " in found["text"]
        assert "its first notification creates the recipient" in found["text"]
        assert (await explain(client, recipient="bob"))["text"].count("run") == 0
        assert (await client.delete(f"/v1/runs/{run}")).status_code == 204
        text = f"The run {later} of the workflow welcome is cancelled and has sent it no notification."
        assert text in (await explain(client))["text"]


async def test_last_notification_is_explained_by_its_run_that_failed_or_waits(tmp_path: Path) -> None:
    bell, pause = {"key": "bell", "type": "inbox", "title": "Hi"}, {"key": "pause", "type": "delay", "for": "1h"}
    mail = {"key": "mail", "type": "email", "subject": "For {{ data.client }}", "text": "Hi"}
    async with opened(tmp_path) as world:
        await world.put("/v1/recipients/alice", EMAIL)
        await world.put("/v1/workflows/booking", {"steps": [bell, pause, mail]})
        run = (await world.request("POST", "/v1/workflows/booking/trigger", {"to": "alice"}))["run"]
        await world.run_due()
        waiting = await world.get("/v1/explain", recipient="alice")
        assert (waiting["verdict"], waiting["actions"][-1]["path"]) == ("waiting", f"/v1/runs/{run}")
        assert f"The run {run} of the workflow booking is waiting." in waiting["text"]
        await world.advance_to("2026-06-11T12:00:00Z")
        failed = await world.get("/v1/explain", recipient="alice", since="2026-06-01T00:00:00Z")
        assert (failed["verdict"], failed["actions"][-1]["path"]) == ("partly_delivered", f"/v1/runs/{run}")
        assert "The e-mail was not sent, because its step failed: " in failed["text"]
        await world.send()
        assert (await world.get("/v1/explain", recipient="alice"))["verdict"] == "delivered"


async def test_run_that_waits_is_explained_although_a_newer_one_ended(tmp_path: Path) -> None:
    bell, pause = {"key": "bell", "type": "inbox", "title": "Hi"}, {"key": "pause", "type": "delay", "for": "1h"}
    async with opened(tmp_path) as world:
        await world.put("/v1/workflows/waits", {"steps": [bell, pause]})
        await world.put("/v1/workflows/sends-nothing", {"steps": [bell | {"if": {"var": "data.x", "op": "exists"}}]})
        run = (await world.request("POST", "/v1/workflows/waits/trigger", {"to": "alice"}))["run"]
        await world.run_due()
        newer = (await world.request("POST", "/v1/workflows/sends-nothing/trigger", {"to": "alice"}))["run"]
        await world.run_due()
        assert (await world.get(f"/v1/runs/{newer}"))["state"] == "completed"
        found = await world.get("/v1/explain", recipient="alice")
        assert (found["verdict"], found["actions"][-1]["path"]) == ("waiting", f"/v1/runs/{run}")


async def test_run_that_failed_before_its_first_notification_is_explained(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/recipients/alice", EMAIL)
        step = {"key": "bell", "type": "inbox", "title": "For {{ data.client }}"}
        await world.put("/v1/workflows/booking", {"steps": [step]})
        run = (await world.request("POST", "/v1/workflows/booking/trigger", {"to": "alice"}))["run"]
        await world.run_due()
        found = await world.get("/v1/explain", recipient="alice")
        assert (found["verdict"], found["actions"][-1]["path"]) == ("not_delivered", f"/v1/runs/{run}")
        assert "has failed." in found["text"]


async def test_facts_of_a_type_or_a_notification_begin_with_since(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json=EMAIL)
        id = await send(client)
        await send(client, type="other")
        earlier, later = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"
        now = await explain(client, type="booking")
        since = await explain(client, type="booking", since=earlier)
        assert (now["facts"], now["channels"]) == ([], since["channels"])
        assert {one["notification"] for one in since["facts"]} == {id}
        assert await explain(client, type="booking", since=later) == now
        sent = await explain(client, notification=id)
        assert await explain(client, notification=id, since=earlier) == sent
        assert await explain(client, notification=id, since=later) == sent | {"facts": []}


async def test_verdict_follows_from_the_states_of_the_messages(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json=EMAIL)
        delivered = await send(client)
        await ended(client)
        assert (await explain(client, notification=delivered))["verdict"] == "delivered"
        changed = await client.put("/v1/recipients/alice/preferences", json={"digest": {"booking": "daily"}})
        assert changed.status_code == 200, changed.text
        waiting = await send(client, channels=["email"])
        assert (await explain(client, notification=waiting))["verdict"] == "waiting"
        skipped = await send(client, channels=["sms"])
        found = await explain(client, notification=skipped)
        assert (found["verdict"], found["actions"][0]["path"]) == ("not_delivered", "/v1/recipients/alice")


async def test_inbox_only_notification_is_explained(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        id = await send(client, channels=["inbox"])
        found = await explain(client, notification=id)
        assert found["text"] == "The notification was put into the inbox."
        other = {"recipient": "bob", "notification": id}
        assert (await client.get("/v1/explain", params=other)).status_code == 404


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({}, 422),
        ({"recipient": "alice", "channel": "email"}, 422),
        ({"recipient": "alice", "since": "yesterday"}, 422),
        ({"recipient": "alice", "type": "x", "notification": "y"}, 422),
        ({"recipient": "alice", "type": "x", "channel": "fax"}, 422),
        ({"recipient": "alice", "notification": "y", "channel": "email"}, 422),
        ({"recipient": "alice", "notification": "y"}, 404),
        ({"recipient": "nobody", "type": "x"}, 404),
        ({"recipient": "alice", "type": "x", "colour": "red"}, 422),
    ],
)
async def test_unusable_question_is_refused(tmp_path: Path, params: dict[str, str], status: int) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json=EMAIL)
        assert (await client.get("/v1/explain", params=params)).status_code == status


async def test_failed_step_of_a_run_is_explained_without_a_rule(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/recipients/alice", EMAIL)
        step = {"key": "mail", "type": "email", "subject": "For {{ data.client }}", "text": "Hi"}
        await world.put("/v1/workflows/booking", {"steps": [step]})
        run = (await world.request("POST", "/v1/workflows/booking/trigger", {"to": "alice"}))["run"]
        await world.run_due()
        (email,) = (await world.get("/v1/explain", recipient="alice", run=run))["channels"]
        assert (email["outcome"], email["rule"]) == ("skip", None)
        assert "its step failed: invalid: data.client: is missing" in email["text"]


async def test_run_is_explained_step_by_step(tmp_path: Path) -> None:
    never = {"var": "data.total", "op": "gte", "value": 100}
    steps = [
        {"key": "bell", "type": "inbox", "title": "Hi"},
        {"key": "mail", "type": "email", "subject": "Hi", "text": "Hi"},
        {"key": "text", "type": "sms", "text": "Hi"},
        {"key": "again", "type": "email", "subject": "Again", "text": "Hi", "if": never},
        {
            "key": "gate",
            "type": "branch",
            "branches": [{"if": never, "steps": [{"key": "late", "type": "sms", "text": "Hi"}]}],
        },
        {"key": "pause", "type": "delay", "for": "1d"},
        {"key": "last", "type": "email", "subject": "Last", "text": "Hi"},
    ]
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json=EMAIL)
        await client.put("/v1/workflows/booking", json={"steps": steps})
        run = (await client.post("/v1/workflows/booking/trigger", json={"to": "alice"})).json()["run"]
        await ended(client)
        explained = await explain(client, run=run)
        found = [(one["channel"], one["outcome"], one["rule"]) for one in explained["channels"]]
        assert found == [
            ("inbox", "send", None),
            ("email", "send", None),
            ("sms", "skip", "no_address"),
            ("email", "skip", "condition"),
            ("sms", "skip", "branch"),
        ]
        assert "the condition of its step did not hold" in explained["text"]
        assert "was not sent, because its branch was not taken." in explained["text"]
        wrong = await client.get("/v1/explain", params={"recipient": "bob", "run": run})
        assert wrong.status_code == 404
        both = await client.get("/v1/explain", params={"recipient": "alice", "run": run, "type": "x"})
        assert both.status_code == 422


async def test_send_outside_the_inbox_has_a_timeline(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json=EMAIL)
        id = await send(client, channels=["email"])
        await ended(client)
        shown = (await client.get(f"/v1/notifications/{id}")).json()
        assert (shown["recipient"], shown["title"], shown["type"]) == ("alice", "Hi", "booking")
        assert [one["what"] for one in shown["timeline"]] == ["accepted", "routed", "queued", "simulated"]
        skipped = await send(client, channels=["sms"])
        assert [one["what"] for one in await timeline(client, skipped)] == ["accepted", "skipped"]
        everyone = await client.post(
            "/v1/notifications", json={"to": {"all": True}, "title": "All", "type": "news", "channels": ["email"]}
        )
        announced = (await client.get(f"/v1/notifications/{everyone.json()['announcement']['id']}")).json()
        assert (announced["recipient"], announced["title"], announced["audience"]["all"]) == (None, "All", True)
        assert (await client.get(f"/v1/notifications/{id}", params={"tenant": "acme"})).status_code == 404


async def test_send_without_an_inbox_item_is_as_visible_as_any_other(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        id = await send(client, title="Invoice", channels=["email"])
        assert (await client.get("/v1/recipients/alice")).json()["unread"] == 0
        found = await explain(client)
        assert (found["verdict"], {one["notification"] for one in found["facts"]}) == ("not_delivered", {id})
        assert "The e-mail was not sent, because the recipient has no address for it." in found["text"]
        (listed,) = (await client.get("/v1/notifications", params={"recipient": "alice"})).json()["notifications"]
        assert (listed["id"], listed["title"], listed["type"], listed["in_inbox"]) == (id, "Invoice", "booking", False)
        inbox_item = await send(client, channels=["inbox"])
        page = (await client.get("/v1/notifications", params={"limit": 1})).json()
        assert [(one["id"], one["in_inbox"]) for one in page["notifications"]] == [(inbox_item, True)]
        older = (await client.get("/v1/notifications", params={"after": page["next"]})).json()
        assert [one["id"] for one in older["notifications"]] == [id]
        assert (await client.get("/v1/recipients/alice/export")).json()["notifications"][-1]["id"] == id
        assert (await client.delete(f"/v1/notifications/{id}")).status_code == 204
        assert (await client.get("/v1/notifications")).json()["total"] == {"value": 1, "exact": True}


async def test_inbox_that_preferences_exclude_leaves_the_send_visible(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json=EMAIL)
        await client.put("/v1/recipients/alice/preferences", json={"channels": {"inbox": False}})
        id = await send(client)
        (listed,) = (await client.get("/v1/notifications")).json()["notifications"]
        assert (listed["id"], listed["title"], listed["in_inbox"]) == (id, "Hi", False)
        shown = [one["text"] for one in (await explain(client))["facts"]]
        assert "inbox item not sent: inbox items are switched off for alice" in shown


async def test_step_of_a_run_belongs_to_its_inbox_item_or_is_listed(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        email = {"key": "mail", "type": "email", "subject": "Booked", "text": "Hi"}
        bell = {"key": "bell", "type": "inbox", "title": "Hi"}
        await world.put("/v1/workflows/mailed", {"steps": [email]})
        await world.put("/v1/workflows/both", {"steps": [bell, email]})
        await world.put("/v1/recipients/alice", EMAIL)
        for workflow in ("mailed", "both"):
            await world.request("POST", f"/v1/workflows/{workflow}/trigger", {"to": "alice"})
            await world.run_due()
        listed = (await world.get("/v1/notifications"))["notifications"]
        assert [(one["title"], one["in_inbox"]) for one in listed] == [("Hi", True), ("Booked", False)]


async def test_refusal_of_the_mail_server_is_explained_in_its_words(tmp_path: Path) -> None:
    async with smtp_server() as mailbox:
        mailbox.replies["RCPT"] = ["451 4.7.1 Greylisted, try again"] * 9
        url = f"smtp://127.0.0.1:{mailbox.port}?from=bells@example.com&tls=off"
        async with app(tmp_path, EMAIL=url) as (_, client):
            await client.put("/v1/recipients/alice", json=EMAIL)
            id = await send(client, channels=["email"])

            async def message() -> Any:
                (one,) = (await client.get("/v1/messages")).json()["messages"]
                return one

            refused = await eventually(message, lambda one: one["attempts"] and one["state"] == "queued")
            found = await explain(client, notification=id)
            assert found["verdict"] == "waiting"
            assert "env-email-1 responded 451 4.7.1 Greylisted, try again. The next attempt is due at" in found["text"]
            due_at = refused["due_at"][:19].replace("T", " ")  # with seconds: the first attempts are 10 s apart
            assert f"due at {due_at} (UTC)" in found["text"]
            assert [one["path"] for one in found["actions"]] == ["/v1/providers/env-email-1/test"]
            entries = await timeline(client, id)
            assert [one["what"] for one in entries] == ["accepted", "routed", "queued", "attempt", "scheduled"]
            assert (entries[-1]["at"], entries[-1]["detail"]) == (refused["due_at"], "the next attempt")
            assert "451 4.7.1 Greylisted" in entries[-2]["detail"]
            mailbox.replies["RCPT"] = ["554 5.7.1 Refused."]
            id = await send(client, channels=["email"])
            found = await eventually(lambda: explain(client, notification=id), lambda one: "5.7.1" in one["text"])
            assert found["text"].endswith("5.7.1 Refused.")
            retry = f"/v1/messages/{found['channels'][0]['message']}/retry"
            assert [one["path"] for one in found["actions"]] == ["/v1/recipients/alice", retry]


async def test_finished_run_has_no_pending_step(tmp_path: Path) -> None:
    steps = [
        {"key": "bell", "type": "inbox", "title": "Hi"},
        {"key": "looked", "type": "wait_for", "step": "bell", "event": "read", "timeout": "1d"},
        {"key": "mail", "type": "email", "subject": "Hi", "text": "Hi"},
    ]
    async with opened(tmp_path) as world:
        await world.put("/v1/workflows/booking", {"steps": steps})
        ended, cancelled = [
            (await world.request("POST", "/v1/workflows/booking/trigger", {"to": "alice"}))["run"] for _ in range(2)
        ]
        await world.run_due()
        item = (await world.get(f"/v1/runs/{ended}"))["steps"][0]["notification"]
        token = (await world.request("POST", "/v1/tokens", {"recipient": "alice"}))["token"]
        read = await world.client.post(
            "/v1/inbox/read", json={"ids": [item]}, headers={"authorization": f"Bearer {token}"}
        )
        assert read.status_code == 200, read.text
        await world.run_due()
        await world.request("DELETE", f"/v1/runs/{cancelled}")

        async def states(run: str) -> list[tuple[str, str, str | None]]:
            shown = await world.get(f"/v1/runs/{run}")
            return [(shown["state"], one["state"], one["reason"]) for one in shown["steps"]]

        assert (await states(ended))[1:] == [
            ("completed", "done", "matched"),
            ("completed", "skipped", "ended: the run ended at looked (matched)"),
        ]
        assert (await states(cancelled))[1:] == [("cancelled", "skipped", "ended: the run was cancelled")] * 2
