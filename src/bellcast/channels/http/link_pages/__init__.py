"""Pages behind the links in e-mails, for recipients without a login: in the recipient's language, with the tenant's brand.
They need no scripts, so that they work in the browsers of all mail programs."""

import functools
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec

from bellcast.auth import link_tokens
from bellcast.channels import links
from bellcast.channels.catalog import Catalog, TenantSettings
from bellcast.channels.links import (
    RESUBSCRIBE_PURPOSE,
    UNSUBSCRIBE_PURPOSE,
    AskedUnsubscription,
    PreferencesGrant,
    Resubscription,
    Unsubscription,
)
from bellcast.console import pages
from bellcast.kernel.errors import NotFound
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.preferences import changes as preference_changes
from bellcast.preferences.store import OwnPreferencesTable
from bellcast.preferences.types import Preferences, merge_patch
from bellcast.recipients.store import Recipients
from bellcast.recipients.types import Profile, RecipientOfLink
from bellcast.rest import context
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import ApiEndpoint, Handler, Method, operation
from bellcast.templates import html
from bellcast.templates.types import Brand, locales_of

Link = TypeVar("Link", bound=RecipientOfLink)

PAGE = Path(__file__).with_name("page.html")
STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
# A page loads no resources but its icon, the brand's logo and the preferences element; its form posts to the page itself.
CONTENT_SECURITY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src {images}; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {"cache-control": "no-store", "referrer-policy": "no-referrer"}


def link_page(method: Method, path: str) -> Callable[[Handler], ApiEndpoint]:
    """Make a function the handler of a page. Show a page instead of a problem in JSON to people whose link is not valid."""
    types = {200: responses.HTML}
    declare = operation(
        method, path, tag="Preferences", required_scope=None, response_types=types, refusals=(NotFound,)
    )

    def declared(handler: Handler) -> ApiEndpoint:
        @functools.wraps(handler)
        async def handle(request: ApiRequest) -> ASGIApp:
            try:
                return await handler(request)
            except NotFound:
                if not request_body.accepts_html(request):
                    raise
                language = links.language(_browser_locales(request))
                texts = links.TEXTS[language]
                # The link does not say reliably which tenant sent it.
                project = await context.of(request)[Catalog].tenant(DEFAULT_TENANT)
                return message(texts["invalid"], f"<p>{texts['invalid_hint']}</p>", language, project.brand, 404)

        return declare(handle)

    return declared


async def read(request: ApiRequest, purpose: bytes, form: type[Link]) -> Link:
    """Return the link that the token in the path signs. Raises NotFound for one that was not signed here for this purpose, has
    expired, or is not accepted by the store."""
    ctx = context.of(request)
    link = link_tokens.read(ctx.project, purpose, request_body.path(request, "token"), form)
    if link is None or not await _is_accepted(ctx, link):
        raise NotFound("This link is no longer valid.")
    return link


async def _is_accepted(ctx: ApiContext, link: RecipientOfLink) -> bool:
    has_ended = isinstance(link, PreferencesGrant | Resubscription) and link.expires_at <= ctx.engines.clock.now()
    return not has_ended and await OwnPreferencesTable(ctx.engines.db).accepts_link(link)


async def reader(request: ApiRequest, link: RecipientOfLink) -> tuple[Profile, TenantSettings, str]:
    """Return the recipient of a link, the settings of its tenant, and the language of its page: the recipient's locale, else
    what the browser accepts, else the tenant's."""
    ctx = context.of(request)
    profiles = await Recipients(ctx.engines.db).profiles(link.tenant, [link.recipient])
    profile = profiles.get(link.recipient) or Profile(key=link.recipient)
    tenant = await ctx[Catalog].tenant(link.tenant)
    locales = [*locales_of(profile.locale), *_browser_locales(request), *locales_of(tenant.locale)]
    return profile, tenant, links.language(locales)


def _browser_locales(request: ApiRequest) -> list[str]:
    accepted = request_body.header(request, b"accept-language") or ""
    return locales_of(*(part.partition(";")[0].strip() for part in accepted.split(",")))


def message(title: str, content: str, language: str, brand: Brand, status: int = 200) -> ASGIApp:
    """Return a page with a heading and this HTML."""
    card = f"<div class=card>\n<h1>{title}</h1>\n{content}\n</div>"
    return page(title, f"<main class=message>\n{logo(brand)}{card}\n</main>", language, brand, status)


def logo(brand: Brand) -> str:
    """Return the brand's logo and name as HTML; empty without a brand."""
    name = escape(brand.name or "")
    if _has_logo(brand):
        return f'<div class=brand><img src="{escape(brand.logo_url or "")}" alt="{name}"></div>\n'
    return f"<div class=brand>{mark(brand)}<span>{name}</span></div>\n" if name else ""


def mark(brand: Brand) -> str:
    """Return the initial of a brand without a logo as HTML; empty without a name."""
    if _has_logo(brand) or not brand.name:
        return ""
    return f"<span class=mark aria-hidden=true>{escape(brand.name.lstrip()[:1].upper())}</span>"


def page(
    title: str, content: str, language: str, brand: Brand, status: int = 200, *, script: str | None = None
) -> ASGIApp:
    """Return a page with this HTML, which may contain this script."""
    # A brand's color can be dark, so dark mode mixes it with white, an almost black one with more: texts on it are black.
    look = html.style(brand)
    color, on, white = look["color"], look["button_text"], 45 if html.luminance(look["color"]) > 0.03 else 60
    rules = [
        f"--accent: light-dark({color}, color-mix(in oklab, {color}, #fff {white}%)); --on: light-dark({on}, #000)"
    ] * bool(brand.color)
    # Dark mode has colors of its own, because a brand has one background.
    rules += [f"--ground: light-dark({look['background']}, #101114)"] * bool(brand.background)
    rules += [f"--text: light-dark({look['text_color']}, #edeef2)"] * bool(brand.text_color)
    rules += [f"--font: {look['font']}"] * bool(brand.font)
    rules += [f"--radius: {look['radius']}"] * (brand.radius is not None)
    own = f":root {{ {'; '.join(rules)} }}" if rules else ""
    text = pages.template(PAGE).render(title=title, content=content, style=STYLE + own, language=language)
    security = CONTENT_SECURITY.format(images="http: https:" if _has_logo(brand) else "'self'")
    if script is not None:
        security += f"; script-src 'self' {responses.inline_source(script)}; connect-src 'self'"
    headers = {**HEADERS, "content-security-policy": security}
    return responses.complete(status, text.encode(), responses.HTML, headers)


def _has_logo(brand: Brand) -> bool:
    return (brand.logo_url or "").startswith(("https://", "http://"))


# --- the page behind the unsubscribe link of an e-mail, and the one-click request of mail programs (RFC 8058)


EmailSwitch: TypeAlias = bool | str | None


@link_page("GET", "/u/{token:str}")
async def show(request: ApiRequest) -> ASGIApp:
    """Show the unsubscribe page.

    This changes nothing, because mail programs open links to check them."""
    link = await read(request, UNSUBSCRIBE_PURPOSE, Unsubscription)
    optional, required = await _types(request, link)
    if not optional:
        return await _page(request, link, "needed", {"needed_types": required})
    ctx = context.of(request)
    own = await OwnPreferencesTable(ctx.engines.db).get(link.tenant, link.recipient)
    switches = {} if own.document is None else msgspec.json.decode(own.document).get("types", {})
    before = await _ended(ctx, link, {type: switches.get(type, {}).get("email") for type in optional})
    asked = AskedUnsubscription(**msgspec.structs.asdict(link), expires_at=_until(ctx), before=before)
    path = f"../u/{link_tokens.sign(ctx.project, UNSUBSCRIBE_PURPOSE, asked)}"
    return await _page(request, link, "ask", {"needed_types": required}, ending=optional, action=path)


@link_page("POST", "/u/{token:str}")
async def confirm(request: ApiRequest) -> ASGIApp:
    """Unsubscribe.

    Turns off e-mails of this type for the recipient, unless the type requires them now. Safe to repeat. The link in a
    digest turns off every type in it. The page that follows has a form that takes it back, within an hour."""
    token, ctx = request_body.path(request, "token"), context.of(request)
    if link_tokens.read(ctx.project, RESUBSCRIBE_PURPOSE, token, Resubscription) is not None:
        back = await read(request, RESUBSCRIBE_PURPOSE, Resubscription)
        await _switch(request, back, back.before)
        names = {key: (await ctx[Catalog].type(back.tenant, key)).name_of(key) for key in back.before}
        return await _page(request, back, "back", {"on": names})
    link = await read(request, UNSUBSCRIBE_PURPOSE, AskedUnsubscription)
    optional, required = await _types(request, link)
    if not optional:
        return await _page(request, link, "needed", {"needed_types": required})
    ended = await _ended(ctx, link, await _switch(request, link, dict.fromkeys(optional, False)))
    until = _until(ctx)
    if not ended and ctx.engines.clock.now() < link.expires_at:
        ended, until = {**link.before}, link.expires_at
    again = Resubscription(link.tenant, link.recipient, link.issued_at, until, ended)
    path = f"../u/{link_tokens.sign(ctx.project, RESUBSCRIBE_PURPOSE, again)}" if ended else None
    return await _page(request, link, "ended", {"off": optional, "needed_types": required}, action=path)


def _until(ctx: ApiContext) -> int:
    return ctx.engines.clock.now() + links.RESUBSCRIBE_TTL_MS


async def _ended(ctx: ApiContext, link: RecipientOfLink, before: Mapping[str, EmailSwitch]) -> dict[str, EmailSwitch]:
    """Return the switches that were not off: what was off stays off, because the link of an e-mail must not turn any on."""
    off = {key for key in before if (await ctx[Catalog].type(link.tenant, key)).defaults.get("email") is False}
    return {key: one for key, one in before.items() if one is not False and not (one is None and key in off)}


async def _switch(
    request: ApiRequest, link: RecipientOfLink, switches: Mapping[str, EmailSwitch]
) -> dict[str, EmailSwitch]:
    """Set the switches for e-mail of types; None removes one. Return those before."""
    replaced: dict[str, EmailSwitch] = {}

    def switched(before: bytes | None) -> Preferences:
        document = {} if before is None else msgspec.json.decode(before)
        types = document.get("types", {})
        replaced.update((type, types.get(type, {}).get("email")) for type in switches)
        patch = {"types": {type: {"email": switch} for type, switch in switches.items()}}
        return msgspec.convert(merge_patch(document, patch), Preferences)

    engines = context.of(request).engines
    await preference_changes.change_preferences(engines, link.tenant, link.recipient, switched, link)
    return replaced


async def _types(request: ApiRequest, link: Unsubscription) -> tuple[dict[str, str], dict[str, str]]:
    """Return the names of the types of a link by key: those with e-mail that can be turned off, and those that have become
    required since."""
    optional, required = dict[str, str](), dict[str, str]()
    for key in (link.type, *link.others):
        rules = await context.of(request)[Catalog].type(link.tenant, key)
        (required if rules.requires("email") else optional)[key] = rules.name_of(key)
    return optional, required


async def _page(
    request: ApiRequest,
    link: RecipientOfLink,
    title: str,
    named: Mapping[str, Mapping[str, str]],
    *,
    ending: Mapping[str, str] | None = None,
    action: str | None = None,
) -> ASGIApp:
    """Return a page with a text about each of these groups of types that is not empty. With a path `action`, it has a button to turn
    off those that are `ending`, or without these to take that back."""
    _, tenant, language = await reader(request, link)
    texts, content = links.TEXTS[language], ""

    def quoted(types: Mapping[str, str]) -> str:
        return ", ".join(texts["quoted"].format(name=escape(one)) for one in types.values())

    for name, types in named.items():
        if types:
            content += f"<p>{texts[name].format(types=quoted(types))}</p>\n"
    if action is not None:
        label, look = (texts["again"], " class=again") if ending is None else (texts["unsubscribe"], "")
        content += f'<form method="post" action="{action}"{look}><button>{label}</button></form>'
    # The link of its e-mail to all preferences, while that is valid.
    ctx = context.of(request)
    grant = PreferencesGrant(link.tenant, link.recipient, link.issued_at, link.issued_at + links.PREFERENCES_TTL_MS)
    if await _is_accepted(ctx, grant):
        path = links.preferences_url("..", ctx.project, grant)
        content += f'<p class=other><a href="{path}">{texts["choose"]}</a></p>'
    return message(texts[title].format(types=quoted(ending or {})), content, language, tenant.brand)
