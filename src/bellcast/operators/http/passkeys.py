"""Operators' passkeys, and sign-in with a passkey."""

import functools
from datetime import datetime
from typing import Annotated, Any

from msgspec import Struct

from bellcast.kernel.errors import Conflict, NotFound, Unauthenticated
from bellcast.kernel.field_limits import Limit
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.operators import passkeys
from bellcast.operators.http import account as console_session
from bellcast.operators.http.account import NO_STORE, own_operation, public_operation
from bellcast.operators.passkeys import PasskeyOptions, Passkeys
from bellcast.operators.store import Operators
from bellcast.operators.types import Operator
from bellcast.rest import audit, context, guards

# The actor of a refused sign-in. Operators' names have no space.
UNKNOWN = "unknown passkey"
sensitive = functools.partial(own_operation, is_sensitive=True, refusals=(Conflict, NotFound))


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
    begun = _passkeys(request).begin_sign_in(guards.browser_request(request))
    return responses.json(begun, 200, NO_STORE)


@public_operation("POST", "/v1/session/passkey", body=PasskeySignIn, response_types={200: console_session.Account})
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
    return console_session.signed_in_response(request, signed_in, 200)


@own_operation("GET", "/v1/me/passkeys", response_types={200: PasskeyList})
async def page(request: ApiRequest) -> ASGIApp:
    """List the passkeys of the signed-in operator."""
    operator = await console_session.own(request)
    found = await Operators(context.of(request).engines.db).passkeys(operator.id)
    return responses.json(PasskeyList([responses.item(PasskeyItem, one) for one in found]), 200, NO_STORE)


@sensitive("POST", "/v1/me/passkey-options", response_types={200: PasskeyOptions})
async def begin(request: ApiRequest) -> ASGIApp:
    """Begin to create a passkey."""
    begun = await _passkeys(request).begin_creation(guards.browser_request(request), await console_session.own(request))
    return responses.json(begun, 200, NO_STORE)


@sensitive("POST", "/v1/me/passkeys", body=PasskeyCreation, response_types={201: PasskeyItem})
async def create(request: ApiRequest) -> ASGIApp:
    """Add the passkey that the browser created.

    Afterwards, the password alone is not enough to sign in."""
    params = await request_body.body(request, CREATION)
    operator: Operator = await console_session.own(request)
    browser = guards.browser_request(request)
    added = await _passkeys(request).create(browser, operator, params.ceremony, params.credential, params.name)
    audit.note_change(request, "passkey", None, added.name)
    return responses.json(responses.item(PasskeyItem, added), 201)


@sensitive("DELETE", "/v1/me/passkeys/{id:str}", response_types={204: None})
async def delete(request: ApiRequest) -> ASGIApp:
    """Delete a passkey of the signed-in operator."""
    operator = await console_session.own(request)
    store = Operators(context.of(request).engines.db)
    if not await store.delete_passkey(operator.id, request_body.path(request, "id")):
        raise NotFound("You have no passkey with this id.")
    return responses.empty()


def _passkeys(request: ApiRequest) -> Passkeys:
    console_session.sessions(request)  # without the console there are no passkeys
    return context.of(request)[Passkeys]


VALID = {"ceremony": "x", "credential": {}}
SIGN_IN = request_body.Shape(PasskeySignIn)
CREATION = request_body.Shape(PasskeyCreation, None, {**VALID, "name": "x"})
