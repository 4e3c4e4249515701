"""The steps of a provider's test, and the hint of its secret."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from bellcast.kernel.outbound import DeliveryError
from bellcast.providers import smtp, vendor_api
from tests.certificates import self_signed
from tests.journey.channels_app import app
from tests.journey.rest import fields
from tests.journey.text_messages import NUMBER
from tests.smtp_server import smtp_server
from tests.vendor_server import plain_server, raw_response, vendor_server

SENDER = "from=bells@example.com"
MAIL = "/v1/providers/env-email-1/test"
# The test of a Twilio account sends an empty message, which the vendor refuses.
NO_NUMBER = raw_response(400, {"message": "A 'To' phone number is required."})


async def result_of(client: httpx.AsyncClient, path: str = MAIL, **body: Any) -> dict[str, Any]:
    response = await client.post(path, json=body)
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    assert [one["step"] for one in result["steps"]] == ["syntax", "dns", "tcp", "tls", "auth", "send"]
    failed = [one for one in result["steps"] if one["state"] == "failed"]
    assert failed == [one for one in result["steps"] if one["fix"] is not None]
    if "ok" in result:
        assert (result["ok"], result["error"]) == (not failed, failed[0]["detail"] if failed else None)
    assert result["state"] == ("failed" if failed else "ok")
    return result


def states(result: dict[str, Any]) -> list[str]:
    return [one["state"] for one in result["steps"]]


async def result_of_values(client: httpx.AsyncClient, url: str, **body: Any) -> dict[str, Any]:
    return await result_of(client, "/v1/providers/texts/test", values={"channel": "sms", "url": url}, **body)


async def test_mail_server_is_tested_step_by_step(tmp_path: Path) -> None:
    async with smtp_server() as mailbox:
        url = f"smtp://127.0.0.1:{mailbox.port}?{SENDER}&tls=off"
        async with app(tmp_path, EMAIL=url) as (_, client):
            found = await result_of(client)
            assert states(found) == ["ok", "ok", "ok", "skipped", "ok", "skipped"]
            assert [one["detail"] for one in found["steps"][:3]] == [
                f"smtp://127.0.0.1:{mailbox.port}",
                "127.0.0.1",
                f"Connected to port {mailbox.port}.",
            ]
            assert all(one["ms"] >= 0 for one in found["steps"])
            assert mailbox.received == []
            sent = await result_of(client, to="alice@example.com")
            assert states(sent) == ["ok", "ok", "ok", "skipped", "skipped", "ok"]
            assert len(mailbox.received) == 1


async def test_first_provider_of_e_mails_is_tested_with_the_settings(tmp_path: Path) -> None:
    async with smtp_server() as mailbox, app(tmp_path, HTTP_ALLOW="127.0.0.1") as (_, client):
        none = await client.post("/v1/settings/test", json={"target": "smtp"})
        assert (none.status_code, "No active provider" in none.json()["detail"]) == (404, True)
        url = f"smtp://127.0.0.1:{mailbox.port}?{SENDER}&tls=off"
        assert (await client.put("/v1/providers/mail", json={"channel": "email", "url": url})).status_code == 201
        found = await result_of(client, "/v1/settings/test", target="smtp")
        assert (states(found), found["steps"][1]["detail"]) == (
            ["ok", "ok", "ok", "skipped", "ok", "skipped"],
            "Resolved.",
        )
        refused = await client.post("/v1/settings/test", json={"target": "smtp", "app": "p"})
        assert (refused.status_code, list(fields(refused))) == (422, ["app"])


async def test_wrong_password_fails_the_step_of_credentials(tmp_path: Path) -> None:
    async with smtp_server(credentials=("bells", "right")) as mailbox:
        url = f"smtp://bells:wrong@127.0.0.1:{mailbox.port}?{SENDER}&tls=off"
        async with app(tmp_path, EMAIL=url) as (_, client):
            found = await result_of(client)
            assert states(found) == ["ok", "ok", "ok", "skipped", "failed", "skipped"]
            assert found["error"].startswith("535: ")
            assert mailbox.logins


async def test_server_that_does_not_listen_fails_the_step_of_the_connection(tmp_path: Path) -> None:
    async with app(tmp_path, EMAIL=f"smtp://127.0.0.1:1?{SENDER}&tls=off") as (_, client):
        found = await result_of(client)
        assert states(found) == ["ok", "ok", "failed", "skipped", "skipped", "skipped"]
        assert found["error"] == "The connection failed: Connection refused."
    with pytest.raises(DeliveryError, match=r"connection to 127\.0\.0\.1:1 failed: Connection refused"):
        await smtp.SMTPProvider(f"smtp://127.0.0.1:1?{SENDER}").check()


async def test_private_address_fails_the_step_of_the_name(tmp_path: Path) -> None:
    async with vendor_server() as vendor, app(tmp_path) as (_, client):
        found = await result_of_values(client, f"vonage://key:secret@localhost:{vendor.port}?from=Shop&tls=off")
        assert states(found) == ["ok", "failed", "skipped", "skipped", "skipped", "skipped"]
        assert "not public" in found["error"]
        assert vendor.requests == []
        body = {"values": {"channel": "push", "url": "fcm://default"}}
        refused = await client.post("/v1/providers/phones/test", json=body)
        assert [one["field"] for one in refused.json()["errors"]] == ["values.url"]


async def test_tls_is_a_separate_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem, context = self_signed(tmp_path)
    async with (
        plain_server() as plain,
        vendor_server(context) as vendor,
        app(tmp_path / "data", HTTP_ALLOW="127.0.0.1") as (_, client),
    ):
        vendor.default = NO_NUMBER
        found = await result_of_values(client, f"vonage://key:secret@{plain}?from=Shop")
        assert states(found) == ["ok", "ok", "ok", "failed", "skipped", "skipped"]
        url = f"twilio://AC1:token@{vendor.host}?from=%2B12025550123"
        found = await result_of_values(client, url)
        assert states(found) == ["ok", "ok", "ok", "failed", "skipped", "skipped"]
        assert "certificate verify failed" in found["error"]
        assert vendor.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))  # the path of the operator's certificate authorities
        found = await result_of_values(client, url, to=NUMBER)
        assert states(found)[:5] == ["ok", "ok", "ok", "ok", "skipped"]


async def test_starttls_is_the_step_of_tls(tmp_path: Path) -> None:
    async with smtp_server(tls=self_signed(tmp_path)[1]) as mailbox:
        own = f"127.0.0.1:{mailbox.port}?{SENDER}"
        async with app(tmp_path / "data", EMAIL=f"smtp://{own},smtp://bells:secret@{own}") as (_, client):
            assert states(await result_of(client)) == ["ok", "ok", "ok", "ok", "ok", "skipped"]
            # A password needs a valid certificate.
            found = await result_of(client, "/v1/providers/env-email-2/test")
            assert states(found) == ["ok", "ok", "ok", "failed", "skipped", "skipped"]
            assert mailbox.logins == []
            with pytest.raises(
                DeliveryError, match=rf"certificate of 127.0.0.1:{mailbox.port} is not accepted: self.signed.+FILE"
            ):
                await smtp.SMTPProvider(f"smtp://bells:secret@{own}").check()


async def test_provider_of_another_encryption_key_fails_the_first_step(tmp_path: Path) -> None:
    url = f"smtp://bells:a-password-of-24-characters@mail.example.com:25?{SENDER}"
    async with app(tmp_path, ENCRYPTION_KEY="a:one") as (_, client):
        written = await client.put("/v1/providers/mail", json={"channel": "email", "url": url})
        assert written.json()["secret"] == {"set": True, "hint": "…ters"}
        entries = (await client.get("/v1/audit")).json()["entries"]
        assert "ters" not in str(entries)
    async with app(tmp_path, ENCRYPTION_KEY="b:two") as (_, client):
        found = await result_of(client, "/v1/providers/mail/test")
        assert states(found) == ["failed", *["skipped"] * 5]
        assert (await client.get("/v1/providers/mail")).json()["secret"] == {"set": True, "hint": "…"}


@pytest.mark.parametrize(
    ("url", "is_set", "hint"),
    [
        ("smtp://mail.example.com:25?from=a@b.example", False, None),
        ("smtp://bells:short@mail.example.com", True, "…"),
        ("smtp://bells:20%20characters_of_its@mail.example.com", True, "…_its"),
        ("telegram://4711:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw@default", True, "…Dsaw"),
        ("telegram://4711%3AAAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw@default", True, "…Dsaw"),
        ("apns://TEAM:ABCDEFGHIJKLMNOPQRSTUVWXYZ@default?key_base64=QUJD&topic=a.b", True, "…"),
        ("fcm://default?credentials=/run/secrets/account.json", True, "…"),
        ("apprise+slack://token-of-many-characters/", True, "…"),
    ],
)
def test_hint_shows_the_end_of_a_long_secret_only(url: str, is_set: bool, hint: str | None) -> None:
    shown = vendor_api.hint_of(url)
    assert (shown.set, shown.hint) == (is_set, hint)
