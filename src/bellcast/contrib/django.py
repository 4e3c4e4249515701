"""The outbox from Django: within `transaction.atomic()`, on the connection of your models.

with transaction.atomic():
    booking.save()
    notify("alice", title="New booking")

The notification is sent once the transaction commits, and never if it is rolled back."""

from typing import Any, Unpack

from django.db import DEFAULT_DB_ALIAS, connections

from bellcast.client.arguments import Text
from bellcast.client.notifications import Content, Target
from bellcast.contrib import payloads


def notify(
    to: Target, *, using: str = DEFAULT_DB_ALIAS, idempotency_key: Text | None = None, **content: Unpack[Content]
) -> int:
    """Notify one recipient, several, or an audience, as `Bellcast.notify` does. Returns the row's number in the
    outbox."""
    return _call(using, "SELECT bellcast.notify(%s::jsonb)", payloads.notification(to, content, idempotency_key))


def publish(
    topic: Text | None,
    name: Text,
    data: Any = None,
    *,
    using: str = DEFAULT_DB_ALIAS,
    recipient: Text | None = None,
    tenant: Text | None = None,
) -> int:
    """Publish a live event to a topic, or to the connections of a recipient. Returns the row's number in the outbox."""
    return _call(using, "SELECT bellcast.publish(%s::jsonb)", payloads.event(topic, name, data, recipient, tenant))


def _call(using: str, statement: str, payload: str) -> int:
    with connections[using].cursor() as cursor:
        cursor.execute(statement, [payload])
        return int(cursor.fetchone()[0])
