"""Guards: each operation declares its required credentials, guards check them, handlers read the result."""

from typing import Any, Literal

from litestar import Request
from msgspec import Struct

from bellcast.api import context
from bellcast.auth import server_credentials
from bellcast.auth.origins import Headers
from bellcast.inbox import views
from bellcast.model.identities import Caller, Principal
from bellcast.model.inboxes import Inbox

# A scope of the server side, or the recipient side.
Door = Literal["send", "read", "manage", "recipient"]
ApiRequest = Request[Any, Any, Any]


class HttpAuthRequest(Struct, frozen=True):
    """A request as the doors look at it."""

    method: str
    scheme: str
    headers: Headers
    query: bytes


async def enter(request: ApiRequest, door: Door) -> None:
    """Authenticate and authorize a request before its body is read."""
    scope: Any = request.scope
    here, state = context.of(request), scope["state"]
    visitor = HttpAuthRequest(scope["method"], scope["scheme"], scope["headers"], scope["query_string"])
    if door == "recipient":
        state["principal"] = await here.doors.recipient(visitor, "request")
    else:
        caller = await here.doors.caller(visitor)
        server_credentials.require(caller, door)
        state["caller"] = caller


def caller(request: ApiRequest) -> Caller:
    """Return the authenticated caller."""
    found: Caller = request.scope["state"]["caller"]
    return found


async def inbox(request: ApiRequest) -> Inbox:
    """Return the inbox of the authenticated recipient, unless its session was revoked."""
    here = context.of(request)
    principal: Principal = request.scope["state"]["principal"]
    _, opened = await views.enter(here.engines, principal, None, here.doors.renewed)
    return opened.inbox
