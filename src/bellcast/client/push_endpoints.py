"""Requests for recipients' push endpoints."""

from collections.abc import Mapping
from typing import Any

from bellcast.client import arguments
from bellcast.client.arguments import Text
from bellcast.client.errors import InvalidArgument
from bellcast.client.request import HttpRequest, drop_none, json, nothing, path, query, reads

KINDS = arguments.one_of("fcm", "apns")


def page(recipient: Text, *, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Return a recipient's push endpoints, the most recently registered first."""
    return HttpRequest("GET", _path(recipient), reads(dict[str, Any]), params=query(tenant=tenant))


def register(
    recipient: Text,
    subscription: Mapping[str, Any] | None = None,
    *,
    kind: Text | None = None,
    token: Text | None = None,
    tenant: Text | None = None,
) -> HttpRequest[dict[str, Any]]:
    """Register a browser's `PushSubscription` (as from `toJSON()`), or an app's `kind` ("fcm" or "apns") and device `token`;
    the result has its id. A known endpoint moves to this recipient."""
    if (subscription is None) == (token is None) or (token is None) != (kind is None):
        raise InvalidArgument("subscription", "expected a subscription, or kind and token")
    body: object = drop_none(
        kind=None if kind is None else KINDS("kind", kind),
        token=None if token is None else arguments.name("token", token),
    )
    if subscription is not None:
        body = arguments.document("subscription", subscription)
    return HttpRequest("POST", _path(recipient), reads(dict[str, Any]), params=query(tenant=tenant), **json(body))


def delete(recipient: Text, id: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
    """Delete a push endpoint."""
    where = path("recipients", arguments.name("recipient", recipient), "push-endpoints", arguments.name("id", id))
    return HttpRequest("DELETE", where, nothing, params=query(tenant=tenant))


def key(recipient: Text, *, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Return the `public_key` that a browser's subscription needs (`applicationServerKey`)."""
    return HttpRequest("GET", f"{_path(recipient)}/key", reads(dict[str, Any]), params=query(tenant=tenant))


def _path(recipient: Text) -> str:
    return f"{path('recipients', recipient=recipient)}/push-endpoints"
