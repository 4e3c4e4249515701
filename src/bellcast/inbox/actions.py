"""Action buttons: record the action that a recipient takes, then call the app's handler."""

from typing import Any

import msgspec
from msgspec import Struct

from bellcast import calls
from bellcast.engines import Engines
from bellcast.inbox import views
from bellcast.inbox.store.inboxes import Inboxes
from bellcast.inbox.types.inboxes import Inbox
from bellcast.inbox.types.notifications import Acted, Notification, find_action
from bellcast.kernel import times, validation
from bellcast.kernel.errors import Forbidden, HandlerFailed, NoHandler
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.identities import Principal
from bellcast.topics import publishing as events

DIALECT = "rest"
NO_CONNECTION = "An action of the inbox has no connection: use call.emit and call.publish."


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

    async def ask(self, name: str, args: tuple[Any, ...], timeout: float) -> Any:  # noqa: ASYNC109 - the port's
        raise HandlerFailed(NO_CONNECTION)

    async def join(self, topic: str) -> None:
        raise HandlerFailed(NO_CONNECTION)

    async def leave(self, topic: str) -> None:
        raise HandlerFailed(NO_CONNECTION)

    async def disconnect(self) -> None:
        raise HandlerFailed(NO_CONNECTION)

    async def close(self, *, reconnect: bool) -> None:
        raise HandlerFailed(NO_CONNECTION)


# Fields that the first action may change: it marks the notification read.
TYPES = ("notification.acted", "notification.seen", "notification.read")


async def take(
    engines: Engines, backend: calls.CallBackend, principal: Principal, inbox: Inbox, id: str, key: str
) -> Notification:
    """Record an action once, publish it, and call its handler. The record is committed before the call, so a retry
    never calls the handler twice. Raises NoHandler, with nothing recorded, if the app has no handler with that name.
    Raises HandlerFailed, with the action recorded, if the handler fails."""
    _check_handler(backend, await views.get(engines, inbox, id), key)
    report = await engines.webhooks.report(inbox.state.tenant, TYPES)
    notification, action, events = await Inboxes(engines.db).act(inbox.number, id, key, engines.clock.now(), report)
    if events:
        engines.router.messages_added()
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


async def plan(engines: Engines, backend: calls.CallBackend, inbox: Inbox, id: str, key: str) -> Notification:
    """Return the same notification as `take`, without changing anything or calling the handler."""
    before = await views.get(engines, inbox, id)
    _check_handler(backend, before, key)
    find_action(before, key)
    if before.acted is not None:
        return before
    now = times.to_rfc3339(engines.clock.now())
    seen_at, read_at = before.seen_at or now, before.read_at or now
    return msgspec.structs.replace(before, acted=Acted(key, now), seen_at=seen_at, read_at=read_at)


def _check_handler(backend: calls.CallBackend, notification: Notification, key: str) -> None:
    for action in notification.actions:
        if (
            action.key == key
            and notification.acted is None
            and action.call is not None
            and not backend.has(action.call)
        ):
            raise NoHandler(f"The app has no handler with the name {action.call[:100]!r}.")
