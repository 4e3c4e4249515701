"""Operators' passkeys, and sign-in with a passkey."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Struct

from bellcast.kernel.errors import Conflict, NotFound, Unauthenticated
from bellcast.kernel.field_limits import Limit
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.operators import passkeys
from bellcast.operators.http import account
from bellcast.operators.http.account import ME, NO_STORE, public_operation
from bellcast.operators.passkeys import PasskeyOptions, Passkeys
from bellcast.operators.store import Operators
from bellcast.rest import audit, context, guards
from bellcast.rest.resource import ResourceCall

# The actor of a refused sign-in. Operators' names have no space.
UNKNOWN = "unknown passkey"
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


SIGN_IN = request_body.Shape(PasskeySignIn)
CREATION = request_body.Shape(PasskeyCreation, None, {"ceremony": "x", "credential": {}, "name": "x"})


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
    begun = _passkeys(request).begin_sign_in(guards.browser_request(request))
    return responses.json(begun, 200, NO_STORE)


@public_operation("POST", "/v1/session/passkey", body=PasskeySignIn, response_types={200: account.Account})
async def sign_in(request: ApiRequest) -> ASGIApp:
    """Sign in with a passkey.

    It counts as a password and a second factor."""
    params = await request_body.body(request, SIGN_IN)
    try:
        signed_in = await _passkeys(request).sign_in(
            guards.browser_request(request), params.ceremony, params.credential
        )
    except Unauthenticated as refusal:
        # The limit of failed attempts also bounds the number of these entries.
        await audit.record(request, UNKNOWN, refusal.code)
        raise
    if signed_in is None:
        raise Unauthenticated(passkeys.WRONG)
    await audit.record(request, signed_in.operator.name, audit.OK)
    return account.signed_in_response(request, signed_in, 200)


@ME.get(PasskeyList, "/passkeys")
async def page(call: ResourceCall[None]) -> Any:
    """List the passkeys of the signed-in operator."""
    operator = await account.own(call.request)
    found = await Operators(call.ctx.engines.db).passkeys(operator.id)
    return responses.json(PasskeyList([responses.item(PasskeyItem, one) for one in found]), 200, NO_STORE)


@ME.act("/passkey-options", PasskeyOptions, **SENSITIVE)
async def begin(call: ResourceCall[None]) -> Any:
    """Begin to create a passkey."""
    operator = await account.own(call.request)
    begun = await _passkeys(call.request).begin_creation(guards.browser_request(call.request), operator)
    return responses.json(begun, 200, NO_STORE)


@ME.act("/passkeys", PasskeyItem, body=CREATION, status=201, **SENSITIVE)
async def create(call: ResourceCall[PasskeyCreation]) -> PasskeyItem:
    """Add the passkey that the browser created.

    Afterwards, the password alone is not enough to sign in."""
    request, params = call.request, call.body
    operator = await account.own(request)
    browser = guards.browser_request(request)
    added = await _passkeys(request).create(browser, operator, params.ceremony, params.credential, params.name)
    audit.note_change(request, "passkey", None, added.name)
    return responses.item(PasskeyItem, added)


@ME.delete("/passkeys/{id:str}", **SENSITIVE)
async def delete(call: ResourceCall[None]) -> bool:
    """Delete a passkey of the signed-in operator."""
    operator = await account.own(call.request)
    if not await Operators(call.ctx.engines.db).delete_passkey(operator.id, request_body.path(call.request, "id")):
        raise NotFound("You have no passkey with this id.")
    return True


def _passkeys(request: ApiRequest) -> Passkeys:
    account.sessions(request)  # without the console there are no passkeys
    return context.of(request)[Passkeys]
