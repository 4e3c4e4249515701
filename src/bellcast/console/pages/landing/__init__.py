"""`GET /`: a landing page with the server's state and links. On the same machine it also sends a first notification. `GET /theme`: a page
to change the colours and sizes of the bell and copy the CSS, which works without an inbox."""

import contextlib
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from bellcast import __version__
from bellcast.auth import origins, tokens
from bellcast.console import pages
from bellcast.inbox import sending
from bellcast.inbox.types import Draft
from bellcast.kernel import ip_addresses, times, validation
from bellcast.kernel.errors import BellcastError, Forbidden, NotFound, TooMany
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.operators.sign_in import ConsoleSessions
from bellcast.rest import context
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import operation, public_file

# A separate tenant: the page's token can neither read nor send other notifications.
TENANT, RECIPIENT = "bellcast-landing", "you"
SESSION_MS = 15 * 60_000  # the page requests a new token while it stays open
TRIAL_TTL_MS = 60 * 60_000  # trial notifications expire soon
# A person clicks once at a time, and a reloaded page requests a token.
REQUESTS_PER_SECOND = 5
RATE = "landing"
# Each of these headers shows that a proxy forwarded the request, so the peer's address is not the client's.
FORWARDED = (b"forwarded", b"via", b"x-real-ip")
FORWARDED_PREFIX = b"x-forwarded-"

_FOLDER = Path(__file__).parent
_STYLE, _SCRIPT = ((_FOLDER / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
_THEME, _THEME_STYLE, _THEME_SCRIPT = (
    (_FOLDER.parent / "theme" / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")
)

HEADERS = {
    "content-security-policy": pages.policy(_STYLE, _SCRIPT, "'self'"),
    "cache-control": "no-store",
    "vary": "Accept",
}
THEME_HEADERS = {
    "content-security-policy": pages.policy(_THEME_STYLE, _THEME_SCRIPT),
    "cache-control": "no-cache",
}


class FirstNotification(Struct, frozen=True, forbid_unknown_fields=True):
    """The notification to send. Without a title only a session token is created."""

    title: str | None = None


class Trial(Struct, frozen=True):
    """The trial recipient's session, and the id of the notification sent."""

    recipient: str
    tenant: str
    token: str
    notification: str | None


@operation(
    "GET",
    "/",
    tag="Server",
    required_scope=None,
    any_query=True,
    response_types={200: responses.HTML, 302: None},
    refusals=(NotFound,),
)
async def show(request: ApiRequest) -> ASGIApp:
    """Show the landing page.

    Returns JSON if `Accept` requests it. `BELLCAST_LANDING=off` turns it off, a URL redirects to it."""
    ctx = _context(request)
    if isinstance(ctx.landing, str):
        return responses.empty(302, {"location": ctx.landing, "cache-control": "no-store"})
    problem, sessions, is_setup_needed = None, ctx.find(ConsoleSessions), False
    try:
        await ctx.engines.db.ping()
        is_setup_needed = sessions is not None and await sessions.is_setup_needed()
    except BellcastError as failure:
        problem = failure.detail
    console = None if sessions is None else "console/setup" if is_setup_needed else "console"
    accepted = request_body.header(request, b"accept") or ""
    if "json" in accepted and "html" not in accepted:
        status = "not ready" if problem else "ready"
        links = {"docs": "docs", "openapi": "openapi.json", "errors": "errors", "check": "check", "console": console}
        state = {"name": "Bellcast", "version": __version__, "status": status}
        return responses.json(state | links | {"is_setup_needed": is_setup_needed}, 200, HEADERS)
    scope: Any = request.scope
    is_trial, place = ctx.has_trial and _is_local(scope), scope["state"]["root_path"]
    # Links are relative, so that they also work under a proxy's path. Under a mount without a slash they need its name.
    has_slash = (scope.get("raw_path") or b"/").endswith(b"/")
    base = "" if has_slash else f"{place.rpartition('/')[2]}/"
    main = pages.template(_FOLDER / "page.html").render(
        version=__version__,
        problem=problem,
        is_trial=is_trial,
        recipient=RECIPIENT,
        title_limit=ctx.limits.title or "",
        base=base,
        console=console,
        server=f"{scope['scheme']}://{request_body.header(request, b'host') or 'localhost'}{place}",
    )
    base = escape(base)
    client = f'<script type="module" src="{base}bellcast.js"></script>\n' if is_trial else ""
    page = pages.page("", main, base=base, style=_STYLE, head=client, script=_SCRIPT)
    return responses.complete(200, page, responses.HTML, HEADERS)


@operation(
    "POST",
    "/",
    tag="Server",
    required_scope=None,
    body=FirstNotification,
    response_types={201: Trial},
    refusals=(NotFound, Forbidden),
    example={"title": "Hello"},
)
async def send(request: ApiRequest) -> ASGIApp:
    """Send the landing page's trial notification.

    Only the landing page may use it, from the server's own machine. The recipient belongs to a separate tenant."""
    ctx = _context(request)
    if isinstance(ctx.landing, str):
        raise NotFound("This server has no landing page: BELLCAST_LANDING redirects to another site.")
    # Raise Forbidden unless a browser on this machine sends the request from the landing page. Another site's page
    # has a different Origin, DNS rebinding a different Host, and a proxy adds headers.
    scope: Any = request.scope
    if not ctx.has_trial or not _is_local(scope):
        raise Forbidden("The landing page can send only on the server's own machine: open it as http://127.0.0.1:….")
    origin, host = request_body.header(request, b"origin"), request_body.header(request, b"host") or ""
    if origin is None or not origins.is_same(origin, scope["scheme"], host):
        raise Forbidden("Only the landing page itself may send this.")
    params = await request_body.body(request, BODY)
    engines = ctx.engines
    now = engines.clock.now()
    if engines.rates.take(RATE, REQUESTS_PER_SECOND, ctx.token_clock.now()):
        raise TooMany("The landing page sends at most a few notifications per second: try again.", retry_after=1)
    sent: str | None = None
    if params.title is not None:
        draft = Draft(
            to=RECIPIENT,
            title=params.title,
            body="Stored first, then pushed to every open page.",
            tenant=TENANT,
            expires_at=times.to_rfc3339(now + TRIAL_TTL_MS),
        )
        sent = msgspec.json.decode(await sending.send(engines, ctx.limits, draft))["notifications"][0]["id"]
    token = tokens.sign(ctx.project, RECIPIENT, now=now, expires_at=now + SESSION_MS, tenant=TENANT)
    return responses.json(Trial(RECIPIENT, TENANT, token, sent), 201)


BODY = request_body.Shape(
    FirstNotification,
    lambda params, ctx: validation.check(validation.text("title", params.title, ctx.limits.title)),
)


@public_file("/theme", responses.HTML, NotFound, is_cached=False, any_query=False, id="theme.show")
async def show_theme(request: ApiRequest) -> ASGIApp:
    """Show the theme page.

    It shows the bell with sample notifications, and the CSS of the chosen colours and sizes. `BELLCAST_LANDING=off` turns it off."""
    if context.of(request).landing is False:
        raise NotFound("The theme page is turned off.")
    page = pages.page("Theme the bell", _THEME, base="", current="theme", style=_THEME_STYLE, script=_THEME_SCRIPT)
    return responses.complete(200, page, responses.HTML, THEME_HEADERS)


def _context(request: ApiRequest) -> ApiContext:
    ctx = context.of(request)
    if ctx.landing is False:
        raise NotFound("The landing page is turned off: BELLCAST_LANDING=off.")
    return ctx


def _is_local(scope: Mapping[str, Any]) -> bool:
    """True if the client is on this machine, used a local host name, and did not connect through a proxy."""
    client, headers = scope.get("client"), scope["headers"]
    if any(name in FORWARDED or name.startswith(FORWARDED_PREFIX) for name, _ in headers):
        return False
    hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
    name = None
    with contextlib.suppress(ValueError):
        name = urlsplit(f"//{hosts[0]}").hostname if len(hosts) == 1 else None
    # Browsers use HTTP/1.1 or later. A proxy without further configuration forwards requests as HTTP/1.0.
    is_browser = scope["http_version"] != "1.0"
    return (
        is_browser
        and client is not None
        and ip_addresses.is_loopback(client[0])
        and (name == "localhost" or ip_addresses.is_loopback(name or ""))
    )
