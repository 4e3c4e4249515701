"""Requests for failures, for replays that retry them, and for dead jobs."""

from collections.abc import Sequence
from datetime import datetime
from types import NoneType
from typing import Any, TypedDict, Unpack

from bellcast.client import arguments
from bellcast.client.arguments import Text
from bellcast.client.errors import InvalidArgument
from bellcast.client.objects import Objects
from bellcast.client.request import HttpRequest, call, path

PATH = "/v1/replays"
page = Objects("replays").page
dead_jobs = Objects("jobs").page


class FailureFilter(TypedDict, total=False):
    """Selects failures. `channel` and `provider` apply to messages, `workflow` to runs, `job` and `webhook` to dead
    jobs. `since` and `until` filter by creation time."""

    kind: Text
    channel: Text
    provider: Text
    workflow: Text
    job: Text
    webhook: Text
    cause: Text
    since: datetime | str
    until: datetime | str


_FILTER: dict[str, arguments.Convert] = {
    **dict.fromkeys(("kind", "channel", "provider", "workflow", "job", "webhook", "cause"), arguments.name),
    "since": arguments.past_moment,
    "until": arguments.past_moment,
}
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
    return call("GET", "/v1/failures", dict[str, Any], limit=limit, after=after, tenant=tenant, **_fields(of))


def causes(*, tenant: Text | None = None, **of: Unpack[FailureFilter]) -> HttpRequest[dict[str, Any]]:
    """Return the causes of failures, the most frequent first: `{"causes": […], "total": {"value", "exact"}}`."""
    return call("GET", "/v1/failures/causes", dict[str, Any], tenant=tenant, **_fields(of))


def start(
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
    body = {"ids": arguments.names("ids", ids)} if ids is not None else {"filter": _fields(of)}
    return call("POST", PATH, dict[str, Any], body, tenant=tenant, dry_run=dry_run)


def get(id: Text, *, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Return the progress of a replay."""
    return call("GET", path("replays", id=id), dict[str, Any], tenant=tenant)


def cancel(id: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
    """Cancel a replay. Its retries are not undone."""
    return call("DELETE", path("replays", id=id), NoneType, tenant=tenant)


def retry_job(id: Text, *, tenant: Text | None = None, dry_run: bool = False) -> HttpRequest[dict[str, Any]]:
    """Run a dead job again."""
    return call("POST", f"{path('jobs', id=id)}/retry", dict[str, Any], tenant=tenant, dry_run=dry_run)


def delete_job(id: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
    """Delete a dead job."""
    return call("DELETE", path("jobs", id=id), NoneType, tenant=tenant)


def _fields(of: FailureFilter) -> dict[str, Any]:
    given = arguments.fields_without_none("", of, _FILTER)
    return {_TIMES.get(name, name): value for name, value in given.items()}
