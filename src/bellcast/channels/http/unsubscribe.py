"""The page behind the unsubscribe link of an e-mail, and the one-click request of mail programs (RFC 8058)."""

from html import escape

import msgspec
from msgspec import Struct

from bellcast.channels import links
from bellcast.channels.catalog import Catalog
from bellcast.channels.http import link_pages
from bellcast.channels.links import UNSUBSCRIBE_PURPOSE, Unsubscription
from bellcast.kernel.http import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.preferences import changes as preference_changes
from bellcast.preferences.types import Preferences, merge_patch
from bellcast.rest import context
from bellcast.templates.types import Brand


class LinkPage(Struct):
    """What the page of a link shows: the language, the brand, and the names of the types by key: those whose e-mail can
    be turned off, and those that have become required since."""

    language: str
    brand: Brand
    optional: dict[str, str] = {}
    required: dict[str, str] = {}

    def response(self, title: str, text: str, form: str = "") -> ASGIApp:
        """Return the page with a text about the optional types, and one about the required types if there are any."""
        texts = links.TEXTS[self.language]
        lines = [
            texts[name].format(types=", ".join(texts["quoted"].format(name=escape(one)) for one in types.values()))
            for name, types in ((text, self.optional), ("needed_types", self.required))
            if types
        ]
        content = "".join(f"<p>{line}</p>\n" for line in lines) + form
        return link_pages.message(texts[title], content, self.language, self.brand)


@link_pages.link_page("GET", "/u/{token:str}")
async def show(request: ApiRequest) -> ASGIApp:
    """Show the unsubscribe page.

    This changes nothing, because mail programs open links to check them."""
    page = await _page(request, await link_pages.read(request, UNSUBSCRIBE_PURPOSE, Unsubscription))
    if not page.optional:
        return page.response("needed", "")
    label = links.TEXTS[page.language]["unsubscribe"]
    return page.response("ask", "will_end", f'<form method="post"><button>{label}</button></form>')


@link_pages.link_page("POST", "/u/{token:str}")
async def confirm(request: ApiRequest) -> ASGIApp:
    """Unsubscribe.

    Turns off e-mails of this type for the recipient, unless the type requires them now. Safe to repeat. The link in a
    digest turns off every type in it."""
    link = await link_pages.read(request, UNSUBSCRIBE_PURPOSE, Unsubscription)
    page = await _page(request, link)
    if not page.optional:
        return page.response("needed", "")
    engines = context.of(request).engines
    patch = {"types": {type: {"email": False} for type in page.optional}}

    def unsubscribed(before: bytes | None) -> Preferences:
        merged = merge_patch({} if before is None else msgspec.json.decode(before), patch)
        return msgspec.convert(merged, Preferences)

    await preference_changes.change_preferences(engines, link.tenant, link.recipient, unsubscribed, link)
    return page.response("ended", "off")


async def _page(request: ApiRequest, link: Unsubscription) -> LinkPage:
    ctx = context.of(request)
    _, tenant, language = await link_pages.reader(request, link)
    page = LinkPage(language, tenant.brand)
    for key in (link.type, *link.others):
        found = await ctx[Catalog].type(link.tenant, key)
        (page.required if found.rules.requires("email") else page.optional)[key] = found.rules.name_of(key)
    return page


HANDLERS = [show, confirm]
