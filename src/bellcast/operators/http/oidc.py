"""Sign-in of operators by an identity provider (OpenID Connect)."""

from html import escape
from typing import Annotated, Any

from msgspec import Struct

from bellcast.console.pages import console
from bellcast.kernel.errors import BellcastError, Conflict, Forbidden, NotFound, TooMany, Unauthenticated, Unavailable
from bellcast.kernel.field_limits import shown, text
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.operators.http import account
from bellcast.operators.http.account import NO_STORE, public_operation
from bellcast.operators.oidc import MAX_RETURN_PATH, RETURN_PATH, OidcSignIn
from bellcast.rest import audit, context, guards
from bellcast.rest.operations import operation

CALLBACK = "/v1/session/oidc/callback"
# The actor of a refused sign-in. Operators' names have no space.
UNKNOWN = "unknown person"
HEADERS = NO_STORE | {
    "content-security-policy": console.POLICY,
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}


class ProviderSignIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page of the console to return to. `reauthenticate`: the provider must ask for the password again."""

    return_path: Annotated[str, shown(text(MAX_RETURN_PATH, f"^{RETURN_PATH.pattern}$"))] = "/console/"
    reauthenticate: bool = False


class ProviderUrl(Struct, frozen=True):
    """The URL at which the browser signs in."""

    url: str


@public_operation(
    "POST",
    "/v1/session/oidc",
    body=ProviderSignIn,
    response_types={200: ProviderUrl},
    refusals=(NotFound, Forbidden, Unavailable),
)
async def begin(request: ApiRequest) -> ASGIApp:
    """Begin a sign-in by the identity provider.

    Only for pages of this server, which then redirect the browser to the `url`."""
    sign_in = _sign_in(request)
    params = await request_body.body(request, BEGIN)
    browser = guards.browser_request(request)
    redirect_uri = f"{browser.scheme}://{browser.host}{_root(request)}{CALLBACK}"
    url, cookie = await sign_in.begin(browser, redirect_uri, params.return_path, reauthenticates=params.reauthenticate)
    return responses.json(ProviderUrl(url), 200, NO_STORE | {"set-cookie": cookie})


@operation(
    "GET",
    CALLBACK,
    tag="Console",
    required_scope=None,
    any_query=True,
    response_types={303: None},
    response_headers=("Set-Cookie",),
    refusals=(NotFound, Forbidden, Unauthenticated, Conflict, TooMany, Unavailable),
)
async def finish(request: ApiRequest) -> ASGIApp:
    """Return from the identity provider.

    The provider redirects the browser here with a code. The browser gets a session and is redirected to the console. If
    the sign-in is refused, a page shows the reason."""
    sign_in, browser = _sign_in(request), guards.browser_request(request)
    try:
        # The provider's parameters are removed from the request, because the audit log must not contain the code.
        scope: Any = request.scope
        query, scope["query_string"] = scope["query_string"], b""
        given = request_body.pairs(query)
        params = {name: request_body.single(name, values) for name, values in given.items()}
        pending = await sign_in.returned(browser, params)
        try:
            signed_in, role_before = await sign_in.complete(browser, pending, params["code"])
        except BellcastError as refusal:
            # The limit of failed attempts also bounds the number of these entries. An outage of the provider does not count.
            if not isinstance(refusal, TooMany | Unavailable):
                await audit.record(request, UNKNOWN, refusal.code)
            raise
        audit.note_change(request, "role", role_before, signed_in.operator.role)
        await audit.record(request, signed_in.operator.name, audit.OK)
    except BellcastError as refusal:
        state: Any = request.scope["state"]
        state["reason"] = refusal.code
        page = console.template("refused.html", "console").substitute(
            root=escape(_root(request)), detail=escape(refusal.detail), request=escape(state["request_id"])
        )
        # The cookie stays: it may be that of a newer sign-in in another tab, and one that is used up is refused.
        return responses.complete(refusal.status, page.encode(), responses.HTML, HEADERS)
    cookies = (*signed_in.cookies, sign_in.cookie(browser))
    return responses.see_other(f"{_root(request)}{pending.return_path}", cookies)


def _root(request: ApiRequest) -> str:
    root: str = request.scope["state"]["root_path"]
    return root


def _sign_in(request: ApiRequest) -> OidcSignIn:
    account.sessions(request)
    unset = "No identity provider is configured: set BELLCAST_OIDC_ISSUER."
    return context.of(request).require(OidcSignIn, unset)


BEGIN = request_body.Shape(ProviderSignIn)
