"""Passkeys of operators, and their sign-in without a password of this server: with a passkey, or by an identity provider (OpenID
Connect)."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Struct

from bellcast.console.pages import console
from bellcast.kernel.errors import BellcastError, Conflict, Forbidden, NotFound, TooMany, Unauthenticated, Unavailable
from bellcast.kernel.field_limits import Limit, shown, text
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.operators import http as operators_http
from bellcast.operators import passkeys
from bellcast.operators.http import ME, NO_STORE, public_operation
from bellcast.operators.oidc import MAX_RETURN_PATH, RETURN_PATH, OidcSignIn
from bellcast.operators.passkeys import PasskeyOptions, Passkeys
from bellcast.operators.store import Operators
from bellcast.rest import audit, context, guards
from bellcast.rest.operations import operation
from bellcast.rest.resource import ResourceCall

# --- passkeys

# The actors of refused sign-ins. Operators' names have no space.
UNKNOWN_PASSKEY, UNKNOWN_PERSON = "unknown passkey", "unknown person"
SENSITIVE: dict[str, Any] = {"is_sensitive": True, "refusals": (Conflict, NotFound)}


class PasskeyCreation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The credential that the browser created, in the JSON of WebAuthn, and a name for it."""

    name: Annotated[str, Limit(passkeys.MAX_NAME)]
    ceremony: str
    credential: dict[str, Any]


class PasskeySignIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The response of the authenticator, in the JSON of WebAuthn."""

    ceremony: str
    credential: dict[str, Any]


class PasskeyItem(Struct, frozen=True, kw_only=True):
    """A passkey."""

    id: str
    name: str
    created_at: datetime
    used_at: datetime | None


class PasskeyList(Struct, frozen=True):
    """The passkeys of the signed-in operator."""

    passkeys: list[PasskeyItem]


@public_operation("POST", "/v1/session/passkey-options", response_types={200: PasskeyOptions})
async def begin_sign_in(request: ApiRequest) -> ASGIApp:
    """Begin a sign-in with a passkey.

    Only for pages of this server, under a host name."""
    begun = _passkeys(request).begin_sign_in(guards.auth_request(request.scope))
    return responses.json(begun, 200, NO_STORE)


@public_operation("POST", "/v1/session/passkey", body=PasskeySignIn, response_types={200: operators_http.Account})
async def sign_in(request: ApiRequest) -> ASGIApp:
    """Sign in with a passkey.

    It counts as a password and a second factor."""
    params = await request_body.body(request, PasskeySignIn)
    try:
        signed_in = await _passkeys(request).sign_in(
            guards.auth_request(request.scope), params.ceremony, params.credential
        )
    except Unauthenticated as refusal:
        # The limit of failed attempts also bounds the number of these entries.
        await audit.record(request, UNKNOWN_PASSKEY, refusal.code)
        raise
    if signed_in is None:
        raise Unauthenticated(passkeys.WRONG)
    await audit.record(request, signed_in.operator.name, audit.OK)
    return operators_http.signed_in_response(request, signed_in, 200)


@ME.get(PasskeyList, "/passkeys")
async def page(call: ResourceCall[None]) -> Any:
    """List the passkeys of the signed-in operator."""
    operator = await operators_http.own(call.request)
    found = await Operators(call.ctx.engines.db).passkeys(operator.id)
    return responses.json(PasskeyList([responses.item(PasskeyItem, one) for one in found]), 200, NO_STORE)


@ME.act("/passkey-options", PasskeyOptions, **SENSITIVE)
async def begin(call: ResourceCall[None]) -> Any:
    """Begin to create a passkey."""
    operator = await operators_http.own(call.request)
    begun = await _passkeys(call.request).begin_creation(guards.auth_request(call.request.scope), operator)
    return responses.json(begun, 200, NO_STORE)


@ME.act("/passkeys", PasskeyItem, body=PasskeyCreation, status=201, **SENSITIVE)
async def create(call: ResourceCall[PasskeyCreation]) -> PasskeyItem:
    """Add the passkey that the browser created.

    Afterwards, the password alone is not enough to sign in."""
    request, params = call.request, call.body
    operator = await operators_http.own(request)
    browser = guards.auth_request(request.scope)
    added = await _passkeys(request).create(browser, operator, params.ceremony, params.credential, params.name)
    audit.note_change(request, "passkey", None, added.name)
    return responses.item(PasskeyItem, added)


@ME.delete("/passkeys/{id:str}", **SENSITIVE)
async def delete(call: ResourceCall[None]) -> bool:
    """Delete a passkey of the signed-in operator."""
    operator = await operators_http.own(call.request)
    if not await Operators(call.ctx.engines.db).delete_passkey(operator.id, request_body.path(call.request, "id")):
        raise NotFound("You have no passkey with this id.")
    return True


def _passkeys(request: ApiRequest) -> Passkeys:
    operators_http.sessions(request)  # without the console there are no passkeys
    return context.of(request)[Passkeys]


# --- the identity provider

CALLBACK = "/v1/session/oidc/callback"
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
    id="oidc.begin",
    body=ProviderSignIn,
    response_types={200: ProviderUrl},
    refusals=(NotFound, Forbidden, Unavailable),
)
async def begin_at_provider(request: ApiRequest) -> ASGIApp:
    """Begin a sign-in by the identity provider.

    Only for pages of this server, which then redirect the browser to the `url`."""
    oidc = _oidc(request)
    params = await request_body.body(request, ProviderSignIn)
    browser = guards.auth_request(request.scope)
    redirect_uri = f"{browser.scheme}://{browser.host}{_root(request)}{CALLBACK}"
    url, cookie = await oidc.begin(browser, redirect_uri, params.return_path, reauthenticates=params.reauthenticate)
    return responses.json(ProviderUrl(url), 200, NO_STORE | {"set-cookie": cookie})


@operation(
    "GET",
    CALLBACK,
    id="oidc.finish",
    tag="Console",
    required_scope=None,
    any_query=True,
    response_types={303: None},
    response_headers=("Set-Cookie",),
    refusals=(NotFound, Forbidden, Unauthenticated, Conflict, Unavailable),
)
async def finish(request: ApiRequest) -> ASGIApp:
    """Return from the identity provider.

    The provider redirects the browser here with a code. The browser gets a session and is redirected to the console. If
    the sign-in is refused, a page shows the reason."""
    oidc, browser = _oidc(request), guards.auth_request(request.scope)
    try:
        # The provider's parameters are removed from the request, because the audit log must not contain the code.
        scope: Any = request.scope
        query, scope["query_string"] = scope["query_string"], b""
        given = request_body.pairs(query)
        params = {name: request_body.single(name, values) for name, values in given.items()}
        pending = await oidc.returned(browser, params)
        try:
            signed_in, role_before = await oidc.complete(browser, pending, params["code"])
        except BellcastError as refusal:
            # The limit of failed attempts also bounds the number of these entries. An outage of the provider does not count.
            if not isinstance(refusal, TooMany | Unavailable):
                await audit.record(request, UNKNOWN_PERSON, refusal.code)
            raise
        audit.note_change(request, "role", role_before, signed_in.operator.role)
        await audit.record(request, signed_in.operator.name, audit.OK)
    except BellcastError as refusal:
        state: Any = request.scope["state"]
        state["reason"] = refusal.code
        body = console.page(request, "refused.html", "console", detail=refusal.detail, id=state["request_id"])
        # The cookie stays: it may be that of a newer sign-in in another tab, and one that is used up is refused.
        return responses.complete(refusal.status, body, responses.HTML, HEADERS)
    cookies = (*signed_in.cookies, oidc.cookie(browser))
    headers = {"location": f"{_root(request)}{pending.return_path}", "content-length": "0", "cache-control": "no-store"}
    return responses.empty(303, headers, cookies)


def _root(request: ApiRequest) -> str:
    root: str = request.scope["state"]["root_path"]
    return root


def _oidc(request: ApiRequest) -> OidcSignIn:
    operators_http.sessions(request)
    unset = "No identity provider is configured: set BELLCAST_OIDC_ISSUER."
    return context.of(request).require(OidcSignIn, unset)
