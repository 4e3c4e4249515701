"""Requests for webhooks."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import NoneType
from typing import Any

from bellcast.client import arguments
from bellcast.client.arguments import Text
from bellcast.client.objects import Objects
from bellcast.client.request import HttpRequest, call, drop_none, path

PATH = "/v1/webhooks"
page = Objects("webhooks").page


def create(
    url: Text, events: Sequence[Text], *, tenant: Text | None = None, dry_run: bool = False
) -> HttpRequest[dict[str, Any]]:
    """Create a webhook. The result has its `secret`, which is not shown again. With the tenant `*`, it receives the
    events of all tenants. A dry run has no secret."""
    body = {"url": arguments.text("url", url), "events": arguments.names("events", events)}
    return call("POST", PATH, dict[str, Any], body, tenant=tenant, dry_run=dry_run)


def get(id: Text, *, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Return a webhook."""
    return call("GET", path("webhooks", id=id), dict[str, Any], tenant=tenant)


def change(
    id: Text,
    *,
    url: Text | None = None,
    events: Sequence[Text] | None = None,
    active: bool | None = None,
    tenant: Text | None = None,
) -> HttpRequest[dict[str, Any]]:
    """Change the given fields of a webhook."""
    body = drop_none(
        url=None if url is None else arguments.text("url", url),
        events=None if events is None else arguments.names("events", events),
        active=active,
    )
    return call("PATCH", path("webhooks", id=id), dict[str, Any], body, tenant=tenant)


def delete(id: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
    """Delete a webhook."""
    return call("DELETE", path("webhooks", id=id), NoneType, tenant=tenant)


def rotate(id: Text, *, tenant: Text | None = None, dry_run: bool = False) -> HttpRequest[dict[str, Any]]:
    """Replace the secret; the result has the new one. Both sign for 24 hours. A dry run returns an empty one."""
    return call("POST", f"{path('webhooks', id=id)}/rotate", dict[str, Any], tenant=tenant, dry_run=dry_run)


def attempts(id: Text, *, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """List the last 20 attempts, the newest first."""
    return call("GET", f"{path('webhooks', id=id)}/attempts", dict[str, Any], tenant=tenant)


def resend(id: Text, event: Text, *, tenant: Text | None = None, dry_run: bool = False) -> HttpRequest[dict[str, Any]]:
    """Deliver an event again, by its `webhook-id`."""
    body = {"event": arguments.text("event", event)}
    return call("POST", f"{path('webhooks', id=id)}/resend", dict[str, Any], body, tenant=tenant, dry_run=dry_run)


def replay(
    id: Text, since: datetime | str, *, tenant: Text | None = None, dry_run: bool = False
) -> HttpRequest[dict[str, Any]]:
    """Deliver the events since a time again; the result has their number."""
    body: Mapping[str, Any] = {"since": arguments.past_moment("since", since)}
    return call("POST", f"{path('webhooks', id=id)}/replay", dict[str, Any], body, tenant=tenant, dry_run=dry_run)
