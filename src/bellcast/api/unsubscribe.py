"""The page behind the unsubscribe link of an e-mail, and the one-click request of mail programs (RFC 8058)."""

from html import escape

import msgspec

from bellcast.api import context, link_pages, request_body, responses
from bellcast.api.operations import operation
from bellcast.api.request_body import ApiRequest
from bellcast.channels import unsubscribe
from bellcast.channels.unsubscribe import Unsubscription
from bellcast.errors import NotFound
from bellcast.inbox import recipients
from bellcast.model.asgi import ASGIApp
from bellcast.model.preferences import Preferences, merge_patch

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { margin: 15vh auto; max-width: 26rem; padding: 0 1.5rem; text-align: center }
button { font: inherit; padding: .6rem 1.4rem; border: 0; border-radius: .5rem; background: #3b5bdb; color: #fff; cursor: pointer }
"""


@operation(
    "GET",
    "/u/{token:str}",
    tag="Preferences",
    required_scope=None,
    response_types={200: responses.HTML},
    refusals=(NotFound,),
)
async def show(request: ApiRequest) -> ASGIApp:
    """Show the unsubscribe page.

    This changes nothing, because mail programs open links to check them."""
    found = await _read(request)
    form = '<form method="post"><button>Unsubscribe</button></form>'
    return _page("Unsubscribe?", f"E-mails of type {_names(found)} will no longer be sent to you.", form)


@operation(
    "POST",
    "/u/{token:str}",
    tag="Preferences",
    required_scope=None,
    response_types={200: responses.HTML},
    refusals=(NotFound,),
)
async def confirm(request: ApiRequest) -> ASGIApp:
    """Unsubscribe.

    Turns off e-mails of this type for the recipient. Safe to repeat. The link in a digest turns off every type in
    it."""
    found = await _read(request)
    engines = context.of(request).engines
    patch = {"types": {type: {"email": False} for type in (found.type, *found.others)}}

    def unsubscribed(before: bytes | None) -> Preferences:
        merged = merge_patch({} if before is None else msgspec.json.decode(before), patch)
        return msgspec.convert(merged, Preferences)

    await recipients.change_preferences_by_link(engines, link_pages.recipient(found), unsubscribed)
    return _page("You are unsubscribed", f"E-mails of type {_names(found)} are off.", "")


def _names(link: Unsubscription) -> str:
    return ", ".join(f"“{escape(type)}”" for type in (link.type, *link.others))


async def _read(request: ApiRequest) -> Unsubscription:
    ctx = context.of(request)
    found = unsubscribe.read(ctx.project, request_body.path(request, "token"))
    if found is None or not await ctx.engines.store.recipients.accepts_link(link_pages.recipient(found)):
        raise NotFound("This unsubscribe link is not valid.")
    return found


def _page(title: str, text: str, form: str) -> ASGIApp:
    return link_pages.page(title, STYLE, f"<h1>{title}</h1>\n<p>{text}</p>\n{form}")


HANDLERS = [show, confirm]
