"""The outbox from SQLAlchemy: statements to execute in your transaction.

    session.execute(notify("alice", title="New booking"))         # Session, Connection
    await session.execute(notify("alice", title="New booking"))   # AsyncSession, AsyncConnection

The notification is sent once the transaction commits, and never if it is rolled back."""

from typing import Any, Unpack

from sqlalchemy import BigInteger, Function, Select, cast, func, select, types
from sqlalchemy.dialects.postgresql import JSONB

from bellcast.client.arguments import Text
from bellcast.client.notifications import Content, Target
from bellcast.contrib import payloads

OutboxInsert = Select[tuple[int]]
"""A statement that returns the row's number in the outbox."""


def notify(to: Target, *, idempotency_key: Text | None = None, **content: Unpack[Content]) -> OutboxInsert:
    """Notify one recipient, several, or an audience, as `Bellcast.notify` does."""
    return _select_call(func.bellcast.notify, payloads.notification(to, content, idempotency_key))


def publish(
    topic: Text | None, name: Text, data: Any = None, *, recipient: Text | None = None, tenant: Text | None = None
) -> OutboxInsert:
    """Publish a live event to a topic, or to the connections of a recipient."""
    return _select_call(func.bellcast.publish, payloads.event(topic, name, data, recipient, tenant))


def _select_call(function: Any, payload: str) -> OutboxInsert:
    call: Function[int] = function(cast(cast(payload, types.Text), JSONB), type_=BigInteger)  # the text is JSON already
    return select(call)
