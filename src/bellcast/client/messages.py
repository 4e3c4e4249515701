"""Requests for messages through channels other than the inbox, and for explanations of deliveries."""

from datetime import datetime
from typing import Any, TypedDict, Unpack

from bellcast.channels.types import Explanation, Message, Retried
from bellcast.client import arguments
from bellcast.client.arguments import Duration, Text
from bellcast.client.request import HttpRequest, call, drop_none, path
from bellcast.client.responses import MessagePage


def page(
    *,
    channel: Text | None = None,
    state: Text | None = None,
    recipient: Text | None = None,
    notification: Text | None = None,
    workflow: Text | None = None,
    run: Text | None = None,
    provider: Text | None = None,
    limit: int | None = None,
    after: str | None = None,
    tenant: Text | None = None,
) -> HttpRequest[MessagePage]:
    """Return a page of messages, newest first. Pass its `next` as `after` for the next page."""
    of_notification = drop_none(recipient=recipient, notification=notification, workflow=workflow, run=run)
    own = drop_none(channel=channel, state=state, provider=provider)
    return call("GET", "/v1/messages", MessagePage, **own, **of_notification, limit=limit, after=after, tenant=tenant)


def get(id: Text, *, tenant: Text | None = None) -> HttpRequest[Message]:
    """Return a message with its content and its attempts."""
    return call("GET", path("messages", id=id), Message, tenant=tenant)


def attempts(id: Text, *, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Return the attempts to deliver a message, oldest first, with its state: `{"state", "reason", "attempts": […]}`."""
    return call("GET", f"{path('messages', id=id)}/attempts", dict[str, Any], tenant=tenant)


def retry(id: Text, *, tenant: Text | None = None, dry_run: bool = False) -> HttpRequest[Retried]:
    """Queue a failed or bounced message again."""
    return call("POST", f"{path('messages', id=id)}/retry", Retried, tenant=tenant, dry_run=dry_run)


def release(id: Text, *, tenant: Text | None = None, dry_run: bool = False) -> HttpRequest[Retried]:
    """Send a simulated message for real. Raises Conflict if its channel has no provider."""
    return call("POST", f"{path('messages', id=id)}/release", Retried, tenant=tenant, dry_run=dry_run)


class RetryFilter(TypedDict, total=False):
    """Restricts `retry_all`."""

    channel: Text
    since: datetime | str


_RETRY_FILTER: dict[str, arguments.Convert] = {"channel": arguments.name, "since": arguments.past_moment}


def retry_all(*, tenant: Text | None = None, dry_run: bool = False, **of: Unpack[RetryFilter]) -> HttpRequest[Retried]:
    """Queue all failed or bounced messages again, optionally only those of a `channel` or created `since` a time."""
    body = arguments.fields_without_none("", of, _RETRY_FILTER)
    return call("POST", "/v1/messages/retry", Retried, body, tenant=tenant, dry_run=dry_run)


def mailbox(*, ttl: Duration = "1d", tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Create a link to a page with all simulated messages: `{"url": …}`."""
    return call("POST", "/v1/mailbox-link", dict[str, Any], {"ttl": arguments.seconds("ttl", ttl)}, tenant=tenant)


def explain(
    recipient: Text,
    *,
    notification: Text | None = None,
    run: Text | None = None,
    type: Text | None = None,
    channel: Text | None = None,
    since: datetime | str | None = None,
    tenant: Text | None = None,
) -> HttpRequest[Explanation]:
    """Explain why a recipient got a `notification` through a channel or did not, what a `run` of a workflow decided, or
    what would happen now to a notification of a `type` (in one `channel`, or in all; with `since`, also the facts of
    this type since then). Without these arguments, explain the last notification, with the facts since `since`
    (default: the last day)."""
    subject = drop_none(notification=notification, run=run, type=type, channel=channel, since=since)
    key = arguments.name("recipient", recipient)
    return call("GET", "/v1/explain", Explanation, recipient=key, **subject, tenant=tenant)
