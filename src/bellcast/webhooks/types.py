"""Events for the app's webhooks."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from msgspec import Struct


class WebhookEvent(Struct, frozen=True, kw_only=True):
    """An event with the body of its requests, as JSON. Its id is the `webhook-id` of all deliveries."""

    id: str
    tenant: str
    recipient: str | None = None
    type: str
    body: bytes


# Returns the events of a change of one type, in the transaction of the change; none for a type to which no webhook
# subscribes.
EventReport = Callable[[str, dict[str, Any]], tuple[WebhookEvent, ...]]


def no_report(type: str, change: dict[str, Any]) -> tuple[WebhookEvent, ...]:
    """Return no events."""
    return ()


class WebhookSink(Protocol):
    """Accepts events for webhooks."""

    async def is_wanted(self, tenant: str, type: str) -> bool:
        """True if a webhook subscribes to this type."""
        ...

    async def events(self, tenant: str, type: str, changes: Sequence[dict[str, Any]]) -> tuple[WebhookEvent, ...]:
        """Return an event for each change, for the transaction of the change; none if no webhook subscribes to it."""
        ...

    async def report(self, tenant: str, types: Sequence[str]) -> EventReport:
        """Return a function that creates the events of changes of these types, for changes that are known only in their
        transaction; `no_report` itself if no webhook subscribes to them."""
        ...


class NoWebhooks(WebhookSink):
    """A sink for changes that no webhook learns of."""

    async def is_wanted(self, tenant: str, type: str) -> bool:
        return False

    async def events(self, tenant: str, type: str, changes: Sequence[dict[str, Any]]) -> tuple[WebhookEvent, ...]:
        return ()

    async def report(self, tenant: str, types: Sequence[str]) -> EventReport:
        return no_report
