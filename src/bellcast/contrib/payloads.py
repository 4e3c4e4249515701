"""What the outbox's functions take: the bodies that REST takes, as JSON text."""

from collections.abc import Mapping
from typing import Any

import msgspec

from bellcast.client.notifications import Content, Target


def notification(to: Target, content: Content, idempotency_key: str | None) -> str:
    """The body of POST /v1/notifications."""
    key = {} if idempotency_key is None else {"idempotency_key": idempotency_key}
    return msgspec.json.encode({"to": to, **content, **key}).decode()


def event(topic: str | None, name: str, data: Any, recipient: str | None, tenant: str | None) -> str:
    """The body of POST /v1/events."""
    given: Mapping[str, Any] = {"topic": topic, "recipient": recipient, "tenant": tenant}
    addressed = {field: value for field, value in given.items() if value is not None}
    return msgspec.json.encode({"name": name, "data": data, **addressed}).decode()
