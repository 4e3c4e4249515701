"""`/check`: find out why a page cannot connect. The check runs in the browser, on the app's page; the server explains
problems of the token."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import msgspec
from msgspec import Struct

from bellcast.auth import origins
from bellcast.console import diagnoses, pages
from bellcast.console.pages import ServedFile
from bellcast.inbox import http as inbox
from bellcast.kernel import times
from bellcast.kernel.errors import Forbidden, NotFound, TooLarge, TooMany, Unauthenticated
from bellcast.kernel.events import SEPARATOR, LiveEvent
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.rest import context
from bellcast.rest.operations import operation, public_file
from bellcast.rest.resource import ResourceCall
from bellcast.topics import publishing

# Tokens are far smaller.
MAX_TOKEN_BYTES = 16_384
# Per address: people repeat a check after each change.
CHECKS_PER_SECOND = 5
RATE = "check" + SEPARATOR
# Per recipient: a check sends one.
TESTS_PER_SECOND = 1
TEST = "test"
TEST_EVENT = "bellcast.test"
_FOLDER = Path(__file__).parent
_PAGE, _STYLE = ((_FOLDER / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css"))
SCRIPT = "check.js"
# The groups of problems that a check finds.
GROUPS = ("The page", "The way to the server")
HEADERS = {"content-security-policy": pages.policy(_STYLE, connects="'self'"), "cache-control": "no-cache"}


class CheckResult(Struct, frozen=True, kw_only=True):
    """The server's findings about a page and its token. `key` is the project's public key, which tokens may have as
    `kid`. `time` is the server's time."""

    time: datetime
    key: str
    origin: str | None
    origin_allowed: bool
    token: Literal["ok", "refused", "absent"]
    reason: str | None = None
    recipient: str | None = None
    tenant: str | None = None
    expires_at: datetime | None = None


class SelfTest(Struct, frozen=True):
    """A test event that was published: `id` is in its data."""

    id: str


@cache
def _files() -> dict[str, ServedFile]:
    groups = diagnoses.groups()
    texts = {code: (one.what, one.fix) for title in GROUPS for code, one in groups[title].items()}
    appended = b"\nconst DIAGNOSES = %b;\n" % msgspec.json.encode(texts)
    return {**pages.read_folder(_FOLDER), SCRIPT: pages.read_file(_FOLDER / SCRIPT, appended)}


@public_file("/check", responses.HTML, NotFound, is_cached=False)
async def show(request: ApiRequest) -> ASGIApp:
    """Show how to test a page's connection.

    `BELLCAST_LANDING=off` turns it off."""
    if context.of(request).landing is False:
        raise NotFound
    scope: Any = request.scope
    base = escape(scope["state"]["root_path"]) + "/"
    script = f'<script type="module" src="{base}check/page.js"></script>\n'
    page = pages.page("Test a page", _PAGE, base=base, current="check", style=_STYLE, head=script)
    return responses.complete(200, page, responses.HTML, HEADERS)


@public_file("/check/{name:str}", "text/javascript", NotFound)
async def asset(request: ApiRequest) -> ASGIApp:
    """A module of the page `/check`."""
    return _file(request, request_body.path(request, "name"), {})


@public_file(pages.CHECK, "text/javascript")
async def script(request: ApiRequest) -> ASGIApp:
    """The check of a page's connection.

    An ES module for pages of every origin: `(await import('…/bellcast/check.js')).check()` on the page that does not
    connect."""
    return _file(request, SCRIPT, pages.FOR_ALL_ORIGINS)


@operation(
    "POST",
    pages.CHECK_RESULT,
    tag="Server",
    required_scope=None,
    response_types={200: CheckResult},
    refusals=(TooLarge,),
)
async def answer(request: ApiRequest) -> ASGIApp:
    """Check a session token and the page's origin.

    The body is the token as `text/plain`, so that pages of undeclared origins can read the reason without a preflight."""
    ctx, scope = context.of(request), request.scope
    client = scope.get("client")
    address = "" if client is None else client[0]
    if ctx.engines.rates.take(f"{RATE}{address}", CHECKS_PER_SECOND, ctx.token_clock.now()):
        raise TooMany("Too many checks from this IP address.", retry_after=1)
    token = (await request_body.raw(request, MAX_TOKEN_BYTES)).decode("latin-1").strip()
    origin = request_body.header(request, b"origin")
    is_allowed = origins.token_allowed(
        origin,
        scheme=scope["scheme"],
        host=request_body.header(request, b"host") or "",
        origins=ctx.access.origins,
    )
    now = ctx.token_clock.now()
    found: dict[str, Any] = {"token": "absent"}
    if token:
        try:
            principal = await ctx.authenticator.session(token)
            expires_at = None if principal.expires_at is None else times.to_rfc3339(principal.expires_at)
            found = {
                "token": "ok",
                "recipient": principal.recipient,
                "tenant": principal.tenant or None,
                "expires_at": expires_at,
            }
        except (Unauthenticated, Forbidden) as refusal:
            found = {"token": "refused", "reason": refusal.detail}
    result = CheckResult(
        time=times.to_rfc3339(now), key=ctx.project.key, origin=origin, origin_allowed=is_allowed, **found
    )
    return responses.json(result, 200, {"cache-control": "no-store"})


@inbox.INBOX.act("/test", SelfTest, status=202)
async def ring(call: ResourceCall[None]) -> Any:
    """Send a test event to one's own connections.

    The live event `bellcast.test` with the returned `id` goes to all connections of this recipient, on the same path as
    notifications. It is not stored: there is no notification, no message and no webhook. At most one a second for each
    recipient."""
    ctx, (tenant, recipient) = call.ctx, await inbox.recipient(call.request)
    name = SEPARATOR.join((TEST, tenant, recipient))
    if ctx.engines.rates.take(name, TESTS_PER_SECOND, ctx.token_clock.now()):
        raise TooMany("Too many test events of this recipient.", retry_after=1)
    id = uuid4().hex
    # Published without the app's reactions to live events: a browser must not start any.
    event = LiveEvent(tenant=tenant, name=TEST_EVENT, data={"id": id}, recipient=recipient, keep=False)
    await publishing.deliver(ctx.engines, event)
    return responses.json(SelfTest(id=id), 202, {"cache-control": "no-store"})


def _file(request: ApiRequest, name: str, headers: Mapping[str, str]) -> ASGIApp:
    file = _files().get(name)
    if file is None:
        raise NotFound("There is no such file.")
    return file.respond(request, headers)
