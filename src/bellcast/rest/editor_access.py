"""Tokens of the embedded template editor, JWTs for some templates of one tenant, and requests with them. A token opens the
operations listed here for its templates and its tenant, and nothing else.

They are signed with a key that is derived from the project secret, so that no verifier of session tokens accepts them, and this
one accepts no session token."""

import asyncio
import hashlib
import hmac
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec
from msgspec import Struct

from bellcast.auth import keys, origins, tokens
from bellcast.auth.request import AuthRequest
from bellcast.auth.store import Keys
from bellcast.documents.store import Documents
from bellcast.documents.types import PROJECT, TEMPLATES, draft_kind
from bellcast.kernel import base64url
from bellcast.kernel.errors import FieldError, Forbidden, Invalid, Unauthenticated
from bellcast.kernel.http import request_body
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import Caller, Project
from bellcast.rest import tenants
from bellcast.rest.context import ApiContext
from bellcast.templates.types import BASE_LAYOUT

EditorRight = Literal["edit", "publish", "test", "brand", "html"]

AUDIENCE = "editor"
SUBJECT = "editor token"
KEY_PURPOSE = b"bellcast editor token"
# A working day: the app issues the next one when it expires.
MAX_TTL_SECONDS = 8 * 3_600
# The name of the author in the audit log. Names of operators have no colon.
ACTOR = "editor:"

# The role of the author. No operation names it, so only those below are open.
ROLE = "editor"
# Key of the claims in a request's state.
CLAIMS = "editor_claims"
# When the tokens of a tenant were ended: a document with the time, by the digest of the tenant, which may have been erased.
ENDED_KIND = "editor-tokens"
TEMPLATE = "/v1/templates/{key}"
# Operations, with the right that each needs beside the token.
OPEN: dict[str, EditorRight | None] = {
    f"GET {TEMPLATE}": None,
    f"GET {TEMPLATE}/draft": None,
    f"GET {TEMPLATE}/versions": None,
    f"GET {TEMPLATE}/samples": None,
    f"GET {TEMPLATE}/variables": None,
    f"GET {TEMPLATE}/html": None,
    f"POST {TEMPLATE}/html": None,
    f"POST {TEMPLATE}/preview": None,
    f"POST {TEMPLATE}/check": None,
    f"PUT {TEMPLATE}": "edit",  # a dry run only
    f"PUT {TEMPLATE}/draft": "edit",
    f"DELETE {TEMPLATE}/draft": "edit",
    "POST /v1/templates/import": "html",
    f"POST {TEMPLATE}/publish": "publish",
    f"PATCH {TEMPLATE}": "publish",
    f"POST {TEMPLATE}/test": "test",
    "GET /v1/schemas/{name}": None,
    "GET /v1/tenants/{key}/brand": "brand",
    "PUT /v1/tenants/{key}/brand": "brand",
}
REFUSED = {
    "html": "must not be HTML: this editor may only use blocks and text",
    "layout": "must be base, null, or a layout that the template has or the token is for",
}


class EditorClaims(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a token permits: these templates of a tenant (`*` stands for any characters), for an author with this name, in a page
    of this origin. Times are epoch seconds."""

    aud: str = ""
    tenant: str
    templates: tuple[str, ...]
    can: tuple[EditorRight, ...]
    origin: str
    name: str
    email: str | None = None
    iat: float
    exp: float
    key: str | None = None  # the API key that created it

    def covers(self, template: str) -> bool:
        """Return whether the token is for this template."""
        return any(fnmatchcase(template, pattern) for pattern in self.templates)


def sign(project: Project, claims: EditorClaims) -> str:
    """Return the token with these claims."""
    header = {"alg": "HS256", "typ": "JWT", "kid": project.key}
    signed = f"{tokens.encode(header)}.{tokens.encode(msgspec.structs.replace(claims, aud=AUDIENCE))}"
    return f"{signed}.{base64url.encode(_signature(project, signed.encode()))}"


def is_editor(credential: str) -> bool:
    """Return whether a credential claims to be an editor token. It is not verified."""
    if not tokens.is_jwt(credential) or len(credential) > tokens.MAX_LENGTH:
        return False
    try:
        payload = msgspec.json.decode(base64url.decode(credential.split(".")[1]))
    except (ValueError, msgspec.DecodeError, RecursionError):
        return False
    return isinstance(payload, dict) and payload.get("aud") == AUDIENCE


def signed_claims(project: Project, token: str, now: int) -> EditorClaims:
    """Return the claims of a valid token. Raises Unauthenticated."""
    jwt = tokens.parse(token, SUBJECT)
    is_signed = True in [hmac.compare_digest(_signature(one, jwt.signed), jwt.signature) for one in project.accepted]
    if jwt.header.alg != "HS256" or not is_signed:
        raise Unauthenticated(f"The {SUBJECT}'s signature is wrong.")
    try:
        claims = msgspec.json.decode(jwt.payload, type=EditorClaims)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unauthenticated(f"The {SUBJECT}'s claims are wrong.") from None
    if claims.aud != AUDIENCE:
        raise Unauthenticated(f"The {SUBJECT}'s aud is not {AUDIENCE}.")
    if now >= claims.exp * 1000:
        raise Unauthenticated(f"The {SUBJECT} has expired: create another.")
    return claims


def _signature(project: Project, signed: bytes) -> bytes:
    key = hmac.digest(project.secret.encode(), KEY_PURPOSE, "sha256")
    return hmac.digest(key, signed, "sha256")


async def authenticate(ctx: ApiContext, request: AuthRequest) -> EditorClaims | None:
    """Return the claims of a request's editor token, or None for other credentials. Raises Unauthenticated, and Forbidden for
    a page of another origin."""
    bearer, origin = request.bearer, request.origin
    if bearer is None or not is_editor(bearer):
        return None
    claims = await verified(ctx, bearer)
    is_own = origin is None or request.is_from_known_page(())
    if not is_own and origins.canonical(origin or "") != claims.origin:
        raise Forbidden("This editor token belongs to pages of another origin.")
    return claims


async def verified(ctx: ApiContext, token: str) -> EditorClaims:
    """Return the claims of a token that is valid and was not ended. Raises Unauthenticated."""
    claims = signed_claims(ctx.project, token, ctx.token_clock.now())
    if await keys.is_revoked(Keys(ctx.engines.db), claims.key):
        raise Unauthenticated("The API key that created this editor token was revoked: create another.")
    ended = await Documents(ctx.engines.db).get(ENDED_KIND, PROJECT, _digest(claims.tenant))
    if ended is not None and round(claims.iat * 1000) <= msgspec.json.decode(ended.body, type=int):
        raise Unauthenticated("The editor token was ended: create another.")
    return claims


async def end_all(ctx: ApiContext, tenant: str) -> None:
    """Refuse the tokens of a tenant that were made so far."""
    now = ctx.token_clock.now()
    await Documents(ctx.engines.db).put(ENDED_KIND, PROJECT, _digest(tenant), msgspec.json.encode(now), now)


def _digest(tenant: str) -> str:
    return hashlib.sha256(tenant.encode()).hexdigest()


def caller_of(claims: EditorClaims) -> Caller:
    """Return the author as the caller of a request: without scopes, restricted to the tenant."""
    return Caller(scopes=(), operator=f"{ACTOR}{claims.name}", role=ROLE, tenants=(claims.tenant,))


def become(request: ApiRequest, claims: EditorClaims) -> None:
    """Let a request that was authenticated by its body act for the author: on its tenant, with its templates. Raises Forbidden."""
    scope: Any = request.scope
    if not claims.covers(request_body.path(request, "key")):
        raise Forbidden("This editor token is for other templates.")
    scope["state"] |= {"caller": caller_of(claims), CLAIMS: claims}
    tenants.limit(request, caller_of(claims), "query")


async def limit(ctx: ApiContext, request: ApiRequest, claims: EditorClaims) -> None:
    """Raise Forbidden unless the token opens the operation. The body is checked when it is read, after its tenant."""
    scope: Any = request.scope
    operation = f"{scope['method']} {scope['path_template']}"
    if operation not in OPEN:
        raise Forbidden("An editor token does not permit this.")
    right = OPEN[operation]
    if right is not None and right not in claims.can:
        raise Forbidden(f"This editor token does not permit this: it lacks {right}.")
    if TEMPLATE in operation and not claims.covers(request_body.path(request, "key")):
        raise Forbidden("This editor token is for other templates.")
    if operation == f"PUT {TEMPLATE}" and not request_body.is_dry_run(request):
        raise Forbidden("An editor token publishes drafts only.")
    scope["state"][CLAIMS] = claims
    if operation == f"POST {TEMPLATE}/publish":
        key = request_body.path(request, "key")
        draft = await Documents(ctx.engines.db).get(draft_kind(TEMPLATES), claims.tenant, key)
        if draft is not None:
            await _check_texts(ctx, claims, key, [msgspec.json.decode(draft.body).get("values")])
    if TEMPLATE not in operation:
        return
    check_tenant, is_template = scope["state"][request_body.CHECK_BODY], operation == f"PUT {TEMPLATE}"

    async def check_body(body: bytes) -> None:
        await check_tenant(body)
        # In a thread: parsing YAML takes a second.
        values = await asyncio.to_thread(tenants.values_of, request_body.media_type(request), body)
        sent = [one if is_template else one.get("values") for one in values if isinstance(one, dict)]
        await _check_texts(ctx, claims, request_body.path(request, "key"), sent)

    scope["state"][request_body.CHECK_BODY] = check_body


async def _check_texts(ctx: ApiContext, claims: EditorClaims, key: str, bodies: list[Any]) -> None:
    """Raise Invalid for HTML and layouts in template values that the token does not permit, unless the template has the same
    already: an e-mail shows its layout."""

    def is_permitted(kind: str, text: str) -> bool:
        return "html" in claims.can if kind == "html" else text == BASE_LAYOUT or claims.covers(text)

    # In a thread: parsing long texts takes tens of milliseconds.
    written = await asyncio.to_thread(
        lambda: [found for body in bodies for found in _texts(body) if not is_permitted(*found[1:])]
    )
    if not written:
        return
    documents = Documents(ctx.engines.db)
    stored = [await documents.get(TEMPLATES, tenant, key) for tenant in dict.fromkeys((claims.tenant, PROJECT))]
    known = {found[1:] for one in stored if one is not None for found in _texts(msgspec.json.decode(one.body))}
    errors = [FieldError(field, REFUSED[kind]) for field, kind, text in written if (kind, text) not in known]
    if errors:
        raise Invalid.fields(errors)


def _texts(value: Any) -> Iterator[tuple[str, str, str]]:
    """Yield the fields with HTML and layouts in template values, at any depth, each with its kind and text. HTML are fields of
    that name, and texts that switch escaping off."""
    waiting = [("", value)]
    while waiting:
        where, one = waiting.pop()
        if isinstance(one, dict):
            for name, inner in one.items():
                field = f"{where}.{name}".removeprefix(".")
                if isinstance(inner, str):
                    if name == "layout":
                        yield field, name, inner
                    elif name == "html" or _switches_escaping_off(inner):
                        yield field, "html", inner
                else:
                    waiting.append((field, inner))
        elif isinstance(one, list):
            waiting += [(f"{where}.{number}", inner) for number, inner in enumerate(one)]


def _switches_escaping_off(source: str) -> bool:
    """Return whether a text of a template writes what it computes as HTML: with the filter `safe`, also by its name in `map`, or
    with `autoescape`."""
    if not any(word in source for word in ("safe", "autoescape", "map")):
        return False
    import jinja2  # with the first text that has such a word: it takes 2 MB
    from jinja2 import nodes

    try:
        tree = jinja2.Environment(autoescape=True).parse(source)
    except jinja2.TemplateSyntaxError:
        return False  # a draft may have it, but is neither shown nor published
    except RecursionError:
        return True
    if next(tree.find_all((nodes.EvalContextModifier, nodes.ScopedEvalContextModifier)), None) is not None:
        return True
    for one in tree.find_all(nodes.Filter):
        given = [arg.value if isinstance(arg, nodes.Const) else None for arg in one.args]  # None: computed
        if one.name == "safe" or (one.name == "map" and (one.dyn_args is not None or {"safe", None} & {*given})):
            return True
    return False
