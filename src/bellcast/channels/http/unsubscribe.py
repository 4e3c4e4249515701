"""The page behind the unsubscribe link of an e-mail, and the one-click request of mail programs (RFC 8058)."""

from collections.abc import Mapping
from html import escape

import msgspec

from bellcast.channels import links
from bellcast.channels.catalog import Catalog
from bellcast.channels.http import link_pages
from bellcast.channels.links import UNSUBSCRIBE_PURPOSE, Unsubscription
from bellcast.kernel.http import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.preferences import changes as preference_changes
from bellcast.preferences.types import Preferences, merge_patch
from bellcast.rest import context


@link_pages.link_page("GET", "/u/{token:str}")
async def show(request: ApiRequest) -> ASGIApp:
    """Show the unsubscribe page.

    This changes nothing, because mail programs open links to check them."""
    link = await link_pages.read(request, UNSUBSCRIBE_PURPOSE, Unsubscription)
    optional, required = await _types(request, link)
    if not optional:
        return await _page(request, link, "needed", {"needed_types": required})
    return await _page(request, link, "ask", {"will_end": optional, "needed_types": required}, has_form=True)


@link_pages.link_page("POST", "/u/{token:str}")
async def confirm(request: ApiRequest) -> ASGIApp:
    """Unsubscribe.

    Turns off e-mails of this type for the recipient, unless the type requires them now. Safe to repeat. The link in a
    digest turns off every type in it."""
    link = await link_pages.read(request, UNSUBSCRIBE_PURPOSE, Unsubscription)
    optional, required = await _types(request, link)
    if not optional:
        return await _page(request, link, "needed", {"needed_types": required})
    engines = context.of(request).engines
    patch = {"types": {type: {"email": False} for type in optional}}

    def unsubscribed(before: bytes | None) -> Preferences:
        merged = merge_patch({} if before is None else msgspec.json.decode(before), patch)
        return msgspec.convert(merged, Preferences)

    await preference_changes.change_preferences(engines, link.tenant, link.recipient, unsubscribed, link)
    return await _page(request, link, "ended", {"off": optional, "needed_types": required})


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
    link: Unsubscription,
    title: str,
    named: Mapping[str, Mapping[str, str]],
    *,
    has_form: bool = False,
) -> ASGIApp:
    """Return a page with a text about each of these groups of types that is not empty."""
    _, tenant, language = await link_pages.reader(request, link)
    texts, content = links.TEXTS[language], ""
    for name, types in named.items():
        if types:
            quoted = ", ".join(texts["quoted"].format(name=escape(one)) for one in types.values())
            content += f"<p>{texts[name].format(types=quoted)}</p>\n"
    form = f'<form method="post"><button>{texts["unsubscribe"]}</button></form>' if has_form else ""
    path = await link_pages.preferences_path(request, link)
    others = f'<p class=other><a href="{path}">{texts["choose"]}</a></p>' if path else ""
    return link_pages.message(texts[title], content + form + others, language, tenant.brand)
