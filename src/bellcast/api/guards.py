"""Guards: each operation declares its required credentials, guards check them, handlers read the result."""

from typing import Any, Literal

from msgspec import Struct

from bellcast.api import context
from bellcast.api.request_body import ApiRequest
from bellcast.auth import server_credentials
from bellcast.auth.origins import HeaderPairs
from bellcast.inbox import views
from bellcast.model.identities import Caller, Principal
from bellcast.model.inboxes import Inbox

# A scope of the server side, or the recipient side.
RequiredScope = Literal["send", "read", "manage", "recipient"]


class HttpAuthRequest(Struct, frozen=True):
    """The parts of a request that the authenticator needs."""

    method: str
    scheme: str
    headers: HeaderPairs
    query: bytes


async def authorize(request: ApiRequest, required_scope: RequiredScope) -> None:
    """Authenticate and authorize a request before its body is read."""
    scope: Any = request.scope
    ctx, state = context.of(request), scope["state"]
    auth_request = HttpAuthRequest(scope["method"], scope["scheme"], scope["headers"], scope["query_string"])
    if required_scope == "recipient":
        state["principal"] = await ctx.authenticator.recipient(auth_request, "request")
    else:
        caller = await ctx.authenticator.caller(auth_request)
        server_credentials.require(caller, required_scope)
        state["caller"] = caller


def caller(request: ApiRequest) -> Caller:
    """Return the authenticated caller."""
    result: Caller = request.scope["state"]["caller"]
    return result


def session(request: ApiRequest) -> Principal:
    """Return the authenticated session of the recipient."""
    result: Principal = request.scope["state"]["principal"]
    return result


async def recipient(request: ApiRequest) -> tuple[str, str]:
    """Return tenant and key of the authenticated recipient, unless its session was revoked."""
    state = (await inbox(request)).state
    return state.tenant, state.recipient


async def inbox(request: ApiRequest) -> Inbox:
    """Return the inbox of the authenticated recipient, unless its session was revoked."""
    ctx = context.of(request)
    principal: Principal = request.scope["state"]["principal"]
    _, opened = await views.enter(ctx.engines, principal, None, ctx.authenticator.renewed)
    return opened.inbox
