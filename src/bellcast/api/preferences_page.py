"""The page behind a preferences link. It is a form without scripts, so that it works in the browsers of all mail
programs."""

from collections.abc import Mapping
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from bellcast.api import context, objects, preferences, recipients, request_body, responses, tenants
from bellcast.api.context import ApiContext
from bellcast.api.objects import DryRunQuery
from bellcast.api.operations import operation
from bellcast.api.request_body import ApiRequest
from bellcast.channels import preferences_link
from bellcast.channels.explanations import NAMES
from bellcast.channels.preferences_link import PreferencesGrant
from bellcast.errors import Invalid, NotFound
from bellcast.inbox import recipients as recipient_actions
from bellcast.model import local_times, times, validation
from bellcast.model.asgi import ASGIApp
from bellcast.model.identities import RecipientFields
from bellcast.model.notifications import GENERAL
from bellcast.model.preferences import CHANNELS, NO_PREFERENCES, Preferences, QuietHours, TypeRules, merge_patch
from bellcast.ports import RecipientOfLink
from bellcast.preferences import Layers, Occasion
from bellcast.preferences.decision import switch

# The page loads no resources and runs no scripts; its form posts to the page itself.
HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
}
UTC = ZoneInfo("UTC")
FORM = "application/x-www-form-urlencoded"
# Maximum fields of the form: two per switch and one per frequency, for the types of the project and the tenant, and the
# general fields.
MAX_FORM_FIELDS = 2 * preferences.MAX_TYPES * (2 * len(CHANNELS) + 1) + 100
FREQUENCIES = {"instant": "At once", "hourly": "Every hour", "daily": "Every day", "weekly": "Every week"}
LABELS = {"inbox": "Inbox", "email": "E-mail", "sms": "SMS", "push": "Push", "chat": "Chat"}
# The name of the row whose switches affect whole channels. A notification type cannot have this name in the form.
ALL_TYPES = "\x00"


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
async def show(request: ApiRequest) -> ASGIApp:
    """Show the preferences page.

    For the recipient of the link."""
    ctx, grant = context.of(request), await _read(request)
    return await _page(ctx, grant, await _stored(ctx, grant), is_saved=False)


@operation(
    "POST",
    "/preferences/{token:str}",
    tag="Preferences",
    required_scope=None,
    response_types={200: responses.HTML},
    refusals=(NotFound, Invalid),
)
async def save(request: ApiRequest) -> ASGIApp:
    """Save the preferences page.

    Only changed fields are written."""
    ctx, grant = context.of(request), await _read(request)
    if request_body.media_type(request) != FORM:
        raise Invalid.of("", f"expected {FORM}")
    text = await request_body.raw(request, ctx.limits.request)
    fields = request_body.form_values(text, MAX_FORM_FIELDS)
    rules, layers = await preferences.types_of(ctx, grant.tenant), await _layers(ctx, grant, NO_PREFERENCES)

    def change(before: bytes | None) -> Preferences:
        return _changed(_decoded(before), fields, rules, layers)

    changed = await recipient_actions.change_preferences_by_link(ctx.engines, _recipient(grant), change)
    return await _page(ctx, grant, changed, is_saved=True)


def _recipient(grant: PreferencesGrant) -> RecipientOfLink:
    return RecipientOfLink(grant.tenant, grant.recipient, grant.issued_at)


async def _read(request: ApiRequest) -> PreferencesGrant:
    ctx = context.of(request)
    grant = preferences_link.read(ctx.project, request_body.path(request, "token"), ctx.engines.clock.now())
    if grant is None or not await ctx.engines.store.recipients.accepts_link(_recipient(grant)):
        raise NotFound("This link is no longer valid.")
    return grant


async def _stored(ctx: ApiContext, grant: PreferencesGrant) -> Preferences:
    own = await ctx.engines.store.recipients.preferences(grant.tenant, grant.recipient)
    return _decoded(None if own is None else own.document)


def _decoded(own: bytes | None) -> Preferences:
    return NO_PREFERENCES if own is None else msgspec.json.decode(own, type=Preferences)


async def _layers(ctx: ApiContext, grant: PreferencesGrant, own: Preferences) -> Layers:
    tenant, project = await ctx.catalog.preferences(grant.tenant)
    return Layers(recipient=own, tenant=tenant, project=project)


# --- the form


def _is_on(layers: Layers, type: str, channel: Any, rules: TypeRules) -> bool:
    occasion = Occasion(channel=channel, type=type, priority="normal", now=0, zone=UTC)
    layers = msgspec.structs.replace(layers, rules=rules)
    return switch("channel" if type == ALL_TYPES else "type", occasion, layers)[0]


def _changed(
    before: Preferences, fields: dict[str, list[str]], rules: Mapping[str, TypeRules], layers: Layers
) -> Preferences:
    """Apply the form. Only fields that differ from the displayed form are written, because types may have been added
    since."""
    layers = msgspec.structs.replace(layers, recipient=before)
    switched = set(fields.get("on", [])) ^ set(fields.get("was", []))
    ticked = set(fields.get("on", []))
    patch: dict[str, Any] = {"channels": {}, "types": {}, "digest": {}, "muted": {}}
    for type, type_rules in _rows(rules):
        for channel in CHANNELS:
            if type_rules.requires(channel) or (value := _switch(type, channel)) not in switched:
                continue
            target = patch["channels"] if type == ALL_TYPES else patch["types"].setdefault(type, {})
            target[channel] = value in ticked
        frequency = fields.get(f"digest.{type}", [""])[0]
        if type != ALL_TYPES and frequency in FREQUENCIES and frequency != _frequency(layers, type):
            patch["digest"][type] = frequency
    if "digest_at" in fields and _is_time(fields["digest_at"][0]):
        patch["digest_at"] = fields["digest_at"][0]
    start, end = (fields.get(name, [""])[0] for name in ("start", "end"))
    is_quiet = "quiet" in fields and _is_time(start) and _is_time(end)
    if is_quiet:
        patch["quiet_hours"] = {"start": start, "end": end}
    elif isinstance(_quiet_hours(layers), QuietHours):
        patch["quiet_hours"] = False
    patch["muted"]["*"] = True if "muted" in fields else None
    merged = merge_patch(msgspec.to_builtins(before), patch)
    return msgspec.convert(merged, Preferences)


def _switch(type: str, channel: str) -> str:
    """Return the value of a switch in the form."""
    return f"{channel}:{'' if type == ALL_TYPES else type}"


def _rows(rules: Mapping[str, TypeRules]) -> list[tuple[str, TypeRules]]:
    return [(ALL_TYPES, TypeRules()), *rules.items()]


def _frequency(layers: Layers, type: str) -> str:
    return next((found for _, one in layers.documents() if (found := one.digest.get(type)) is not None), "instant")


def _quiet_hours(layers: Layers) -> QuietHours | bool | None:
    return next((one.quiet_hours for _, one in layers.documents() if one.quiet_hours is not None), None)


def _is_time(text: str) -> bool:
    try:
        local_times.parse_time(text)
    except ValueError:
        return False
    return True


# --- the page


async def _page(ctx: ApiContext, grant: PreferencesGrant, own: Preferences, *, is_saved: bool) -> ASGIApp:
    rules, layers = await preferences.types_of(ctx, grant.tenant), await _layers(ctx, grant, own)
    names = await _names(ctx, grant.tenant, list(rules))
    brand = (await ctx.catalog.tenant(grant.tenant)).brand
    head = "".join(f"<th scope=col>{LABELS[channel]}" for channel in CHANNELS)
    body = "".join(_row(row, names, layers) for row in _rows(rules))
    quiet = _quiet_hours(layers)
    hours = quiet if isinstance(quiet, QuietHours) else QuietHours("22:00", "07:00")
    digest_at = next((one.digest_at for _, one in layers.documents() if one.digest_at is not None), "08:00")
    title = f"Notifications from {escape(brand.name)}" if brand.name else "Notifications"
    page = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>{STYLE}</style>
<main>
<h1>{title}</h1>
{"<p class=saved role=status>Your preferences are saved.</p>" if is_saved else ""}
<form method="post">
<div class=scroll><table>
<thead><tr><th scope=col>Type{head}<th scope=col>How often</thead>
<tbody>{body}</tbody>
</table></div>
<fieldset><legend>Quiet hours</legend>
<label><input type=checkbox name=quiet{_checked(isinstance(quiet, QuietHours))}> Hold everything but the inbox</label>
<label>from <input type=time name=start value="{escape(hours.start)}"></label>
<label>to <input type=time name=end value="{escape(hours.end)}"></label>
</fieldset>
<fieldset><legend>Daily and weekly e-mails</legend>
<label>at <input type=time name=digest_at value="{escape(digest_at)}"></label>
</fieldset>
<fieldset><legend>Mute</legend>
<label><input type=checkbox name=muted{_checked(layers.recipient.muted.get("*") is True)}> Inbox only, until I turn this off</label>
</fieldset>
<button>Save</button>
</form>
</main>
</html>
"""
    return responses.complete(200, page.encode(), responses.HTML, HEADERS)


def _row(row: tuple[str, TypeRules], names: dict[str, str], layers: Layers) -> str:
    type, rules = row
    name = "All notifications" if type == ALL_TYPES else names[type]
    cells = "".join(_cell(name, type, channel, rules, layers) for channel in CHANNELS)
    return f"<tr><th scope=row>{escape(name)}{cells}<td>{'' if type == ALL_TYPES else _select(name, type, layers)}"


def _cell(name: str, type: str, channel: Any, rules: TypeRules, layers: Layers) -> str:
    is_required = rules.requires(channel)
    is_on = is_required or _is_on(layers, type, channel, rules)
    state = " checked disabled" if is_required else _checked(is_on)
    value = escape(_switch(type, channel))
    was = f'<input type=hidden name=was value="{value}">' if is_on and not is_required else ""
    label = escape(f"{name}: {NAMES[channel]}{' (required)' if is_required else ''}")
    return f'<td><input type=checkbox name=on value="{value}" aria-label="{label}"{state}>{was}'


def _select(name: str, type: str, layers: Layers) -> str:
    chosen = _frequency(layers, type)
    options = "".join(
        f"<option value={value}{' selected' if value == chosen else ''}>{label}" for value, label in FREQUENCIES.items()
    )
    return f'<select name="digest.{escape(type)}" aria-label="{escape(name)}: how often">{options}</select>'


async def _names(ctx: ApiContext, tenant: str, types: list[str]) -> dict[str, str]:
    names = {type: (await ctx.catalog.type(tenant, type)).name or type for type in types}
    return {**names, GENERAL: "Other notifications"} if names[GENERAL] == GENERAL else names


def _checked(is_on: bool) -> str:  # noqa: FBT001  the only argument
    return " checked" if is_on else ""


STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; accent-color: #3b5bdb }
body { margin: 0; background: light-dark(#f3f4f6, #111318); color: light-dark(#111827, #e5e7eb) }
main { max-width: 46rem; margin: 0 auto; padding: 2rem 1rem 4rem }
h1 { font-size: 1.5rem; margin: 0 0 1rem }
form > * { background: light-dark(#fff, #1b1e25); border: 1px solid light-dark(#e5e7eb, #2c313b); border-radius: .75rem; margin: 0 0 1rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { padding: .6rem .75rem; text-align: center; border-bottom: 1px solid light-dark(#eef0f3, #262a33) }
th:first-child { text-align: start; font-weight: 500; min-width: 9rem }
thead th { white-space: nowrap; font-size: .85rem; font-weight: 600; color: light-dark(#4b5563, #9ca3af) }
tbody tr:first-child th { font-weight: 700 }
tbody tr:last-child > * { border-bottom: 0 }
input[type=checkbox] { width: 1.2rem; height: 1.2rem; vertical-align: -.2rem }
fieldset { padding: .5rem 1rem 1rem }
legend { font-weight: 600; padding: 0 .35rem }
label { margin-inline-end: 1rem; white-space: nowrap }
input[type=time], select { font: inherit; padding: .25rem .4rem; border-radius: .4rem; border: 1px solid light-dark(#9ca3af, #4b5563); background: transparent; color: inherit }
option { background: light-dark(#fff, #1b1e25) }
button { font: inherit; font-weight: 600; padding: .65rem 1.6rem; border: 0; background: #3b5bdb; color: #fff; cursor: pointer }
.saved { background: light-dark(#e7f5ec, #14301f); color: light-dark(#14532d, #a7f3c5); padding: .6rem 1rem; border-radius: .6rem }
"""


def _check_link(body: LinkRequest, ctx: ApiContext) -> None:
    validation.check(validation.link_lifetime(body.ttl))


LINK = request_body.Shape(LinkRequest, _check_link)
HANDLERS = [create, show, save]
