"""Requests for preferences of recipients and suppressed addresses."""

from collections.abc import Mapping
from typing import Any

from bellcast.client import arguments
from bellcast.client.arguments import Duration, Text
from bellcast.client.objects import Objects
from bellcast.client.request import HttpRequest, json, nothing, path, post, query, reads

suppressions = Objects("suppressions").page


def get(recipient: Text, *, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Return a recipient's preferences. `updated_at` is the time of the last change; `effective` are the resulting
    switches."""
    return HttpRequest("GET", _path(recipient), reads(dict[str, Any]), params=query(tenant=tenant))


def put(
    recipient: Text, body: Mapping[str, Any], *, tenant: Text | None = None, dry_run: bool = False
) -> HttpRequest[dict[str, Any]]:
    """Replace a recipient's preferences. A dry run only validates them."""
    return _write("PUT", recipient, body, query(tenant=tenant, dry_run=dry_run))


def change(recipient: Text, body: Mapping[str, Any], *, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Change a recipient's preferences with a merge patch: None removes a field."""
    return _write("PATCH", recipient, body, query(tenant=tenant))


def link(recipient: Text, *, ttl: Duration = "30d", tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Create a link to a page on which the recipient changes preferences without a login: `{"url": …}`."""
    address = f"{path('recipients', recipient=recipient)}/preferences-link"
    return post(address, reads(dict[str, Any]), {"ttl": arguments.seconds("ttl", ttl)}, tenant=tenant)


def suppress(
    channel: Text, address: Text, *, reason: str = "manual", tenant: Text | None = None, dry_run: bool = False
) -> HttpRequest[dict[str, Any]]:
    """Suppress an address: nothing more is sent to it. A dry run only validates it."""
    where, params = path("suppressions", channel=channel, address=address), query(tenant=tenant, dry_run=dry_run)
    return HttpRequest("PUT", where, reads(dict[str, Any]), params=params, **json({"reason": reason}))


def allow(channel: Text, address: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
    """Allow an address again."""
    where = path("suppressions", channel=channel, address=address)
    return HttpRequest("DELETE", where, nothing, params=query(tenant=tenant))


def _write(
    method: str, recipient: Text, body: Mapping[str, Any], params: Mapping[str, str | int]
) -> HttpRequest[dict[str, Any]]:
    content = json(arguments.document("body", body))
    return HttpRequest(method, _path(recipient), reads(dict[str, Any]), params=params, **content)


def _path(recipient: Text) -> str:
    return f"{path('recipients', recipient=recipient)}/preferences"
