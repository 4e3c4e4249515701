"""Calling the listener of a process with an event."""

from collections.abc import Callable

import structlog

from bellcast.kernel.events import Event

log = structlog.get_logger(__name__)


def deliver(listener: Callable[[Event], None], event: Event) -> None:
    """Call the listener. Its exceptions are logged, not raised: the event's change is committed, so its publisher must not
    fail, and later events must still be delivered."""
    try:
        listener(event)
    except Exception:
        log.exception("event_listener_failed", kind=type(event).__name__)
