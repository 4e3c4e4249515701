"""HTTP responses of live endpoints, and the takeover of a socket from the HTTP server."""

from collections.abc import Mapping
from typing import Any

from bellcast.kernel.errors import BellcastError
from bellcast.kernel.http import problems
from bellcast.kernel.http.asgi import Send
from bellcast.live.connection.connection import Connection
from bellcast.live.connection.outbound import CoalescingTransport
from bellcast.live.http.handshake_request import Headers
from bellcast.live.http.takeover import EXTENSION


async def respond(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    sized = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *sized]})
    await send({"type": "http.response.body", "body": body})


async def respond_error(send: Send, error: BellcastError, cors: Headers) -> None:
    headers = [(name.encode(), value.encode()) for name, value in problems.headers(error).items()]
    await respond(send, error.status, [*cors, *headers], problems.body(error))


def can_take_over(scope: Mapping[str, Any]) -> bool:
    return EXTENSION in (scope.get("extensions") or {})


def take_over(scope: Mapping[str, Any], connection: Connection) -> tuple[CoalescingTransport, bytes] | None:
    """Take over the socket. Return the transport and the bytes after the request; None if the client disconnected."""
    try:
        transport, early = scope["extensions"][EXTENSION](connection)
    except ConnectionResetError:
        connection.owner.on_disconnected(connection)
        return None
    return CoalescingTransport(transport), early
