"""Requests for preferences of recipients and suppressed addresses."""

from collections.abc import Mapping
from types import NoneType
from typing import Any

from bellcast.client import arguments
from bellcast.client.arguments import Duration, Text
from bellcast.client.objects import Objects
from bellcast.client.request import HttpRequest, call, path

suppressions = Objects("suppressions").page


def get(recipient: Text, *, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Return a recipient's preferences. `updated_at` is the time of the last change; `effective` are the resulting
    switches."""
    return call("GET", _path(recipient), dict[str, Any], tenant=tenant)


def put(
    recipient: Text, body: Mapping[str, Any], *, tenant: Text | None = None, dry_run: bool = False
) -> HttpRequest[dict[str, Any]]:
    """Replace a recipient's preferences. A dry run only validates them."""
    value = arguments.document("body", body)
    return call("PUT", _path(recipient), dict[str, Any], value, tenant=tenant, dry_run=dry_run)


def change(recipient: Text, body: Mapping[str, Any], *, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Change a recipient's preferences with a merge patch: None removes a field."""
    return call("PATCH", _path(recipient), dict[str, Any], arguments.document("body", body), tenant=tenant)


def link(recipient: Text, *, ttl: Duration = "30d", tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Create a link to a page on which the recipient changes preferences without a login: `{"url": …}`."""
    address = f"{path('recipients', recipient=recipient)}/preferences-link"
    return call("POST", address, dict[str, Any], {"ttl": arguments.seconds("ttl", ttl)}, tenant=tenant)


def suppress(
    channel: Text, address: Text, *, reason: str = "manual", tenant: Text | None = None, dry_run: bool = False
) -> HttpRequest[dict[str, Any]]:
    """Suppress an address: nothing more is sent to it. A dry run only validates it."""
    where = path("suppressions", channel=channel, address=address)
    return call("PUT", where, dict[str, Any], {"reason": reason}, tenant=tenant, dry_run=dry_run)


def allow(channel: Text, address: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
    """Allow an address again."""
    return call("DELETE", path("suppressions", channel=channel, address=address), NoneType, tenant=tenant)


def _path(recipient: Text) -> str:
    return f"{path('recipients', recipient=recipient)}/preferences"
