"""The payloads of the outbox's SQL functions: the bodies of the REST API as JSON text, checked before they are written."""

from collections.abc import Mapping
from typing import Any

from bellcast.client import arguments, notifications, server_rules, topics
from bellcast.client.arguments import Text
from bellcast.client.errors import InvalidArgument
from bellcast.client.notifications import Target


def notification(to: Target, content: Mapping[str, Any], idempotency_key: Text | None) -> str:
    """Return the body of POST /v1/notifications. Raises InvalidArgument, which names the argument."""
    body = notifications.draft(to, content)
    if idempotency_key is not None:
        body["idempotency_key"] = arguments.name("idempotency_key", idempotency_key)
    text = arguments.json(body)
    server_rules.check_notification(text)
    return text.decode()


def event(topic: Text | None, name: Text, data: Any, recipient: Text | None, tenant: Text | None) -> str:
    """Return the body of POST /v1/events. Raises InvalidArgument, which names the argument."""
    if (topic is None) == (recipient is None):
        raise InvalidArgument("topic", "expected either a topic or a recipient")
    if recipient is None:
        body = topics.event(arguments.name("topic", topic), name, data, tenant=tenant)
    else:
        to = topics.ToRecipient(recipient=arguments.name("recipient", recipient))
        body = topics.event(to, name, data, tenant=tenant)
    text = arguments.json(body)
    server_rules.check_event(text)
    return text.decode()
