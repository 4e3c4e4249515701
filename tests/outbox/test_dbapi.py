"""The outbox table through DB-API drivers."""

import json
import sqlite3

import pytest

from bellcast.contrib import dbapi, outbox


@pytest.fixture
def connection():
    connection = sqlite3.connect(":memory:")
    connection.executescript(outbox.table_sql("sqlite"))
    yield connection
    connection.close()


def rows(connection):
    return [
        (kind, json.loads(payload)) for kind, payload in connection.execute("SELECT kind, payload FROM bellcast_outbox")
    ]


def test_rows_are_written_in_the_transaction_of_the_app(connection):
    dbapi.notify(connection, "alice", title="Rolled back")
    connection.rollback()
    dbapi.notify(connection, ["alice", "bob"], title="Booked", data={"id": 7})
    dbapi.publish(connection, "desk", "booking.made", {"id": 7})
    connection.commit()
    assert rows(connection) == [
        ("notify", {"to": ["alice", "bob"], "title": "Booked", "data": {"id": 7}}),
        ("publish", {"topic": "desk", "name": "booking.made", "data": {"id": 7}}),
    ]


def test_key_that_waits_adds_no_row(connection):
    for _ in range(2):
        dbapi.notify(connection, "alice", title="Booked", idempotency_key="booking-7")
    (key,) = connection.execute("SELECT key FROM bellcast_outbox").fetchone()
    assert key == str(outbox.row_key("booking-7"))
    assert len(rows(connection)) == 1
