"""The generated encryption key: secrets and browsers' subscriptions survive its rotation."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from bellcast.documents.store import Documents
from bellcast.kernel.encryption import Encryption
from bellcast.server import parts
from bellcast.server.app import App, create_app
from bellcast.settings import load
from bellcast.settings.credentials import encryption_keys, rotate_encryption_key
from tests.journey.channels_app import ended, eventually
from tests.push_browser import vapid_key
from tests.vendor_server import VendorServer, raw_response, vendor_server


@asynccontextmanager
async def generated(folder: Path, **settings: str) -> AsyncIterator[tuple[App, httpx.AsyncClient]]:
    """A server with generated credentials, and with generated keys unless a setting provides them."""
    server = create_app(load({"data": str(folder), **settings}, {"BELLCAST_HTTP_ALLOW": "127.0.0.1"}))
    await server.start(is_mounted=False)
    headers = {"authorization": f"Bearer {server.project.secret}"}
    transport = httpx.ASGITransport(server)  # type: ignore[arg-type]  # a scope is a dict
    async with httpx.AsyncClient(transport=transport, base_url="http://bell", headers=headers) as client:
        try:
            yield server, client
        finally:
            await server.stop()


def keys_of(folder: Path) -> list[str]:
    found: list[str] = json.loads((folder / "encryption.json").read_text())["keys"]
    return found


async def push_key(client: httpx.AsyncClient) -> str:
    key: str = (await client.get("/v1/recipients/alice/push-endpoints/key")).json()["public_key"]
    return key


async def is_encrypted_with(server: App, key: str) -> bool:
    """True if every secret in the store is encrypted with this key alone."""
    encryption = Encryption(key.encode())
    fields = {"providers": ("url",), "webhooks": ("secret",)}
    for kind, names in fields.items():
        documents = [one async for one in Documents(server.db).every(kind)]
        assert documents
        for tenant, document in documents:
            values: dict[str, Any] = json.loads(document.body)
            place = f"{kind}/{tenant}/{document.key}"
            if any(encryption.key_index(values[name], place) != 0 for name in names):
                return False
    return True


async def text_reaches(vendor: VendorServer, client: httpx.AsyncClient, count: int) -> None:
    vendor.default = raw_response(201, {"sid": "SM1"})
    await client.post("/v1/notifications", json={"to": "alice", "title": "Hi", "channels": ["sms"]})
    assert [message["state"] for message in await ended(client, count)] == ["sent"] * count


async def test_rotated_key_encrypts_what_is_stored_at_the_next_start(tmp_path: Path) -> None:
    async with vendor_server() as vendor:
        async with generated(tmp_path) as (server, client):
            url = f"twilio://AC1:token@{vendor.host}?from=%2B12025550123&tls=off"
            for path in ("/v1/providers/texts", "/v1/providers/other?tenant=acme"):
                assert (await client.put(path, json={"channel": "sms", "url": url})).status_code == 201
            hook = {"url": f"http://{vendor.host}/hooks", "events": ["run.failed"]}
            assert (await client.post("/v1/webhooks?tenant=*", json=hook)).status_code == 201
            await client.put("/v1/recipients/alice", json={"phone": "+436601234567"})
            public = await push_key(client)
            await text_reaches(vendor, client, 1)
            (first,) = keys_of(tmp_path)
            assert await is_encrypted_with(server, first)
        rotate_encryption_key(load({"data": str(tmp_path)}, {}))
        async with generated(tmp_path) as (server, client):
            second = keys_of(tmp_path)[0]
            assert keys_of(tmp_path) == [second, first]
            await eventually(lambda: is_encrypted_with(server, second), bool)
            assert await push_key(client) == public
            await text_reaches(vendor, client, 2)


async def test_store_of_a_server_without_a_key_file_is_taken_over(tmp_path: Path) -> None:
    """Before the file existed, everything was encrypted with the project secret."""
    async with vendor_server() as vendor:
        async with generated(tmp_path) as (server, client):
            public, secret = await push_key(client), server.project.secret
        (tmp_path / "encryption.json").write_text(json.dumps({"keys": [secret]}))
        async with generated(tmp_path) as (_, client):
            url = f"twilio://AC1:token@{vendor.host}?from=%2B12025550123&tls=off"
            await client.put("/v1/providers/texts", json={"channel": "sms", "url": url})
            hook = {"url": f"http://{vendor.host}/hooks", "events": ["run.failed"]}
            await client.post("/v1/webhooks", json=hook)
            await client.put("/v1/recipients/alice", json={"phone": "+436601234567"})
        (tmp_path / "encryption.json").unlink()
        async with generated(tmp_path) as (server, client):
            (generated_key,) = keys_of(tmp_path)
            await eventually(lambda: is_encrypted_with(server, generated_key), bool)
            assert await push_key(client) == public
            await text_reaches(vendor, client, 1)
        assert encryption_keys(load({"data": str(tmp_path)}, {}), server.project).previous == (secret,)


async def usage(client: httpx.AsyncClient) -> dict[str, int]:
    response = (await client.get("/v1/secrets")).json()
    assert response["keys"][0]["is_current"]
    found = {one["id"]: one["secrets"] for one in response["keys"]}
    return found | {"unreadable": response["unreadable"]}


async def test_keys_of_a_ring_are_replaced_one_by_one(tmp_path: Path) -> None:
    # A server without jobs does not re-encrypt anything when it starts.
    async with generated(tmp_path, encryption_key="k" * 40, no_jobs="on") as (_, client):
        for number in range(3):
            body = {"channel": "sms", "url": "twilio://AC1:token@default?from=%2B12025550123"}
            assert (await client.put(f"/v1/providers/p{number}", json=body)).status_code == 201
        hook = {"url": "http://127.0.0.1:9/hooks", "events": ["run.failed"]}
        assert (await client.post("/v1/webhooks", json=hook)).status_code == 201
        public = await push_key(client)
        assert await usage(client) == {"setting": 4, "project secret": 0, "unreadable": 0}
    async with generated(tmp_path, encryption_key=f"new:{'n' * 40},old:{'k' * 40}", no_jobs="on") as (server, client):
        assert await push_key(client) == public
        # The identity towards push services is stored from now on.
        assert await usage(client) == {"new": 1, "old": 4, "project secret": 0, "unreadable": 0}
        rotation = server._parts.channels.secrets.rotate()
        first = await anext(rotation)
        await rotation.aclose()  # interrupted
        assert (first.kind, first.checked, first.changed) == ("providers", 3, 3)
        assert await usage(client) == {"new": 4, "old": 1, "project secret": 0, "unreadable": 0}
        streamed = await client.post("/v1/secrets/rotation")
        assert [json.loads(line) for line in streamed.text.splitlines()] == [
            {"kind": "providers", "checked": 3, "changed": 0},
            {"kind": "webhooks", "checked": 1, "changed": 1},
            {"kind": "push-identity", "checked": 1, "changed": 0},
        ]
        assert await usage(client) == {"new": 5, "old": 0, "project secret": 0, "unreadable": 0}
    async with generated(tmp_path, encryption_key=f"new:{'n' * 40}", no_jobs="on") as (_, client):
        assert await push_key(client) == public
        assert (await usage(client))["unreadable"] == 0
        assert (await client.get("/v1/providers/p0")).json()["url"].startswith("twilio://")
    async with generated(tmp_path, encryption_key=f"other:{'o' * 40}", no_jobs="on") as (_, client):
        assert (await usage(client))["unreadable"] == 5
        assert (await client.post("/v1/secrets/rotation", headers={"accept": "application/json"})).json()[0][
            "changed"
        ] == 0


async def test_two_nodes_that_start_together_store_one_identity(tmp_path: Path) -> None:
    async with generated(tmp_path, encryption_key="a:" + "k" * 40, no_jobs="on") as (server, client):
        documents, encryption = Documents(server.db), server._parts.channels.encryption
        found = await parts.load_push_identity(documents, server.engines.clock, encryption, vapid_key())
        assert found.public == await push_key(client)
        assert await documents.delete(parts.IDENTITY_KIND, "", parts.IDENTITY_KEY)
        keys = [vapid_key() for _ in range(2)]
        both = await asyncio.gather(
            *(parts.load_push_identity(documents, server.engines.clock, encryption, key) for key in keys)
        )
        assert both[0].public == both[1].public
        assert both[0].public in {key.public for key in keys}
