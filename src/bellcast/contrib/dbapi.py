"""The outbox table from any DB-API connection: sqlite3, psycopg, PyMySQL, mysqlclient.

    with connection:
        connection.execute("INSERT INTO bookings …")
        notify(connection, "alice", title="New booking")

`bellcast sql outbox` prints the table; `bellcast relay` sends its rows."""

import sys
from typing import Any, Unpack

from bellcast.client.arguments import Text
from bellcast.client.notifications import Content, Target
from bellcast.contrib import outbox, payloads


def notify(
    connection: Any,
    to: Target,
    title: Text | None = None,
    *,
    idempotency_key: Text | None = None,
    **content: Unpack[Content],
) -> None:
    """Write a notification in the connection's transaction. Arguments as for `Bellcast.notify`. If a row with the same
    key is already waiting, no row is added; a refused one is replaced."""
    payload = payloads.notification(to, {"title": title, **content}, None)
    _insert(connection, "notify", outbox.row_key(idempotency_key), payload)


def publish(
    connection: Any,
    topic: Text | None,
    name: Text,
    data: Any = None,
    *,
    recipient: Text | None = None,
    tenant: Text | None = None,
) -> None:
    """Write a live event to a topic, or to the connections of a recipient."""
    _insert(connection, "publish", outbox.row_key(), payloads.event(topic, name, data, recipient, tenant))


def _insert(connection: Any, kind: outbox.Kind, key: Any, payload: str) -> None:
    dialect, mark = _dialect(connection)
    cursor = connection.cursor()
    try:
        cursor.execute(outbox.insert_sql(dialect, [mark] * 3), (str(key), kind, payload))
    finally:
        cursor.close()


def _dialect(connection: Any) -> tuple[outbox.Dialect, str]:
    """Return the SQL dialect and the parameter mark of the connection's driver."""
    # The connection may be the app's subclass of the driver's class, in a package of the app.
    packages = [kind.__module__.partition(".")[0] for kind in type(connection).__mro__]
    package = next((one for one in packages if hasattr(sys.modules[one], "paramstyle")), packages[0])
    mark = "?" if getattr(sys.modules[package], "paramstyle", "format") == "qmark" else "%s"
    if "sqlite" in package:
        return "sqlite", mark
    return ("mysql" if "mysql" in package.lower() else "postgresql"), mark
