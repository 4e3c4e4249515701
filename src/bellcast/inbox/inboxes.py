"""A recipient's own inbox: open and read it; mark one, many or all notifications as seen, read or archived, or delete them; and
record the action that a recipient takes, then call the app's handler."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from bellcast import calls
from bellcast.engines import Engines
from bellcast.inbox.store.inboxes import Inboxes
from bellcast.inbox.types import Acted, Notification, find_action
from bellcast.inbox.types.inboxes import (
    REPORTED,
    Action,
    Inbox,
    Marked,
    Marking,
    OpenInbox,
    ResumeFrom,
    SelectionFilter,
    SessionRevoked,
)
from bellcast.kernel import ids, times, validation
from bellcast.kernel.errors import Forbidden, HandlerFailed, Invalid, NoHandler, NotFound
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.topics import publishing as events
from bellcast.webhooks.types import no_report

# Refreshes a session that was issued before a time (UTC milliseconds); None if it has ended.
Renew = Callable[[Principal, int], Awaitable[Principal | None]]
# A notification snoozed until the recipient is back returns at the latest after this time: a month, longer than most
# absences.
MAX_UNTIL_BACK_SECONDS = 30 * 86_400
UNTIL_BACK = "back"


async def enter(
    engines: Engines, principal: Principal, since: ResumeFrom | None, renew: Renew
) -> tuple[Principal, OpenInbox]:
    """Like `reopen`, but if the store refuses the session, retry with a refreshed one."""
    try:
        return principal, await reopen(engines, principal, since)
    except SessionRevoked as revoked:
        renewed = await renew(principal, revoked.before)
        if renewed is None:
            raise
        return renewed, await reopen(engines, renewed, since)


async def reopen(engines: Engines, principal: Principal, since: ResumeFrom | None) -> OpenInbox:
    """Open the principal's inbox, materialize pending announcements and publish them. Return it with the changes that a resuming
    client missed.

    The principal must have a recipient. Raises SessionRevoked, with nothing written, if its session was revoked."""
    now, newcomers_ms = engines.clock.now(), engines.newcomers_ms()
    opened = await Inboxes(engines.db).open(principal, now, since, newcomers_ms)
    if opened.events:
        await engines.broker.publish(*opened.events)
    return opened


async def get(engines: Engines, inbox: Inbox, id: str) -> Notification:
    """Return one notification. Raises NotFound, even for an id of another inbox."""
    found = await Inboxes(engines.db).get(inbox.number, id) if ids.is_id(id) else None
    if found is None:
        raise NotFound("This inbox has no notification with this id.")
    return found


# The same as in a maintenance step: other writers wait for about 10 ms.
WAKE_BATCH_ROWS = 250
# Of the call of an action's handler.
DIALECT = "rest"


async def mark(engines: Engines, tenant: str, inbox: int, marking: Marking) -> Marked:
    """Mark notifications in the store, and publish the change to all devices of the recipient."""
    types = [f"notification.{word}" for action in marking.actions for word in REPORTED.get(action, ())]
    report = await engines.webhooks.report(tenant, types)
    marked = await Inboxes(engines.db).mark(inbox, marking, engines.clock.now(), report)
    if marked.changed and report is not no_report:
        engines.router.wake_jobs()
    await engines.broker.publish(*marked.events)
    return marked


async def wake_until_back(engines: Engines, inbox: Inbox) -> Marked:
    """Return the notifications that were snoozed until the recipient is back, in steps that leave room for other
    writers."""
    changed = 0
    while True:
        marked = await Inboxes(engines.db).wake_until_back(inbox.number, engines.clock.now(), WAKE_BATCH_ROWS)
        await engines.broker.publish(*marked.events)
        changed += marked.changed
        if marked.changed < WAKE_BATCH_ROWS:
            return Marked(changed, marked.state)


def snooze_end(until: str | None, duration: str | float | None, now: datetime) -> datetime:
    """Return the end of a snooze, given as a time, as "back" (then the latest end) or as a duration from now. Raises
    Invalid."""
    if (until is None) == (duration is None):
        raise Invalid.of("until", "must be given, or for, not both")
    if until == UNTIL_BACK:
        return now + timedelta(seconds=MAX_UNTIL_BACK_SECONDS)
    if until is not None:
        try:
            field, end = "until", msgspec.convert(until, datetime)
        except msgspec.ValidationError:
            raise Invalid.of("until", 'must be a time, as in 2030-01-31T12:00:00Z, or "back"') from None
        validation.check(validation.expiry(field, end, now))
    else:
        try:
            seconds = times.seconds(duration or 0)
        except ValueError as error:
            raise Invalid.of("for", str(error)) from None
        if not 0 < seconds <= times.MAX_AHEAD_SECONDS:
            raise Invalid.of("for", "must be more than 0 and at most 366d")
        field, end = "for", now + timedelta(seconds=seconds)
    if end - now > timedelta(seconds=times.MAX_AHEAD_SECONDS):
        raise Invalid.of(field, "must be at most 366 days from now")
    return end


async def plan_snooze(engines: Engines, inbox: Inbox, chosen: Sequence[str], until: int) -> Marked:
    """Return what snoozing the notifications would do."""
    end = times.to_rfc3339(until)
    found = [await Inboxes(engines.db).get(inbox.number, id) for id in chosen]
    changed = [one for one in found if one is not None and one.snoozed_until != end]
    active = [one for one in changed if one.archived_at is None and one.snoozed_until is None]
    state = inbox.state
    unread = state.unread - sum(one.read_at is None for one in active)
    unseen = state.unseen - sum(one.seen_at is None for one in active)
    return Marked(len(changed), msgspec.structs.replace(state, unread=unread, unseen=unseen))


async def change(engines: Engines, inbox: Inbox, id: str, actions: Sequence[Action]) -> Notification:
    """Apply actions to one notification and return it."""
    await get(engines, inbox, id)
    await mark(engines, inbox.state.tenant, inbox.number, Marking(actions=tuple(actions), ids=(id,)))
    return await get(engines, inbox, id)


async def delete(engines: Engines, inbox: Inbox, id: str) -> None:
    """Delete one notification. Raises NotFound if it does not exist."""
    await get(engines, inbox, id)
    marked = await mark(engines, inbox.state.tenant, inbox.number, Marking(actions=("delete",), ids=(id,)))
    if not marked.changed:  # deleted in the meantime
        raise NotFound("This inbox has no notification with this id.")


def marking_of(action: Action, chosen: tuple[str, ...] | None, of: SelectionFilter | None) -> Marking:
    """Return an action on the chosen ids, or on all that the filter selects. Raises Invalid for an empty filter: one that was lost
    in transit would select the whole inbox."""
    if of == SelectionFilter():
        raise Invalid.of("of", "must have type, view or tag")
    of = of or SelectionFilter()
    return Marking(actions=(action,), ids=chosen, type=of.type, view=of.view, tag=of.tag)


def parse_selection(selected: Sequence[str] | None, *, everything: bool, limits: Limits) -> tuple[str, ...] | None:
    """Return the valid ids of an action, None for all; exactly one of the two must be given."""
    if everything and selected is not None:
        raise Invalid.of("all", "must not be given together with ids")
    if everything:
        return None
    if selected is None:
        raise Invalid.of("ids", 'must be given, or "all": true')
    if limits.ids and len(selected) > limits.ids:
        raise Invalid.of("ids", f"must have at most {limits.ids} ids, got {len(selected)}")
    return tuple(dict.fromkeys(id for id in selected if ids.is_id(id)))


class ActionCallContext(Struct, eq=False):
    """A calls.CallContext without a connection: events go to all connections of the recipient."""

    engines: Engines
    tenant: str
    recipient: str

    async def emit(self, name: str, args: tuple[Any, ...]) -> None:
        data = args[0] if len(args) == 1 else list(args) or None
        await self._publish(LiveEvent(tenant=self.tenant, name=name, data=data, recipient=self.recipient))

    async def publish(self, topic: str, name: str, data: Any) -> None:
        await self._publish(LiveEvent(tenant=self.tenant, name=name, data=data, topic=topic))

    async def _publish(self, event: LiveEvent) -> None:
        # raises in the handler if the broker cannot encode the data
        validation.check(validation.data("data", event.data, 0))
        await events.publish(self.engines, event)

    async def ask(self, *_: Any, **__: Any) -> Any:
        """Raise HandlerFailed, as all that needs a connection."""
        raise HandlerFailed("An action of the inbox has no connection: use call.emit and call.publish.")

    join = leave = disconnect = close = ask


# Fields that the first action may change: it marks the notification read.
ACTED_TYPES = ("notification.acted", "notification.seen", "notification.read")


async def take_action(
    engines: Engines, backend: calls.CallBackend, principal: Principal, inbox: Inbox, id: str, key: str
) -> Notification:
    """Record an action once, publish it, and call its handler. The record is committed before the call, so a retry
    never calls the handler twice. Raises NoHandler, with nothing recorded, if the app has no handler with that name.
    Raises HandlerFailed, with the action recorded, if the handler fails."""
    _check_handler(backend, await get(engines, inbox, id), key)
    report = await engines.webhooks.report(inbox.state.tenant, ACTED_TYPES)
    notification, action, events = await Inboxes(engines.db).act(inbox.number, id, key, engines.clock.now(), report)
    if events:
        engines.router.wake_jobs()
        await engines.broker.publish(*events)
    if events and action.call is not None:
        recipient = principal.recipient or ""
        shown = msgspec.json.decode(msgspec.json.encode(notification))
        call = calls.Call(
            ActionCallContext(engines, principal.tenant, recipient),
            action.call,
            ({"notification": shown, "action": key},),
            recipient=recipient,
            connection="",
            dialect=DIALECT,
            tenant=principal.tenant,
            roles=principal.roles or (),
        )
        try:
            await backend.dispatch(call)
        except calls.Refused as refused:
            raise Forbidden(refused.message, data=refused.data) from None
    return notification


async def plan_action(engines: Engines, backend: calls.CallBackend, inbox: Inbox, id: str, key: str) -> Notification:
    """Return the same notification as `take_action`, without changing anything or calling the handler."""
    before = await get(engines, inbox, id)
    _check_handler(backend, before, key)
    if before.acted is not None:
        return before
    now = times.to_rfc3339(engines.clock.now())
    seen_at, read_at = before.seen_at or now, before.read_at or now
    return msgspec.structs.replace(before, acted=Acted(key, now), seen_at=seen_at, read_at=read_at)


def _check_handler(backend: calls.CallBackend, notification: Notification, key: str) -> None:
    action = find_action(notification, key)
    if notification.acted is None and action.call is not None and not backend.has(action.call):
        raise NoHandler(f"The app has no handler with the name {action.call[:100]!r}.")
