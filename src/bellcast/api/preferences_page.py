"""The page behind a preferences link."""

from html import escape

from msgspec import Struct

from bellcast.api import (
    context,
    link_pages,
    objects,
    preferences,
    preferences_form,
    recipients,
    request_body,
    responses,
    tenants,
)
from bellcast.api.context import ApiContext
from bellcast.api.objects import DryRunQuery
from bellcast.api.operations import operation
from bellcast.api.request_body import ApiRequest
from bellcast.channels import decision_inputs, preferences_link
from bellcast.channels.preferences_link import PreferencesGrant
from bellcast.errors import Invalid, NotFound
from bellcast.inbox import recipients as recipient_actions
from bellcast.model import times, validation
from bellcast.model.asgi import ASGIApp
from bellcast.model.identities import Profile, RecipientFields
from bellcast.model.notifications import GENERAL
from bellcast.model.preferences import CHANNELS, Preferences
from bellcast.preferences import Layers

# Maximum fields of the form: two per switch and two per frequency, for the types of the project and the tenant, and the
# general fields.
MAX_FORM_FIELDS = 2 * preferences.MAX_TYPES * 2 * (len(CHANNELS) + 1) + 100


class LinkRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the link is valid: seconds, or a duration such as `30d`."""

    ttl: str | float = "30d"


class PreferencesLink(Struct, frozen=True):
    """A link to a page on which the recipient changes preferences without a login; null in a dry run."""

    url: str | None


@operation(
    "POST",
    "/v1/recipients/{key:str}/preferences-link",
    tag="Preferences",
    required_scope="manage",
    query=DryRunQuery,
    body=LinkRequest,
    is_body_optional=True,
    response_types={200: PreferencesLink, 201: PreferencesLink},
    example={"ttl": "30d"},
)
async def create(request: ApiRequest) -> ASGIApp:
    """Create a preferences link.

    For e-mails and other places without a login. Templates have such a link as `preferences_url`."""
    ctx, key, tenant = context.of(request), recipients.key(request), tenants.single_tenant(request)
    body = await request_body.optional_body(request, LINK) or LinkRequest()
    if objects.is_dry_run(request):
        return responses.json(PreferencesLink(None))
    # Creates the recipient, as any request of the app that names a recipient does. Following a link never creates one.
    await recipient_actions.put(ctx.engines, tenant, key, RecipientFields(), replace=False)
    now = ctx.engines.clock.now()
    grant = PreferencesGrant(tenant, key, now, now + int(times.seconds(body.ttl) * 1000))
    base = (ctx.channels.public_url or "").rstrip("/")
    url = preferences_link.url(base, ctx.project, grant)
    return responses.json(PreferencesLink(url), 201)


@operation(
    "GET",
    "/preferences/{token:str}",
    tag="Preferences",
    required_scope=None,
    response_types={200: responses.HTML},
    refusals=(NotFound,),
)
@link_pages.with_error_page
async def show(request: ApiRequest) -> ASGIApp:
    """Show the preferences page.

    For the recipient of the link."""
    ctx, grant = context.of(request), await _read(request)
    own = await ctx.engines.store.recipients.preferences(grant.tenant, grant.recipient)
    return await _page(ctx, grant, preferences.decode(None if own is None else own.document), is_saved=False)


@operation(
    "POST",
    "/preferences/{token:str}",
    tag="Preferences",
    required_scope=None,
    response_types={200: responses.HTML},
    refusals=(NotFound, Invalid),
)
@link_pages.with_error_page
async def save(request: ApiRequest) -> ASGIApp:
    """Save the preferences page.

    Only changed fields are written."""
    ctx, grant = context.of(request), await _read(request)
    if request_body.media_type(request) != request_body.FORM:
        raise Invalid.of("", f"expected {request_body.FORM}")
    text = await request_body.raw(request, ctx.limits.request)
    fields = request_body.form_values(text, MAX_FORM_FIELDS)
    rules = await preferences.types_of(ctx, grant.tenant)

    def change(before: bytes | None) -> Preferences:
        return preferences_form.changed(preferences.decode(before), fields, rules)

    changed = await recipient_actions.change_preferences_by_link(ctx.engines, link_pages.recipient(grant), change)
    return await _page(ctx, grant, changed, is_saved=True)


async def _read(request: ApiRequest) -> PreferencesGrant:
    ctx = context.of(request)
    grant = preferences_link.read(ctx.project, request_body.path(request, "token"), ctx.engines.clock.now())
    if grant is None or not await ctx.engines.store.recipients.accepts_link(link_pages.recipient(grant)):
        raise NotFound("This link is no longer valid.")
    return grant


async def _page(ctx: ApiContext, grant: PreferencesGrant, own: Preferences, *, is_saved: bool) -> ASGIApp:
    rules = await preferences.types_of(ctx, grant.tenant)
    names = await _names(ctx, grant.tenant, list(rules))
    defaults, project = await ctx.catalog.preferences(grant.tenant)
    layers = Layers(recipient=own, tenant=defaults, project=project)
    profiles = await ctx.engines.store.recipients.profiles(grant.tenant, [grant.recipient])
    tenant = await ctx.catalog.tenant(grant.tenant)
    zone = decision_inputs.zone_of(profiles.get(grant.recipient) or Profile(key=grant.recipient), tenant)
    form = preferences_form.html(rules, names, layers, ctx.engines.clock.now(), zone)
    brand = tenant.brand
    title = f"Notifications from {escape(brand.name)}" if brand.name else "Notifications"
    saved = "<p class=saved role=status>Your preferences are saved.</p>" if is_saved else ""
    content = f"<main>\n<h1>{title}</h1>\n{saved}\n{form}\n</main>"
    return link_pages.page(title, STYLE, content)


async def _names(ctx: ApiContext, tenant: str, types: list[str]) -> dict[str, str]:
    names = {type: (await ctx.catalog.type(tenant, type)).name or type for type in types}
    return {**names, GENERAL: "Other notifications"} if names[GENERAL] == GENERAL else names


STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; accent-color: #3b5bdb }
body { margin: 0; background: light-dark(#f3f4f6, #111318); color: light-dark(#111827, #e5e7eb) }
main { max-width: 46rem; margin: 0 auto; padding: 2rem 1rem 4rem }
h1 { font-size: 1.5rem; margin: 0 0 1rem }
form > * { background: light-dark(#fff, #1b1e25); border: 1px solid light-dark(#e5e7eb, #2c313b); border-radius: .75rem; margin: 0 0 1rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { padding: .6rem .75rem; text-align: center; border-bottom: 1px solid light-dark(#eef0f3, #262a33) }
th:first-child { position: sticky; inset-inline-start: 0; background: light-dark(#fff, #1b1e25); text-align: start; font-weight: 500; min-width: 9rem }
thead th { white-space: nowrap; font-size: .85rem; font-weight: 600; color: light-dark(#4b5563, #9ca3af) }
tbody tr:first-child th { font-weight: 700 }
tbody tr:last-child > * { border-bottom: 0 }
input[type=checkbox] { width: 1.2rem; height: 1.2rem; vertical-align: -.2rem }
fieldset { padding: .5rem 1rem 1rem }
legend { font-weight: 600; padding: 0 .35rem }
label { display: inline-block; margin-inline-end: 1rem; overflow-wrap: anywhere }
input[type=time], select { font: inherit; padding: .25rem .4rem; border-radius: .4rem; border: 1px solid light-dark(#9ca3af, #4b5563); background: transparent; color: inherit }
option { background: light-dark(#fff, #1b1e25) }
button { font: inherit; font-weight: 600; padding: .65rem 1.6rem; border: 0; background: #3b5bdb; color: #fff; cursor: pointer }
.saved { background: light-dark(#e7f5ec, #14301f); color: light-dark(#14532d, #a7f3c5); padding: .6rem 1rem; border-radius: .6rem }
"""


def _check_link(body: LinkRequest, ctx: ApiContext) -> None:
    validation.check(validation.link_lifetime(body.ttl))


LINK = request_body.Shape(LinkRequest, _check_link)
HANDLERS = [create, show, save]
