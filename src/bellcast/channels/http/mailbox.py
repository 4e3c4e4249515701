"""The mailbox page, which shows simulated messages as their recipients would see them, and the links to it."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from bellcast.auth import keys, link_tokens
from bellcast.auth.store import Keys
from bellcast.channels import email
from bellcast.channels.catalog import Catalog
from bellcast.channels.http import link_pages, rfc822
from bellcast.channels.store.messages import Messages
from bellcast.channels.types import ChannelConfig, StoredMessage, title_of
from bellcast.console import pages
from bellcast.kernel import times
from bellcast.kernel.db.lists import ListQuery
from bellcast.kernel.errors import NotFound
from bellcast.kernel.field_limits import LINK_LIFETIME
from bellcast.kernel.http import ASGIApp, list_parameters, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.rest import context, guards
from bellcast.rest.operations import operation
from bellcast.rest.resource import Resource, ResourceCall
from bellcast.templates.types import Brand

# The page runs no scripts. A message's HTML is shown in a sandboxed frame, which runs no scripts either and may only
# load images.
HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src https: http: data:; "
    "frame-ancestors 'none'",
}
PURPOSE = b"bellcast mailbox\x00"
SIZE = 50
PAGE = Path(__file__).with_name("mailbox.html")
STYLE = PAGE.with_suffix(".css").read_text(encoding="utf-8")
EXPIRED = "<p>Links to a mailbox end after a while. <code>bellcast mailbox</code> prints a new one.</p>"
CHANNELS = {"email": "E-mail", "sms": "SMS", "push": "Push", "chat": "Chat"}


class MailboxGrant(Struct, frozen=True, array_like=True):
    """The tenant whose simulated messages a link shows, until `expires_at` (UTC milliseconds)."""

    tenant: str
    expires_at: int
    key: str | None = None  # the API key that created it, with which it ends


class MailboxRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the link is valid: seconds, or a duration such as `1d`."""

    ttl: Annotated[str | float, LINK_LIFETIME] = "1d"


class MailboxLink(Struct, frozen=True):
    """A link to the page of simulated messages; null in a dry run."""

    url: str | None


class MailboxQuery(Struct, frozen=True, kw_only=True):
    """The chosen message, and the page of the list."""

    message: str | None = None
    after: str | None = None


@Resource("mailbox-link", tag="Messages").create(
    MailboxRequest, MailboxLink, is_body_optional=True, example={"ttl": "1d"}
)
async def create(call: ResourceCall[MailboxRequest]) -> MailboxLink:
    """Create a link to the mailbox.

    A page with a tenant's simulated messages, for tests. It ends with the key of the request. `bellcast mailbox` prints it."""
    ctx = call.ctx
    if call.is_dry_run:
        return MailboxLink(None)
    until = guards.ending(call.request, ctx.engines.clock.now() + int(times.seconds(call.body.ttl) * 1000))
    grant = MailboxGrant(call.tenant, until, guards.caller(call.request).key)
    base = (ctx[ChannelConfig].public_url or "").rstrip("/")
    return MailboxLink(f"{base}/mailbox/{link_tokens.sign(ctx.project, PURPOSE, grant)}")


@operation(
    "GET",
    "/mailbox/{token:str}",
    tag="Messages",
    required_scope=None,
    query=MailboxQuery,
    response_types={200: responses.HTML},
    refusals=(NotFound,),
)
async def show(request: ApiRequest) -> ASGIApp:
    """Show the mailbox.

    The newest messages come first; one of them is open."""
    ctx, query = context.of(request), request_body.query(request, MailboxQuery)
    token = request_body.path(request, "token")
    grant, api_keys = link_tokens.read(ctx.project, PURPOSE, token, MailboxGrant), Keys(ctx.engines.db)
    if grant is None or grant.expires_at <= ctx.engines.clock.now() or await keys.is_revoked(api_keys, grant.key):
        if not request_body.accepts_html(request):
            raise NotFound("This link is no longer valid.")
        return link_pages.message("Link not valid", EXPIRED, "en", Brand(), 404)
    stored = Messages(ctx.engines.db)
    after = list_parameters.item_id(query.after)
    position = None if after is None else (after,)
    found = await stored.page(
        ListQuery(tenants=[grant.tenant], filters={"state": "simulated"}, after=position, limit=SIZE)
    )
    shown, following = found.items, None if found.next is None else found.next[0]
    chosen = None
    if query.message is not None:
        chosen = next(iter(await stored.find([query.message])), None)
        if chosen is None or chosen.tenant != grant.tenant or chosen.state != "simulated":
            raise NotFound("There is no simulated message with this id.")
    opened = chosen or next(iter(shown), None)
    brand = (await ctx[Catalog].tenant(grant.tenant)).brand
    content: dict[str, Any] = {} if opened is None else msgspec.json.decode(opened.content)
    raw = await rfc822(ctx, opened) if opened is not None and opened.channel == "email" else b""
    main = pages.template(PAGE).render(
        base=f"/mailbox/{quote(token)}",
        after=query.after,
        following=following,
        owner=brand.name or grant.tenant,
        messages=shown,
        opened=opened,
        is_chosen=chosen is not None,
        content=content,
        headers=raw.decode(errors="replace").replace("\r\n", "\n").partition("\n\n")[0],
        channels=CHANNELS,
        title_of=lambda one: email.one_line((title_of(one.content) or one.type).strip().split("\n")[0])[:120],
        time_of=_time,
    )
    robots = '<meta name="robots" content="noindex">\n'
    page = pages.page("Mailbox", main, base="../", style=STYLE, head=robots, has_landing=ctx.landing is not False)
    return responses.complete(200, page, responses.HTML, HEADERS)


def _time(message: StoredMessage, rest: str = "%b %Y, %H:%M UTC") -> str:
    """Return the time of a message as the console writes it: the day, and this format."""
    moment: datetime = times.to_rfc3339(message.due_at)
    return f"{moment.day} {moment:{rest}}"
