"""The page behind the unsubscribe link of an e-mail, and the one-click request of mail programs (RFC 8058)."""

from collections.abc import Mapping
from html import escape
from typing import TypeAlias

import msgspec

from bellcast.auth import link_tokens
from bellcast.channels import links
from bellcast.channels.catalog import Catalog
from bellcast.channels.http import link_pages
from bellcast.channels.links import (
    RESUBSCRIBE_PURPOSE,
    UNSUBSCRIBE_PURPOSE,
    AskedUnsubscription,
    Resubscription,
    Unsubscription,
)
from bellcast.kernel.http import ASGIApp, request_body
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.preferences import changes as preference_changes
from bellcast.preferences.store import OwnPreferencesTable
from bellcast.preferences.types import Preferences, merge_patch
from bellcast.recipients.types import RecipientOfLink
from bellcast.rest import context
from bellcast.rest.context import ApiContext

EmailSwitch: TypeAlias = bool | str | None


@link_pages.link_page("GET", "/u/{token:str}")
async def show(request: ApiRequest) -> ASGIApp:
    """Show the unsubscribe page.

    This changes nothing, because mail programs open links to check them."""
    link = await link_pages.read(request, UNSUBSCRIBE_PURPOSE, Unsubscription)
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


@link_pages.link_page("POST", "/u/{token:str}")
async def confirm(request: ApiRequest) -> ASGIApp:
    """Unsubscribe.

    Turns off e-mails of this type for the recipient, unless the type requires them now. Safe to repeat. The link in a
    digest turns off every type in it. The page that follows has a form that takes it back, within an hour."""
    token, ctx = request_body.path(request, "token"), context.of(request)
    if link_tokens.read(ctx.project, RESUBSCRIBE_PURPOSE, token, Resubscription) is not None:
        return await _subscribe_again(request)
    link = await link_pages.read(request, UNSUBSCRIBE_PURPOSE, AskedUnsubscription)
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


async def _subscribe_again(request: ApiRequest) -> ASGIApp:
    link = await link_pages.read(request, RESUBSCRIBE_PURPOSE, Resubscription)
    await _switch(request, link, link.before)
    catalog = context.of(request)[Catalog]
    names = {key: (await catalog.type(link.tenant, key)).name_of(key) for key in link.before}
    return await _page(request, link, "back", {"on": names})


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
    _, tenant, language = await link_pages.reader(request, link)
    texts, content = links.TEXTS[language], ""

    def quoted(types: Mapping[str, str]) -> str:
        return ", ".join(texts["quoted"].format(name=escape(one)) for one in types.values())

    for name, types in named.items():
        if types:
            content += f"<p>{texts[name].format(types=quoted(types))}</p>\n"
    if action is not None:
        label, look = (texts["again"], " class=again") if ending is None else (texts["unsubscribe"], "")
        content += f'<form method="post" action="{action}"{look}><button>{label}</button></form>'
    path = await link_pages.preferences_path(request, link)
    others = f'<p class=other><a href="{path}">{texts["choose"]}</a></p>' if path else ""
    return link_pages.message(texts[title].format(types=quoted(ending or {})), content + others, language, tenant.brand)
