"""Outbound HTTP."""

from typing import Protocol

from msgspec import Struct


class Response(Struct, frozen=True):
    """The response of another server."""

    status: int
    headers: dict[str, str]
    body: bytes


class Http(Protocol):
    """Outbound HTTP. Raises Unavailable if the other server is unreachable or too slow. Never follows redirects."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        body: bytes = b"",
        timeout: float = 5.0,  # noqa: ASYNC109 - the transport enforces it
    ) -> Response: ...

    async def close(self) -> None: ...
