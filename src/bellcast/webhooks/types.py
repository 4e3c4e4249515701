"""Webhooks as they are stored, and the events for them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from bellcast.kernel import times


class Webhook(Struct, frozen=True, kw_only=True):
    """A webhook as it is stored: `previous` also signs until `previous_until`. Secrets are encrypted; times are UTC ms."""

    url: str
    events: tuple[str, ...]
    active: bool = True
    secret: str
    previous: str | None = None
    previous_until: int = 0
    failing_since: int | None = None
    last_error: str | None = None
    created_at: int

    def wants(self, type: str) -> bool:
        """True if the webhook names this type or a pattern such as `message.*` that matches it."""
        return any(
            pattern in ("*", type) or (pattern.endswith(".*") and type.startswith(pattern[:-1]))
            for pattern in self.events
        )


# Fields of a webhook after a successful delivery, or after it was switched on again.
NOT_FAILING = {"failing_since": None, "last_error": None}


class WebhookDelivery(Struct, frozen=True, array_like=True):
    """The payload of a delivery's job. `failures` counts the attempts that failed: a lease may end without one."""

    tenant: str
    webhook: str
    event: str
    failures: int = 0


# Attempts of a webhook that are stored, and characters of the error of each: at most 10 KB.
MAX_ATTEMPTS, MAX_ATTEMPT_ERROR = 20, 200
# The kind under which they are stored, and how long after the last one.
ATTEMPTS = "webhook-attempts"
ATTEMPTS_MS = 30 * times.DAY_MS


class StoredAttempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request to a webhook. `number` counts those of the event, `status` is null without a response, and `next_at` is when
    it is tried again. Times are UTC milliseconds."""

    event: str
    type: str
    at: int
    ms: int
    number: int
    status: int | None = None
    error: str | None = None
    next_at: int | None = None


class Attempts(Struct, frozen=True):
    """The last attempts of a webhook, the oldest first."""

    last: tuple[StoredAttempt, ...] = ()

    def plus(self, later: "Attempts") -> "Attempts":
        """Add attempts, which another node may have made before these, and some of which may be known."""
        return Attempts(
            tuple(sorted({*self.last, *later.last}, key=lambda one: (one.at, one.event, one.number)))[-MAX_ATTEMPTS:]
        )


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


class WebhookSink:
    """Accepts events for webhooks. This one is for changes that no webhook learns of."""

    async def events(self, tenant: str, type: str, changes: Iterable[dict[str, Any]]) -> tuple[WebhookEvent, ...]:
        """Return an event for each change, for the transaction of the change; none, and read no change, if no webhook subscribes
        to this type."""
        report = await self.report(tenant, [type])
        return () if report is no_report else tuple(event for change in changes for event in report(type, change))

    async def report(self, tenant: str, types: Sequence[str]) -> EventReport:
        """Return a function that creates the events of changes of these types, for changes that are known only in their
        transaction; `no_report` itself if no webhook subscribes to them."""
        return no_report
