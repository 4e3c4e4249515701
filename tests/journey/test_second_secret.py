"""The project secret is replaced without an outage: what the old and the new one sign is accepted at the same time."""

import base64
import hmac
import time
from pathlib import Path

import httpx
import pytest

import bellcast
from bellcast.auth import link_tokens, tokens
from bellcast.calls import Call, CallbackContext, HttpCallback
from bellcast.channels import links
from bellcast.channels.links import Unsubscription
from bellcast.kernel.clock import SystemClock
from bellcast.kernel.errors import Unauthenticated
from bellcast.kernel.identities import Project
from bellcast.kernel.limits import Limits
from bellcast.kernel.outbound.http import HttpClients
from bellcast.live.pusher import signatures as pusher_signatures
from bellcast.live.pusher.apps import PusherAppDirectory
from bellcast.live.socketio import namespaces
from bellcast.live.socketio.namespaces import Pid
from bellcast.operators.sign_in import ConsoleSessions
from bellcast.server.app import App
from tests.journey.channels_app import app, eventually
from tests.vendor_server import Request, vendor_server

OLD, NEW = "the old secret", "the new secret"
DURING = {"PROJECT": f"p:key:{NEW}", "SECOND_SECRET": OLD, "HTTP_ALLOW": "127.0.0.1"}
BEFORE, AFTER = {**DURING, "PROJECT": f"p:key:{OLD}", "SECOND_SECRET": NEW}, {"PROJECT": f"p:key:{NEW}"}


def of(secret: str) -> Project:
    return Project("p", "key", secret)


def bearer(credential: str) -> dict[str, str]:
    return {"authorization": f"Bearer {credential}"}


def token(secret: str) -> str:
    now = int(time.time() * 1000)
    return tokens.sign(of(secret), "alice", now=now, expires_at=now + 60_000)


def pusher_path(secret: str) -> str:
    """Return the path of a signed request of Pusher's HTTP API."""
    path = "/apps/p/channels"
    query = f"auth_key=key&auth_timestamp={int(time.time())}&auth_version=1.0"
    signature = pusher_signatures.digest(of(secret), f"GET\n{path}\n{query}".encode())
    return f"{path}?{query}&auth_signature={signature}"


async def statuses(server: App, client: httpx.AsyncClient, secret: str) -> set[int]:
    """Use a secret in every way that a request can."""
    link = Unsubscription("", "alice", int(time.time() * 1000) + 1000, "news")
    responses = [
        await client.put("/v1/recipients/alice", json={}, headers=bearer(secret)),
        await client.get("/v1/inbox", headers=bearer(token(secret))),
        await client.get(pusher_path(secret), headers={}),
        await client.get(f"/u/{link_tokens.sign(of(secret), links.UNSUBSCRIBE_PURPOSE, link)}"),
    ]
    return {one.status_code // 100 for one in responses}


@pytest.mark.parametrize("settings", [BEFORE, DURING], ids=["before", "during"])
async def test_both_secrets_are_accepted_everywhere(tmp_path: Path, settings: dict[str, str]) -> None:
    async with app(tmp_path, **settings) as (server, client):
        for secret in (OLD, NEW):
            assert await statuses(server, client, secret) == {2}
            pid = link_tokens.sign(of(secret), namespaces.PURPOSE, Pid("", "alice", "/", "sid", "1-1"))
            assert namespaces.read(server.project, pid, None) is not None
            found = server._live.services[PusherAppDirectory].by_key.get("key")
            assert found is not None
            auth = pusher_signatures.sign(of(secret), "1.1:private-a")
            assert pusher_signatures.is_valid_for_any(found.valid_credentials(0), auth, "1.1:private-a")
        assert {one.status_code for one in [await client.get("/v1/keys", headers=bearer("third"))]} == {401}


async def test_own_signatures_are_those_of_the_new_secret(tmp_path: Path) -> None:
    async with app(tmp_path, **DURING) as (_, client):
        made = (await client.post("/v1/tokens", json={"recipient": "alice"}, headers=bearer(NEW))).json()["token"]
        now = int(time.time() * 1000)
        assert tokens.verify(of(NEW), made, now, Limits()).recipient == "alice"
        with pytest.raises(Unauthenticated):
            tokens.verify(of(OLD), made, now, Limits())


async def test_old_secret_is_refused_after_the_change(tmp_path: Path) -> None:
    async with app(tmp_path, **AFTER) as (server, client):
        assert await statuses(server, client, OLD) == {4}
        assert await statuses(server, client, NEW) == {2}


async def test_stored_secrets_and_the_audit_log_survive_the_change(tmp_path: Path) -> None:
    url = "smtp://user:password@mail.example:25?from=a@b.example"
    async with app(tmp_path, **BEFORE) as (server, client):
        client.headers.update(bearer(OLD))
        assert (await client.put("/v1/providers/mail", json={"channel": "email", "url": url})).status_code == 201
        assert (await client.post("/v1/keys", json={"name": "a", "scopes": ["send"]})).status_code == 201
        authenticator_app = server._operators[ConsoleSessions]._cipher.encrypt("totp", "operator")
    async with app(tmp_path, **DURING) as (server, client):
        client.headers.update(bearer(NEW))
        provider = (await client.get("/v1/providers/mail")).json()
        assert (provider["secret"]["set"], "mail.example" in provider["url"]) == (True, True)
        assert server._operators[ConsoleSessions]._cipher.decrypt(authenticator_app, "operator") == "totp"
        assert (await client.post("/v1/keys", json={"name": "b", "scopes": ["send"]})).status_code == 201
        verified = (await client.get("/v1/audit/verification")).json()
        assert (verified["broken"], verified["checked"]) == (None, 2)
    async with app(tmp_path, **AFTER) as (_, client):
        client.headers.update(bearer(NEW))
        provider = (await client.get("/v1/providers/mail")).json()
        assert "mail.example" in provider["url"]  # the new secret has encrypted it again
        assert (await client.get("/v1/audit/verification")).json()["broken"]["number"] == 1


async def test_calls_to_the_app_are_signed_for_both_secrets(tmp_path: Path) -> None:
    async with vendor_server() as vendor, app(tmp_path, **DURING) as (_, client):
        client.headers.update(bearer(NEW))
        step = {"key": "call", "type": "http", "url": f"http://{vendor.host}/", "body": "{}"}
        assert (await client.put("/v1/workflows/calls", json={"steps": [step]})).status_code == 201
        assert (await client.post("/v1/workflows/calls/trigger", json={"to": "alice"})).status_code == 202

        async def read() -> list[Request]:
            return vendor.requests

        request = (await eventually(read, bool))[0]
        content = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
        expected = [base64.b64encode(hmac.digest(key.encode(), content, "sha256")).decode() for key in (NEW, OLD)]
        assert request.headers["webhook-signature"] == " ".join(f"v1,{one}" for one in expected)


@pytest.mark.parametrize("secret", [OLD, NEW, "third"])
async def test_handler_with_either_secret_accepts_calls(secret: str) -> None:
    handler = bellcast.Callbacks({"refund": lambda call: "done"}, secret)
    clients = HttpClients(["127.0.0.1"])
    async with vendor_server() as vendor:
        url = f"http://{vendor.host}/"
        backend = HttpCallback(lambda: url, Project("p", "key", NEW, OLD), clients.trusted, SystemClock())
        await backend.dispatch(
            Call(CallbackContext(), "refund", (), recipient="alice", connection="", dialect="native")
        )
        await clients.close()
    (request,) = vendor.requests
    status, _ = await handler.answer_async(request.headers, request.body)
    assert status == (401 if secret == "third" else 200)
