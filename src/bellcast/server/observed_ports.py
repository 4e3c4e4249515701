"""Port decorators that emit feed events: published live events, and calls of clients."""

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import UNSET

from bellcast.calls import Call, CallBackend, Refused
from bellcast.console.types.live_feed import Feed, FeedEvent, redact
from bellcast.kernel.brokers.port import Broker, ForwardingBroker
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.events import Event, LiveEvent, Stream


class ObservedBroker(ForwardingBroker):
    """A broker that emits a feed event for each live event, only on the publishing node, with the number of reached
    connections."""

    def __init__(self, broker: Broker, feed: Feed, clock: Clock, followers: Callable[[Stream], int]) -> None:
        super().__init__(broker)
        self._feed = feed
        self._clock = clock
        self._followers = followers

    async def publish(self, *events: Event) -> None:
        for event in events:
            if isinstance(event, LiveEvent):
                self._emit(event)
        await self._broker.publish(*events)

    def _emit(self, event: LiveEvent) -> None:
        at, delivered = self._clock.now(), self._followers(event.stream)
        data = event.data if self._feed.is_watched else UNSET
        make = partial(
            _publish_event,
            at,
            event.tenant,
            event.name,
            event.topic,
            event.recipient,
            event.sender,
            event.id,
            delivered,
            data,
        )
        self._feed.emit_later("publish", event.tenant, make)


def _publish_event(
    at: int,
    tenant: str,
    name: str,
    topic: str | None,
    recipient: str | None,
    sender: str | None,
    id: str | None,
    delivered: int,
    data: Any,
) -> FeedEvent:
    """Create the feed event of a publish. `data` is UNSET if the feed was not watched."""
    fields: dict[str, Any] = {"name": name, "delivered": delivered, "id": id}
    if data is not UNSET:
        fields["data"] = redact(data)
    return FeedEvent(
        kind="publish",
        at=at,
        text=f"{name} to {topic if topic is not None else recipient}, {delivered} connections",
        tenant=tenant,
        recipient=recipient,
        topic=topic,
        connection=sender,
        fields=fields,
    )


class ObservedCalls:
    """A call backend that emits a feed event for each call, with its outcome and duration."""

    def __init__(self, backend: CallBackend, feed: Feed, clock: Clock) -> None:
        self._backend = backend
        self._feed = feed
        self._clock = clock
        self.has, self.has_namespace = backend.has, backend.has_namespace  # called for every connection

    async def dispatch(self, call: Call) -> Any:
        started, outcome = self._clock.now(), "failed"
        try:
            reply = await self._backend.dispatch(call)
            outcome = "ok"
        except BellcastError as error:
            outcome = error.code
            raise
        except Refused:
            outcome = "refused"
            raise
        finally:
            self._emit(call, outcome, self._clock.now() - started)
        return reply

    def _emit(self, call: Call, outcome: str, milliseconds: int) -> None:
        fields: dict[str, Any] = {"name": call.name, "outcome": outcome, "ms": milliseconds, "protocol": call.dialect}
        if self._feed.is_watched:
            fields["data"] = redact(call.args)
        self._feed.emit(
            FeedEvent(
                kind="call",
                at=self._clock.now(),
                text=f"{call.name}: {outcome}",
                tenant=call.tenant or "",
                recipient=call.recipient,
                connection=call.connection,
                fields=fields,
            )
        )
