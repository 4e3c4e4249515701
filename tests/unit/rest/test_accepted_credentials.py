"""The server's protocol learns which credentials were accepted, so that their callers take turns."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from bellcast.auth import tokens
from bellcast.kernel.clock import SystemClock
from bellcast.kernel.http import ACCEPTED
from bellcast.kernel.identities import Caller, Principal, Project
from bellcast.server import asgi

SECRET = "secret-of-the-project"


async def test_protocol_learns_the_caller_of_accepted_credentials_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BELLCAST_PROJECT", f"p:key:{SECRET}")
    bell = asgi(data=str(tmp_path))
    learned: dict[str, Any] = {}

    async def served(scope: Any, receive: Any, send: Any) -> None:
        extensions: dict[str, Any] = {}
        await bell(scope | {"extensions": extensions}, receive, send)
        learned[scope["path"]] = extensions.get(ACCEPTED, "nothing")

    now = SystemClock().now()
    token = tokens.sign(Project("p", "key", SECRET), "alice", now=now, expires_at=now + 60_000, tenant="acme")
    async with bell.lifespan(), httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://a") as client:
        for path, bearer in (
            ("/v1/inbox", token),
            ("/v1/tenants", SECRET),
            ("/v1/types", "wrong"),
            ("/healthz", SECRET),
        ):
            await client.get(path, headers={"authorization": f"Bearer {bearer}"})
    assert isinstance(learned["/v1/inbox"], Principal)
    assert learned["/v1/inbox"].tenant == "acme"
    assert isinstance(learned["/v1/tenants"], Caller)
    assert learned["/v1/types"] is None  # the credentials were refused, and are not known from then on
    assert learned["/healthz"] == "nothing"
