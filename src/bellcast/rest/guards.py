"""Authorization guards. Each operation declares its required credentials, guards check them, and handlers read the
result. Of the response, operators with the role viewer read only fields that are neither content nor personal, and callers without
the scope `manage` no links."""

import math
from collections.abc import Collection
from functools import cache
from types import NoneType
from typing import Any, Literal, TypeVar, get_args

from msgspec import Struct, structs

from bellcast.auth import keys, link_tokens
from bellcast.auth.request import AuthRequest
from bellcast.kernel.errors import Forbidden, MfaEnrolmentRequired, PasswordRequired, TooMany, Unauthenticated
from bellcast.kernel.http import ACCEPTED, HEADER_VALUES, ASGIApp, AsgiMessage, Receive, Scope, Send
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import Caller, KeyScope, Principal
from bellcast.operators.sign_in import ConsoleSessions
from bellcast.operators.types import Role
from bellcast.rest import context, editor_access, tenants
from bellcast.rest.tenants import TenantRule

# A scope of servers, "recipient", or "operator" (any operator of the console).
RequiredScope = KeyScope | Literal["recipient", "operator"]
AUTHORIZATION, COOKIE = b"authorization", b"cookie"
# Key in a request's state: whether the request has an operator's session cookie, on a path that accepts it.
HAS_SESSION = "has_session"

P = TypeVar("P", bound=Struct)

# Fields that a viewer reads in every list.
ALWAYS_SHOWN = frozenset({"id", "key", "tenant", "created_at"})
# Fields of workflows and templates that a viewer reads. Their other fields are content.
DEFINITION_FIELDS = frozenset(
    {"key", "tenant", "version", "active", "in_code", "type", "uses", "draft", "managed", "updated_at"}
    | {"published_by", "recent_runs"}
)


def auth_request(scope: Any) -> AuthRequest:
    """Return the parts of a request that authentication depends on."""
    client = scope.get("client")
    return AuthRequest(
        method=scope["method"],
        scheme=scope["scheme"],
        headers=scope["headers"],
        header_values=scope["state"][HEADER_VALUES],
        query=scope["query_string"],
        address=None if client is None else client[0],
    )


async def authorize(
    request: ApiRequest,
    required_scope: RequiredScope,
    roles: tuple[Role, ...] | None = None,
    *,
    other_scope: KeyScope | None = None,
    is_sensitive: bool = False,
    tenant_rule: TenantRule | None = None,
) -> None:
    """Authenticate and authorize a request before its body is read. `roles` are the operator roles that may use it, by
    default the roles that have the scope. Keys with `other_scope` may use it too. `tenant_rule` limits callers that are
    restricted to tenants."""
    scope: Any = request.scope
    ctx, state = context.of(request), scope["state"]
    scope.setdefault("extensions", {})[ACCEPTED] = None
    credentials = auth_request(scope)
    if required_scope == "recipient":
        principal = await ctx.authenticator.recipient(credentials, "request")
        state["principal"] = scope["extensions"][ACCEPTED] = principal
        return
    operator: Caller | None = None
    sessions, values = ctx.find(ConsoleSessions), state[HEADER_VALUES]
    if sessions is not None and COOKIE in values and AUTHORIZATION not in values:  # other credentials take precedence
        state[HAS_SESSION] = credentials.cookie() is not None
        operator = await sessions.caller(credentials)
    is_open = required_scope != "operator"
    claims = await editor_access.authenticate(ctx, credentials) if operator is None and is_open else None
    if claims is not None:
        caller: Caller | None = editor_access.caller_of(claims)
    else:
        caller = operator or (await ctx.authenticator.caller(credentials) if is_open else None)
    if caller is None:
        raise Unauthenticated("Sign in to the console.")
    state["caller"] = scope["extensions"][ACCEPTED] = caller
    if claims is None and (caller.role is not None or other_scope not in caller.scopes):
        _check_scope(caller, required_scope, roles)
    if caller.must_enrol and required_scope != "operator":
        raise MfaEnrolmentRequired
    if required_scope != "operator":
        tenants.limit(request, caller, tenant_rule)
    if claims is not None:
        await editor_access.limit(ctx, request, claims)
    if is_sensitive and not caller.is_verified:
        raise PasswordRequired


def _check_scope(caller: Caller, required_scope: RequiredScope, roles: tuple[Role, ...] | None) -> None:
    if required_scope == "operator" or required_scope == "recipient":
        return
    if caller.role is None:
        keys.require(caller, required_scope)
    elif caller.role not in roles if roles is not None else required_scope not in caller.scopes:
        raise Forbidden(f"Your role, {caller.role}, does not permit this.")


def require_manager(request: ApiRequest, *, is_sensitive: bool = False) -> None:
    """Raise Forbidden unless the caller may act for any recipient: owners, and keys with the scope `manage`. Raise
    PasswordRequired for a sensitive request of an operator who has not typed the password recently."""
    by = caller(request)
    _check_scope(by, "manage", ("owner",))
    if is_sensitive and not by.is_verified:
        raise PasswordRequired


def require_one(request: ApiRequest, *, is_one: bool) -> None:
    """Raise Forbidden if an operator with the role support acts on more than one recipient or failure."""
    if not is_one and caller(request).role == "support":
        raise Forbidden("Your role, support, permits this only for one at a time.")


def caller(request: ApiRequest) -> Caller:
    """Return the authenticated caller."""
    result: Caller = request.scope["state"]["caller"]
    return result


def ending(request: ApiRequest, wanted: int) -> int:
    """Return when what the caller creates ends: with the caller's key at the latest."""
    own = caller(request).expires_at
    return wanted if own is None else min(wanted, own)


def session(request: ApiRequest) -> Principal:
    """Return the authenticated session of the recipient."""
    result: Principal = request.scope["state"]["principal"]
    return result


def is_owner(request: ApiRequest) -> bool:
    """Return whether the caller is an owner, or has the project secret."""
    who = caller(request)
    return who.role == "owner" or (who.role is None and who.key is None)


# A test calls a server, which the request can name, for up to 15 s, and may send a message. The limit is per caller.
TESTS_PER_MINUTE = 10
MINUTE_SECONDS = 60


def count(request: ApiRequest, noun: str, most: int) -> None:
    """Count one of the things of which a caller may do `most` a minute. Raises TooMany."""
    ctx, who = context.of(request), caller(request)
    # A token bucket refills within a second, so it gets a clock that is 60 times slower.
    now = ctx.token_clock.now() // MINUTE_SECONDS
    wait = ctx.calls_by_minute.take(f"{noun} {who.operator or ''} {who.key or ''}", most, now)
    if wait:
        raise TooMany(f"You may run {most} {noun} a minute.", retry_after=max(1, math.ceil(wait * MINUTE_SECONDS)))


def page_for(request: ApiRequest, page: P, shown: str) -> P:
    """Return a page of a list as its caller may read it: a viewer reads of its items only the fields that are `shown`."""
    if caller(request).role != "viewer":
        return page
    names = ALWAYS_SHOWN.union(shown.split())
    lists = {name: one for name in page.__struct_fields__ if isinstance(one := getattr(page, name), list)}
    return structs.replace(page, **{name: _shown(one, names) for name, one in lists.items()})


def definitions_for(request: ApiRequest, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return workflows or templates of a list as its caller may read them."""
    if caller(request).role != "viewer":
        return items
    return [
        {
            name: one if name in DEFINITION_FIELDS else type(one)() if isinstance(one, list | dict) else None
            for name, one in item.items()
        }
        for item in items
    ]


def may_use_links(request: ApiRequest) -> bool:
    """Return whether the caller may change preferences, as the holder of a link in a message can."""
    caller: Caller | None = request.scope["state"].get("caller")
    return caller is None or "manage" in caller.scopes


def response_for(request: ApiRequest, response: ASGIApp) -> ASGIApp:
    """Return a response without the tokens of links, unless the caller may use them."""
    if may_use_links(request):
        return response

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        async def hide(message: AsgiMessage) -> None:
            # Each part of a stream has whole rows. The live feed can be a WebSocket.
            if body := message.get("body"):
                message = {**message, "body": link_tokens.hide(body)}
            elif text := message.get("text"):
                message = {**message, "text": link_tokens.hide(text.encode()).decode()}
            await send(message)

        await response(scope, receive, hide)

    return respond


def _shown(value: Any, names: Collection[str]) -> Any:
    """Return an item in which only these fields are shown. The others are null, or empty if they cannot be null."""
    if isinstance(value, Struct):
        nullable = _nullable(type(value))
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        hidden = {name: None if name in nullable else type(one)() for name, one in fields.items() if name not in names}
        return structs.replace(value, **{name: _shown(one, names) for name, one in fields.items()} | hidden)
    return [_shown(one, names) for one in value] if isinstance(value, list) else value


@cache
def _nullable(type: type[Struct]) -> frozenset[str]:
    """Return the fields of a type that can be null."""
    return frozenset(one.name for one in structs.fields(type) if one.type is Any or NoneType in get_args(one.type))
