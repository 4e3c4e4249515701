"""Session tokens for browsers, requested by the app's server."""

from datetime import datetime
from typing import Annotated

from msgspec import Struct

from bellcast.auth import tokens
from bellcast.auth.tokens import Seconds
from bellcast.kernel import times, validation
from bellcast.kernel.errors import Invalid
from bellcast.kernel.field_limits import KEY, ROLE, TENANT, Limit, ValueRule, each, lasting, text
from bellcast.kernel.http import request_body
from bellcast.rest import guards, tenants
from bellcast.rest.resource import Resource, ResourceCall
from bellcast.rest.tenants import TenantQuery

HOUR = 3_600
# Maximum patterns of each kind, and roles.
PATTERNS = 100
# `*` matches any characters. The others are the characters of a topic.
PATTERN = ValueRule(
    lambda field, value, limits: validation.topic(field, value.replace("*", "-"), limits),
    lambda limits: text(limits.topic, r"^[A-Za-z0-9_=@,.;*-]+$"),
)


class TokenRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Recipient and lifetime (seconds, or as `1h`) of a session token, and its permissions beyond the recipient's own
    inbox. `since` (epoch seconds) is when the recipient joined the app; earlier announcements do not appear in its
    inbox."""

    recipient: Annotated[str, KEY]
    tenant: Annotated[str | None, TENANT] = None
    ttl: Annotated[int | float | str, lasting(1, tokens.MAX_TTL_SECONDS, "must be between 1 second and 30 days")] = HOUR
    topics: Annotated[list[str], each(PATTERNS, PATTERN, "items")] = []
    publish: Annotated[list[str], each(PATTERNS, PATTERN, "items")] = []
    roles: Annotated[list[str] | None, each(PATTERNS, ROLE, "items")] = None
    name: Annotated[str | None, Limit("title")] = None
    since: Seconds | None = None


class Token(Struct, frozen=True):
    """A signed token and its expiry."""

    token: str
    expires_at: datetime


@Resource("tokens", tag="Access").create(
    request_body.Shape(TokenRequest, None, {"recipient": "x"}),
    Token,
    query=TenantQuery,
    roles=("owner",),
    is_sensitive=True,
    example={"recipient": "alice", "ttl": "1h", "topics": ["project.*"]},
)
async def make(call: ResourceCall[TokenRequest]) -> Token:
    """Create a session token.

    It gives access to one recipient's inbox until it expires: send it to that recipient's browser. An API key with the
    scope `manage` can create one for any recipient, topics and roles: protect it like the project secret. The token ends with that key, also when it is revoked."""
    ctx, params = call.ctx, call.body
    tenant = tenants.single_tenant(call.request, params.tenant)
    now = ctx.token_clock.now()
    expires_at = guards.ending(call.request, now + round(times.seconds(params.ttl) * 1000))
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
        key=guards.caller(call.request).key,
    )
    if len(token) > tokens.MAX_LENGTH:  # no request with it would be accepted
        message = f"would make a token of {len(token)} characters, at most {tokens.MAX_LENGTH} are accepted"
        raise Invalid.of("", f"{message}: shorten topics, publish, roles or name")
    return Token(token, times.to_rfc3339(expires_at))
