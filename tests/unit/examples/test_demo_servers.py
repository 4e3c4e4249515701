"""The servers of the busy demo: mail, with Bellcast's own SMTP client, and webhooks."""

import aiosmtplib
import httpx
import pytest

from bellcast.examples.demo.servers import DemoServers


async def test_mail_server_accepts_refuses_and_bounces() -> None:
    with DemoServers() as servers:
        host, _, port = servers.urls.mail_url.removeprefix("smtp://").partition("?")[0].partition(":")
        async with aiosmtplib.SMTP(hostname=host, port=int(port), timeout=10) as client:
            _, reply = await client.sendmail("a@example.com", ["dora@example.com"], "Subject: x\r\n\r\n.Hello")
            assert reply == "2.0.0 Accepted"
            for address, code in (("gone@example.com", 550), ("blocked@example.com", 554)):
                with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
                    await client.sendmail("a@example.com", [address], "Subject: x\r\n\r\nHello")
                assert refused.value.recipients[0].code == code


def test_webhook_works_and_another_one_is_down() -> None:
    with DemoServers() as servers:
        statuses = [
            httpx.post(f"{servers.urls.hooks_url}/{name}", json={}).status_code for name in ("crm", "warehouse")
        ]
    assert statuses == [204, 503]
