"""Requests that explain deliveries."""

from datetime import datetime

from bellcast.client import arguments
from bellcast.client.arguments import Text
from bellcast.client.request import HttpRequest, query, reads
from bellcast.client.responses import Explanation


def explain(
    recipient: Text,
    *,
    notification: Text | None = None,
    run: Text | None = None,
    type: Text | None = None,
    channel: Text | None = None,
    since: datetime | str | None = None,
    tenant: Text | None = None,
) -> HttpRequest[Explanation]:
    """Explain why a recipient got a `notification` through a channel or did not, what a `run` of a workflow decided, or
    what would happen now to a notification of a `type` (in one `channel`, or in all; with `since`, also the facts of
    this type since then). Without these arguments, explain the last notification, with the facts since `since`
    (default: the last day)."""
    params = query(
        recipient=arguments.name("recipient", recipient),
        notification=notification,
        run=run,
        type=type,
        channel=channel,
        since=since,
        tenant=tenant,
    )
    return HttpRequest("GET", "/v1/explain", reads(Explanation), params=params)
