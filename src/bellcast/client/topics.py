"""Topics: subscriptions, presence and live events."""

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, TypedDict

from bellcast.client import arguments
from bellcast.client.arguments import Text
from bellcast.client.errors import InvalidArgument
from bellcast.client.request import HttpRequest, call, path
from bellcast.client.responses import ConnectionPage
from bellcast.topics.types import EventPage, Presence, SubscriptionPage


class ToRecipient(TypedDict):
    recipient: Text


def subscribe(topic: Text, recipient: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
    """Subscribe a recipient to a topic."""
    return call("PUT", _subscription(topic, recipient), NoneType, tenant=tenant)


def unsubscribe(topic: Text, recipient: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
    """Unsubscribe a recipient from a topic. Earlier notifications stay in the inbox."""
    return call("DELETE", _subscription(topic, recipient), NoneType, tenant=tenant)


def subscriptions(
    topic: Text, *, limit: int | None = None, after: str | None = None, tenant: Text | None = None
) -> HttpRequest[SubscriptionPage]:
    """Return a page of a topic's subscribers. Pass its `next` as `after` for the next page."""
    return call(
        "GET", f"{path('topics', topic=topic)}/subscriptions", SubscriptionPage, limit=limit, after=after, tenant=tenant
    )


def presence(topic: Text, *, tenant: Text | None = None) -> HttpRequest[Presence]:
    """Return the members that are connected to a topic now."""
    return call("GET", f"{path('topics', topic=topic)}/presence", Presence, tenant=tenant)


def topic_events(
    topic: Text, *, limit: int | None = None, after: str | None = None, tenant: Text | None = None
) -> HttpRequest[EventPage]:
    """Return a page of the stored live events of a topic, oldest first. `after` is the id of an event or the `next` of
    the previous page."""
    return call("GET", f"{path('topics', topic=topic)}/events", EventPage, limit=limit, after=after, tenant=tenant)


def clear_topic_events(topic: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
    """Delete the stored live events of a topic."""
    return call("DELETE", f"{path('topics', topic=topic)}/events", NoneType, tenant=tenant)


def publish(
    to: Text | Sequence[Text] | ToRecipient,
    name: Text,
    data: Any = None,
    *,
    exclude: Text | None = None,
    keep: bool = True,
    tenant: Text | None = None,
) -> HttpRequest[None]:
    """Publish a live event to a topic, several topics or `{"recipient": id}`.

    `exclude` is the id of a connection that does not receive it. With `keep=False`, clients that reconnect later do not
    receive it. A request that may have reached the server is not retried, because the event could arrive twice."""
    return call("POST", "/v1/events", NoneType, event(to, name, data, exclude=exclude, keep=keep, tenant=tenant))


def event(
    to: Text | Sequence[Text] | ToRecipient,
    name: Text,
    data: Any,
    *,
    exclude: Text | None = None,
    keep: bool = True,
    tenant: Text | None = None,
) -> dict[str, Any]:
    """Return the body of POST /v1/events."""
    if isinstance(to, Mapping):
        address = arguments.fields("to.", to, {"recipient": arguments.name})
        if address.get("recipient") is None:
            raise InvalidArgument("to", 'expected a topic, a list of topics or {"recipient": id}')
    elif isinstance(to, Sequence) and not isinstance(to, str | bytes):
        address = {"topics": arguments.names("to", to)}
        if not address["topics"]:
            raise InvalidArgument("to", "must name at least one topic")
    else:
        address = {"topic": arguments.name("to", to)}
    return {
        **address,
        "name": arguments.name("name", name),
        "data": arguments.encoded("data", data),
        **({} if exclude is None else {"except": arguments.name("exclude", exclude)}),
        **({} if tenant is None else {"tenant": arguments.text("tenant", tenant)}),
        **({} if arguments.flag("keep", keep) else {"keep": False}),
    }


def connections(
    *, limit: int | None = None, after: str | None = None, tenant: Text | None = None
) -> HttpRequest[ConnectionPage]:
    """Return a page of the live connections. Pass its `next` as `after` for the next page."""
    return call("GET", "/v1/connections", ConnectionPage, limit=limit, after=after, tenant=tenant)


def stats(tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Return the numbers of connections and stored rows of a tenant, or of all tenants."""
    return call("GET", "/v1/stats", dict[str, Any], tenant=tenant)


def _subscription(topic: Text, recipient: Text) -> str:
    return path("topics", arguments.name("topic", topic), "subscriptions", arguments.name("recipient", recipient))
