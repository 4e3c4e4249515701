"""Requests for workflows and their runs."""

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

from msgspec import UNSET, UnsetType

from bellcast.client import arguments
from bellcast.client.arguments import Text
from bellcast.client.notifications import Moment, Target, once
from bellcast.client.objects import Objects
from bellcast.client.request import HttpRequest, call, drop_none, json, path
from bellcast.client.responses import RunPage, Triggered
from bellcast.workflows.types import Cancelled, RunDetails

workflows = Objects("workflows")


def trigger(
    workflow: Text,
    to: Target,
    data: Mapping[str, Any] | None = None,
    *,
    actor: Text | Mapping[str, Any] | None = None,
    cancel_key: Text | None = None,
    send_at: Moment | None = None,
    timezone: Text | None = None,
    idempotency_key: Text | None = None,
    tenant: Text | None = None,
) -> HttpRequest[Triggered]:
    """Start a workflow for one recipient, several, or an audience. Retries do not start it twice.

    With `send_at` it starts later, and the result has the `schedule`: a point in time, or a text without an offset in
    `timezone` (an IANA name, or "recipient")."""
    body = drop_none(
        to=arguments.target("to", to),
        data=None if data is None else arguments.document("data", data),
        actor=None if actor is None else arguments.actor("actor", actor),
        cancel_key=None if cancel_key is None else arguments.name("cancel_key", cancel_key),
        send_at=None if send_at is None else arguments.moment("send_at", send_at),
        timezone=None if timezone is None else arguments.name("timezone", timezone),
        tenant=None if tenant is None else arguments.name("tenant", tenant),
    )
    return once(_workflow(workflow, "trigger"), json(body), idempotency_key, Triggered)


def cancel(
    workflow: Text,
    cancel_key: Text,
    to: Target | UnsetType = UNSET,
    *,
    tenant: Text | None = None,
    dry_run: bool = False,
) -> HttpRequest[Cancelled]:
    """Cancel the runs of a workflow that were triggered with this key, for all recipients or, with `to`, for some."""
    body: dict[str, Any] = {"cancel_key": arguments.name("cancel_key", cancel_key)}
    if to is not UNSET:  # None is refused, because it would cancel the runs of all recipients
        body["to"] = arguments.target("to", to)
    return call("POST", _workflow(workflow, "cancel"), Cancelled, body, tenant=tenant, dry_run=dry_run, harmless=True)


def change(
    key: Text, *, active: bool | None = None, version: int | None = None, tenant: Text | None = None
) -> HttpRequest[dict[str, Any]]:
    """Activate or deactivate a workflow, or make another version current."""
    body = drop_none(
        active=None if active is None else arguments.flag("active", active),
        version=None if version is None else arguments.whole("version", version),
    )
    return call("PATCH", _workflow(key), dict[str, Any], body, tenant=tenant)


def simulate(
    key: Text,
    to: Text | Mapping[str, Any] | Sequence[Text | Mapping[str, Any]],
    data: Mapping[str, Any] | None = None,
    *,
    values: Mapping[str, Any] | None = None,
    actor: Text | Mapping[str, Any] | None = None,
    at: Moment | None = None,
    events: Sequence[Mapping[str, Any]] | None = None,
    results: Mapping[str, Any] | None = None,
    digest: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    throttled: Mapping[str, int] | None = None,
    preferences: Mapping[str, Any] | None = None,
    tenant: Text | None = None,
) -> HttpRequest[dict[str, Any]]:
    """Return what a workflow would do for one recipient or up to 10: `recipients`, each with its `path`. Nothing is sent.

    A recipient can be a dict with its `key` and fields that replace those of its record. Without `values`, the definition is
    the draft, else the current version. `events` are what happens meanwhile: `{"step": "bell", "event": "seen", "after": "10m"}`."""
    several = [to] if isinstance(to, str | Mapping) or not isinstance(to, Sequence) else to
    body = drop_none(
        to=[dict(one) if isinstance(one, Mapping) else arguments.name("to", one) for one in several],
        data=None if data is None else arguments.document("data", data),
        values=values,
        actor=None if actor is None else arguments.actor("actor", actor),
        at=None if at is None else arguments.moment("at", at),
        events=None if events is None else list(arguments.several("events", events, "mappings")),
        results=results,
        digest=digest,
        throttled=throttled,
        preferences=preferences,
    )
    content = arguments.document("body", body)
    return call("POST", _workflow(key, "simulate"), dict[str, Any], content, tenant=tenant, harmless=True)


def run_schedule(key: Text, *, tenant: Text | None = None, dry_run: bool = False) -> HttpRequest[dict[str, Any]]:
    """Fire a schedule now; return the response of its trigger or send. A dry run returns what it would decide."""
    return call("POST", f"{path('schedules', key=key)}/run", dict[str, Any], tenant=tenant, dry_run=dry_run)


def next_times(key: Text, *, count: int | None = None, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Return the next times of a schedule."""
    return call("GET", f"{path('schedules', key=key)}/next", dict[str, Any], count=count, tenant=tenant)


def runs_page(
    *,
    workflow: Text | None = None,
    recipient: Text | None = None,
    state: Text | None = None,
    trigger: Text | None = None,
    channel: Text | None = None,
    provider: Text | None = None,
    step: Text | None = None,
    step_state: Text | None = None,
    limit: int | None = None,
    after: str | None = None,
    tenant: Text | None = None,
) -> HttpRequest[RunPage]:
    """Return a page of runs, newest first: with `step`, those that reached it, or in which it is in `step_state`. Pass its
    `next` as `after` for the page after it."""
    of_run = drop_none(workflow=workflow, recipient=recipient, state=state, trigger=trigger)
    of_step = drop_none(channel=channel, provider=provider, step=step, step_state=step_state)
    return call("GET", "/v1/runs", RunPage, **of_run, **of_step, limit=limit, after=after, tenant=tenant)


def run(id: Text, *, tenant: Text | None = None) -> HttpRequest[RunDetails]:
    """Return a run with the state of each step."""
    return call("GET", path("runs", id=id), RunDetails, tenant=tenant)


def cancel_run(id: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
    """Cancel a run, or all runs of a trigger."""
    return call("DELETE", path("runs", id=id), NoneType, tenant=tenant)


def retry_run(id: Text, *, tenant: Text | None = None, dry_run: bool = False) -> HttpRequest[None]:
    """Retry a failed run from the step that failed."""
    return call("POST", f"{path('runs', id=id)}/retry", NoneType, tenant=tenant, dry_run=dry_run)


def _workflow(key: Text, *segments: str) -> str:
    return path("workflows", arguments.name("workflow", key), *segments)
