"""Set-up of the console, sign-in, and the account of the signed-in operator."""

import functools
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from bellcast.channels import addresses
from bellcast.channels.email import Email
from bellcast.kernel import times
from bellcast.kernel.errors import BellcastError, Conflict, Forbidden, Invalid, MfaRequired, NotFound
from bellcast.kernel.field_limits import Limit
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import DEFAULT_TENANT, Caller
from bellcast.operators import factors
from bellcast.operators.factors import MAX_PASSWORD, NEW_PASSWORD
from bellcast.operators.oidc import OidcSignIn
from bellcast.operators.sign_in import OPERATOR_NAME, ConsoleSessions, SignedIn
from bellcast.operators.store import Operators
from bellcast.operators.types import EMAIL_CODE_MS, SCOPES_OF_ROLE, Operator, Role
from bellcast.providers.directory import ProviderDirectory
from bellcast.providers.types import OutgoingMessage
from bellcast.rest import audit, context, guards
from bellcast.rest.operations import operation
from bellcast.rest.resource import Resource, ResourceCall
from bellcast.templates import html
from bellcast.templates.types import Brand

# Above the length of any operator's name or code.
MAX_NAME = 100
ISSUER = "Bellcast"
EXTERNAL = "This operator signs in with the identity provider, which has its own password and second factor."
NO_STORE = {"cache-control": "no-store"}
# Paths for requests without a session, and for requests of the signed-in operator.
public_operation = functools.partial(
    operation, tag="Console", required_scope=None, response_headers=("Set-Cookie",), refusals=(NotFound, Forbidden)
)
own_operation = functools.partial(operation, tag="Console", required_scope="operator")
ME = Resource("me", tag="Console", required_scope="operator", query=None, refusals=())


class SetupState(Struct, frozen=True):
    """Whether the console needs its first owner, and the name of the identity provider for operators."""

    needed: bool
    provider: str | None


class SetupRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The code that the server printed, and the first owner."""

    code: Annotated[str, Limit(MAX_NAME)]
    name: Annotated[str, OPERATOR_NAME]
    password: Annotated[str, NEW_PASSWORD]


class SetupCode(Struct, frozen=True):
    """A code for the first set-up, valid for a day."""

    code: str


class SignInRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Name and password of an operator. `code` is a code of the authenticator app, or a recovery code."""

    name: Annotated[str, Limit(MAX_NAME)]
    password: Annotated[str, Limit(MAX_PASSWORD)]
    code: Annotated[str | None, Limit(MAX_NAME)] = None


class PasswordCheck(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The password of the signed-in operator."""

    password: Annotated[str, Limit(MAX_PASSWORD)]


class MfaSecret(Struct, frozen=True, kw_only=True):
    """A new secret for an authenticator app, in base32, the link that adds it, and the QR code of the link as a `data:` URI. It
    is not shown again."""

    secret: str
    uri: str
    qr_code: str


class MfaCode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code of the authenticator app."""

    code: Annotated[str, Limit(MAX_NAME)]


class RecoveryCodes(Struct, frozen=True):
    """One-time codes for signing in without the authenticator app. They are not shown again."""

    codes: list[str]


class PasswordChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The current password and the new one."""

    current: Annotated[str, Limit(MAX_PASSWORD)]
    password: Annotated[str, NEW_PASSWORD]


class OperatorItem(Struct, frozen=True, kw_only=True):
    """An operator."""

    id: str
    name: str
    role: Role
    tenants: list[str] | None  # null: all
    created_at: datetime
    seen_at: datetime | None
    has_mfa: bool  # an authenticator app or a passkey
    has_app: bool
    is_external: bool  # signed in by the identity provider


class Account(OperatorItem, frozen=True, kw_only=True):
    """The signed-in operator. With `must_enrol`, the operator must set up a second factor before anything else. `email` is
    the confirmed address for tests of templates, and `code` the code for a new one that could not be sent there. Owners
    also read the server's `data_folder`, unless it is the default."""

    must_enrol: bool
    email: str | None
    data_folder: str | UnsetType = UNSET
    code: str | UnsetType = UNSET


class SessionItem(Struct, frozen=True, kw_only=True):
    """An open session of the console. `current` is that of the request; `seen_at` is exact to five minutes. `user_agent` is
    the header `User-Agent` of the sign-in, at most 256 characters; null if none was sent or stored."""

    id: str
    created_at: datetime
    seen_at: datetime
    current: bool
    user_agent: str | None


class SessionList(Struct, frozen=True):
    """The open sessions of the signed-in operator, that of the request first, then the last used: at most 100."""

    sessions: list[SessionItem]


@Resource("setup", tag="Console", required_scope=None, query=None).get(SetupState)
async def setup_state(call: ResourceCall[None]) -> SetupState:
    """Read whether the console must be set up, and how operators sign in."""
    oidc = call.ctx.find(OidcSignIn)
    return SetupState(await sessions(call.request).is_setup_needed(), None if oidc is None else oidc.provider.name)


@public_operation(
    "POST",
    "/v1/setup",
    body=SetupRequest,
    response_types={201: Account},
    refusals=(NotFound, Forbidden, Conflict),
)
async def set_up(request: ApiRequest) -> ASGIApp:
    """Create the first owner.

    Send the one-time code that `bellcast serve` or `bellcast operator setup-code` printed. The response signs the owner
    in."""
    console = sessions(request)
    params = await request_body.body(request, SetupRequest)
    signed_in = await console.set_up(guards.auth_request(request.scope), params.code, params.name, params.password)
    await audit.record(request, signed_in.operator.name, audit.OK)
    return signed_in_response(request, signed_in, 201)


@Resource("setup-codes", tag="Console", required_scope="admin", query=None).create(
    None, SetupCode, refusals=(NotFound, Conflict)
)
async def make_setup_code(call: ResourceCall[None]) -> SetupCode:
    """Create a code for the first set-up.

    Needs the project secret or a key with all scopes. Only possible while the console has no owner."""
    check_grant(guards.caller(call.request), "owner")
    return SetupCode(await sessions(call.request).make_setup_code())


@public_operation("POST", "/v1/session", body=SignInRequest, response_types={200: Account})
async def sign_in(request: ApiRequest) -> ASGIApp:
    """Sign in to the console.

    Only for pages of this server. After several failures, each attempt must wait."""
    console = sessions(request)
    params = await request_body.body(request, SignInRequest)
    try:
        signed_in = await console.sign_in(guards.auth_request(request.scope), params.name, params.password, params.code)
    except BellcastError as failure:
        # The limits of failed attempts also bound the number of these entries.
        if failure.status == 401 and not isinstance(failure, MfaRequired):
            # The audit log must not store a password that was typed into the wrong field.
            known = await Operators(context.of(request).engines.db).find(params.name)
            await audit.record(request, params.name if known else "unknown", failure.code)
        raise
    await audit.record(request, signed_in.operator.name, audit.OK)
    return signed_in_response(request, signed_in, 200)


@public_operation("DELETE", "/v1/session", response_types={204: None})
async def sign_out(request: ApiRequest) -> ASGIApp:
    """Sign out of the console."""
    cookie = await sessions(request).sign_out(guards.auth_request(request.scope))
    return responses.empty(204, {"set-cookie": cookie, "cache-control": "no-store"})


@ME.get(Account)
async def me(call: ResourceCall[None]) -> Account:
    """Read the signed-in operator."""
    return _account_of(call.request, await own(call.request))


@own_operation(
    "PUT",
    "/v1/me/password",
    body=PasswordChange,
    response_types={200: Account},
    response_headers=("Set-Cookie",),
)
async def change_own_password(request: ApiRequest) -> ASGIApp:
    """Change the password of the signed-in operator.

    This ends the operator's other sessions."""
    params = await request_body.body(request, PasswordChange)
    browser = guards.auth_request(request.scope)
    return signed_in_response(
        request, await sessions(request).change_own_password(browser, params.current, params.password), 200
    )


@own_operation("PUT", "/v1/session/verification", body=PasswordCheck, response_types={204: None})
async def verify_password(request: ApiRequest) -> ASGIApp:
    """Enter the password again.

    Changes to keys, operators, providers, webhooks and owner-only settings, and erasure, need a password that was typed
    in the last 10 minutes."""
    params = await request_body.body(request, PasswordCheck)
    await sessions(request).verify_again(guards.auth_request(request.scope), params.password)
    return responses.empty()


@ME.get(SessionList, "/sessions")
async def own_sessions(call: ResourceCall[None]) -> Any:
    """List the open sessions of the signed-in operator."""
    found = await sessions(call.request).own_sessions(guards.auth_request(call.request.scope))
    items = [responses.item(SessionItem, one, current=is_current) for one, is_current in found]
    return responses.json(SessionList(items), 200, NO_STORE)


@ME.delete("/sessions/{id:str}", refusals=(NotFound,))
async def end_own_session(call: ResourceCall[None]) -> bool:
    """End a session of the signed-in operator."""
    # Needs no password: signing out is always permitted, also of another browser, which may be in the wrong hands. It gives no access.
    id = request_body.path(call.request, "id")
    ended = await sessions(call.request).end_own_session(guards.auth_request(call.request.scope), id)
    if ended is None:
        raise NotFound("You have no open session with this id.")
    times_of = {"created_at": ended.created_at, "seen_at": ended.seen_at}
    audit.note_changes(call.request, {name: times.to_rfc3339(at) for name, at in times_of.items()}, {})
    return True


@own_operation("POST", "/v1/me/mfa", is_sensitive=True, response_types={201: MfaSecret}, refusals=(Conflict,))
async def begin_mfa(request: ApiRequest) -> ASGIApp:
    """Set up an authenticator app.

    The secret takes effect when a code of the app confirms it."""
    operator = await own(request)
    if operator.subject is not None:
        raise Conflict(EXTERNAL)
    secret = await sessions(request).second_factors.begin(operator)
    uri = factors.uri(secret, operator.name, ISSUER)
    return responses.json(MfaSecret(secret=secret, uri=uri, qr_code=factors.qr_code(uri)), 201, NO_STORE)


@own_operation(
    "PUT",
    "/v1/me/mfa",
    is_sensitive=True,
    body=MfaCode,
    response_types={200: RecoveryCodes},
    refusals=(Conflict,),
)
async def confirm_mfa(request: ApiRequest) -> ASGIApp:
    """Confirm an authenticator app.

    Afterwards, sign-in needs its codes, or one of the returned recovery codes."""
    params = await request_body.body(request, MfaCode)
    codes = await sessions(request).second_factors.confirm(await own(request), params.code)
    return responses.json(RecoveryCodes(codes), 200, NO_STORE)


@ME.act("/mfa/recovery-codes", RecoveryCodes, status=201, is_sensitive=True, refusals=(Conflict,))
async def replace_recovery_codes(call: ResourceCall[None]) -> Any:
    """Replace the recovery codes.

    The old ones no longer work."""
    operator = await own(call.request)
    codes = await sessions(call.request).second_factors.replace_recovery_codes(operator)
    return responses.json(RecoveryCodes(codes), 201, NO_STORE)


@ME.delete("/mfa", is_sensitive=True)
async def end_mfa(call: ResourceCall[None]) -> bool:
    """Remove the authenticator app and the recovery codes."""
    await Operators(call.ctx.engines.db).end_mfa((await own(call.request)).id, with_passkeys=False)
    return True


def sessions(request: ApiRequest) -> ConsoleSessions:
    return context.of(request).require(ConsoleSessions, "The console is turned off: BELLCAST_CONSOLE=off.")


def signed_in_response(request: ApiRequest, signed_in: SignedIn, status: int) -> ASGIApp:
    return responses.json(_account_of(request, signed_in.operator), status, NO_STORE, signed_in.cookies)


async def own(request: ApiRequest) -> Operator:
    return (await sessions(request).session(guards.auth_request(request.scope))).operator


def _account_of(request: ApiRequest, operator: Operator) -> Account:
    """Return an operator's own account as shown in responses."""
    folder = context.of(request).data_folder if operator.role == "owner" else None
    return Account(
        **asdict(item(operator)),
        must_enrol=sessions(request).must_enrol(operator),
        email=operator.email,
        data_folder=UNSET if folder is None else folder,
    )


def item(operator: Operator) -> OperatorItem:
    bound = None if operator.tenants is None else list(operator.tenants)
    return responses.item(OperatorItem, operator, tenants=bound, is_external=operator.subject is not None)


def check_grant(caller: Caller, role: Role) -> None:
    """Raise Forbidden if the role has more rights than the caller, who could otherwise gain these rights."""
    missing = [scope for scope in SCOPES_OF_ROLE[role] if scope not in caller.scopes]
    if missing:
        raise Forbidden(
            f"An operator with the role {role} may do more than this key, which lacks {', '.join(missing)}."
        )


SUBJECT = "Your code for Bellcast"
TEXT = (
    "{code}\n\nEnter this code in the console. It is valid for {minutes} minutes, and confirms that tests of "
    "templates may be sent to this address.\n\nIf you did not ask for it, ignore this e-mail."
)


class AccountChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new `email`, to which a code is sent, or the `code` that confirms it. Null removes the e-mail."""

    email: Annotated[str | UnsetType | None, Limit(addresses.MAX_EMAIL)] = UNSET
    code: Annotated[str | None, Limit(20)] = None


@ME.patch(AccountChange, Account, refusals=(Conflict,), example={"email": "ann@example.com"}, id="own_email.change")
async def change_email(call: ResourceCall[AccountChange]) -> Any:
    """Change or confirm your e-mail.

    With `email`, six digits are sent there. They are valid for 10 minutes and 5 attempts; send them as `code` to confirm the
    address. Tests of templates can then be sent to it. If no provider delivers e-mail, nothing is sent, and `code` in the
    response is the code."""
    request, body, console = call.request, call.body, sessions(call.request)
    code: str | UnsetType = UNSET
    operator = await own(request)
    if body.code is not None:
        await console.confirm_email(operator, body.code)
    elif body.email is None:
        await Operators(context.of(request).engines.db).end_email(operator.id)
    elif body.email is not UNSET:
        problem = addresses.format_problem("email", body.email)
        if problem is not None:
            raise Invalid.of("email", problem)
        made, now = await console.begin_email(operator, body.email), call.ctx.engines.clock.now()
        text = TEXT.format(code=made, minutes=EMAIL_CODE_MS // 60_000)
        page = html.page(html.from_text(text), subject=SUBJECT, language="en", brand=Brand(name="Bellcast"), links={})
        id, at = call.ctx.engines.new_id(now), times.to_rfc3339(now)
        mail = OutgoingMessage(id=id, to=body.email, at=at, content=Email(subject=SUBJECT, text=text, html=page))
        # Not stored: a stored message would show the code to all operators with the right to read messages.
        if not await call.ctx[ProviderDirectory].send_email(DEFAULT_TENANT, mail):
            code = made
    else:
        raise Invalid.of("email", "is required, or the code that was sent to it")
    account = msgspec.structs.replace(_account_of(request, await own(request)), code=code)
    return responses.json(account, 200, NO_STORE)
