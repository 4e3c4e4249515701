"""Push messages to browsers and apps, and chat messages: from the registration of an endpoint to its end."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.journey.channels_app import app, ended, session_of
from tests.push_browser import Browser
from tests.vendor_server import raw_response, vendor_server

DRAFT: dict[str, Any] = {"to": "alice", "title": "New booking", "body": "Saturday", "channels": ["inbox", "push"]}


async def test_browser_registers_and_decrypts_its_push(tmp_path: Path) -> None:
    browser = Browser()
    async with vendor_server() as service, app(tmp_path, HTTP_ALLOW="127.0.0.1") as (server, client):
        service.default = raw_response(201, b"")
        alice = session_of(server, "alice")
        subscription = browser.to_json(f"http://{service.host}/send/1")
        created = await client.post("/v1/push-endpoints", json=subscription, headers=alice)
        assert created.status_code == 201
        again = await client.post("/v1/push-endpoints", json=subscription, headers=alice)
        assert (again.status_code, again.json()) == (200, created.json())
        key = (await client.get("/v1/push-endpoints/key", headers=alice)).json()["public_key"]
        sent = (await client.post("/v1/notifications", json=DRAFT)).json()["notifications"][0]
        (message,) = await ended(client)
        (request,) = service.requests
        assert json.loads(browser.decrypt(request.body)) == {
            "id": sent["id"],
            "title": "New booking",
            "body": "Saturday",
        }
        assert request.headers["authorization"].endswith(f"k={key}")
        assert (message["state"], message["provider"]) == ("sent", "webpush")


async def test_push_has_the_first_two_buttons_with_a_link(tmp_path: Path) -> None:
    """A service worker has no session, so it cannot take an action that calls a handler."""
    browser = Browser()
    links = [
        {"key": key, "label": key.title(), "url": f"https://app.example/{key}"} for key in ("open", "move", "third")
    ]
    async with vendor_server() as service, app(tmp_path, HTTP_ALLOW="127.0.0.1") as (server, client):
        service.default = raw_response(201, b"")
        subscription = browser.to_json(f"http://{service.host}/send/1")
        await client.post("/v1/push-endpoints", json=subscription, headers=session_of(server, "alice"))
        actions = [{"key": "accept", "label": "Accept", "call": "answer"}, *links]
        await client.post("/v1/notifications", json={**DRAFT, "actions": actions})
        await ended(client)
        (request,) = service.requests
        assert json.loads(browser.decrypt(request.body))["actions"] == links[:2]


@pytest.mark.parametrize("status", [404, 410])
async def test_endpoint_that_is_gone_is_deleted(tmp_path: Path, status: int) -> None:
    async with vendor_server() as service, app(tmp_path, HTTP_ALLOW="127.0.0.1") as (_, client):
        service.default = raw_response(status, b"")
        path = "/v1/recipients/alice/push-endpoints"
        await client.post(path, json=Browser().to_json(f"http://{service.host}/send/1"))
        await client.post("/v1/notifications", json=DRAFT)
        (message,) = await ended(client)
        assert message["state"] == "bounced"
        assert (await client.get(path)).json() == {"push_endpoints": []}
        assert (await client.get("/v1/suppressions")).json()["suppressions"] == []


async def test_endpoint_moves_to_the_recipient_that_registers_it_and_the_oldest_of_21_is_deleted(
    tmp_path: Path,
) -> None:
    async with app(tmp_path) as (server, client):
        path = "/v1/recipients/{}/push-endpoints"
        for number in range(21):
            subscription = Browser().to_json(f"https://push.example/{number}")
            assert (await client.post(path.format("alice"), json=subscription)).status_code == 201
        listed = (await client.get(path.format("alice"))).json()["push_endpoints"]
        assert [one["endpoint"] for one in listed] == [f"https://push.example/{number}" for number in range(20, 0, -1)]
        moved = await client.post(path.format("bob"), json=Browser().to_json("https://push.example/7"))
        assert moved.status_code == 200
        assert [one["id"] for one in (await client.get(path.format("bob"))).json()["push_endpoints"]] == [
            moved.json()["id"]
        ]
        assert len((await client.get(path.format("alice"))).json()["push_endpoints"]) == 19
        alice, bob = session_of(server, "alice"), session_of(server, "bob")
        item = f"/v1/push-endpoints/{moved.json()['id']}"
        assert (await client.delete(item, headers=alice)).status_code == 404
        assert (await client.delete(item, headers=bob)).status_code == 204
        other = await client.get(path.format("alice") + "?tenant=globex")
        assert other.json() == {"push_endpoints": []}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"endpoint": "https://127.0.0.1/x"}, "endpoint"),
        ({"endpoint": "http://push.example/x"}, "endpoint"),
        ({"endpoint": "https://[::1]/x"}, "endpoint"),
        ({"keys": {"p256dh": "AAAA", "auth": "AAAA"}}, "keys.p256dh"),
        ({"kind": "fcm"}, "endpoint"),
        ({"token": "abc"}, "kind"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_unusable_endpoint_is_refused(tmp_path: Path, body: dict[str, Any], field: str) -> None:
    async with app(tmp_path) as (_, client):
        whole = {**Browser().to_json("https://push.example/1"), **body}
        refused = await client.post("/v1/recipients/alice/push-endpoints", json=whole)
        assert refused.status_code == 422
        assert field in [error["field"] for error in refused.json()["errors"]]


async def test_apps_endpoint_is_simulated_without_a_provider(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.post("/v1/recipients/alice/push-endpoints", json={"kind": "fcm", "token": "cVx3:APA91bH"})
        await client.post("/v1/recipients/alice/push-endpoints", json={"kind": "apns", "token": "ab" * 32})
        await client.post("/v1/notifications", json=DRAFT)
        messages = await ended(client, 2)
        assert {(message["to"], message["state"]) for message in messages} == {
            ("cVx3:APA91bH", "simulated"),
            ("ab" * 32, "simulated"),
        }


@pytest.mark.parametrize(
    ("chat", "rule"),
    [
        ({}, "no_address"),
        ({"slack": "https://evil.example/services/T/B/x"}, "invalid_address"),
        ({"slack": "https://hooks.slack.com.evil.example/x"}, "invalid_address"),
        ({"discord": "https://hooks.slack.com/services/T/B/x"}, "invalid_address"),
        ({"teams": "http://x.webhook.office.com/webhookb2/x"}, "invalid_address"),
        ({"telegram": "not a chat"}, "invalid_address"),
    ],
)
async def test_unusable_chat_address_is_stored_and_skipped(tmp_path: Path, chat: dict[str, Any], rule: str) -> None:
    async with app(tmp_path) as (_, client):
        assert (await client.put("/v1/recipients/alice", json={"chat": chat})).status_code == 201
        assert (await client.get("/v1/recipients/alice")).json()["chat"] == chat
        draft = {"to": "alice", "title": "Hi", "channels": ["chat"]}
        plan = (await client.post("/v1/notifications?dry_run=true", json=draft)).json()["plan"]
        assert [(one["outcome"], one["rule"]) for one in plan] == [("skip", rule)]


async def test_telegram_message_is_sent_and_a_blocked_bot_is_suppressed(tmp_path: Path) -> None:
    async with (
        vendor_server() as telegram,
        app(tmp_path, CHAT=f"telegram://1:abc@{telegram.host}?tls=off") as (
            _,
            client,
        ),
    ):
        telegram.responses += [raw_response(200, {"ok": True, "result": {"message_id": 5}})]
        telegram.default = raw_response(403, {"ok": False, "description": "Forbidden: bot was blocked by the user"})
        await client.put("/v1/recipients/alice", json={"chat": {"telegram": 4711}})
        draft = {"to": "alice", "title": "Hi", "channels": ["chat"]}
        await client.post("/v1/notifications", json=draft)
        (sent,) = await ended(client)
        assert (sent["state"], sent["to"], telegram.requests[0].json["text"]) == ("sent", "4711", "Hi")
        await client.post("/v1/notifications", json=draft)
        assert [message["state"] for message in await ended(client, 2)] == ["bounced", "sent"]
        plan = (await client.post("/v1/notifications?dry_run=true", json=draft)).json()["plan"]
        assert [(one["outcome"], one["rule"]) for one in plan] == [("skip", "suppressed")]


async def test_push_worker_is_served_as_a_script(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        script = await client.get("/bellcast-push.js")
        assert script.headers["content-type"].startswith("text/javascript")
        assert "notificationclick" in script.text
