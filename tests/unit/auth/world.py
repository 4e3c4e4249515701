"""The world around the doors: a clock, a project, its keys, and the servers it asks."""

import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

import jwt
from tests.clock import FakeClock

from bellcast.errors import Unavailable
from bellcast.model.identities import ApiKey, Project
from bellcast.ports import Response

NOW = 1_800_000_000_000
PROJECT = Project("7", "public-key", "a secret of enough length for an HMAC")
RIVAL = Project("8", "rival-key", "the secret of somebody else entirely, too")


def clock() -> FakeClock:
    """Stands at NOW until it is advanced."""
    return FakeClock(NOW)


class Web:
    """The one server that is asked; `answer` may be exchanged while the test runs."""

    def __init__(self, answer: Callable[[dict[str, str]], Response | None] = lambda _: None) -> None:
        self.answer = answer
        self.asked: list[dict[str, str]] = []

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        body: bytes = b"",
        timeout: float = 5.0,  # noqa: ASYNC109 - the port's
    ) -> Response:
        self.asked.append({"method": method, "url": url, **headers})
        await asyncio.sleep(0)  # an answer is never there at once: others get their turn
        response = self.answer(headers)
        if response is None:
            raise Unavailable("the other side is away")
        return response

    async def close(self) -> None:
        self.asked.clear()


class Keyring:
    """API keys in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[ApiKey, bytes]] = {}

    async def create(self, key: ApiKey, digest: bytes) -> None:
        self.kept[key.id] = (key, digest)

    async def find(self, id: str) -> tuple[ApiKey, bytes] | None:
        return self.kept.get(id)

    async def all(self) -> list[ApiKey]:
        return [key for key, _ in self.kept.values()]

    async def revoke(self, id: str, now: int) -> bool:
        raise NotImplementedError


def answering(body: Any, status: int = 200) -> Callable[[dict[str, str]], Response]:
    """A server that always answers this."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda _: Response(status, {}, raw)


def token(claims: dict[str, Any], project: Project = PROJECT, **header: Any) -> str:
    """A token as another library makes it: `exp` an hour ahead unless the claims say otherwise."""
    claims = {"sub": "alice", "exp": NOW // 1000 + 3_600, **claims}
    said = {name: value for name, value in claims.items() if value is not ...}
    return jwt.api_jws.encode(
        json.dumps(said).encode(), project.secret, "HS256", headers={"kid": project.key, **header}
    )


def encoded(part: Any) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def headers(**named: str) -> list[tuple[bytes, bytes]]:
    """ASGI headers: `if_none_match="x"` is `if-none-match: x`."""
    return [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in named.items()]


def names(items: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    return dict(items)
