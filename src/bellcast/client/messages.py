"""Requests for messages: what leaves through channels other than the inbox."""

from bellcast.client import arguments
from bellcast.client.arguments import Text
from bellcast.client.request import HttpRequest, path, query, reads
from bellcast.client.responses import Message, MessagePage, Retried


def page(
    *,
    channel: Text | None = None,
    state: Text | None = None,
    recipient: Text | None = None,
    notification: Text | None = None,
    limit: int | None = None,
    after: str | None = None,
    tenant: Text | None = None,
) -> HttpRequest[MessagePage]:
    """Return a page of messages, newest first. Pass its `next` as `after` for the page after it."""
    params = query(
        channel=channel,
        state=state,
        recipient=recipient,
        notification=notification,
        limit=limit,
        after=after,
        tenant=tenant,
    )
    return HttpRequest("GET", "/v1/messages", reads(MessagePage), params=params)


def get(id: Text, *, tenant: Text | None = None) -> HttpRequest[Message]:
    """Return a message with its content and its attempts."""
    return HttpRequest("GET", _path(id), reads(Message), params=query(tenant=tenant))


def retry(id: Text, *, tenant: Text | None = None) -> HttpRequest[Retried]:
    """Queue a message that failed or bounced again."""
    return HttpRequest("POST", f"{_path(id)}/retry", reads(Retried), params=query(tenant=tenant))


def _path(id: Text) -> str:
    return path("messages", arguments.name("id", id))
