"""Operators of the console: the first set-up, sign-in, their own account, and their management by owners."""

from datetime import datetime

from litestar.types import ASGIApp
from msgspec import Struct

from bellcast.api import audit, context, guards, request_body, responses
from bellcast.api.audit import AuditPage, AuditQuery
from bellcast.api.context import ApiContext
from bellcast.api.operations import operation
from bellcast.api.request_body import ApiRequest
from bellcast.auth import console_sessions, passwords
from bellcast.auth.console_sessions import ConsoleSessions, SignedIn
from bellcast.errors import BellcastError, Conflict, Forbidden, Invalid, NotFound
from bellcast.model import times, validation
from bellcast.model.operators import Operator, Role

# Longer than any name of an operator and any code.
MAX_NAME = 100


class SetupState(Struct, frozen=True):
    """Whether the console has no owner yet."""

    needed: bool


class SetupRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The code that the server printed, and the first owner."""

    code: str
    name: str
    password: str


class SetupCode(Struct, frozen=True):
    """A code for the first set-up, valid for a day."""

    code: str


class SignInRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Name and password of an operator."""

    name: str
    password: str


class PasswordChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The current password and the new one."""

    current: str
    password: str


class OperatorRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new operator with a first password."""

    name: str
    role: Role
    password: str


class OperatorChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes of an operator. A new password ends its sessions."""

    role: Role | None = None
    password: str | None = None


class OperatorItem(Struct, frozen=True, kw_only=True):
    """An operator."""

    id: str
    name: str
    role: Role
    created_at: datetime
    seen_at: datetime | None


class OperatorList(Struct, frozen=True):
    """All operators, by name."""

    operators: list[OperatorItem]


@operation(
    "GET", "/v1/setup", tag="Console", required_scope=None, response_types={200: SetupState}, refusals=(NotFound,)
)
async def setup_state(request: ApiRequest) -> ASGIApp:
    """Whether the console is to be set up."""
    return responses.json(SetupState(await _console(request).is_setup_needed()))


@operation(
    "POST",
    "/v1/setup",
    tag="Console",
    required_scope=None,
    body=SetupRequest,
    response_types={201: OperatorItem},
    refusals=(NotFound, Forbidden),
    response_headers=("Set-Cookie",),
)
async def set_up(request: ApiRequest) -> ASGIApp:
    """Create the first owner.

    With the one-time code that `bellcast serve` or `bellcast operator setup-code` printed. The response signs in."""
    console = _console(request)
    params = await request_body.body(request, SETUP)
    signed_in = await console.set_up(guards.browser_request(request), params.code, params.name, params.password)
    await audit.record(request, signed_in.operator.name, "owner", audit.OK)
    return _signed_in(signed_in, 201)


@operation(
    "POST",
    "/v1/setup-codes",
    tag="Console",
    required_scope="admin",
    response_types={201: SetupCode},
    refusals=(NotFound, Conflict),
)
async def make_setup_code(request: ApiRequest) -> ASGIApp:
    """Create a code for the first set-up.

    With the project secret, while the console has no owner."""
    return responses.json(SetupCode(await _console(request).make_setup_code()), 201)


@operation(
    "POST",
    "/v1/session",
    tag="Console",
    required_scope=None,
    body=SignInRequest,
    response_types={200: OperatorItem},
    refusals=(NotFound, Forbidden),
    response_headers=("Set-Cookie",),
)
async def sign_in(request: ApiRequest) -> ASGIApp:
    """Sign in to the console.

    From a page of this server. After several failures each try waits."""
    console = _console(request)
    params = await request_body.body(request, SIGN_IN)
    try:
        signed_in = await console.sign_in(guards.browser_request(request), params.name, params.password)
    except BellcastError as failure:
        # The limits of failed tries also bound the number of these entries.
        if failure.status == 401:
            # The audit must not store a password that was typed into the wrong field.
            known = await context.of(request).engines.store.operators.find(params.name)
            await audit.record(request, params.name if known else "unknown", None, failure.code)
        raise
    await audit.record(request, signed_in.operator.name, signed_in.operator.role, audit.OK)
    return _signed_in(signed_in, 200)


@operation(
    "DELETE",
    "/v1/session",
    tag="Console",
    required_scope=None,
    response_types={204: None},
    refusals=(NotFound, Forbidden),
    response_headers=("Set-Cookie",),
)
async def sign_out(request: ApiRequest) -> ASGIApp:
    """Sign out of the console."""
    cookie = await _console(request).sign_out(guards.browser_request(request))
    return responses.empty(204, {"set-cookie": cookie, "cache-control": "no-store"})


@operation("GET", "/v1/me", tag="Console", required_scope="operator", response_types={200: OperatorItem})
async def me(request: ApiRequest) -> ASGIApp:
    """Read the signed-in operator."""
    session = await _console(request).session(guards.browser_request(request))
    return responses.json(_item(session.operator))


@operation(
    "PUT",
    "/v1/me/password",
    tag="Console",
    required_scope="operator",
    body=PasswordChange,
    response_types={200: OperatorItem},
    response_headers=("Set-Cookie",),
)
async def change_own_password(request: ApiRequest) -> ASGIApp:
    """Change the password of the signed-in operator.

    Its other sessions end."""
    params = await request_body.body(request, PASSWORD)
    browser = guards.browser_request(request)
    return _signed_in(await _console(request).change_own_password(browser, params.current, params.password), 200)


@operation("GET", "/v1/operators", tag="Console", required_scope="admin", response_types={200: OperatorList})
async def page(request: ApiRequest) -> ASGIApp:
    """List the operators of the console."""
    operators = await context.of(request).engines.store.operators.all()
    return responses.json(OperatorList([_item(one) for one in operators]))


@operation(
    "POST",
    "/v1/operators",
    tag="Console",
    required_scope="admin",
    body=OperatorRequest,
    response_types={201: OperatorItem},
    refusals=(NotFound, Conflict),
)
async def create(request: ApiRequest) -> ASGIApp:
    """Create an operator of the console."""
    params = await request_body.body(request, OPERATOR)
    return responses.json(_item(await _console(request).create(params.name, params.role, params.password)), 201)


@operation(
    "PATCH",
    "/v1/operators/{id:str}",
    tag="Console",
    required_scope="admin",
    body=OperatorChange,
    response_types={204: None},
    refusals=(NotFound, Conflict),
)
async def change(request: ApiRequest) -> ASGIApp:
    """Change the role or the password of an operator.

    A new password ends its sessions. The last owner stays an owner."""
    params = await request_body.body(request, CHANGE)
    id = request_body.path(request, "id")
    if params.role is not None:
        _check_changed(await context.of(request).engines.store.operators.change_role(id, params.role))
    if params.password is not None:
        await _console(request).reset_password(id, params.password)
    return responses.empty()


@operation(
    "DELETE",
    "/v1/operators/{id:str}",
    tag="Console",
    required_scope="admin",
    response_types={204: None},
    refusals=(NotFound, Conflict),
)
async def delete(request: ApiRequest) -> ASGIApp:
    """Delete an operator and end its sessions.

    The last owner cannot be deleted."""
    _check_changed(await context.of(request).engines.store.operators.delete(request_body.path(request, "id")))
    return responses.empty()


@operation("GET", "/v1/audit", tag="Console", required_scope="admin", query=AuditQuery, response_types={200: AuditPage})
async def audit_page(request: ApiRequest) -> ASGIApp:
    """List what operators did, newest first.

    Requests that change something, sign-ins, and each look of the role support at content."""
    params = request_body.query(request, AuditQuery)
    entries = await context.of(request).engines.store.operators.audit(params.after or "", params.limit + 1)
    shown = [audit.shown(one) for one in entries[: params.limit]]
    return responses.json(AuditPage(shown, shown[-1].id if len(entries) > params.limit else None))


def _console(request: ApiRequest) -> ConsoleSessions:
    console = context.of(request).console
    if console is None:
        raise NotFound("The console is turned off here: BELLCAST_CONSOLE=off.")
    return console


def _check_changed(changed: bool | None) -> None:  # noqa: FBT001  the result of the store
    if changed is None:
        raise NotFound("No operator has this id.")
    if not changed:
        raise Conflict("This is the last owner: give another operator the role owner first.")


def _signed_in(signed_in: SignedIn, status: int) -> ASGIApp:
    headers = {"set-cookie": signed_in.cookie, "cache-control": "no-store"}
    return responses.json(_item(signed_in.operator), status, headers)


def _item(operator: Operator) -> OperatorItem:
    return OperatorItem(
        id=operator.id,
        name=operator.name,
        role=operator.role,
        created_at=times.to_rfc3339(operator.created_at),
        seen_at=times.to_rfc3339_or_null(operator.seen_at),
    )


def _check_setup(params: SetupRequest, ctx: ApiContext) -> None:
    validation.check(
        validation.text("code", params.code, MAX_NAME),
        console_sessions.check_name("name", params.name),
        passwords.check("password", params.password),
    )


def _check_sign_in(params: SignInRequest, ctx: ApiContext) -> None:
    validation.check(
        validation.text("name", params.name, MAX_NAME),
        validation.text("password", params.password, passwords.MAX_LENGTH),
    )


def _check_operator(params: OperatorRequest, ctx: ApiContext) -> None:
    validation.check(console_sessions.check_name("name", params.name), passwords.check("password", params.password))


def _check_password(params: PasswordChange, ctx: ApiContext) -> None:
    validation.check(
        validation.text("current", params.current, passwords.MAX_LENGTH), passwords.check("password", params.password)
    )


def _check_change(params: OperatorChange, ctx: ApiContext) -> None:
    if params.role is None and params.password is None:
        raise Invalid.of("role", "or password must be given")
    if params.password is not None:
        validation.check(passwords.check("password", params.password))


VALID = {"name": "x", "password": "x" * passwords.MIN_LENGTH}
SETUP = request_body.Shape(SetupRequest, _check_setup, VALID | dict.fromkeys(["code"], "x"))
SIGN_IN = request_body.Shape(SignInRequest, _check_sign_in, VALID)
OPERATOR = request_body.Shape(OperatorRequest, _check_operator, {**VALID, "role": "viewer"})
PASSWORD = request_body.Shape(PasswordChange, _check_password, {"password": VALID["password"], "current": "x"})
CHANGE = request_body.Shape(OperatorChange, _check_change)
HANDLERS = (
    *(setup_state, set_up, make_setup_code, sign_in, sign_out, me, change_own_password),
    *(page, create, change, delete, audit_page),
)
