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


@operation(
    "GET",
    "/u/{token:str}",
    tag="Preferences",
    required_scope=None,
    response_types={200: responses.HTML},
    refusals=(NotFound,),
)
@link_pages.with_error_page
async def show(request: ApiRequest) -> ASGIApp:
    """Show the unsubscribe page.

    This changes nothing, because mail programs open links to check them."""
    optional, required = await _types(request, await _read(request))
    if not optional:
        return _page("You need these e-mails", _required(required))
    text = f"E-mails of type {_names(optional)} will no longer be sent to you.{_required(required)}"
    return _page("Unsubscribe?", text, '<form method="post"><button>Unsubscribe</button></form>')


@operation(
    "POST",
    "/u/{token:str}",
    tag="Preferences",
    required_scope=None,
    response_types={200: responses.HTML},
    refusals=(NotFound,),
)
@link_pages.with_error_page
async def confirm(request: ApiRequest) -> ASGIApp:
    """Unsubscribe.

    Turns off e-mails of this type for the recipient, unless the type requires them now. Safe to repeat. The link in a
    digest turns off every type in it."""
    found = await _read(request)
    optional, required = await _types(request, found)
    if not optional:
        return _page("You need these e-mails", _required(required))
    engines = context.of(request).engines
    patch = {"types": {type: {"email": False} for type in optional}}

    def unsubscribed(before: bytes | None) -> Preferences:
        merged = merge_patch({} if before is None else msgspec.json.decode(before), patch)
        return msgspec.convert(merged, Preferences)

    await recipients.change_preferences_by_link(engines, link_pages.recipient(found), unsubscribed)
    return _page("You are unsubscribed", f"E-mails of type {_names(optional)} are off.{_required(required)}")


async def _types(request: ApiRequest, link: Unsubscription) -> tuple[list[str], list[str]]:
    """Return the types of the link whose e-mail can be turned off, and those that have become required since."""
    catalog = context.of(request).catalog
    optional: list[str] = []
    required: list[str] = []
    for type in (link.type, *link.others):
        rules = (await catalog.type(link.tenant, type)).rules
        (required if rules.requires("email") else optional).append(type)
    return optional, required


def _names(types: list[str]) -> str:
    return ", ".join(f"“{escape(type)}”" for type in types)


async def _read(request: ApiRequest) -> Unsubscription:
    ctx = context.of(request)
    found = unsubscribe.read(ctx.project, request_body.path(request, "token"))
    if found is None or not await ctx.engines.store.recipients.accepts_link(link_pages.recipient(found)):
        raise NotFound("This unsubscribe link is not valid.")
    return found


def _required(types: list[str]) -> str:
    return f" E-mails of type {_names(types)} are required and cannot be turned off." if types else ""


def _page(title: str, text: str, form: str = "") -> ASGIApp:
    return link_pages.message(title, f"<p>{text}</p>\n{form}")


HANDLERS = [show, confirm]
