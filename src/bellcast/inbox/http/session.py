"""The recipient of a session, and its inbox."""

from bellcast.inbox import views
from bellcast.inbox.types.inboxes import Inbox
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import Principal
from bellcast.rest import context


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
