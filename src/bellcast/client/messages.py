"""Requests for messages through channels other than the inbox, for suppressed addresses, for failures of messages, runs and jobs and
their replays, and for explanations of deliveries."""

from collections.abc import Sequence
from datetime import datetime
from types import NoneType
from typing import Any, TypedDict, Unpack

from bellcast.channels.types import Explanation, Message, Retried
from bellcast.client import arguments
from bellcast.client.arguments import Duration, Name, PastMoment, Text
from bellcast.client.errors import InvalidArgument
from bellcast.client.objects import Objects
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

    channel: Name
    since: PastMoment


_RETRY_FILTER = arguments.converters(RetryFilter)


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


# --- suppressed addresses

suppressions = Objects("suppressions").page


def suppress(
    channel: Text, address: Text, *, reason: str = "manual", tenant: Text | None = None, dry_run: bool = False
) -> HttpRequest[dict[str, Any]]:
    """Suppress an address: nothing more is sent to it. A dry run only validates it."""
    where = path("suppressions", channel=channel, address=address)
    body = {"reason": arguments.text("reason", reason)}
    return call("PUT", where, dict[str, Any], body, tenant=tenant, dry_run=dry_run)


def allow(channel: Text, address: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
    """Allow an address again."""
    return call("DELETE", path("suppressions", channel=channel, address=address), NoneType, tenant=tenant)


# --- failures

replays_page = Objects("replays").page
dead_jobs = Objects("jobs").page


class FailureFilter(TypedDict, total=False):
    """Selects failures. `channel` and `provider` apply to messages, `workflow` to runs, `job` and `webhook` to dead
    jobs. `since` and `until` filter by creation time."""

    kind: Name
    channel: Name
    provider: Name
    workflow: Name
    job: Name
    webhook: Name
    cause: Name
    since: PastMoment
    until: PastMoment


_FAILURE_FILTER = arguments.converters(FailureFilter)
# The names of times in the API; `from` is a keyword of Python.
_TIMES = {"since": "from", "until": "to"}


def failures(
    *,
    limit: int | None = None,
    after: str | None = None,
    tenant: Text | None = None,
    **of: Unpack[FailureFilter],
) -> HttpRequest[dict[str, Any]]:
    """Return a page of failed messages, failed runs and dead jobs, newest first, as a dict with a list and `next`, the
    value of `after` for the next page. If it has `scanned_until` instead of `next`, the search stopped early: continue
    with this value."""
    return call("GET", "/v1/failures", dict[str, Any], limit=limit, after=after, tenant=tenant, **_failures(of))


def causes(*, tenant: Text | None = None, **of: Unpack[FailureFilter]) -> HttpRequest[dict[str, Any]]:
    """Return the causes of failures, the most frequent first: `{"causes": […], "total": {"value", "exact"}}`."""
    return call("GET", "/v1/failures/causes", dict[str, Any], tenant=tenant, **_failures(of))


def start_replay(
    ids: Sequence[Text] | None = None,
    *,
    all: bool = False,
    tenant: Text | None = None,
    dry_run: bool = False,
    **of: Unpack[FailureFilter],
) -> HttpRequest[dict[str, Any]]:
    """Retry failures in the background: those with these ids, those that match a filter, or `all`. The result has the
    replay's `id`, how many failures `matched`, and its `effects`. A dry run only counts."""
    if [ids is not None, bool(of), all].count(True) != 1:
        raise InvalidArgument("ids", "expected either ids, a filter or all=True")
    body = {"ids": arguments.names("ids", ids)} if ids is not None else {"filter": _failures(of)}
    return call("POST", "/v1/replays", dict[str, Any], body, tenant=tenant, dry_run=dry_run)


def replay(id: Text, *, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Return the progress of a replay."""
    return call("GET", path("replays", id=id), dict[str, Any], tenant=tenant)


def cancel_replay(id: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
    """Cancel a replay. Its retries are not undone."""
    return call("DELETE", path("replays", id=id), NoneType, tenant=tenant)


def retry_job(id: Text, *, tenant: Text | None = None, dry_run: bool = False) -> HttpRequest[dict[str, Any]]:
    """Run a dead job again."""
    return call("POST", f"{path('jobs', id=id)}/retry", dict[str, Any], tenant=tenant, dry_run=dry_run)


def delete_job(id: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
    """Delete a dead job."""
    return call("DELETE", path("jobs", id=id), NoneType, tenant=tenant)


def _failures(of: FailureFilter) -> dict[str, Any]:
    given = arguments.fields_without_none("", of, _FAILURE_FILTER)
    return {_TIMES.get(name, name): value for name, value in given.items()}
