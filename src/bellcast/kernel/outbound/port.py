"""Outbound HTTP."""

from typing import Protocol

from msgspec import Struct

from bellcast.kernel.validation import storable

# Maximum characters of each text of a vendor in an AcceptedMessage or a DeliveryError. The last 32 are stored with a message.
MAX_RESPONSE = 500


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


class DeliveryError(Exception):
    """The provider did not accept the message.

    After a temporary error, the next provider is tried, and all again later, not before `retry_after` seconds. After a
    permanent error, the message has failed. `is_bounce`: the address is bad, and is then suppressed. `is_timeout`: no response
    came in time."""

    def __init__(
        self,
        response: str,
        *,
        code: str | None = None,
        is_temporary: bool,
        is_bounce: bool = False,
        is_timeout: bool = False,
        retry_after: float | None = None,
    ) -> None:
        self.response = storable(response[:MAX_RESPONSE])
        self.code = None if code is None else storable(code[:MAX_RESPONSE])
        super().__init__(self.response)
        self.is_temporary = is_temporary
        self.is_bounce = is_bounce
        self.is_timeout = is_timeout
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.code}: {self.response}" if self.code else self.response
