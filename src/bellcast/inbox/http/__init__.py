"""The recipient's own inbox: read it, count it, and change its notifications."""

import functools
from collections.abc import Awaitable, Callable
from typing import Annotated, ClassVar, Literal

from msgspec import Struct, field

from bellcast import calls
from bellcast.inbox import inboxes
from bellcast.inbox.store.inboxes import Inboxes
from bellcast.inbox.types import Notification
from bellcast.inbox.types.inboxes import (
    Action,
    Counts,
    CountsQuery,
    Inbox,
    InboxListing,
    Marked,
    Marking,
    Query,
    SelectionFilter,
)
from bellcast.kernel import ids, times, validation
from bellcast.kernel.errors import BadRequest, Conflict, HandlerFailed, Invalid, NotFound
from bellcast.kernel.field_limits import (
    GIVEN,
    INNER,
    LIST,
    NO,
    NULL,
    TEXT,
    YES,
    Schema,
    ValueRule,
    lasting,
    list_of,
    one_of,
    only,
    shown,
)
from bellcast.kernel.http import ASGIApp, entity_tags, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest, DryRunFlag
from bellcast.kernel.identities import Principal
from bellcast.rest import context, guards
from bellcast.rest.operations import ApiEndpoint, operation
from bellcast.rest.resource import Resource, ResourceCall


async def recipient(request: ApiRequest) -> tuple[str, str]:
    """Return tenant and key of the authenticated recipient, unless its session was revoked."""
    state = (await inbox_of(request)).state
    return state.tenant, state.recipient


async def inbox_of(request: ApiRequest) -> Inbox:
    """Return the inbox of the authenticated recipient, unless its session was revoked."""
    ctx = context.of(request)
    principal: Principal = request.scope["state"]["principal"]
    renew = functools.partial(ctx.authenticator.renewed, guards.auth_request(request.scope))
    _, opened = await inboxes.enter(ctx.engines, principal, None, renew)
    return opened.inbox


def is_own(request: ApiRequest) -> bool:
    """Return whether the request has a session of the recipient, rather than permissions of the server."""
    return "principal" in request.scope["state"]


class ViewQuery(Struct, frozen=True, kw_only=True):
    """The view to delete, optionally limited to one type."""

    view: Literal["read", "archived", "snoozed", "all"]
    type: str | None = None


TIME_OR_BACK = r"^(back|[0-9]{4}-[0-9]{2}-[0-9]{2}T.+)$"
AHEAD = ValueRule(schema=lasting(0, times.MAX_AHEAD_SECONDS, "", is_above=True).schema)
# Ids are counted and compared by `inboxes.parse_selection`, times by `inboxes.snooze_end`.
IDS = ValueRule(schema=lambda limits: list_of(limits.ids, TEXT))


class Patch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes to one notification. At least one of the three is required."""

    seen: bool | None = None
    read: bool | None = None
    archived: bool | None = None

    SCHEMA: ClassVar[Schema] = {
        "not": {
            "anyOf": [
                {"properties": {"seen": NO, "read": YES}, "required": ["seen", "read"]},
                {"properties": {"seen": NULL, "read": NULL, "archived": NULL}},
            ]
        }
    }


class Selection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The notifications to act on: either ids, or all, optionally of a view, type or tag."""

    ids: Annotated[list[str] | None, IDS] = None
    all: bool = False
    of: Annotated[SelectionFilter | None, INNER] = None

    SCHEMA: ClassVar[Schema] = one_of(only("all", YES, ids=NULL), only("ids", LIST, of=NULL))


class SnoozeRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The notifications to snooze, and until when: a time, `"back"` (until the recipient is back), or a duration from now."""

    ids: Annotated[list[str], IDS]
    until: Annotated[str | None, shown({"pattern": TIME_OR_BACK, "format": "time-or-back"})] = None
    duration: Annotated[str | float | None, AHEAD] = field(default=None, name="for")

    SCHEMA: ClassVar[Schema] = one_of(only("until", TEXT, **{"for": NULL}), only("for", GIVEN))


class Outcome(Struct, frozen=True):
    """The number of changed notifications, and the new counters."""

    changed: int
    unread: int
    unseen: int


class ActionOutcome(Outcome, frozen=True):
    """The number of changed notifications, and the new counters. `ids` are the changed notifications, for undoing an action
    on all; null if there are more than 1,000."""

    ids: tuple[str, ...] | None


own_operation = functools.partial(operation, tag="Inbox", required_scope="recipient")
INBOX = Resource("inbox", tag="Inbox", required_scope="recipient", query=None, refusals=())
ONE = Resource("inbox", "/{id:str}", tag="Inbox", required_scope="recipient", query=None)


async def _if_changed(request: ApiRequest, read: Callable[[Inboxes, int], Awaitable[InboxListing | Counts]]) -> ASGIApp:
    """Return what `read` finds in the inbox; 304 if it has not changed since the client's ETag, which is its position."""
    inbox, result = await inbox_of(request), None
    etag = f'"{inbox.state.position}"'
    if not entity_tags.unchanged(request, etag):
        result = await read(Inboxes(context.of(request).engines.db), inbox.number)
        etag = f'"{result.position}"'
    headers = {"etag": etag, "cache-control": "private, no-cache"}
    return responses.empty(304, headers) if result is None else responses.json(result, headers=headers)


@own_operation(
    "GET",
    "/v1/inbox",
    query=Query,
    headers=("If-None-Match",),
    response_types={200: InboxListing, 304: None},
    response_headers=("ETag",),
)
async def listing(request: ApiRequest) -> ASGIApp:
    """List notifications.

    A page of notifications, newest first, and the counters. `view=all` is everything not archived, including `unread`
    and `read`."""
    query = request_body.query(request, Query)
    if query.before is not None and not ids.is_id(query.before):
        raise BadRequest("before: invalid cursor; use the `next` of a page.")
    if query.since is not None:
        validation.check(validation.moment("since", query.since))
    return await _if_changed(request, lambda stored, inbox: stored.page(inbox, query))


@own_operation(
    "GET",
    "/v1/inbox/counts",
    query=CountsQuery,
    headers=("If-None-Match",),
    response_types={200: Counts, 304: None},
    response_headers=("ETag",),
)
async def counts(request: ApiRequest) -> ASGIApp:
    """Count unread notifications.

    The numbers for the badge and the tabs. Suitable for polling: an unchanged result is a 304 without a body. With a
    filter, all three numbers count only matching notifications."""
    query = request_body.query(request, CountsQuery)
    return await _if_changed(request, lambda stored, inbox: stored.unread_by_type(inbox, query))


@ONE.get(Notification)
async def read(call: ResourceCall[None]) -> Notification:
    """Read one notification."""
    return await inboxes.get(call.ctx.engines, await inbox_of(call.request), *call.key)


@ONE.patch(Patch, Notification, example={"read": True})
async def change(call: ResourceCall[Patch]) -> Notification:
    """Change one notification.

    Seen, read or archived, or the reverse."""
    sent = call.body
    if sent.read and sent.seen is False:
        raise Invalid.of("seen", "must not be false while read is true: what is read has been seen")
    wanted: list[Action] = []
    if sent.seen is not None:
        wanted.append("seen" if sent.seen else "unseen")
    if sent.read is not None:
        wanted.append("read" if sent.read else "unread")
    if sent.archived is not None:
        wanted.append("archive" if sent.archived else "unarchive")
    if not wanted:
        raise Invalid.of("", "expected at least one of seen, read and archived")
    return await inboxes.change(call.ctx.engines, await inbox_of(call.request), call.key[0], wanted)


@ONE.delete()
async def delete(call: ResourceCall[None]) -> bool:
    """Delete one notification."""
    await inboxes.delete(call.ctx.engines, await inbox_of(call.request), *call.key)
    return True


@own_operation("DELETE", "/v1/inbox", query=ViewQuery, response_types={200: Outcome})
async def clear(request: ApiRequest) -> ASGIApp:
    """Delete everything in a view.

    `type` limits it to notifications of that type."""
    params = request_body.query(request, ViewQuery)
    return responses.json(
        outcome(await _mark(request, Marking(actions=("delete",), view=params.view, type=params.type)))
    )


async def _mark(request: ApiRequest, marking: Marking) -> Marked:
    inbox = await inbox_of(request)
    return await inboxes.mark(context.of(request).engines, inbox.state.tenant, inbox.number, marking)


def outcome(marked: Marked) -> Outcome:
    """Convert the result of an action for clients."""
    return Outcome(marked.changed, marked.state.unread, marked.state.unseen)


@INBOX.act(
    "/snooze",
    Outcome,
    body=SnoozeRequest,
    query=DryRunFlag,
    example={"ids": ["01890a5d-ac96-774b-bcce-b302099a8057"], "for": "3h"},
)
async def snooze(call: ResourceCall[SnoozeRequest]) -> Outcome:
    """Snooze notifications.

    Until the given time, at most 366 days ahead, they are only in the view `snoozed` and not counted. Then they return
    to the top of the inbox, unread and unseen. `unarchive` returns them immediately. `"until": "back"` snoozes them until
    `POST /v1/inbox/back`, at most 30 days."""
    ctx, params = call.ctx, call.body
    chosen = inboxes.parse_selection(params.ids, everything=False, limits=ctx.limits)
    now = times.to_rfc3339(ctx.engines.clock.now())
    until = times.milliseconds(inboxes.snooze_end(params.until, params.duration, now))
    if call.is_dry_run:
        return outcome(await inboxes.plan_snooze(ctx.engines, await inbox_of(call.request), chosen or (), until))
    until_back = params.until == inboxes.UNTIL_BACK
    marking = Marking(actions=("snooze",), ids=chosen, until=until, until_back=until_back)
    return outcome(await _mark(call.request, marking))


@INBOX.act("/back", Outcome)
async def back(call: ResourceCall[None]) -> Outcome:
    """Return notifications that were snoozed with `"until": "back"`.

    Call this when the recipient is back, on any device: the notifications return to the top of the inbox, unread and
    unseen. `awaits_return` of `GET /v1/inbox` shows whether there are any. The bell calls this in a new browser tab,
    and in a tab that was hidden for 15 minutes."""
    return outcome(await inboxes.wake_until_back(call.ctx.engines, await inbox_of(call.request)))


@ONE.act("/actions/{key:str}", Notification, query=DryRunFlag, refusals=(NotFound, Conflict, HandlerFailed))
async def take_action(call: ResourceCall[None]) -> Notification:
    """Take an action of a notification.

    Marks the notification acted and read. An action with `call` then calls the app's handler of that name, at most
    once, with `{"notification", "action"}`. Repeating the same action changes nothing; a different action is a 409. A
    dry run does not call the handler."""
    engines, backend, principal = call.ctx.engines, call.ctx[calls.CallBackend], guards.session(call.request)
    inbox, (id,), key = await inbox_of(call.request), call.key, request_body.path(call.request, "key")
    if call.is_dry_run:
        return await inboxes.plan_action(engines, backend, inbox, id, key)
    return await inboxes.take_action(engines, backend, principal, inbox, id, key)


def _action(word: str, action: Action, summary: str) -> ApiEndpoint:
    """Create the operation of one bulk action."""

    async def act(call: ResourceCall[Selection]) -> ActionOutcome:
        params = call.body
        chosen = inboxes.parse_selection(params.ids, everything=params.all, limits=call.ctx.limits)
        if params.of is not None and chosen is not None:
            raise Invalid.of("of", "limits `all`, so it cannot be combined with ids")
        marked = await _mark(call.request, inboxes.marking_of(action, chosen, params.of))
        ids = marked.ids if marked.changed else ()
        return ActionOutcome(marked.changed, marked.state.unread, marked.state.unseen, ids)

    act.__name__, act.__doc__ = f"mark_{word}", summary
    return INBOX.act(f"/{word}", ActionOutcome, body=Selection, example={"all": True})(act)


ACTIONS = [
    _action("seen", "seen", "Mark seen.\n\nThe notifications were displayed in an opened inbox."),
    _action("read", "read", "Mark read and seen.\n\nThe notifications were opened or acted on."),
    _action("unread", "unread", "Mark unread."),
    _action("archive", "archive", "Move to the archive."),
    _action("unarchive", "unarchive", "Restore from the archive."),
    _action("delete", "delete", "Delete many notifications."),
]
