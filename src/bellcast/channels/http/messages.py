"""Messages sent, or to be sent, through channels other than the inbox: read, retry and release them; suppressed addresses; and
the mailbox page, which shows simulated messages as their recipients would see them."""

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
from msgspec import Struct

from bellcast.auth import keys, link_tokens
from bellcast.auth.store import Keys
from bellcast.channels import addresses, delivery, email, releases
from bellcast.channels.catalog import Catalog
from bellcast.channels.http import link_pages
from bellcast.channels.store import messages, suppressions
from bellcast.channels.store.messages import Messages
from bellcast.channels.store.suppressions import Suppressions
from bellcast.channels.types import (
    EXTERNAL_CHANNELS,
    Attempt,
    ChannelConfig,
    ExternalChannel,
    Message,
    Retried,
    State,
    StoredMessage,
    SuppressedAddress,
    SuppressionReason,
    title_of,
)
from bellcast.console import pages
from bellcast.kernel import times, validation
from bellcast.kernel.db.lists import ListPage, ListQuery, containing
from bellcast.kernel.errors import BadRequest, Conflict, Invalid, NotFound
from bellcast.kernel.field_limits import LINK_LIFETIME, TENANT_NAME
from bellcast.kernel.http import ASGIApp, list_parameters, request_body, responses
from bellcast.kernel.http.list_parameters import AppListLimit, TimeRangeQuery
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.times import Moment
from bellcast.operators.types import ONE_BY_ONE
from bellcast.providers.directory import ProviderDirectory
from bellcast.replays.replays import ReplayRunner
from bellcast.replays.store import FailureFilter
from bellcast.rest import audit, context, guards, tenants
from bellcast.rest.context import ApiContext
from bellcast.rest.objects import ObjectSearchQuery
from bellcast.rest.operations import operation
from bellcast.rest.resource import Listing, Resource, ResourceCall
from bellcast.rest.tenants import TenantQuery
from bellcast.templates.types import Brand

# An e-mail runs no scripts and loads nothing. A loaded image would report to the sender that the e-mail was opened.
HTML_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'self'; sandbox",
}
# The condition of a style rule for one color scheme.
COLOR_SCHEME = re.compile(r"\(\s*prefers-color-scheme\s*:\s*(light|dark)\s*\)", re.IGNORECASE)
ALWAYS, NEVER = "(min-width:0)", "(max-width:0)"


class SchemeQuery(TenantQuery, frozen=True, kw_only=True):
    """The color scheme in which an e-mail is shown; without one, that of the browser."""

    scheme: Literal["light", "dark"] | None = None


class MessagesQuery(TimeRangeQuery, frozen=True, kw_only=True):
    """A page of messages, newest first, with filters. `workflow` selects messages of the workflow's runs. The tenant
    `*` means all tenants."""

    channel: ExternalChannel | None = None
    state: State | None = None
    provider: str | None = None
    recipient: str | None = None
    notification: str | None = None
    run: str | None = None
    workflow: str | None = None
    limit: AppListLimit = 100
    after: str | None = None


class AttemptList(Struct, frozen=True):
    """The delivery attempts of a message, and its current state."""

    state: State
    reason: str | None
    attempts: tuple[Attempt, ...]


class RetryRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which failed messages to queue again: of a channel, created since a time."""

    channel: ExternalChannel | None = None
    since: Moment | None = None
    tenant: Annotated[str | None, TENANT_NAME] = None


MESSAGES = Resource("messages", "/{id:str}", tag="Messages", unknown="There is no message with this id.")


SHOWN = "recipient notification run channel provider state due_at"


@MESSAGES.page(messages.LIST, Message, query=MessagesQuery, shown=SHOWN, refusals=(BadRequest,))
async def page(listing: Listing[MessagesQuery]) -> ListPage[Message]:
    """List messages.

    Newest first; the filters can be combined."""
    engines = listing.ctx.engines
    found = await Messages(engines.db).page(listing.list_query)
    return found.of([item(message) async for message in engines.pace.each(found.items)])


OF_EMAIL: dict[str, Any] = {"response_types": {200: "message/rfc822"}, "refusals": (NotFound, Conflict)}


@MESSAGES.get(Message)
async def read(call: ResourceCall[None]) -> Message:
    """Read a message.

    With its content and every attempt to deliver it."""
    return item(await _find(call))


@MESSAGES.get(Any, "/raw", **OF_EMAIL)
async def raw(call: ResourceCall[None]) -> Any:
    """Read an e-mail as it is sent.

    In the format of RFC 5322, which mail programs can open."""
    return responses.complete(200, await rfc822(call.ctx, await _find(call)), "message/rfc822")


@MESSAGES.get(Any, "/eml", **OF_EMAIL)
async def eml(call: ResourceCall[None]) -> Any:
    """Download an e-mail.

    As a file `<id>.eml` in the format of RFC 5322, with the same content as `/raw`."""
    message = await _find(call)
    name = f'attachment; filename="{message.id}.eml"'
    body = await rfc822(call.ctx, message)
    return responses.complete(200, body, "message/rfc822", {"content-disposition": name})


@MESSAGES.get(AttemptList, "/attempts")
async def attempts(call: ResourceCall[None]) -> AttemptList:
    """List the attempts to deliver a message.

    Oldest first, each with the provider's response. For a message of a digest, the attempts of the digest."""
    message = await _find(call)
    return AttemptList(message.state, message.reason, message.attempts)


def in_scheme(text: str, scheme: str) -> str:
    """Return the HTML of an e-mail with the style rules of this color scheme, whatever the browser prefers."""
    return COLOR_SCHEME.sub(lambda rule: ALWAYS if rule[1].lower() == scheme else NEVER, text)


@MESSAGES.get(Any, "/html", **{**OF_EMAIL, "response_types": {200: responses.HTML}, "query": SchemeQuery})
async def html(call: ResourceCall[None]) -> Any:
    """Read the HTML of an e-mail.

    Pages of this server can show it in a frame. Its scripts do not run, and it loads no images from other servers."""
    message = await _find(call)
    text = msgspec.json.decode(message.content).get("html") if message.channel == "email" else None
    if not text:
        raise Conflict("Only e-mails with HTML are available in this form.")
    scheme = request_body.query(call.request, SchemeQuery).scheme
    return responses.complete(200, (in_scheme(text, scheme) if scheme else text).encode(), responses.HTML, HTML_HEADERS)


@MESSAGES.act("/retry", Retried, status=202, roles=ONE_BY_ONE, refusals=(NotFound, Conflict))
async def retry(call: ResourceCall[None]) -> Retried:
    """Retry a message that failed or bounced.

    The message gets a new series of attempts, an e-mail or SMS to the address that the recipient has now. A message whose template
    could not be rendered has no content and cannot be retried: correct the template or the data, then send the notification again.
    Messages of recalled notifications are refused, which a dry run does not check. For a message of a digest, the digest is sent
    again as a whole; if it shows what was recalled since, a new digest of its other messages is sent instead. A message to a
    suppressed address becomes `suppressed` without an attempt: an address that bounced is suppressed until you allow it again."""
    await releases.retry(call.ctx.engines, await _find(call), is_dry_run=call.is_dry_run)
    return Retried(1)


@MESSAGES.act("/release", Retried, status=202, roles=ONE_BY_ONE, is_audited=True, refusals=(NotFound, Conflict))
async def release(call: ResourceCall[None]) -> Retried:
    """Send a simulated message for real.

    The channel's providers send it to the recipient's current address, if preferences and suppressions still permit it.
    For a message of a digest, the digest is sent, or a new one without what was recalled. Messages of recalled notifications are refused."""
    ctx, message = call.ctx, await _find(call)
    if not await ctx[ProviderDirectory].can_deliver(message.tenant, message.channel):
        raise Conflict(
            f"No provider delivers {message.channel} messages: add one, or remove it from BELLCAST_SIMULATE."
        )
    await releases.release(ctx.engines, message, is_dry_run=call.is_dry_run)
    if not call.is_dry_run:
        audit.note_change(call.request, "state", "simulated", "queued")
    return Retried(1)


@Resource("messages", "/retry", tag="Messages").act(
    "",
    Retried,
    body=RetryRequest,
    is_body_optional=True,
    status=202,
    refusals=(Conflict,),
    example={"channel": "email", "since": "2026-06-10T12:00:00Z"},
)
async def retry_many(call: ResourceCall[RetryRequest]) -> Retried:
    """Retry failed messages.

    Starts a replay in the background. It retries all messages of the tenant that failed or bounced, optionally of one
    channel or created since a time, except those whose template could not be rendered. `retried` counts at most 20,000,
    but more messages may be retried; it also counts messages of recalled notifications, which are not."""
    replays, body = call.ctx[ReplayRunner], call.body
    tenant = tenants.single_tenant(call.request, body.tenant)
    since = 0 if body.since is None else times.milliseconds(body.since)
    plan, _ = await replays.plan(tenant, FailureFilter(kind="message", channel=body.channel, since=since), ())
    if plan.matched and not call.is_dry_run:
        await replays.start(tenant, plan)
    return Retried(plan.matched)


async def rfc822(ctx: ApiContext, message: StoredMessage) -> bytes:
    """Return an e-mail as its provider sends it. Raises Conflict if the message is not an e-mail."""
    if message.channel != "email":
        raise Conflict("Only e-mails are available in this form.")
    sender, name = await ctx[ProviderDirectory].email_sender(message.tenant, message.provider)
    return email.compose(delivery.content_of(message), sender, name)


async def _find(call: ResourceCall[Any]) -> StoredMessage:
    found = await Messages(call.ctx.engines.db).find(call.key)
    if not found or found[0].tenant != call.tenant:
        raise NotFound(MESSAGES.unknown)
    # An e-mail's transfer encoding would divide a link, so that `guards.response_for` does not recognise it.
    hidden = found[0].content if guards.may_use_links(call.request) else link_tokens.hide(found[0].content)
    return msgspec.structs.replace(found[0], content=hidden)


def item(message: StoredMessage) -> Message:
    """Return a message as clients see it."""
    content: dict[str, Any] = msgspec.json.decode(message.content)
    return responses.item(Message, message, to=message.address, content=content)


# --- suppressed addresses


def _address(request: ApiRequest) -> tuple[ExternalChannel, str]:
    """Return the channel and the address in the path. Raises Invalid."""
    channel = next((one for one in EXTERNAL_CHANNELS if one == request_body.path(request, "channel")), None)
    if channel is None:
        raise Invalid.of("channel", f"must be one of: {', '.join(EXTERNAL_CHANNELS)}")
    address = request_body.path(request, "address")
    wrong = addresses.format_problem(channel, address)
    if wrong is not None:
        raise Invalid.of("address", wrong)
    validation.check(validation.text("address", address, addresses.MAX_ADDRESS))
    return channel, address


SUPPRESSIONS = Resource(
    "suppressions", "/{channel:str}/{address:str}", _address, tag="Messages", unknown="This address is not suppressed."
)


@SUPPRESSIONS.page(suppressions.LIST, SuppressedAddress, query=ObjectSearchQuery, id="suppressions.page")
async def suppression_page(listing: Listing[ObjectSearchQuery]) -> ListPage[SuppressedAddress]:
    """List suppressed addresses.

    By channel and address. With `?tenant=*`, those of all tenants, by tenant, channel and address."""
    return await Suppressions(listing.ctx.engines.db).page(
        msgspec.structs.replace(listing.list_query, filters=containing(listing.query.text))
    )


@SUPPRESSIONS.put(
    SuppressionReason,
    SuppressedAddress,
    is_body_optional=True,
    example={"reason": "requested by phone"},
    id="suppressions.suppress",
)
async def suppress(call: ResourceCall[SuppressionReason]) -> tuple[SuppressedAddress, bool]:
    """Suppress an address.

    Nothing more is sent to it, and waiting messages become `suppressed`. 201 when it is new. The case of e-mail
    addresses does not matter."""
    (channel, address), reason, now = call.key, call.body.reason, call.ctx.engines.clock.now()
    if call.is_dry_run:
        return SuppressedAddress(call.tenant or None, channel, address, reason, times.to_rfc3339(now)), False
    return await Suppressions(call.ctx.engines.db).put(call.tenant, channel, address, reason, now)


@SUPPRESSIONS.delete(id="suppressions.allow")
async def allow(call: ResourceCall[None]) -> bool:
    """Allow an address again."""
    return await Suppressions(call.ctx.engines.db).delete(call.tenant, *call.key)


# --- the mailbox page

# The page runs no scripts. A message's HTML is shown in a sandboxed frame, which runs no scripts either and may only
# load images.
MAILBOX_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src https: http: data:; "
    "frame-ancestors 'none'",
}
MAILBOX_PURPOSE = b"bellcast mailbox\x00"
MAILBOX_SIZE = 50
MAILBOX = Path(__file__).with_name("mailbox.html")
MAILBOX_STYLE = MAILBOX.with_suffix(".css").read_text(encoding="utf-8")
MAILBOX_EXPIRED = "<p>Links to a mailbox end after a while. <code>bellcast mailbox</code> prints a new one.</p>"
MAILBOX_CHANNELS = {"email": "E-mail", "sms": "SMS", "push": "Push", "chat": "Chat"}


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
    MailboxRequest, MailboxLink, is_body_optional=True, example={"ttl": "1d"}, id="mailbox.create"
)
async def create_mailbox_link(call: ResourceCall[MailboxRequest]) -> MailboxLink:
    """Create a link to the mailbox.

    A page with a tenant's simulated messages, for tests. It ends with the key of the request. `bellcast mailbox` prints it."""
    ctx = call.ctx
    if call.is_dry_run:
        return MailboxLink(None)
    until = guards.ending(call.request, ctx.engines.clock.now() + int(times.seconds(call.body.ttl) * 1000))
    grant = MailboxGrant(call.tenant, until, guards.caller(call.request).key)
    base = (ctx[ChannelConfig].public_url or "").rstrip("/")
    return MailboxLink(f"{base}/mailbox/{link_tokens.sign(ctx.project, MAILBOX_PURPOSE, grant)}")


@operation(
    "GET",
    "/mailbox/{token:str}",
    tag="Messages",
    required_scope=None,
    query=MailboxQuery,
    response_types={200: responses.HTML},
    refusals=(BadRequest, NotFound),
    id="mailbox.show",
)
async def show_mailbox(request: ApiRequest) -> ASGIApp:
    """Show the mailbox.

    The newest messages come first; one of them is open."""
    ctx, query = context.of(request), request_body.query(request, MailboxQuery)
    token = request_body.path(request, "token")
    grant, api_keys = link_tokens.read(ctx.project, MAILBOX_PURPOSE, token, MailboxGrant), Keys(ctx.engines.db)
    if grant is None or grant.expires_at <= ctx.engines.clock.now() or await keys.is_revoked(api_keys, grant.key):
        if not request_body.accepts_html(request):
            raise NotFound("This link is no longer valid.")
        return link_pages.message("Link not valid", MAILBOX_EXPIRED, "en", Brand(), 404)
    stored = Messages(ctx.engines.db)
    after = list_parameters.item_id(query.after)
    position = None if after is None else (after,)
    found = await stored.page(
        ListQuery(tenants=[grant.tenant], filters={"state": "simulated"}, after=position, limit=MAILBOX_SIZE)
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
    main = pages.template(MAILBOX).render(
        base=f"/mailbox/{quote(token)}",
        after=query.after,
        following=following,
        owner=brand.name or grant.tenant,
        messages=shown,
        opened=opened,
        is_chosen=chosen is not None,
        content=content,
        headers=raw.decode(errors="replace").replace("\r\n", "\n").partition("\n\n")[0],
        channels=MAILBOX_CHANNELS,
        title_of=lambda one: email.one_line((title_of(one.content) or one.type).strip().split("\n")[0])[:120],
        time_of=_time,
    )
    robots = '<meta name="robots" content="noindex">\n'
    page = pages.page(
        "Mailbox", main, base="../", style=MAILBOX_STYLE, head=robots, has_landing=ctx.landing is not False
    )
    return responses.complete(200, page, responses.HTML, MAILBOX_HEADERS)


def _time(message: StoredMessage, rest: str = "%b %Y, %H:%M UTC") -> str:
    """Return the time of a message as the console writes it: the day, and this format."""
    moment: datetime = times.to_rfc3339(message.due_at)
    return f"{moment.day} {moment:{rest}}"
