"""What is answered before, or instead of, a live connection; and how its socket is taken."""

from collections.abc import Mapping
from typing import Any

from bellcast.errors import BellcastError
from bellcast.live.connection.connection import Connection
from bellcast.live.http import asgi
from bellcast.live.http.coalescing import CoalescingTransport
from bellcast.live.http.handshake_request import Headers
from bellcast.live.http.takeover import EXTENSION
from bellcast.model import problems


async def respond(send: asgi.Send, status: int, headers: Headers, body: bytes = b"") -> None:
    """One whole HTTP answer."""
    sized = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *sized]})
    await send({"type": "http.response.body", "body": body})


async def respond_error(send: asgi.Send, refusal: BellcastError, cors: Headers) -> None:
    """A refusal as problem+json."""
    told = [(name.encode(), value.encode()) for name, value in problems.headers(refusal).items()]
    await respond(send, refusal.status, [*cors, *told], problems.body(refusal))


def can_take_over(scope: Mapping[str, Any]) -> bool:
    """Whether the socket behind this request can be taken over."""
    return EXTENSION in (scope.get("extensions") or {})


def take_over(scope: Mapping[str, Any], connection: Connection) -> tuple[CoalescingTransport, bytes] | None:
    """The socket's outlet, and the bytes behind the request; None if the client left while it was looked at."""
    try:
        transport, early = scope["extensions"][EXTENSION](connection)
    except ConnectionResetError:
        connection.owner.on_disconnected(connection)
        return None
    return CoalescingTransport(transport), early
