"""The mail server of the busy demo, with Bellcast's own SMTP client."""

import aiosmtplib
import pytest

from bellcast.examples.demo.mail_server import DemoMailServer


async def test_mail_server_accepts_refuses_and_bounces() -> None:
    with DemoMailServer() as server:
        host, _, port = server.url.removeprefix("smtp://").partition("?")[0].partition(":")
        async with aiosmtplib.SMTP(hostname=host, port=int(port), timeout=10) as client:
            _, reply = await client.sendmail("a@example.com", ["dora@example.com"], "Subject: x\r\n\r\n.Hello")
            assert reply == "2.0.0 Accepted"
            for address, code in (("gone@example.com", 550), ("blocked@example.com", 554)):
                with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
                    await client.sendmail("a@example.com", [address], "Subject: x\r\n\r\nHello")
                assert refused.value.recipients[0].code == code
