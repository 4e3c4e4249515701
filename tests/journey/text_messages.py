"""A recipient with a phone number, and vendors that send it text messages."""

from typing import Any

import httpx

from tests.vendor_server import VendorServer

PUBLIC = "https://bells.example.com"
DRAFT = {"to": "alice", "title": "Hi", "channels": ["sms"]}
NUMBER = "+436601234567"


def twilio_url(vendor: VendorServer) -> str:
    return f"twilio://AC1:token@{vendor.host}?from=%2B12025550123&tls=off"


def vonage_url(vendor: VendorServer) -> str:
    return f"vonage://key:secret@{vendor.host}?from=Shop&tls=off"


async def send(client: httpx.AsyncClient, **draft: Any) -> httpx.Response:
    query = {"tenant": draft["tenant"]} if "tenant" in draft else {}
    await client.put("/v1/recipients/alice", json={"phone": NUMBER, "email": "alice@example.com"}, params=query)
    sent = await client.post("/v1/notifications", json={**DRAFT, **draft})
    assert sent.status_code == 201, sent.text  # also without the inbox
    return sent
