"""The page behind a preferences link: the element `<bellcast-preferences>`, or a form in browsers that run no scripts."""

from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Annotated, Any, get_args
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bellcast.channels import catalog, decision_inputs, links
from bellcast.channels.catalog import Catalog
from bellcast.channels.http import link_pages
from bellcast.channels.links import PREFERENCES_PURPOSE, PreferencesGrant
from bellcast.channels.types import ChannelConfig
from bellcast.console import pages
from bellcast.inbox.types import GENERAL, NotificationType
from bellcast.kernel import times
from bellcast.kernel.errors import Invalid, NotFound
from bellcast.kernel.field_limits import LINK_LIFETIME
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.preferences import changes, decision
from bellcast.preferences import http as preferences
from bellcast.preferences.decision import EVERY_TYPE, Layers, Switch
from bellcast.preferences.http import EffectivePreferences
from bellcast.preferences.store import OwnPreferencesTable
from bellcast.preferences.types import CHANNELS, Channel, Frequency, Preferences, QuietHours, decode, merge_patch
from bellcast.providers.directory import ProviderDirectory
from bellcast.recipients import changes as recipient_changes
from bellcast.recipients import http as recipients
from bellcast.recipients.types import RecipientFields
from bellcast.rest import context
from bellcast.rest.operations import operation
from bellcast.rest.resource import Resource, ResourceCall

FREQUENCIES = get_args(Frequency)
# The name of the row whose switches affect whole channels. A notification type cannot have this name in the form.
ALL_TYPES = "\x00"
ALL_ROW = (ALL_TYPES, NotificationType())
FORM = Path(__file__).with_name("form.html")


def _is_on(layers: Layers, type: str, channel: Any, rules: NotificationType) -> bool:
    rule: Switch = "channel" if type == ALL_TYPES else "type"
    return decision.switch(rule, channel, type, replace(layers, rules=rules))[0] is True


def apply_form(before: Preferences, fields: dict[str, list[str]], rules: Mapping[str, NotificationType]) -> Preferences:
    """Apply the form. Only fields that differ from the displayed form (`was`) are written: the others may have been
    changed since, or be defaults of the tenant or project."""
    switched = set(fields.get("on", [])) ^ set(fields.get("was", []))
    ticked = set(fields.get("on", []))
    patch: dict[str, Any] = {"channels": {}, "types": {}, "digest": {}, "muted": {}}
    for type, type_rules in (ALL_ROW, *rules.items()):
        for channel in CHANNELS:
            if type_rules.requires(channel) or (value := _switch_value(type, channel)) not in switched:
                continue
            target = patch["channels"] if type == ALL_TYPES else patch["types"].setdefault(type, {})
            target[channel] = value in ticked
        frequency = _value(fields, digest := _digest_field(type))
        if type != ALL_TYPES and frequency in FREQUENCIES and _differs(fields, digest):
            patch["digest"][type] = frequency
    if _differs(fields, "digest_at") and _is_time(at := _value(fields, "digest_at")):
        patch["digest_at"] = at
    start, end = _value(fields, "start"), _value(fields, "end")
    if "quiet" not in fields:
        patch |= {"quiet_hours": False} if _differs(fields, "quiet") else {}
    elif _differs(fields, "quiet", "start", "end") and _is_time(start) and _is_time(end):
        patch["quiet_hours"] = {"start": start, "end": end}
    if _differs(fields, "muted"):
        patch["muted"][EVERY_TYPE] = True if "muted" in fields else None
    merged = merge_patch(msgspec.to_builtins(before), patch)
    return msgspec.convert(merged, Preferences)


def _value(fields: dict[str, list[str]], name: str) -> str:
    return fields.get(name, [""])[0]


def _differs(fields: dict[str, list[str]], *names: str) -> bool:
    """Return whether a field differs from the displayed form. A box that is not checked has no value."""
    return any(_value(fields, name) != _value(fields, f"was_{name}") for name in names)


def _switch_value(type: str, channel: str) -> str:
    """Return the value of a switch in the form. Browsers change line breaks in forms, so types are quoted."""
    return f"{channel}:{'' if type == ALL_TYPES else quote(type)}"


def _digest_field(type: str) -> str:
    """Return the name of the field with the frequency of a type."""
    return f"digest.{quote(type)}"


def _is_time(text: str) -> bool:
    try:
        times.parse_time(text)
    except ValueError:
        return False
    return True


def form_html(
    rules: Mapping[str, NotificationType],
    names: dict[str, str],
    layers: Layers,
    channels: Sequence[Channel],
    now: int,
    zone: ZoneInfo,
    texts: Mapping[str, str],
) -> str:
    """Return the form for the effective preferences. `names` are the displayed names of the types, `zone` is the
    recipient's, and `texts` are of the recipient's language (`channels/link_texts.json`)."""
    rows = [ALL_ROW, *rules.items()]
    if len(rules) == 1 and all(_is_on(layers, ALL_TYPES, channel, ALL_ROW[1]) for channel in channels):
        del rows[0]  # the row of all types is not needed to switch a channel on
        names = {type: texts["all"] if name == texts["others"] else name for type, name in names.items()}
    quiet = next((one.quiet_hours for _, one in layers.documents() if one.quiet_hours is not None), None)
    is_quiet, digests = isinstance(quiet, QuietHours), (one.digest_at for _, one in layers.documents())
    is_muted, until = decision.is_muted(layers.recipient, EVERY_TYPE, now), layers.recipient.muted.get(EVERY_TYPE, True)
    end = texts["until_off"]
    if is_muted and until is not True:
        end = texts["until"].format(time=times.describe(times.milliseconds(until), zone))

    def digest_of(type: str) -> tuple[str, Frequency] | None:
        """Return the field with the frequency of a type's digests, and its value."""
        chosen = (found for _, one in layers.documents() if (found := one.digest.get(type)) is not None)
        return None if type == ALL_TYPES else (_digest_field(type), next(chosen, FREQUENCIES[0]))

    return pages.template(FORM).render(
        texts=texts,
        channels=channels,
        rows=[
            (
                type,
                texts["all"] if type == ALL_TYPES else names[type],
                [one for one in channels if decision.has_channel(type, one, replace(layers, rules=of_type))],
                of_type,
            )
            for type, of_type in rows
        ],
        is_on=partial(_is_on, layers),
        value_of=_switch_value,
        digest_of=digest_of,
        frequencies=FREQUENCIES,
        is_muted=is_muted,
        muted_until=end,
        digest_at=next((one for one in digests if one is not None), decision.DIGEST_AT),
        is_quiet=is_quiet,
        hours=quiet if is_quiet else QuietHours("22:00", "07:00"),
    )


# Maximum fields of the form: two per switch and two per frequency, for the types of the project and the tenant, and the
# general fields.
MAX_FORM_FIELDS = 2 * catalog.MAX_TYPES * 2 * (len(CHANNELS) + 1) + 100


# Shows the element in place of the form.
SCRIPT = (Path(link_pages.__file__).parent / "preferences.js").read_text(encoding="utf-8")


class LinkRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the link is valid: seconds, or a duration such as `30d`."""

    ttl: Annotated[str | float, LINK_LIFETIME] = "30d"


class PreferencesLink(Struct, frozen=True):
    """A link to a page on which the recipient changes preferences without a login; null in a dry run."""

    url: str | None


LINKS = Resource("recipients", "/{key:str}/preferences-link", recipients.key, tag="Preferences")


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
    own = await OwnPreferencesTable(ctx.engines.db).get(grant.tenant, grant.recipient)
    stored = decode(own.document)
    accepted = request_body.header(request, b"accept") or ""
    if "json" in accepted and "html" not in accepted:
        document = await preferences.with_effective(ctx, grant.tenant, grant.recipient, stored, own.updated_at)
        return responses.json(document, headers=link_pages.HEADERS)
    return await _page(request, grant, stored, await ctx[Catalog].types(grant.tenant), is_saved=False)


@operation(
    "PATCH",
    "/preferences/{token:str}",
    tag="Preferences",
    required_scope=None,
    body=Preferences,
    response_types={200: EffectivePreferences},
    refusals=(NotFound,),
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


@link_pages.link_page("POST", "/preferences/{token:str}")
async def save(request: ApiRequest) -> ASGIApp:
    """Save the form of the preferences page.

    Only changed fields are written."""
    ctx, grant = context.of(request), await link_pages.read(request, PREFERENCES_PURPOSE, PreferencesGrant)
    if request_body.media_type(request) != request_body.FORM:
        raise Invalid.of("", f"expected {request_body.FORM}")
    text = await request_body.raw(request, ctx.limits.request)
    fields = request_body.form_values(text, MAX_FORM_FIELDS)
    types = await ctx[Catalog].types(grant.tenant)

    def change(before: bytes | None) -> Preferences:
        return apply_form(decode(before), fields, types)

    changed, _ = await changes.change_preferences(ctx.engines, grant.tenant, grant.recipient, change, grant)
    return await _page(request, grant, changed, types, is_saved=True)


async def _page(
    request: ApiRequest,
    grant: PreferencesGrant,
    own: Preferences,
    types: Mapping[str, NotificationType],
    *,
    is_saved: bool,
) -> ASGIApp:
    ctx = context.of(request)
    defaults, project = await ctx[Catalog].preferences(grant.tenant)
    layers = Layers(recipient=own, tenant=defaults, project=project)
    profile, tenant, language = await link_pages.reader(request, grant)
    brand, texts = tenant.brand, links.TEXTS[language]
    names = {type: one.name_of(type) for type, one in types.items()}
    if names[GENERAL] == catalog.OTHERS:
        names[GENERAL] = texts["others"]
    zone = decision_inputs.zone_of(profile, tenant)
    offered = await ctx[ProviderDirectory].offered_channels(grant.tenant, grant.recipient, types.values())
    form = form_html(types, names, layers, offered, ctx.engines.clock.now(), zone, texts)
    title = texts["title_from"].format(name=escape(brand.name)) if brand.name else texts["title"]
    saved = f"<p class=saved role=status>{texts['saved']}</p>\n" if is_saved else ""
    script = f"<script>{SCRIPT}</script>"
    head = f"{link_pages.logo(brand) * bool(brand.logo_url)}<h1>{link_pages.mark(brand)}{title}</h1>"
    content = f"<main>\n{head}{script}{saved}{form}\n</main>"
    return link_pages.page(title, content, language, brand, script=SCRIPT)
