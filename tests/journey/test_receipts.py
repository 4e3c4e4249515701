"""Receipts of vendors, replies to text messages, and reports of mail servers."""

import base64
import hashlib
import hmac
import json
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest

from tests.journey.channels_app import app, ended
from tests.journey.text_messages import DRAFT, NUMBER, PUBLIC, send, twilio_url, vonage_url
from tests.smtp_server import smtp_server
from tests.vendor_server import raw_response, vendor_server


def by_twilio(form: dict[str, str], path: str = "/v1/providers/env-sms-1/receipts") -> dict[str, Any]:
    signed = f"{PUBLIC}{path}" + "".join(name + form[name] for name in sorted(form))
    signature = base64.b64encode(hmac.new(b"token", signed.encode(), hashlib.sha1).digest()).decode()
    headers = {"x-twilio-signature": signature, "content-type": "application/x-www-form-urlencoded"}
    return {"url": path, "content": urlencode(form), "headers": headers}


async def test_receipts_move_the_state_forward_and_stop_suppresses(tmp_path: Path) -> None:
    async with vendor_server() as vendor, app(tmp_path, SMS=twilio_url(vendor), PUBLIC_URL=PUBLIC) as (_, client):
        vendor.default = raw_response(201, {"sid": "SM1", "status": "queued"})
        await send(client)
        (message,) = await ended(client)
        assert vendor.requests[0].form["StatusCallback"] == f"{PUBLIC}/v1/providers/env-sms-1/receipts"
        forged = by_twilio({"MessageSid": "SM1", "MessageStatus": "delivered"})
        forged["headers"] = {**forged["headers"], "x-twilio-signature": "AAAA"}
        # A stranger does not learn which keys exist, or which of them have receipts.
        mail = {"channel": "email", "url": "smtp://mail.example.com"}
        assert (await client.put("/v1/providers/mails", json=mail)).status_code == 201
        strange = [forged["url"].replace("env-sms-1", key) for key in ("env-sms-1", "unknown", "mails")]
        wrong = [await client.post(**{**forged, "url": url}) for url in strange]
        assert [one.status_code for one in wrong] == [401] * 3
        assert len({one.text.replace(url, "") for one, url in zip(wrong, strange, strict=True)}) == 1, wrong
        for status, state in (("sent", "sent"), ("delivered", "delivered"), ("undelivered", "delivered")):
            assert (await client.post(**by_twilio({"MessageSid": "SM1", "MessageStatus": status}))).status_code == 204
            assert (await client.get(f"/v1/messages/{message['id']}")).json()["state"] == state
        unknown = by_twilio({"MessageSid": "SM2", "MessageStatus": "delivered"})
        assert (await client.post(**unknown)).status_code == 204  # the message may be committed a moment later
        await client.post(**by_twilio({"From": NUMBER, "Body": " stop ", "SmsStatus": "received"}))
        (suppressed,) = (await client.get("/v1/suppressions")).json()["suppressions"]
        assert (suppressed["address"], suppressed["reason"]) == (NUMBER, "stop")
        await client.post(**by_twilio({"From": NUMBER, "Body": "START", "SmsStatus": "received"}))
        assert (await client.get("/v1/suppressions")).json()["suppressions"] == []


def by_vonage(form: dict[str, str], path: str = "/v1/providers/env-sms-1/receipts") -> dict[str, Any]:
    """A webhook of Vonage with its signature: HMAC-SHA256 over the sorted fields."""
    text = "".join(f"&{name}={form[name].replace('&', '_').replace('=', '_')}" for name in sorted(form))
    signature = hmac.new(b"secret", text.encode(), hashlib.sha256).hexdigest()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return {"url": path, "content": urlencode({**form, "sig": signature}), "headers": headers}


def reply(text: str, **fields: str) -> dict[str, str]:
    """A reply to a text message, as Vonage forwards it."""
    base = {"msisdn": NUMBER.removeprefix("+"), "to": "Shop", "messageId": "R1", "type": "text", "text": text}
    return {
        **base,
        "keyword": text.strip().upper().partition(" ")[0],
        "timestamp": "1893456000",
        "nonce": "x",
        **fields,
    }


async def test_stop_to_vonage_suppresses_the_number_until_start(tmp_path: Path) -> None:
    async with vendor_server() as vendor, app(tmp_path, SMS=vonage_url(vendor), PUBLIC_URL=PUBLIC) as (_, client):
        vendor.default = raw_response(200, {"messages": [{"status": "0", "message-id": "V1"}]})

        async def suppressed() -> list[tuple[str, str, str]]:
            found = [
                (await client.get("/v1/suppressions", params=query)).json()["suppressions"]
                for query in ({}, {"tenant": "acme"}, {"tenant": "globex"})
            ]
            return [(one["channel"], one["address"], one["reason"]) for page in found for one in page]

        await send(client)
        await send(client, tenant="acme")
        await ended(client)
        await ended(client, tenant="acme")
        forged = by_vonage(reply("STOP"))
        forged["content"] = forged["content"].replace("text=STOP", "text=stop")
        assert (await client.post(**forged)).status_code == 401
        assert (await client.post(**by_vonage(reply("Please stop calling")))).status_code == 204
        assert await suppressed() == []
        # The project's provider has sent for both tenants, and a carrier's report applies to the number.
        assert (await client.post(**by_vonage(reply(" Stop ")))).status_code == 204
        assert await suppressed() == [("sms", NUMBER, "stop")] * 2
        await send(client)
        decided = await client.post("/v1/notifications?dry_run=true", json=DRAFT)
        assert [(one["outcome"], one["rule"]) for one in decided.json()["plan"]] == [("skip", "suppressed")]
        assert len(vendor.requests) == 2
        assert (await client.post(**by_vonage(reply("START")))).status_code == 204
        assert await suppressed() == []
        await send(client)
        await ended(client, 2)
        assert len(vendor.requests) == 3


async def test_key_of_one_tenant_cannot_answer_for_a_recipient_of_another(tmp_path: Path) -> None:
    """The tenant's own provider has the same key as the project's, and a known token."""
    async with (
        vendor_server() as vendor,
        app(tmp_path, PUBLIC_URL=PUBLIC, HTTP_ALLOW="127.0.0.1") as (_, client),
    ):
        vendor.default = raw_response(201, {"sid": "SM1", "status": "queued"})
        body = {"channel": "sms", "url": twilio_url(vendor)}
        assert (await client.put("/v1/providers/texts", json=body)).status_code == 201
        await send(client, tenant="acme")
        await ended(client, tenant="acme")
        path, reason = f"/v1/suppressions/sms/{quote(NUMBER)}?tenant=acme", {"reason": "asked by phone"}
        assert (await client.put(path, json=reason)).status_code == 201
        created = await client.post("/v1/keys", json={"name": "evil", "scopes": ["manage"], "tenants": ["evil"]})
        headers = {"authorization": f"Bearer {created.json()['key']}"}
        written = await client.put("/v1/providers/texts?tenant=evil", json=body, headers=headers)
        assert written.status_code == 201

        async def suppressed() -> list[str]:
            found = [await client.get(f"/v1/suppressions?tenant={tenant}") for tenant in ("acme", "evil")]
            return [one["reason"] for page in found for one in page.json()["suppressions"]]

        path = "/v1/providers/texts/receipts?tenant=evil"
        reply = {"From": NUMBER, "SmsStatus": "received"}
        assert (await client.post(**by_twilio({**reply, "Body": "START"}, path))).status_code == 204
        assert await suppressed() == ["asked by phone"]
        assert (await client.post(**by_twilio({**reply, "Body": "STOP"}, path))).status_code == 204
        assert await suppressed() == ["asked by phone", "stop"]


async def test_stop_to_vonage_as_json_is_accepted(tmp_path: Path) -> None:
    """The settings of the account choose the format: a form, or JSON."""
    async with vendor_server() as vendor, app(tmp_path, SMS=vonage_url(vendor), PUBLIC_URL=PUBLIC) as (_, client):
        signed = by_vonage(reply("STOP", **{"message-timestamp": "2030-01-01 00:00:00"}))
        signed["content"] = json.dumps(dict(parse_qsl(signed["content"])))
        signed["headers"] = {"content-type": "application/json"}
        assert (await client.post(**signed)).status_code == 204
        (one,) = (await client.get("/v1/suppressions")).json()["suppressions"]
        assert one["address"] == NUMBER


def dsn(message_id: str, action: str, status: str) -> bytes:
    lines = [
        "MIME-Version: 1.0",
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"',
        "",
        "--b",
        "Content-Type: text/plain",
        "",
        "It did not arrive.",
        "--b",
        "Content-Type: message/delivery-status",
        "",
        "Reporting-MTA: dns; mail.example.com",
        "",
        "Final-Recipient: rfc822; alice@example.com",
        f"Action: {action}",
        f"Status: {status}",
        "",
        "--b",
        "Content-Type: text/rfc822-headers",
        "",
        f"Message-ID: <{message_id}@example.com>",
        "Subject: Hi",
        "",
        "--b--",
        "",
    ]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    ("action", "status", "state", "reasons"),
    [
        ("delivered", "2.0.0", "delivered", []),
        ("failed", "5.1.1", "bounced", ["bounce"]),
        ("failed", "5.2.2", "failed", []),
        ("delayed", "4.4.1", "sent", []),
    ],
)
async def test_mail_servers_report_is_applied(
    tmp_path: Path, action: str, status: str, state: str, reasons: list[str]
) -> None:
    async with smtp_server() as mailbox:
        url = f"smtp://127.0.0.1:{mailbox.port}?from=bells@example.com&tls=off"
        async with app(tmp_path, EMAIL=url) as (_, client):
            await send(client, channels=["email"])
            (message,) = await ended(client)
            path, headers = "/v1/providers/env-email-1/receipts", {"content-type": "message/rfc822"}
            report = dsn(message["id"], action, status)
            stranger = {**headers, "authorization": "Bearer wrong"}
            assert (await client.post(path, content=report, headers=stranger)).status_code == 401
            assert (await client.post(path, content=report, headers=headers)).status_code == 204
            assert (await client.get(f"/v1/messages/{message['id']}")).json()["state"] == state
            suppressed = (await client.get("/v1/suppressions")).json()["suppressions"]
            assert [one["reason"] for one in suppressed] == reasons
            plain = EmailMessage()
            plain["Subject"] = "Hello"
            assert (await client.post(path, content=plain.as_bytes(), headers=headers)).status_code == 422


async def test_complaint_suppresses_the_address(tmp_path: Path) -> None:
    async with app(tmp_path, EMAIL="smtp://127.0.0.1:9?from=bells@example.com", SIMULATE="email") as (_, client):
        await send(client, channels=["email"])
        (message,) = await ended(client)
        report = dsn(message["id"], "failed", "5.1.1").replace(b"message/delivery-status", b"message/feedback-report")
        headers = {"content-type": "message/rfc822"}
        await client.post("/v1/providers/env-email-1/receipts", content=report, headers=headers)
        (suppressed,) = (await client.get("/v1/suppressions")).json()["suppressions"]
        assert (suppressed["address"], suppressed["reason"]) == ("alice@example.com", "complaint")
        assert (await client.get(f"/v1/messages/{message['id']}")).json()["state"] == "simulated"
