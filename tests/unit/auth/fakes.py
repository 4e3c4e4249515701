"""Fakes for authentication tests: a clock, a project, API keys, and HTTP responses."""

import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

import jwt
import msgspec

from bellcast.auth.store import ApiKey
from bellcast.kernel import times
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.identities import Project
from bellcast.kernel.outbound import Response
from tests.clock import FakeClock

NOW = 1_800_000_000_000
PROJECT = Project("7", "public-key", "a secret of enough length for an HMAC")
RIVAL = Project("8", "rival-key", "the secret of another project entirely")


def clock() -> FakeClock:
    """A clock that starts at NOW."""
    return FakeClock(NOW)


class FakeHttp:
    """Responds to every HTTP request with `respond`, which a test may replace."""

    def __init__(self, respond: Callable[[dict[str, str]], Response | None] = lambda _: None) -> None:
        self.respond = respond
        self.requests: list[dict[str, str]] = []

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        body: bytes = b"",
        timeout: float = 5.0,  # noqa: ASYNC109 - the port's
    ) -> Response:
        self.requests.append({"method": method, "url": url, **headers})
        await asyncio.sleep(0)  # like a real response, never available without a turn of the loop
        response = self.respond(headers)
        if response is None:
            raise Unavailable("the server is unreachable")
        return response

    async def close(self) -> None:
        self.requests.clear()


class Keyring:
    """API keys in memory."""

    def __init__(self) -> None:
        self.stored: dict[str, tuple[ApiKey, bytes]] = {}
        self.uses: list[int] = []

    async def create(self, key: ApiKey, digest: bytes) -> None:
        self.stored[key.id] = (key, digest)

    async def find(self, id: str) -> tuple[ApiKey, bytes] | None:
        return self.stored.get(id)

    async def all(self) -> list[ApiKey]:
        return [key for key, _ in self.stored.values()]

    async def record_use(self, id: str, now: int) -> None:
        key, digest = self.stored[id]
        self.uses.append(now)
        self.stored[id] = (msgspec.structs.replace(key, used_at=times.to_rfc3339(now)), digest)

    async def revoke(self, id: str, now: int) -> bool:
        raise NotImplementedError


def responding_with(body: Any, status: int = 200) -> Callable[[dict[str, str]], Response]:
    """A responder that always returns this body."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda _: Response(status, {}, raw)


def token(claims: dict[str, Any], project: Project = PROJECT, **header: Any) -> str:
    """A token as another library encodes it; `exp` defaults to an hour ahead, and `...` removes a claim."""
    claims = {"sub": "alice", "exp": NOW // 1000 + 3_600, **claims}
    body = {name: value for name, value in claims.items() if value is not ...}
    return jwt.api_jws.encode(
        json.dumps(body).encode(), project.secret, "HS256", headers={"kid": project.key, **header}
    )


def encoded(part: Any) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def headers(**named: str) -> list[tuple[bytes, bytes]]:
    """ASGI headers: `if_none_match="x"` becomes `if-none-match: x`."""
    return [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in named.items()]


def names(items: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    return dict(items)
