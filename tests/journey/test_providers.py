"""Providers as objects: created, tested, failed over and limited."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bellcast.channels.store.messages import Messages
from bellcast.kernel.errors import SettingsError
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.providers import http as provider_operations
from bellcast.providers.types import ConfiguredProvider
from bellcast.server.app import create_app
from bellcast.settings import load
from tests.journey.channels_app import app, ended, eventually
from tests.journey.text_messages import NUMBER, PUBLIC, send, twilio_url, vonage_url
from tests.push_browser import Browser
from tests.smtp_server import smtp_server
from tests.vendor_server import CUT, HALF, HANG, plain_server, raw_response, vendor_server


async def put(client: httpx.AsyncClient, key: str, url: str, **fields: Any) -> httpx.Response:
    tenant = fields.pop("tenant", None)
    body = {"channel": "sms", "url": url, **fields}
    return await client.put(f"/v1/providers/{key}", json=body, params={} if tenant is None else {"tenant": tenant})


def stored_bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.is_file())


async def test_provider_is_shown_masked_and_stored_encrypted(tmp_path: Path) -> None:
    async with vendor_server() as vendor, app(tmp_path, HTTP_ALLOW="127.0.0.1") as (_, client):
        created = await put(client, "texts", twilio_url(vendor), rate=5)
        assert created.status_code == 201
        shown = created.json()
        assert shown == {
            "key": "texts",
            "tenant": None,
            "channel": "sms",
            "url": f"twilio://…@{vendor.host}",
            "secret": {"set": True, "hint": "…"},
            "priority": 0,
            "rate": 5.0,
            "concurrency": 10,
            "timeout": 30.0,
            "active": True,
            "managed": None,
        }
        assert (await client.get("/v1/providers/texts")).json() == shown
        recent = {"value": 0, "exact": True, "last_at": None, "failed": 0}
        listed = {"providers": [{**shown, "recent_messages": recent}], "next": None}
        assert (await client.get("/v1/providers")).json() == listed
        # A read that is written back keeps the stored URL.
        assert (await client.put("/v1/providers/texts", json={**shown, "rate": None})).status_code == 200
        vendor.default = raw_response(201, {"sid": "SM1"})
        await send(client)
        (message,) = await ended(client)
        assert (message["state"], message["provider"]) == ("sent", "texts")
        assert vendor.requests[0].headers["authorization"].endswith(base64.b64encode(b"AC1:token").decode())
        stored = stored_bytes(tmp_path)
        assert b"concurrency" in stored
        assert b"AC1" not in stored
        assert (await client.delete("/v1/providers/texts")).status_code == 204
        assert (await client.get("/v1/providers/texts")).status_code == 404


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"url": "twilio://a:b@10.0.0.1?from=x"}, "url"),
        ({"url": "twilio://a:b@[::1]?from=x"}, "url"),
        ({"url": "smtp://mail.example.com"}, "url"),
        ({"channel": "email", "url": "smtp://127.0.0.1:25?from=a@b.example"}, "url"),
        ({"channel": "email", "url": "smtp://not a host:25?from=a@b.example"}, "url"),
        ({"channel": "email", "url": "smtp://a..example?from=a@b.example"}, "url"),
        ({"channel": "email", "url": "smtp://a.example:0?from=a@b.example"}, "url"),
        ({"channel": "email", "url": "smtp://a.example:65536?from=a@b.example"}, "url"),
        ({"url": "twilio://a:b@{{ host }}?from=x"}, "url"),
        ({"channel": "chat", "url": "telegram://token@a b"}, "url"),
        ({"channel": "fax"}, "channel"),
        ({"concurrency": 0}, "concurrency"),
        ({"timeout": "soon"}, "timeout"),
        ({"rate": 0}, "rate"),
        ({"rate": 1e-300}, "rate"),
        ({"channel": "chat", "url": "apprise+json://example.com/"}, "url"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_unusable_provider_is_refused(tmp_path: Path, fields: dict[str, Any], field: str) -> None:
    async with app(tmp_path) as (_, client):
        refused = await put(client, "x", **{"url": "twilio://a:b@default?from=x", **fields})
        assert refused.status_code == 422
        assert [error["field"] for error in refused.json()["errors"]] == [field]


APNS = "apns://TEAM:KEY@default?topic=com.example.app"
P256, P384 = ec.SECP256R1(), ec.SECP384R1()


def private_key(curve: ec.EllipticCurve) -> bytes:
    key = ec.generate_private_key(curve)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


async def test_provider_cannot_name_a_file_of_the_server(tmp_path: Path) -> None:
    """A pipe would block the server, and a different response for an existing file would reveal its existence."""
    file, pipe = tmp_path / "AuthKey.p8", tmp_path / "pipe"
    file.write_bytes(private_key(P256))
    os.mkfifo(pipe)
    async with app(tmp_path / "data") as (_, client):
        for url, option in ((f"{APNS}&", "key"), ("fcm://default?", "credentials")):
            refusals = []
            for path in (file, pipe, tmp_path / "none", Path("/dev/zero")):
                refused = await put(client, "phones", f"{url}{option}={path}", channel="push")
                assert refused.status_code == 422
                refusals.append(refused.json()["errors"])
            assert refusals == [refusals[0]] * 4
            assert f"{option}_base64" in refusals[0][0]["message"]


@pytest.mark.parametrize("name", ["none", "pipe", "large"])
def test_setting_with_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(private_key(P256) + b"\n" * 65_536)
    environment = {"BELLCAST_PROJECT": "p:key:secret", "BELLCAST_PUSH": f"{APNS}&key={tmp_path / name}"}
    with pytest.raises(SettingsError, match=f"{name} is not a readable file"):
        create_app(load({"data": str(tmp_path / "data")}, environment))


async def test_provider_has_its_key_in_the_url(tmp_path: Path) -> None:
    account = {"project_id": "shop", "client_email": "bell@shop.example", "private_key": "-"}
    async with app(tmp_path) as (_, client):
        for url, status in (
            (f"{APNS}&key_base64={base64.b64encode(private_key(P256)).decode()}", 201),
            (f"{APNS}&key_base64={base64.urlsafe_b64encode(private_key(P256)).decode().rstrip('=')}", 200),
            (f"{APNS}&key_base64={base64.b64encode(private_key(P384)).decode()}", 422),
            (f"{APNS}&key_base64=***", 422),
            (f"{APNS}&key_base64=AAAA", 422),
            (f"fcm://default?credentials_base64={base64.b64encode(json.dumps(account).encode()).decode()}", 200),
            ("fcm://default?credentials_base64=W10", 422),
        ):
            written = await put(client, "phones", url, channel="push")
            assert written.status_code == status, written.text
        assert (await client.get("/v1/providers/phones")).json()["url"] == "fcm://default"
        assert b"credentials_base64" not in stored_bytes(tmp_path)


async def test_provider_beyond_the_maximum_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would deliver nothing."""
    monkeypatch.setattr("bellcast.documents.store.MAX_OF_KIND", 2)
    url = "twilio://AC1:token@default?from=%2B12025550123"
    async with app(tmp_path) as (_, client):
        for key in ("a", "b", "a"):
            assert (await put(client, key, url)).is_success
        for dry_run in ("false", "true"):
            body = {"channel": "sms", "url": url}
            refused = await client.put("/v1/providers/c", json=body, params={"dry_run": dry_run})
            assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        assert (await put(client, "c", url, tenant="acme")).status_code == 201
        await client.delete("/v1/providers/a")
        assert (await put(client, "c", url)).status_code == 201


async def test_receipts_url_encodes_the_tenant(tmp_path: Path) -> None:
    async with app(tmp_path, PUBLIC_URL=PUBLIC) as (server, _):
        url = server._parts.channels.providers.receipts_url("Acme & Co #1", "texts")
    assert url == f"{PUBLIC}/v1/providers/texts/receipts?tenant=Acme%20%26%20Co%20%231"


async def test_provider_of_a_setting_is_read_only(tmp_path: Path) -> None:
    async with app(tmp_path, SMS="vonage://key:secret@default?from=Shop") as (_, client):
        (shown,) = (await client.get("/v1/providers")).json()["providers"]
        assert (shown["key"], shown["url"]) == ("env-sms-1", "vonage://…@default")
        assert shown == (await client.get("/v1/providers/env-sms-1")).json() | {
            "recent_messages": shown["recent_messages"]
        }
        assert (await put(client, "env-sms-1", "vonage://a:b@default?from=x")).status_code == 409
        assert (await client.delete("/v1/providers/env-sms-1")).status_code == 409


FAULTS = [
    (raw_response(429, {}, retry_after="7200"), "429"),
    (raw_response(500, {}), "500"),
    (HANG, None),
    (HALF, None),
    (CUT, None),  # the connection is reset after the request was read
]


@pytest.mark.parametrize(("fault", "code"), FAULTS)
async def test_failing_provider_is_replaced_by_the_next(tmp_path: Path, fault: bytes, code: str | None) -> None:
    async with (
        vendor_server() as first,
        vendor_server() as second,
        app(tmp_path, HTTP_ALLOW="127.0.0.1") as (_, client),
    ):
        first.default = fault
        second.default = raw_response(200, {"messages": [{"status": "0", "message-id": "V1"}]})
        await put(client, "backup", vonage_url(second), priority=2)
        await put(client, "main", twilio_url(first), priority=1, timeout=0.3 if fault == HANG else 30)
        await send(client)
        (message,) = await ended(client)
        attempts = [(one["provider"], one["outcome"]) for one in message["attempts"]]
        assert attempts == [("main", "temporary"), ("backup", "accepted")]
        assert message["attempts"][0]["code"] == code
        assert message["state"] == "sent"


async def test_provider_with_wrong_tls_is_temporary_and_retry_after_is_respected(tmp_path: Path) -> None:
    async with (
        plain_server() as plain,
        vendor_server() as vendor,
        app(tmp_path, HTTP_ALLOW="127.0.0.1") as (server, client),
    ):
        await put(client, "tls", f"vonage://key:secret@{plain}?from=Shop", priority=1)
        await put(client, "busy", twilio_url(vendor), priority=2)
        vendor.default = raw_response(429, {}, retry_after="7200")
        sent_at = server.engines.clock.now()
        await send(client)

        async def read() -> Any:
            return (await client.get("/v1/messages")).json()["messages"]

        ((message),) = await eventually(read, lambda found: found and len(found[0]["attempts"]) == 2)
        assert [one["outcome"] for one in message["attempts"]] == ["temporary", "temporary"]
        assert message["state"] == "queued"
        stored = (await Messages(server.db).find([message["id"]]))[0]
        assert stored.due_at >= sent_at + 7_200_000


async def test_messages_over_the_rate_wait_for_separate_times(tmp_path: Path) -> None:
    async with vendor_server() as vendor, app(tmp_path, HTTP_ALLOW="127.0.0.1") as (server, client):
        vendor.default = raw_response(201, {"sid": "SM1"})
        await put(client, "slow", twilio_url(vendor), rate=0.001)
        for _ in range(3):
            await send(client)

        async def read() -> Any:
            return (await client.get("/v1/messages")).json()["messages"]

        def has_settled(found: list[dict[str, Any]]) -> bool:
            return sorted((one["state"], one["reason"] or "") for one in found) == [
                ("queued", "rate"),
                ("queued", "rate"),
                ("sent", ""),
            ]

        found = await eventually(read, has_settled)
        waiting = sorted(one["due_at"] for one in found if one["state"] == "queued")
        assert len(set(waiting)) == 2
        assert len(vendor.requests) == 1
        assert server.db is not None


async def test_failover_keeps_the_rate_of_the_backup(tmp_path: Path) -> None:
    async with (
        vendor_server() as vendor,
        vendor_server() as backup,
        app(tmp_path, HTTP_ALLOW="127.0.0.1") as (_, client),
    ):
        vendor.default = raw_response(503, {})
        backup.default = raw_response(201, {"sid": "SM1"})
        await put(client, "main", twilio_url(vendor), priority=1)
        await put(client, "backup", twilio_url(backup), priority=2, rate=0.001)
        for _ in range(3):
            await send(client)

        async def read() -> Any:
            return (await client.get("/v1/messages")).json()["messages"]

        def has_settled(found: list[dict[str, Any]]) -> bool:
            ended = sorted((one["state"], one["reason"] or "", len(one["attempts"])) for one in found)
            return ended == [("queued", "{}", 1), ("queued", "{}", 1), ("sent", "", 2)]

        await eventually(read, has_settled)
        assert len(backup.requests) == 1


async def test_tenants_own_provider_replaces_the_projects(tmp_path: Path) -> None:
    async with (
        vendor_server() as project,
        vendor_server() as acme,
        app(tmp_path, SMS=twilio_url(project), HTTP_ALLOW="127.0.0.1") as (_, client),
    ):
        project.default = acme.default = raw_response(201, {"sid": "SM1"})
        await put(client, "own", twilio_url(acme), tenant="acme")
        await send(client, tenant="acme")
        (message,) = await ended(client, tenant="acme")
        assert (message["provider"], len(project.requests), len(acme.requests)) == ("own", 0, 1)
        assert (await client.get("/v1/providers?tenant=globex")).json()["providers"] == []
        assert (await client.get("/v1/providers/own")).status_code == 404
        assert (await client.get("/v1/providers/env-sms-1?tenant=acme")).json()["tenant"] is None


def works(tested: httpx.Response) -> bool:
    """Return True if a test reports a working provider."""
    result = tested.json()
    return (result["ok"], result["error"], result["state"]) == (True, None, "ok")


async def test_provider_can_be_tested(tmp_path: Path) -> None:
    async with vendor_server() as vendor, app(tmp_path, SMS=twilio_url(vendor)) as (_, client):
        vendor.responses += [raw_response(400, {"message": "A 'To' phone number is required."})]
        assert works(await client.post("/v1/providers/env-sms-1/test"))
        vendor.responses += [raw_response(401, {"message": "Authenticate"})]
        refused = (await client.post("/v1/providers/env-sms-1/test", json={})).json()
        assert (refused["ok"], refused["error"]) == (False, "401: Authenticate")
        vendor.default = raw_response(201, {"sid": "SM1"})
        tested = await client.post("/v1/providers/env-sms-1/test", json={"to": NUMBER})
        assert works(tested)
        assert vendor.requests[-1].form["To"] == NUMBER
        vendor.responses += [raw_response(400, {"message": "A 'To' phone number is required."})]
        planned = await client.post("/v1/providers/env-sms-1/test?dry_run=true", json={"to": NUMBER})
        assert works(planned)
        assert "To" not in vendor.requests[-1].form
        assert (await client.post("/v1/providers/none/test")).status_code == 404


@pytest.mark.parametrize(
    ("channel", "to"),
    [
        ("email", "a@example.com\r\nBcc: b@example.com"),
        ("email", "a@example.com, b@example.com"),
        ("sms", "+431\r\n"),
        ("sms", ""),
    ],
)
async def test_address_of_a_test_is_checked(tmp_path: Path, channel: str, to: str) -> None:
    async with (
        smtp_server() as mailbox,
        vendor_server() as vendor,
        app(tmp_path, HTTP_ALLOW="127.0.0.1,::1") as (_, client),
    ):
        email = f"smtp://localhost:{mailbox.port}?from=bells@example.com&tls=off"
        values = {"channel": channel, "url": email if channel == "email" else twilio_url(vendor)}
        assert (await client.put("/v1/providers/p", json=values)).status_code == 201
        for body in ({"to": to}, {"to": to, "values": values}):
            for query in ("", "?dry_run=true"):
                refused = await client.post(f"/v1/providers/p/test{query}", json=body)
                assert refused.status_code == 422, refused.text
                assert [error["field"] for error in refused.json()["errors"]] == ["to"]
        assert (mailbox.received, vendor.requests) == ([], [])
        assert (await client.post("/v1/providers/none/test", json={"to": to})).status_code == 404


async def test_simulated_message_is_released_to_a_provider(tmp_path: Path) -> None:
    async with smtp_server() as mailbox, app(tmp_path, HTTP_ALLOW="127.0.0.1,::1") as (_, client):
        await send(client, channels=["email"])
        (message,) = await ended(client)
        path = f"/v1/messages/{message['id']}/release"
        refused = await client.post(path)
        assert (message["state"], refused.status_code) == ("simulated", 409)
        assert "No provider delivers email messages" in refused.json()["detail"]
        url = f"smtp://localhost:{mailbox.port}?from=bells@example.com&tls=off"
        assert (await put(client, "mail", url, channel="email")).status_code == 201
        assert (await client.post(f"{path}?dry_run=true")).json() == {"retried": 1}
        assert (await client.post(f"{path}?tenant=acme")).status_code == 404
        assert mailbox.received == []
        assert (await client.post(path)).status_code == 202
        (sent,) = await ended(client)
        assert (sent["state"], sent["provider"], len(mailbox.received)) == ("sent", "mail", 1)
        assert (await client.post(path)).status_code == 409
        entries = (await client.get("/v1/audit")).json()["entries"]
        outcomes = [one["outcome"] for one in entries if one["action"] == "POST /v1/messages/{id}/release"]
        assert sorted(outcomes) == ["conflict", "conflict", "not_found", "ok"]
        key = (await client.post("/v1/keys", json={"name": "k", "scopes": ["read", "send"]})).json()["key"]
        assert (await client.post(path, headers={"authorization": f"Bearer {key}"})).status_code == 403


async def test_values_are_tested_without_being_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bellcast.rest.guards.TESTS_PER_MINUTE", 100_000)
    async with (
        vendor_server() as vendor,
        vendor_server() as other,
        app(tmp_path, HTTP_ALLOW="127.0.0.1") as (_, client),
    ):

        async def tested(url: str, key: str = "texts", **body: Any) -> httpx.Response:
            vendor.responses.clear()
            vendor.responses += [raw_response(400, {"message": "A 'To' phone number is required."})]
            return await client.post(
                f"/v1/providers/{key}/test", json={"values": {"channel": "sms", "url": url}, **body}
            )

        assert works(await tested(twilio_url(vendor)))
        assert (await client.get("/v1/providers/texts")).status_code == 404
        await put(client, "texts", twilio_url(vendor))
        token = vendor.requests[-1].headers["authorization"]
        for url in (f"twilio://…@{vendor.host}", f"twilio://…@{vendor.host}?from=%2B12025550124&tls=off"):
            assert works(await tested(url))
            assert vendor.requests[-1].headers["authorization"] == token
        sent = len(vendor.requests), len(other.requests)
        # To another server, without TLS, through another vendor, or without stored credentials.
        await put(client, "secure", f"twilio://AC1:token@{vendor.host}?from=%2B12025550123")
        for key, url in (
            ("texts", f"twilio://…@{other.host}?from=%2B12025550123&tls=off"),
            ("texts", f"vonage://…@{vendor.host}?from=Shop&tls=off"),
            ("secure", f"twilio://…@{vendor.host}?from=%2B12025550123&tls=off"),
            ("absent", twilio_url(vendor).replace("AC1:token@", "…@")),
        ):
            refused = await tested(url, key)
            assert refused.status_code == 422, refused.text
            assert "needs its credentials again" in refused.json()["errors"][0]["message"]
            assert (await put(client, key, url)).status_code == 422
        assert (len(vendor.requests), len(other.requests)) == sent
        assert "must not" in (await tested("twilio://AC1:token@10.0.0.1?from=%2B12025550123")).text
        assert "token" not in (await client.get("/v1/audit")).text


@pytest.mark.parametrize(("fault", "code"), FAULTS)
async def test_failing_telegram_is_replaced_by_the_next_provider(
    tmp_path: Path, fault: bytes, code: str | None
) -> None:
    async with (
        vendor_server() as first,
        vendor_server() as second,
        app(tmp_path, HTTP_ALLOW="127.0.0.1") as (_, client),
    ):
        first.default = fault
        second.default = raw_response(200, {"ok": True, "result": {"message_id": 1}})
        for priority, (key, vendor) in enumerate({"main": first, "backup": second}.items()):
            body = {"channel": "chat", "url": f"telegram://1:abc@{vendor.host}?tls=off", "priority": priority}
            await client.put(
                f"/v1/providers/{key}", json={**body, "timeout": 0.3 if fault == HANG and key == "main" else 30}
            )
        await client.put("/v1/recipients/alice", json={"chat": {"telegram": 4711}})
        await client.post("/v1/notifications", json={"to": "alice", "title": "Hi", "channels": ["chat"]})
        (message,) = await ended(client)
        attempts = [(one["provider"], one["outcome"], one["code"]) for one in message["attempts"]]
        assert attempts == [("main", "temporary", code), ("backup", "accepted", "200")]
        assert (message["state"], len(first.requests), len(second.requests)) == ("sent", 1, 1)


async def test_busy_push_service_gets_the_push_again_after_its_time(tmp_path: Path) -> None:
    async with vendor_server() as service, app(tmp_path, HTTP_ALLOW="127.0.0.1") as (server, client):
        service.default = raw_response(429, b"", retry_after="7200")
        path = "/v1/recipients/alice/push-endpoints"
        await client.post(path, json=Browser().to_json(f"http://{service.host}/send/1"))
        sent_at = server.engines.clock.now()
        await client.post("/v1/notifications", json={"to": "alice", "title": "Hi", "channels": ["push"]})

        async def read() -> Any:
            return (await client.get("/v1/messages")).json()["messages"]

        (message,) = await eventually(read, lambda found: found and found[0]["attempts"])
        assert (message["state"], message["attempts"][0]["outcome"]) == ("queued", "temporary")
        stored = (await Messages(server.db).find([message["id"]]))[0]
        assert stored.due_at >= sent_at + 7_200_000
        assert len((await client.get(path)).json()["push_endpoints"]) == 1


async def test_mail_server_of_a_provider_object_is_reached_at_an_allowed_address_only(tmp_path: Path) -> None:
    async with smtp_server() as mailbox, app(tmp_path, HTTP_ALLOW="127.0.0.1,::1", RETRIES="1h") as (_, client):
        url = f"smtp://localhost:{mailbox.port}?from=bells@example.com&tls=off"
        assert (await put(client, "mail", url, channel="email")).status_code == 201
        await send(client, channels=["email"])
        (message,) = await ended(client)
        assert (message["state"], message["provider"], len(mailbox.received)) == ("sent", "mail", 1)
    other = tmp_path / "other"
    async with smtp_server() as mailbox, app(other, RETRIES="1h") as (_, client):
        # A name is checked at each call: this one leads to a private address.
        url = f"smtp://localhost:{mailbox.port}?from=bells@example.com&tls=off"
        assert (await put(client, "mail", url, channel="email")).status_code == 201
        await send(client, channels=["email"])

        async def read() -> Any:
            return (await client.get("/v1/messages")).json()["messages"]

        (message,) = await eventually(read, lambda found: found and found[0]["attempts"])
        assert message["attempts"][0]["outcome"] == "temporary"
        assert "not public" in message["attempts"][0]["response"]
        assert mailbox.received == []


async def test_conditional_write_of_a_provider_replaces_only_the_one_that_was_read(tmp_path: Path) -> None:
    async with vendor_server() as vendor, app(tmp_path, HTTP_ALLOW="127.0.0.1") as (_, client):
        path, body = "/v1/providers/texts", {"channel": "sms", "url": twilio_url(vendor)}
        only_new = {"if-none-match": "*"}
        assert (await client.put(path, json=body, headers=only_new)).status_code == 201
        assert (await client.put(path, json=body, headers=only_new)).status_code == 412
        tag = (await client.get(path)).headers["etag"]
        # A new secret in the same URL is a change, although the masked URL stays.
        other = body["url"].replace("://", "://x", 1)
        assert (await client.put(path, json={**body, "url": other}, headers={"if-match": tag})).status_code == 200
        current = (await client.get(path)).headers["etag"]
        assert current != tag
        assert (await client.put(path, json=body, headers={"if-match": tag})).status_code == 412
        assert (await client.put(f"{path}?dry_run=true", json=body, headers={"if-match": tag})).status_code == 412
        assert (await client.delete(path, headers={"if-match": tag})).status_code == 412
        assert (await client.delete(path, headers={"if-match": current})).status_code == 204


async def test_provider_that_changes_while_it_is_deleted_with_if_match_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with vendor_server() as vendor, app(tmp_path, HTTP_ALLOW="127.0.0.1") as (_, client):
        path, body = "/v1/providers/texts", {"channel": "sms", "url": twilio_url(vendor)}
        await client.put(path, json=body)
        tag, read_own = (await client.get(path)).headers["etag"], provider_operations._own

        async def changed(request: ApiRequest, tenant: str, key: str) -> ConfiguredProvider | None:
            monkeypatch.setattr(provider_operations, "_own", read_own)
            await client.put(path, json={**body, "priority": 3})
            return await read_own(request, tenant, key)

        monkeypatch.setattr(provider_operations, "_own", changed)
        assert (await client.delete(path, headers={"if-match": tag})).status_code == 412
        assert (await client.get(path)).json()["priority"] == 3
