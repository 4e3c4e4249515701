"""Operators of the console: their management by owners."""

from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Struct, UnsetType, structs

from bellcast.kernel.errors import Conflict, Invalid, NotFound
from bellcast.kernel.field_limits import NULL, Schema
from bellcast.kernel.http import request_body, responses
from bellcast.kernel.http.list_parameters import ShortListQuery
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.operators import http as operators_http
from bellcast.operators.factors import NEW_PASSWORD
from bellcast.operators.http import OperatorItem
from bellcast.operators.sign_in import OPERATOR_NAME
from bellcast.operators.store import Operators
from bellcast.operators.types import IDLE_MS, Operator, Role
from bellcast.rest import audit, context, guards
from bellcast.rest.context import ApiContext
from bellcast.rest.resource import Resource, ResourceCall
from bellcast.rest.tenants import BOUND

UNKNOWN = "No operator has this id."


class OperatorRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new operator with an initial password, and the tenants that it is restricted to. An owner may use all
    tenants."""

    name: Annotated[str, OPERATOR_NAME]
    role: Role
    password: Annotated[str, NEW_PASSWORD]
    tenants: Annotated[list[str] | None, BOUND] = None

    SCHEMA: ClassVar[Schema] = {
        "if": {"properties": {"role": {"const": "owner"}}, "required": ["role"]},
        "then": {"properties": {"tenants": NULL}},
    }


def _check_tenants(role: Role, bound: list[str] | UnsetType | None) -> None:
    if role == "owner" and isinstance(bound, list) and bound:
        raise Invalid.of("tenants", "must be null: an owner has all tenants")


OPERATOR = request_body.Shape(OperatorRequest, lambda params, _: _check_tenants(params.role, params.tenants))
OPERATORS = Resource("operators", "/{id:str}", tag="Console", required_scope="admin", query=None, is_sensitive=True)


class OperatorChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes to an operator. A new password ends the operator's sessions. With `tenants` null, the operator may use
    all tenants, as every owner may."""

    role: Role | None = None
    password: Annotated[str | None, NEW_PASSWORD] = None
    tenants: Annotated[list[str] | UnsetType | None, BOUND] = UNSET

    SCHEMA: ClassVar[Schema] = {
        "not": {"properties": {"role": NULL, "password": NULL}, "not": {"required": ["tenants"]}}
    }


def _check_change(params: OperatorChange, ctx: ApiContext) -> None:
    if params.role is None and params.password is None and params.tenants is UNSET:
        raise Invalid.of("role", "or password or tenants must be given")


CHANGE = request_body.Shape(OperatorChange, _check_change)


class ListedOperator(OperatorItem, frozen=True, kw_only=True):
    """An operator with the number of its sessions that have not expired."""

    sessions: int


class OperatorList(Struct, frozen=True):
    """A page of operators, by name. Pass `next` as `after` for the following page."""

    operators: list[ListedOperator]
    next: str | None = None


# The scope `admin` is that of owners, of the project secret, and of keys with it.
@Resource("operators", tag="Console", required_scope="admin").listing(
    OperatorList, query=ShortListQuery, bound_by="refused"
)
async def page(request: ApiRequest, query: ShortListQuery) -> OperatorList:
    """List the operators of the console."""
    engines = context.of(request).engines
    operators = Operators(engines.db)
    tenant = query.one_tenant
    found = [
        one
        for one in await operators.all()
        if one.name > query.after
        and (tenant is None or one.tenants is None or tenant in one.tenants)
        and query.includes(one.created_at)
    ]
    sessions = await operators.count_sessions(engines.clock.now() - IDLE_MS)
    items = [operators_http.item(one) for one in found[: query.limit]]
    shown = [ListedOperator(**structs.asdict(one), sessions=sessions.get(one.id, 0)) for one in items]
    return OperatorList(shown, shown[-1].name if len(found) > query.limit else None)


@OPERATORS.create(OPERATOR, OperatorItem, refusals=(NotFound, Conflict))
async def create(call: ResourceCall[OperatorRequest]) -> OperatorItem:
    """Create an operator of the console."""
    request, params = call.request, call.body
    console = operators_http.sessions(request)
    operators_http.check_grant(guards.caller(request), params.role)
    hashed = await _hash(request, params.password)
    operators_http.check_grant(guards.caller(request), params.role)
    bound = None if params.tenants is None else tuple(params.tenants)
    operator = await console.create(params.name, params.role, hashed, bound)
    audit.note_changes(request, {}, {"name": params.name, "role": params.role, "tenants": bound})
    return operators_http.item(operator)


@OPERATORS.patch(CHANGE, OperatorItem, query=None, response_types={204: None}, refusals=(NotFound, Conflict))
async def change(call: ResourceCall[OperatorChange]) -> Any:
    """Change the role, the password or the tenants of an operator.

    A new password ends its sessions. The last owner stays an owner."""
    request, params = call.request, call.body
    operator, hashed = await _changeable(request, params), None
    if params.password is not None:
        hashed = await _hash(request, params.password)
        operator = await _changeable(request, params)
    bound = tuple(params.tenants) if isinstance(params.tenants, list) else params.tenants
    operators = Operators(call.ctx.engines.db)
    _check_changed(await operators.change(operator.id, params.role, hashed, bound, role_before=operator.role))
    audit.note_change(request, "role", operator.role, params.role or operator.role)
    if bound is not UNSET:
        audit.note_change(request, "tenants", operator.tenants, bound)
    if params.password is not None:
        audit.note_change(request, "password", None, "changed")
    return responses.empty()


@OPERATORS.delete(refusals=(NotFound, Conflict))
async def delete(call: ResourceCall[None]) -> bool:
    """Delete an operator and end its sessions.

    The last owner cannot be deleted."""
    operator = await _manageable(call.request)
    _check_changed(await Operators(call.ctx.engines.db).delete(operator.id, role_before=operator.role))
    audit.note_changes(call.request, {"name": operator.name, "role": operator.role}, {})
    return True


@OPERATORS.delete("/sessions", refusals=(NotFound, Conflict))
async def end_sessions(call: ResourceCall[None]) -> bool:
    """End all sessions of an operator.

    The operator can sign in again. After the loss of a device, change the password too."""
    operator = await _manageable(call.request)
    await Operators(call.ctx.engines.db).end_sessions(operator.id, role_before=operator.role)
    audit.note_change(call.request, "sessions", None, "ended")
    return True


@OPERATORS.delete("/mfa", refusals=(NotFound, Conflict))
async def reset_mfa(call: ResourceCall[None]) -> bool:
    """Remove the authenticator app, the recovery codes and the passkeys of an operator."""
    operator = await _manageable(call.request)
    await Operators(call.ctx.engines.db).end_mfa(operator.id, with_passkeys=True, role_before=operator.role)
    audit.note_change(call.request, "has_mfa", operator.has_mfa, after=False)
    return True


async def _hash(request: ApiRequest, password: str) -> str:
    """Return the hash of a new password. The caller may lose its permissions in the meantime, so they are checked
    again."""
    hashed = await operators_http.sessions(request).hash(password)
    await guards.authorize(request, "admin", is_sensitive=True)
    return hashed


async def _changeable(request: ApiRequest, params: OperatorChange) -> Operator:
    """Return the operator in the path. Raises Forbidden, Conflict or Invalid if the caller may not make this change."""
    operator = await _manageable(request)
    if params.password is not None and operator.subject is not None:
        raise Conflict(operators_http.EXTERNAL)
    if params.role is not None:
        operators_http.check_grant(guards.caller(request), params.role)
    _check_tenants(params.role or operator.role, params.tenants)
    return operator


async def _manageable(request: ApiRequest) -> Operator:
    """Return the operator in the path. Raises Forbidden if the operator has rights that the caller does not have."""
    operator = await Operators(context.of(request).engines.db).get(request_body.path(request, "id"))
    if operator is None:
        raise NotFound(UNKNOWN)
    operators_http.check_grant(guards.caller(request), operator.role)
    return operator


def _check_changed(changed: bool | None) -> None:  # noqa: FBT001  the result of the store
    if changed is None:
        raise NotFound(UNKNOWN)
    if not changed:
        raise Conflict("This is the last owner: give another operator the role owner first.")
