"""API keys for servers: create, list and revoke. The secret part is shown once."""

import msgspec
from litestar.types import ASGIApp
from msgspec import Struct

from bellcast.api import audit, context, guards, request_body, responses
from bellcast.api.context import ApiContext
from bellcast.api.operations import operation
from bellcast.api.request_body import ApiRequest
from bellcast.auth import keys, server_credentials
from bellcast.errors import FieldError, Forbidden, NotFound
from bellcast.model import validation
from bellcast.model.identities import ApiKey, KeyScope


class KeyRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Name and scopes of a new key."""

    name: str
    scopes: list[KeyScope]


class NewKey(ApiKey, frozen=True, kw_only=True):
    """A new key with its text, which is not shown again."""

    key: str


class ApiKeys(Struct, frozen=True):
    """All keys, including revoked ones, without their secret parts."""

    keys: list[ApiKey]


@operation(
    "POST",
    "/v1/keys",
    tag="Access",
    required_scope="manage",
    body=KeyRequest,
    response_types={201: NewKey},
    is_audited=True,
    is_sensitive=True,
    example={"name": "booking service", "scopes": ["send"]},
)
async def create(request: ApiRequest) -> ASGIApp:
    """Create an API key.

    Only this response contains its text. A key can only have scopes that its creator has."""
    ctx = context.of(request)
    params = await request_body.body(request, KEY)
    caller = guards.caller(request)
    for scope in params.scopes:  # otherwise a key could create keys with more scopes than its own
        server_credentials.require(caller, scope)
    if "manage" in params.scopes and caller.role not in (None, "owner"):  # it could create tokens and erase recipients
        raise Forbidden("Only an owner creates keys with the scope manage.")
    made = keys.make(params.name, params.scopes, ctx.engines.clock.now())
    await ctx.engines.store.keys.create(made.key, made.digest)
    audit.note_changes(request, {}, {"name": params.name, "scopes": made.key.scopes})
    return responses.json(NewKey(**msgspec.structs.asdict(made.key), key=made.text), 201)


@operation("GET", "/v1/keys", tag="Access", required_scope="manage", response_types={200: ApiKeys})
async def page(request: ApiRequest) -> ASGIApp:
    """List the API keys."""
    return responses.json(ApiKeys(await context.of(request).engines.store.keys.all()))


@operation(
    "DELETE",
    "/v1/keys/{id:str}",
    tag="Access",
    required_scope="manage",
    response_types={204: None},
    is_audited=True,
    is_sensitive=True,
    refusals=(NotFound,),
)
async def revoke(request: ApiRequest) -> ASGIApp:
    """Revoke an API key.

    It is rejected from now on."""
    engines = context.of(request).engines
    if not await engines.store.keys.revoke(request_body.path(request, "id"), engines.clock.now()):
        raise NotFound("No API key has this id.")
    audit.note_change(request, "revoked", before=False, after=True)
    return responses.empty()


def _check(params: KeyRequest, ctx: ApiContext) -> None:
    validation.check(validation.key("name", params.name, ctx.limits), _scopes(params.scopes))


def _scopes(scopes: list[KeyScope]) -> validation.FieldErrors:
    if not scopes:
        yield FieldError("scopes", f"must be one or more of: {', '.join(keys.SCOPES)}")


KEY = request_body.Shape(KeyRequest, _check, {"name": "x", "scopes": ["read"]})
