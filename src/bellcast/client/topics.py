"""Topics: who is in them, who is there now, and what is said live."""

from collections.abc import Sequence
from typing import Any, TypedDict

from bellcast.client.answers import ConnectionPage, Presence, SubscriptionPage
from bellcast.client.request import Request, given, json, nothing, path, reads


class ToRecipient(TypedDict):
    recipient: str


def subscribe(topic: str, recipient: str, *, tenant: str | None = None) -> Request[None]:
    """Put a recipient in a topic."""
    return Request("PUT", _subscription(topic, recipient), nothing, params=given(tenant=tenant))


def unsubscribe(topic: str, recipient: str, *, tenant: str | None = None) -> Request[None]:
    """Take a recipient out of a topic; what was sent before stays."""
    return Request("DELETE", _subscription(topic, recipient), nothing, params=given(tenant=tenant))


def subscriptions(
    topic: str, *, limit: int | None = None, after: str | None = None, tenant: str | None = None
) -> Request[SubscriptionPage]:
    """A page of those in a topic; give its `next` as `after` to get the page after it."""
    params = given(limit=limit, after=after, tenant=tenant)
    return Request("GET", path("topics", topic, "subscriptions"), reads(SubscriptionPage), params=params)


def presence(topic: str, *, tenant: str | None = None) -> Request[Presence]:
    """Who is on a topic right now."""
    return Request("GET", path("topics", topic, "presence"), reads(Presence), params=given(tenant=tenant))


def publish(
    to: str | Sequence[str] | ToRecipient,
    name: str,
    data: Any = None,
    *,
    exclude: str | None = None,
    tenant: str | None = None,
) -> Request[None]:
    """Say something live to a topic, several topics or `{"recipient": key}`: heard by who is there, kept by nobody.

    `exclude` is the connection that need not hear it, because it said so itself.
    """
    body = _address(to) | given(name=name, data=data, tenant=tenant) | ({"except": exclude} if exclude else {})
    return Request("POST", "/v1/events", nothing, **json(body))


def connections(
    *, limit: int | None = None, after: str | None = None, tenant: str | None = None
) -> Request[ConnectionPage]:
    """A page of the live connections; give its `next` as `after` to get the page after it."""
    params = given(limit=limit, after=after, tenant=tenant)
    return Request("GET", "/v1/connections", reads(ConnectionPage), params=params)


def stats(tenant: str | None = None) -> Request[dict[str, Any]]:
    """What a tenant has, or all together: connections and rows in the store."""
    return Request("GET", "/v1/stats", reads(dict[str, Any]), params=given(tenant=tenant))


def _subscription(topic: str, recipient: str) -> str:
    return path("topics", topic, "subscriptions", recipient)


def _address(to: str | Sequence[str] | ToRecipient) -> dict[str, Any]:
    if isinstance(to, str):
        return {"topic": to}
    return dict(to) if isinstance(to, dict) else {"topics": list(to)}
