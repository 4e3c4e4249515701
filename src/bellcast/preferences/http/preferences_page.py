"""The page behind a preferences link: the element `<bellcast-preferences>`, or a form in browsers that run no scripts."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Annotated

from msgspec import Struct

from bellcast.channels import decision_inputs, links
from bellcast.channels.catalog import Catalog
from bellcast.channels.config import ChannelConfig
from bellcast.channels.http import link_pages
from bellcast.channels.links import PreferencesGrant
from bellcast.inbox.types.notifications import GENERAL
from bellcast.kernel import times
from bellcast.kernel.errors import Invalid, NotFound
from bellcast.kernel.field_limits import LINK_LIFETIME
from bellcast.kernel.http import request_body, responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.preferences import changes
from bellcast.preferences.decision import Layers
from bellcast.preferences.http import preferences, preferences_form
from bellcast.preferences.http.preferences import EffectivePreferences
from bellcast.preferences.store import OwnPreferencesTable
from bellcast.preferences.types import CHANNELS, Preferences, TypeRules
from bellcast.recipients import recipients as recipient_actions
from bellcast.recipients.http import recipients
from bellcast.recipients.store.recipients import Recipients
from bellcast.recipients.types import Profile, RecipientFields
from bellcast.rest import context
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import operation
from bellcast.rest.resource import Change, Resource

# Maximum fields of the form: two per switch and two per frequency, for the types of the project and the tenant, and the
# general fields.
MAX_FORM_FIELDS = 2 * preferences.MAX_TYPES * 2 * (len(CHANNELS) + 1) + 100


# Shows the element in place of the form.
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
async def create(change: Change[LinkRequest]) -> PreferencesLink:
    """Create a preferences link.

    For e-mails and other places without a login. Templates have such a link as `preferences_url`."""
    ctx, tenant, (key,) = change.ctx, change.tenant, change.key
    if change.is_dry_run:
        return PreferencesLink(None)
    # Creates the recipient, as any request of the app that names a recipient does. Following a link never creates one.
    await recipient_actions.put(ctx.engines, tenant, key, RecipientFields(), replace=False)
    now = ctx.engines.clock.now()
    grant = PreferencesGrant(tenant, key, now, now + int(times.seconds(change.body.ttl) * 1000))
    base = (ctx[ChannelConfig].public_url or "").rstrip("/")
    return PreferencesLink(links.preferences_url(base, ctx.project, grant))


@link_pages.link_page("GET", "/preferences/{token:str}")
async def show(request: ApiRequest) -> ASGIApp:
    """Show the preferences page.

    For the recipient of the link. Returns the preferences as JSON if `Accept` requests it."""
    ctx, grant = context.of(request), await _read(request)
    own = await OwnPreferencesTable(ctx.engines.db).get(grant.tenant, grant.recipient)
    stored = preferences.decode(None if own is None else own.document)
    accepted = request_body.header(request, b"accept") or ""
    if "json" in accepted and "html" not in accepted:
        return await _json(ctx, grant, stored, None if own is None else own.updated_at)
    return await _page(request, grant, stored, await preferences.types_of(ctx, grant.tenant), is_saved=False)


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
    ctx, grant = context.of(request), await _read(request)
    own = await OwnPreferencesTable(ctx.engines.db).get(grant.tenant, grant.recipient)
    stored = None if own is None else own.document
    await preferences.check_workflows(ctx, grant.tenant, document.get("workflows"), stored)
    types = await preferences.types_of(ctx, grant.tenant)

    def apply(before: bytes | None) -> Preferences:
        return preferences.apply_document(ctx, document, before, types, merge=True)

    changed, now = await changes.change_preferences_by_link(ctx.engines, link_pages.recipient(grant), apply)
    return await _json(ctx, grant, changed, now)


@link_pages.link_page("POST", "/preferences/{token:str}", Invalid)
async def save(request: ApiRequest) -> ASGIApp:
    """Save the form of the preferences page.

    Only changed fields are written."""
    ctx, grant = context.of(request), await _read(request)
    if request_body.media_type(request) != request_body.FORM:
        raise Invalid.of("", f"expected {request_body.FORM}")
    text = await request_body.raw(request, ctx.limits.request)
    fields = request_body.form_values(text, MAX_FORM_FIELDS)
    rules = await preferences.types_of(ctx, grant.tenant)

    def change(before: bytes | None) -> Preferences:
        return preferences_form.changed(preferences.decode(before), fields, rules)

    changed, _ = await changes.change_preferences_by_link(ctx.engines, link_pages.recipient(grant), change)
    return await _page(request, grant, changed, rules, is_saved=True)


async def _read(request: ApiRequest) -> PreferencesGrant:
    ctx = context.of(request)
    grant = links.read_preferences_token(ctx.project, request_body.path(request, "token"), ctx.engines.clock.now())
    if grant is None or not await OwnPreferencesTable(ctx.engines.db).accepts_link(link_pages.recipient(grant)):
        raise NotFound("This link is no longer valid.")
    return grant


async def _json(ctx: ApiContext, grant: PreferencesGrant, own: Preferences, updated_at: int | None) -> ASGIApp:
    document = await preferences.with_effective(ctx, grant.tenant, grant.recipient, own, updated_at)
    return responses.json(document, headers=link_pages.HEADERS)


async def _page(
    request: ApiRequest, grant: PreferencesGrant, own: Preferences, types: Mapping[str, TypeRules], *, is_saved: bool
) -> ASGIApp:
    ctx = context.of(request)
    defaults, project = await ctx[Catalog].preferences(grant.tenant)
    layers = Layers(recipient=own, tenant=defaults, project=project)
    profiles = await Recipients(ctx.engines.db).profiles(grant.tenant, [grant.recipient])
    profile = profiles.get(grant.recipient) or Profile(key=grant.recipient)
    tenant = await ctx[Catalog].tenant(grant.tenant)
    brand, language = tenant.brand, link_pages.language(request, profile.locale, tenant.locale)
    texts = links.TEXTS[language]
    names = {type: rules.name_of(type) for type, rules in types.items()}
    if names[GENERAL] == preferences.OTHERS:
        names[GENERAL] = texts["others"]
    zone = decision_inputs.zone_of(profile, tenant)
    offered = await preferences.available_channels(ctx, grant.tenant, grant.recipient)
    form = preferences_form.html(types, names, layers, offered, ctx.engines.clock.now(), zone, texts)
    title = texts["title_from"].format(name=escape(brand.name)) if brand.name else texts["title"]
    saved = f"<p class=saved role=status>{texts['saved']}</p>\n" if is_saved else ""
    script = f"<script>{SCRIPT}</script>"
    content = f"<main>\n{link_pages.logo(brand)}<h1>{title}</h1>\n{script}\n{saved}{form}\n</main>"
    return link_pages.page(title, content, language, brand, script=SCRIPT)


HANDLERS = [create, show, save, change]
