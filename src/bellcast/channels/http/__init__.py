"""Messages sent, or to be sent, through channels other than the inbox: read, retry and release them."""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Struct

from bellcast import replays
from bellcast.auth import link_tokens
from bellcast.channels import delivery, email, releases
from bellcast.channels.store import messages
from bellcast.channels.store.messages import Messages
from bellcast.channels.types import (
    Attempt,
    ExternalChannel,
    Message,
    Retried,
    State,
    StoredMessage,
)
from bellcast.kernel import times
from bellcast.kernel.db.lists import ListPage
from bellcast.kernel.errors import Conflict, NotFound
from bellcast.kernel.field_limits import TENANT_NAME
from bellcast.kernel.http import request_body, responses
from bellcast.kernel.http.list_parameters import AppListLimit, TimeRangeQuery
from bellcast.kernel.times import Moment
from bellcast.operators.types import ONE_BY_ONE
from bellcast.providers.directory import ProviderDirectory
from bellcast.replays.store import FailureFilter
from bellcast.rest import audit, guards
from bellcast.rest.context import ApiContext
from bellcast.rest.resource import Listing, Resource, ResourceCall
from bellcast.rest.tenants import TenantQuery

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


@MESSAGES.page(messages.LIST, Message, query=MessagesQuery, shown=SHOWN)
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
    engines, body, tenant = call.ctx.engines, call.body, call.tenant
    since = 0 if body.since is None else times.milliseconds(body.since)
    wanted = FailureFilter(kind="message", channel=body.channel, since=since)
    plan, _ = await replays.plan(engines, tenant, wanted, ())
    if plan.matched and not call.is_dry_run:
        await replays.start(engines, tenant, plan)
    return Retried(plan.matched)


async def rfc822(ctx: ApiContext, message: StoredMessage) -> bytes:
    """Return an e-mail as its provider sends it. Raises Conflict if the message is not an e-mail."""
    if message.channel != "email":
        raise Conflict("Only e-mails are available in this form.")
    sender, name = await ctx[ProviderDirectory].email_sender(message.tenant, message.provider)
    return email.compose(delivery.outgoing(message, message.address), sender, name)


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
