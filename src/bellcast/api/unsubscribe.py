"""The page behind the unsubscribe link of an e-mail, and the one-click request of mail programs (RFC 8058)."""

from collections.abc import Mapping
from html import escape

import msgspec
from msgspec import Struct

from bellcast.api import context, link_pages, request_body, responses
from bellcast.api.operations import operation
from bellcast.api.request_body import ApiRequest
from bellcast.channels import unsubscribe
from bellcast.channels.unsubscribe import Unsubscription
from bellcast.errors import NotFound
from bellcast.inbox import recipients
from bellcast.model.asgi import ASGIApp
from bellcast.model.preferences import Preferences, merge_patch


class LinkTypes(Struct):
    """The names of the types of a link, by key: those whose e-mail can be turned off, and those that have become required
    since."""

    optional: dict[str, str] = {}
    required: dict[str, str] = {}


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
    found = await _types(request, await _read(request))
    if not found.optional:
        return _page("You need these e-mails", _required(found))
    text = f"E-mails of type {_names(found.optional)} will no longer be sent to you.{_required(found)}"
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
    link = await _read(request)
    found = await _types(request, link)
    if not found.optional:
        return _page("You need these e-mails", _required(found))
    engines = context.of(request).engines
    patch = {"types": {type: {"email": False} for type in found.optional}}

    def unsubscribed(before: bytes | None) -> Preferences:
        merged = merge_patch({} if before is None else msgspec.json.decode(before), patch)
        return msgspec.convert(merged, Preferences)

    await recipients.change_preferences_by_link(engines, link_pages.recipient(link), unsubscribed)
    return _page("You are unsubscribed", f"E-mails of type {_names(found.optional)} are off.{_required(found)}")


async def _types(request: ApiRequest, link: Unsubscription) -> LinkTypes:
    catalog = context.of(request).catalog
    types = LinkTypes()
    for key in (link.type, *link.others):
        found = await catalog.type(link.tenant, key)
        (types.required if found.rules.requires("email") else types.optional)[key] = found.name or key
    return types


def _names(types: Mapping[str, str]) -> str:
    return ", ".join(f"“{escape(name)}”" for name in types.values())


async def _read(request: ApiRequest) -> Unsubscription:
    ctx = context.of(request)
    found = unsubscribe.read(ctx.project, request_body.path(request, "token"))
    if found is None or not await ctx.engines.store.recipients.accepts_link(link_pages.recipient(found)):
        raise NotFound("This unsubscribe link is not valid.")
    return found


def _required(types: LinkTypes) -> str:
    names = _names(types.required)
    return f" E-mails of type {names} are required and cannot be turned off." if names else ""


def _page(title: str, text: str, form: str = "") -> ASGIApp:
    return link_pages.message(title, f"<p>{text}</p>\n{form}")


HANDLERS = [show, confirm]
