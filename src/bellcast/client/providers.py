"""Requests for providers."""

from collections.abc import Mapping
from typing import Any

from bellcast.client import arguments
from bellcast.client.arguments import Text
from bellcast.client.objects import Objects
from bellcast.client.request import HttpRequest, drop_none, json, path, query, reads

providers = Objects("providers")


def check(
    key: Text,
    *,
    to: Text | None = None,
    values: Mapping[str, Any] | None = None,
    tenant: Text | None = None,
    dry_run: bool = False,
) -> HttpRequest[dict[str, Any]]:
    """Check a provider's credentials, or send a test message to an address. Return `ok`, `error`, `state`, and `steps` with the
    fix of the one that failed. A dry run sends none.
    `values` are tested instead of the stored provider: its fields, such as `channel` and `url`."""
    body = drop_none(
        to=None if to is None else arguments.text("to", to), values=None if values is None else dict(values)
    )
    return HttpRequest(
        "POST",
        path("providers", arguments.name("key", key), "test"),
        reads(dict[str, Any]),
        params=query(tenant=tenant, dry_run=dry_run),
        **json(body),
    )
