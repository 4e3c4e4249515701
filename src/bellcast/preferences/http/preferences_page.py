"""The page behind a preferences link, with the element `<bellcast-preferences>`."""

from html import escape
from pathlib import Path
from typing import Annotated

from msgspec import Struct

from bellcast.channels import links
from bellcast.channels.http import link_pages
from bellcast.channels.links import PREFERENCES_PURPOSE, PreferencesGrant
from bellcast.channels.tenant_settings import ChannelConfig
from bellcast.kernel import times
from bellcast.kernel.errors import Invalid, NotFound
from bellcast.kernel.field_limits import LINK_LIFETIME
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.preferences.http import preferences
from bellcast.preferences.http.preferences import EffectivePreferences
from bellcast.preferences.types import Preferences
from bellcast.recipients import changes as recipient_changes
from bellcast.recipients.http import recipients
from bellcast.recipients.types import RecipientFields
from bellcast.rest import context
from bellcast.rest.operations import operation
from bellcast.rest.resource import Resource, ResourceCall

# Shows the element in place of the text that it cannot be loaded.
SCRIPT = (Path(link_pages.__file__).parent / "preferences.js").read_text(encoding="utf-8")


class LinkRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the link is valid: seconds, or a duration such as `30d`."""

    ttl: Annotated[str | float, LINK_LIFETIME] = "30d"


class PreferencesLink(Struct, frozen=True):
    """A link to a page on which the recipient changes preferences without a login; null in a dry run."""

    url: str | None


LINKS = Resource(
    "recipients", "/{key:str}/preferences-link", lambda request: (recipients.key(request),), tag="Preferences"
)


@LINKS.act(
    "", PreferencesLink, body=LinkRequest, is_body_optional=True, status=201, refusals=(), example={"ttl": "30d"}
)
async def create(call: ResourceCall[LinkRequest]) -> PreferencesLink:
    """Create a preferences link.

    For e-mails and other places without a login. Templates have such a link as `preferences_url`."""
    ctx, tenant, (key,) = call.ctx, call.tenant, call.key
    if call.is_dry_run:
        return PreferencesLink(None)
    # Creates the recipient, as any request of the app that names a recipient does. Following a link never creates one.
    await recipient_changes.put(ctx.engines, tenant, key, RecipientFields(), replace=False)
    now = ctx.engines.clock.now()
    grant = PreferencesGrant(tenant, key, now, now + int(times.seconds(call.body.ttl) * 1000))
    base = (ctx[ChannelConfig].public_url or "").rstrip("/")
    return PreferencesLink(links.preferences_url(base, ctx.project, grant))


@link_pages.link_page("GET", "/preferences/{token:str}")
async def show(request: ApiRequest) -> ASGIApp:
    """Show the preferences page.

    For the recipient of the link. Returns the preferences as JSON if `Accept` requests it."""
    ctx, grant = context.of(request), await link_pages.read(request, PREFERENCES_PURPOSE, PreferencesGrant)
    accepted = request_body.header(request, b"accept") or ""
    if "json" in accepted and "html" not in accepted:
        document = await preferences.shown(ctx, grant.tenant, grant.recipient)
        return responses.json(document, headers=link_pages.HEADERS)
    tenant, language = await link_pages.reader(request, grant)
    brand, texts = tenant.brand, links.TEXTS[language]
    title = texts["title_from"].format(name=escape(brand.name)) if brand.name else texts["title"]
    head = f"{link_pages.logo(brand) * bool(brand.logo_url)}<h1>{link_pages.mark(brand)}{title}</h1>"
    content = f"<main>\n{head}<script>{SCRIPT}</script><p class=unloaded>{texts['unloaded']}</p>\n</main>"
    return link_pages.page(title, content, language, brand, script=SCRIPT)


@operation(
    "PATCH",
    "/preferences/{token:str}",
    tag="Preferences",
    required_scope=None,
    body=Preferences,
    response_types={200: EffectivePreferences},
    refusals=(NotFound, Invalid),
    example={"types": {"booking": {"email": False}}},
)
async def change(request: ApiRequest) -> ASGIApp:
    """Change the preferences of a link.

    A merge patch (RFC 7396), which the preferences page sends for each change."""
    document = await preferences.read_document(request)
    grant = await link_pages.read(request, PREFERENCES_PURPOSE, PreferencesGrant)
    place = context.of(request), grant.tenant, grant.recipient
    changed = await preferences.write(*place, document, merge=True, is_dry_run=False, link=grant)
    return responses.json(changed, headers=link_pages.HEADERS)
