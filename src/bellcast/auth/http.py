"""Session tokens for browsers, requested by the app's server."""

from collections.abc import Callable
from datetime import datetime

from msgspec import Struct

from bellcast.auth import tokens
from bellcast.auth.claims import Seconds
from bellcast.kernel import times, validation
from bellcast.kernel.errors import FieldError, Invalid
from bellcast.kernel.http import request_body, responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.limits import Limits
from bellcast.rest import context, tenants
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import operation
from bellcast.rest.tenants import TenantQuery

HOUR = 3_600
# Maximum patterns of each kind, and roles.
PATTERNS = 100


class TokenRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Recipient and lifetime (seconds, or as `1h`) of a session token, and its permissions beyond the recipient's own
    inbox. `since` (epoch seconds) is when the recipient joined the app; earlier announcements do not appear in its
    inbox."""

    recipient: str
    tenant: str | None = None
    ttl: int | float | str = HOUR
    topics: list[str] = []
    publish: list[str] = []
    roles: list[str] | None = None
    name: str | None = None
    since: Seconds | None = None


class Token(Struct, frozen=True):
    """A signed session token and its expiry."""

    token: str
    expires_at: datetime


@operation(
    "POST",
    "/v1/tokens",
    tag="Access",
    required_scope="manage",
    roles=("owner",),
    is_sensitive=True,
    query=TenantQuery,
    body=TokenRequest,
    response_types={201: Token},
    example={"recipient": "alice", "ttl": "1h", "topics": ["project.*"]},
)
async def make(request: ApiRequest) -> ASGIApp:
    """Create a session token.

    It gives access to one recipient's inbox until it expires: send it to that recipient's browser. An API key with the
    scope `manage` can create one for any recipient, topics and roles: protect it like the project secret."""
    ctx = context.of(request)
    params = await request_body.body(request, TOKEN)
    tenant = tenants.single_tenant(request, params.tenant)
    now = ctx.token_clock.now()
    expires_at = now + round(times.seconds(params.ttl) * 1000)
    token = tokens.sign(
        ctx.project,
        params.recipient,
        now=now,
        expires_at=expires_at,
        tenant=tenant,
        topics=params.topics,
        publish=params.publish,
        roles=params.roles,
        name=params.name,
        since=params.since,
    )
    if len(token) > tokens.MAX_LENGTH:  # no request with it would be accepted
        message = f"would make a token of {len(token)} characters, at most {tokens.MAX_LENGTH} are accepted"
        raise Invalid.of("", f"{message}: shorten topics, publish, roles or name")
    return responses.json(Token(token, times.to_rfc3339(expires_at)), 201)


def _check(params: TokenRequest, ctx: ApiContext) -> None:
    limits = ctx.limits
    validation.check(
        validation.key("recipient", params.recipient, limits),
        validation.tenant("tenant", params.tenant, limits) if params.tenant is not None else iter(()),
        validation.duration("ttl", params.ttl, 1, tokens.MAX_TTL_SECONDS, "must be between 1 second and 30 days"),
        _each("topics", params.topics, _pattern, limits),
        _each("publish", params.publish, _pattern, limits),
        _each("roles", params.roles or [], validation.role, limits),
        validation.text("name", params.name, limits.title),
    )


def _each(
    field: str, names: list[str], check: Callable[[str, str, Limits], validation.FieldErrors], limits: Limits
) -> validation.FieldErrors:
    if len(names) > PATTERNS:
        yield FieldError(field, f"must have at most {PATTERNS} items, got {len(names)}")
        return
    for number, name in enumerate(names):
        yield from check(f"{field}.{number}", name, limits)


def _pattern(field: str, pattern: str, limits: Limits) -> validation.FieldErrors:
    # `*` matches any characters. The others are the characters of a topic.
    return validation.topic(field, pattern.replace("*", "-"), limits)


TOKEN = request_body.Shape(TokenRequest, _check, {"recipient": "x"})
