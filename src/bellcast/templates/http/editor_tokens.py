"""Tokens of the embedded template editor, requested by the app's server, and the brand that its users may change."""

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from bellcast.auth import origins, tokens
from bellcast.auth.http import Token
from bellcast.channels import addresses
from bellcast.documents.types import MAX_OBJECT_KEY
from bellcast.kernel import times, validation
from bellcast.kernel.clock import request_time
from bellcast.kernel.errors import Conflict, FieldError, Invalid, PreconditionFailed
from bellcast.kernel.field_limits import TENANT, Limit, each, lasting, matching
from bellcast.kernel.http import entity_tags, request_body, responses
from bellcast.rest import audit, editor_access, guards, objects, tenants
from bellcast.rest.editor_access import EditorClaims, EditorRight
from bellcast.rest.resource import Resource, ResourceCall, Written
from bellcast.rest.tenants import TenantQuery
from bellcast.templates.html import StrictBrand
from bellcast.tenants.store import Tenants
from bellcast.tenants.types import Tenant

HOUR = 3_600
# Patterns of a token: an app names the templates of one page, or a prefix.
MAX_PATTERNS = 50
MAX_NAME = 100
PATTERN = matching(
    re.compile(rf"[A-Za-z0-9_.*-]{{1,{MAX_OBJECT_KEY}}}"),
    f"must be 1 to {MAX_OBJECT_KEY} characters of A-Z a-z 0-9 _ . - *",
)
NAME = matching(
    re.compile(rf"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{{1,{MAX_NAME}}}"), f"must be 1 to {MAX_NAME} characters"
)


class EditorTokenRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tenant and the templates (`*` stands for any characters) that may be edited, what the user may do, the origin of the
    page, and the user's name for the audit log. Tests are sent to `email`. `ttl` is in seconds, or as `1h`."""

    tenant: Annotated[str, TENANT]
    templates: Annotated[list[str], each(MAX_PATTERNS, PATTERN, "patterns", 1)]
    can: Annotated[list[EditorRight], Meta(min_length=1, max_length=5)]
    origin: Annotated[str, Meta(max_length=300)]
    name: Annotated[str, NAME]
    email: Annotated[str | None, Limit(addresses.MAX_EMAIL)] = None
    ttl: Annotated[
        int | float | str, lasting(1, editor_access.MAX_TTL_SECONDS, "must be between 1 second and 8 hours")
    ] = HOUR


def _errors(body: EditorTokenRequest) -> validation.FieldErrors:
    if not body.tenant:
        yield FieldError("tenant", "is required: the project's own templates are edited in the console")
    if origins.canonical(body.origin) is None:
        yield FieldError("origin", "must be an origin such as https://app.example.com")
    if body.email is not None and not addresses.is_email(body.email):
        yield FieldError("email", "must be an e-mail address")


TOKEN = request_body.Shape(
    EditorTokenRequest,
    lambda body, _: validation.check(_errors(body)),
)
EDITOR_TOKENS = Resource("editor-tokens", tag="Access", query=TenantQuery, roles=("owner",), is_sensitive=True)


@EDITOR_TOKENS.create(
    TOKEN,
    Token,
    example={
        "tenant": "acme",
        "templates": ["booking", "news-*"],
        "can": ["edit", "publish", "test"],
        "origin": "https://app.example.com",
        "name": "Ann",
    },
)
async def make(call: ResourceCall[EditorTokenRequest]) -> Any:
    """Create an editor token.

    With it, `<bellcast-template-editor>` opens these templates of the tenant in a page of your app, until it expires. The
    project's own templates are never changed. It is not a session token, and opens no inbox. It ends with the API key that
    creates it, also when that is revoked."""
    request, ctx, body = call.request, call.ctx, call.body
    now = ctx.token_clock.now()
    expires_at = guards.ending(request, now + round(times.seconds(body.ttl) * 1000))
    claims = EditorClaims(
        tenant=call.tenant,
        templates=tuple(body.templates),
        can=tuple(dict.fromkeys(body.can)),
        origin=origins.canonical(body.origin) or "",
        name=body.name,
        email=body.email,
        iat=now / 1000,
        exp=expires_at / 1000,
        key=guards.caller(request).key,
    )
    token = editor_access.sign(ctx.project, claims)
    if len(token) > tokens.MAX_LENGTH:  # no request with it would be accepted
        raise Invalid.of("templates", f"would make a token of more than {tokens.MAX_LENGTH} characters")
    audit.note_changes(request, {}, {"templates": claims.templates, "can": claims.can, "name": claims.name})
    return responses.json(Token(token, times.to_rfc3339(expires_at)), 201, {"cache-control": "no-store"})


@EDITOR_TOKENS.delete(refusals=())
async def end(call: ResourceCall[None]) -> bool:
    """End all editor tokens of a tenant.

    Tokens that were created before are refused from now on."""
    if not call.tenant:
        raise Invalid.of("tenant", "is required")
    await editor_access.end_all(call.ctx, call.tenant)
    return True


BRAND = Resource("tenants", "/{key:str}/brand", tenants.key, tag="Tenants", bound_by="path", query=None, refusals=())


@BRAND.get(StrictBrand, response_headers=("ETag",))
async def read_brand(call: ResourceCall[None]) -> Any:
    """Read the brand of a tenant: the look of its e-mails, and of the pages behind their links."""
    tenant = await Tenants(call.ctx.engines.db).get(*call.key)
    stored = tenant and tenant.settings.get("brand")
    try:
        shown = msgspec.convert(stored or {}, StrictBrand)
    except msgspec.ValidationError:  # the app may store any settings
        shown = StrictBrand()
    return responses.json(shown, headers=entity_tags.tagged(stored, shown))


@BRAND.put(
    StrictBrand,
    StrictBrand,
    headers=objects.CONDITION_OF_CHANGE,
    response_types={200: StrictBrand},
    refusals=(Conflict, PreconditionFailed),
    example={"name": "Acme", "color": "#0a5c36", "font": "georgia"},
)
async def write_brand(call: ResourceCall[StrictBrand]) -> Written[StrictBrand]:
    """Write the brand of a tenant.

    The tenant's other settings do not change."""
    ctx, (key,), brand = call.ctx, call.key, call.body
    found = await Tenants(ctx.engines.db).get(key)
    name, settings = (None, {}) if found is None else (found.name, found.settings)
    written = msgspec.to_builtins(
        {field: one for field, one in msgspec.structs.asdict(brand).items() if one is not None}
    )

    def check(before: Tenant | None) -> None:
        entity_tags.check(call.request, entity_tags.tag_of(before and before.settings.get("brand")))
        if before is not None and before.settings != settings:
            raise Conflict("The tenant was changed in the meantime: read it again.")

    after = {**settings, "brand": written}
    await Tenants(ctx.engines.db).put(key, name, after, request_time(ctx.engines.clock), check=check)
    ctx.engines.router.forget()
    audit.note_change(call.request, "brand", settings.get("brand"), written)
    return brand, False, written
