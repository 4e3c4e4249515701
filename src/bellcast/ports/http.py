"""Other servers."""

from typing import Protocol

from msgspec import Struct


class Response(Struct, frozen=True):
    """What an outside server answered."""

    status: int
    headers: dict[str, str]
    body: bytes


class Http(Protocol):
    """Outbound HTTP. Raises Unavailable when the other side is away or slow; never follows redirects."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        body: bytes = b"",
        timeout: float = 5.0,  # noqa: ASYNC109 - the transport keeps the time
    ) -> Response: ...

    async def close(self) -> None: ...
