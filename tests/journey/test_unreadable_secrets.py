"""Secrets in the store that were encrypted with a key which this node does not have: nothing is lost or skipped silently."""

from pathlib import Path

from structlog.testing import capture_logs

from tests.journey.channels import opened
from tests.journey.text_messages import NUMBER, send, twilio_url, vonage_url
from tests.vendor_server import VendorServer, raw_response, vendor_server

ALLOWED = {"BELLCAST_HTTP_ALLOW": "127.0.0.1"}
OWN = ALLOWED | {"BELLCAST_ENCRYPTION_KEY": "a:one"}
OTHER = ALLOWED | {"BELLCAST_ENCRYPTION_KEY": "b:two"}
LATER = "2026-06-10T13:00:00Z"
ADVICE = "restore encryption.json, or set the same BELLCAST_ENCRYPTION_KEY on all nodes"
REASON = f"the provider's URL was encrypted with another key: {ADVICE}"


async def store_provider(folder: Path, vendor: VendorServer) -> None:
    async with opened(folder, environment=OWN) as world:
        await world.put("/v1/providers/texts", {"channel": "sms", "url": twilio_url(vendor)})


async def test_message_waits_for_a_node_that_can_decrypt_its_provider(tmp_path: Path) -> None:
    async with vendor_server() as vendor:
        vendor.default = raw_response(201, {"sid": "SM1"})
        await store_provider(tmp_path, vendor)
        with capture_logs() as logs:
            async with opened(tmp_path, environment=OTHER) as world:
                await send(world.client)
                await world.run_due()
                (message,) = await world.messages()
                assert (message["state"], message["reason"]) == ("queued", REASON)
                assert [one["outcome"] for one in message["attempts"]] == ["temporary"]
        (alarm,) = [one for one in logs if one["event"] == "provider_unusable"]
        assert (alarm["log_level"], alarm["provider"]) == ("error", "texts")
        async with opened(tmp_path, LATER, environment=OWN) as world:
            await world.run_due()
            (message,) = await world.messages()
            assert (message["state"], message["provider"], len(vendor.requests)) == ("sent", "texts", 1)


async def test_message_of_a_tenant_is_not_sent_by_the_projects_provider_instead(tmp_path: Path) -> None:
    async with vendor_server() as vendor:
        async with opened(tmp_path, environment=OWN) as world:
            await world.request(
                "PUT", "/v1/providers/texts", {"channel": "sms", "url": twilio_url(vendor)}, tenant="acme"
            )
        async with opened(tmp_path, environment=OTHER) as world:
            await world.put("/v1/providers/all", {"channel": "sms", "url": vonage_url(vendor)})
            await send(world.client, tenant="acme")
            await world.run_due()
            (message,) = await world.messages(tenant="acme")
            assert (message["state"], message["reason"], vendor.requests) == ("queued", REASON, [])


async def test_next_provider_sends_instead_of_an_unreadable_one(tmp_path: Path) -> None:
    async with vendor_server() as vendor:
        vendor.default = raw_response(200, {"messages": [{"status": "0", "message-id": "V1"}]})
        await store_provider(tmp_path, vendor)
        async with opened(tmp_path, environment=OTHER) as world:
            await world.put("/v1/providers/texts-2", {"channel": "sms", "url": vonage_url(vendor)})
            await send(world.client)
            await world.run_due()
            (message,) = await world.messages()
            assert (message["state"], message["provider"]) == ("sent", "texts-2")
            assert [one["outcome"] for one in message["attempts"]] == ["temporary", "accepted"]


async def test_message_to_a_vendors_own_kind_of_address_waits_too(tmp_path: Path) -> None:
    """The vendor is part of the URL that cannot be decrypted."""
    async with opened(tmp_path, environment=OWN) as world:
        await world.put("/v1/providers/desk", {"channel": "chat", "url": "telegram://1:abc@default"})
    async with opened(tmp_path, environment=OTHER) as world:
        await world.put("/v1/recipients/alice", {"chat": {"telegram": 4711}})
        await world.send("alice", channels=["chat"])
        await world.run_due()
        (message,) = await world.messages()
        assert (message["state"], message["reason"]) == ("queued", REASON)


async def test_receipt_for_an_unreadable_provider_is_tried_again_by_its_vendor(tmp_path: Path) -> None:
    async with vendor_server() as vendor:
        await store_provider(tmp_path, vendor)
        async with opened(tmp_path, environment=OTHER) as world:
            headers = {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": "x"}
            content = f"MessageSid=SM1&MessageStatus=delivered&To={NUMBER}"
            response = await world.client.post("/v1/providers/texts/receipts", content=content, headers=headers)
            assert response.status_code == 503
            assert "BELLCAST_ENCRYPTION_KEY" in response.json()["detail"]


async def test_objects_that_no_key_decrypts_are_named(tmp_path: Path) -> None:
    async with vendor_server() as vendor:
        await store_provider(tmp_path, vendor)
        async with opened(tmp_path, environment=OTHER) as world:
            hook = {"url": f"http://{vendor.host}/hooks", "events": ["run.failed"]}
            await world.request("POST", "/v1/webhooks", hook)
            assert await world.secrets.unreadable() == ["providers//texts", "push-identity//vapid"]
            assert (await world.get("/v1/secrets"))["unreadable"] == 2


async def test_webhook_of_another_key_fails_with_the_reason_and_is_tried_again(tmp_path: Path) -> None:
    async with vendor_server() as vendor:
        async with opened(tmp_path, environment=OWN) as world:
            hook = {"url": f"http://{vendor.host}/hooks", "events": ["notification.created"]}
            id = (await world.request("POST", "/v1/webhooks", hook))["id"]
        with capture_logs() as logs:
            async with opened(tmp_path, environment=OTHER) as world:
                await world.send("alice")
                await world.run_due()
                webhook = await world.get(f"/v1/webhooks/{id}")
                assert f"secret was encrypted with another key: {ADVICE}" in webhook["last_error"]
                assert (webhook["active"], vendor.requests) == (True, [])
                assert (await world.get(f"/v1/webhooks/{id}/attempts"))["attempts"] == []
        assert {one["log_level"] for one in logs if one["event"] == "webhook_unusable"} == {"error"}
        async with opened(tmp_path, LATER, environment=OWN) as world:
            await world.run_due()
            assert [one.json["type"] for one in vendor.requests] == ["notification.created"]
            assert (await world.get(f"/v1/webhooks/{id}"))["last_error"] is None
