"""Signatures of `http` steps: the author of a workflow cannot sign calls to the app, and a tenant cannot sign for the
project."""

import base64
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

import bellcast
from tests.journey.channels_app import app, eventually
from tests.vendor_server import Request, vendor_server

CALL = {"name": "refund", "args": [], "recipient": "alice", "tenant": "globex", "connection": "", "dialect": "native"}


async def request_of_step(folder: Path, **key: Any) -> Request:
    """Return the request of a step that was written with a key of these tenants, with a call as its body."""
    async with vendor_server() as vendor, app(folder, HTTP_ALLOW="127.0.0.1") as (_, client):
        created = await client.post("/v1/keys", json={"name": "k", "scopes": ["send", "manage"], **key})
        client.headers["authorization"] = f"Bearer {created.json()['key']}"
        step = {"key": "call", "type": "http", "url": f"http://{vendor.host}/", "body": json.dumps(CALL)}
        assert (await client.put("/v1/workflows/forged", json={"steps": [step]})).status_code == 201
        assert (await client.post("/v1/workflows/forged/trigger", json={"to": "alice"})).status_code == 202

        async def read() -> list[Request]:
            return vendor.requests

        request: Request = (await eventually(read, bool))[0]
        return request


def is_signed(request: Request, key: bytes) -> bool:
    content = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    expected = "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()
    return expected == request.headers["webhook-signature"]


async def test_step_of_a_tenants_workflow_is_not_signed_with_the_project_secret(tmp_path: Path) -> None:
    request = await request_of_step(tmp_path, tenants=["acme"])
    assert not is_signed(request, b"secret")
    assert is_signed(request, hmac.digest(b"secret", b"bellcast tenant acme", "sha256"))


@pytest.mark.parametrize("key", [{}, {"tenants": ["acme"]}], ids=["project", "tenant"])
async def test_step_cannot_forge_a_call_to_the_app(tmp_path: Path, key: dict[str, Any]) -> None:
    called: list[str | None] = []
    callbacks = bellcast.Callbacks({"refund": lambda call: called.append(call.tenant)}, "secret")
    request = await request_of_step(tmp_path, **key)
    assert json.loads(request.body) == CALL
    status, _ = await callbacks.answer_async(request.headers, request.body)
    assert (status, called) == (401, [])
    assert is_signed(request, b"secret") == (not key)
