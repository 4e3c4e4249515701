"""The outbox from SQLAlchemy: statements to execute in your transaction.

    session.execute(notify("alice", title="New booking"))         # Session, Connection
    await session.execute(notify("alice", title="New booking"))   # AsyncSession, AsyncConnection

The notification is sent once the transaction commits, and never if it is rolled back. On PostgreSQL the statement calls the
function of `bellcast sql install` and returns the row's number; on SQLite, MySQL and MariaDB it inserts into the table of
`bellcast sql outbox`, whose rows `bellcast relay` sends."""

from dataclasses import dataclass
from typing import Any, Unpack

from bellcast.client.arguments import Text
from bellcast.client.notifications import Content, Target
from bellcast.contrib import outbox

try:
    from sqlalchemy import BigInteger, bindparam, cast, func, select, types
    from sqlalchemy.dialects.postgresql import JSONB
    from sqlalchemy.ext.compiler import compiles
    from sqlalchemy.sql.base import Executable
    from sqlalchemy.sql.compiler import SQLCompiler
    from sqlalchemy.sql.elements import ClauseElement
except ImportError:
    raise ImportError("bellcast.contrib.sqlalchemy needs SQLAlchemy: run pip install 'bellcast[sqlalchemy]'") from None


@dataclass(eq=False)
class OutboxInsert(Executable, ClauseElement):
    """A statement that writes a row of the outbox. `body` is the payload of the SQL function, with the idempotency key."""

    # Each statement has its own values, so a compiled one cannot be reused.
    inherit_cache = False

    kind: outbox.Kind
    body: str
    payload: str
    key: str


def notify(
    to: Target, title: Text | None = None, *, idempotency_key: Text | None = None, **content: Unpack[Content]
) -> OutboxInsert:
    """Notify one recipient, several, or an audience, like `Bellcast.notify`. If a row with the same key is already
    waiting, no row is added; a refused one is replaced."""
    titled = {"title": title, **content}
    body, payload = (outbox.notification_payload(to, titled, key) for key in (idempotency_key, None))
    return OutboxInsert("notify", body, payload, str(outbox.row_key(idempotency_key)))


def publish(
    topic: Text | None, name: Text, data: Any = None, *, recipient: Text | None = None, tenant: Text | None = None
) -> OutboxInsert:
    """Publish a live event to a topic, or to the connections of a recipient."""
    body = outbox.event_payload(topic, name, data, recipient, tenant)
    return OutboxInsert("publish", body, body, str(outbox.row_key()))


@compiles(OutboxInsert, "postgresql")
def _call_function(statement: OutboxInsert, compiler: SQLCompiler, **options: Any) -> str:
    function = getattr(func.bellcast, statement.kind)
    body = cast(cast(statement.body, types.Text), JSONB)  # the text is JSON already
    return compiler.process(select(function(body, type_=BigInteger)), **options)


@compiles(OutboxInsert, "sqlite", "mysql", "mariadb")
def _insert_row(statement: OutboxInsert, compiler: SQLCompiler, **options: Any) -> str:
    """Insert key, kind and payload, with parameter marks in the driver's style."""
    values = (statement.key, statement.kind, statement.payload)
    marks = [compiler.process(bindparam(None, value, types.Text, unique=True), **options) for value in values]
    return outbox.insert_sql("sqlite" if compiler.dialect.name == "sqlite" else "mysql", marks)
