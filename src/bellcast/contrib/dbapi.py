"""The outbox table from any DB-API connection: sqlite3, psycopg, PyMySQL, mysqlclient, mariadb.

    with connection:
        connection.execute("INSERT INTO bookings …")
        notify(connection, "alice", title="New booking")

`bellcast sql outbox` prints the table; `bellcast relay` sends its rows."""

import sys
from contextlib import closing
from typing import Any, Unpack

from bellcast.client.arguments import Text
from bellcast.client.notifications import Content, Target
from bellcast.contrib import outbox


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
    payload = outbox.notification_payload(to, {"title": title, **content})
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
    _insert(connection, "publish", outbox.row_key(), outbox.event_payload(topic, name, data, recipient, tenant))


def _insert(connection: Any, kind: outbox.Kind, key: Any, payload: str) -> None:
    # The connection may be one of SQLAlchemy's pool, which names that of the driver, a proxy that has its class, as those of
    # OpenTelemetry, or of the app's subclass, in a package of the app.
    driver = getattr(connection, "driver_connection", connection)
    packages = [kind.__module__.partition(".")[0] for kind in driver.__class__.__mro__]
    package = next((one for one in packages if hasattr(sys.modules[one], "paramstyle")), packages[0])
    mark = "?" if getattr(sys.modules[package], "paramstyle", "format") == "qmark" else "%s"
    dialect: outbox.Dialect = "postgresql"
    if "sqlite" in package:
        dialect = "sqlite"
    elif "mysql" in package.lower() or package == "mariadb":
        dialect = "mysql"
    with closing(connection.cursor()) as cursor:
        cursor.execute(outbox.insert_sql(dialect, [mark] * 3), (str(key), kind, payload))
