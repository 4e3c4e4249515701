"""Outbox rows are delivered once and in order even if nodes die, lose connections or run in parallel."""

import json
import threading
import time
from collections import Counter

import pytest

from tests import engines
from tests.faults.nodes import titles
from tests.faults.raw_sockets import eventually
from tests.faults.test_postgres_nodes import everything
from tests.wire.clients import websocket

NOTIFY = "SELECT bellcast.notify('alice', %s)"
ROWS = 300


def payload(title: object) -> str:
    return json.dumps({"title": str(title)})


def write(app, first_number: int = 0) -> list[str]:
    """Write rows, each in a separate transaction; return their titles."""
    with app.connect(autocommit=True) as connection:
        for number in range(first_number, first_number + ROWS):
            connection.execute(NOTIFY, [payload(number)])
            time.sleep(0.001)
    return [str(number) for number in range(first_number, first_number + ROWS)]


def test_node_killed_between_sending_and_removing_delivers_once(app, serve):
    app.run(NOTIFY, payload("Booked"))
    with app.connect() as blocking:
        blocking.execute("LOCK TABLE bellcast.outbox IN SHARE MODE")  # rows can be read but not removed
        server = serve()
        assert eventually(lambda: titles(server, "alice") == ["Booked"])
        server.kill()
    assert app.waiting() == 1
    server.start()
    assert eventually(lambda: app.waiting() == 0)
    assert titles(server, "alice") == ["Booked"]


@pytest.fixture
def pair(store_database, serve):
    """Two nodes on one store that share an outbox."""
    environ = {"BELLCAST_STORE": store_database.url, "BELLCAST_BROKER": engines.redis().url}
    return serve(**environ), serve(**environ)


def test_two_nodes_on_one_outbox_deliver_once_and_in_order(app, pair):
    first_node, second_node = pair
    with websocket(first_node, "alice") as first_client, websocket(second_node, "alice") as second_client:
        for client in (first_client, second_client):
            client.until("ready")
        written = write(app)
        for client in (first_client, second_client):
            assert [client.until("notification")["notification"]["title"] for _ in written] == written
    assert everything(first_node, "alice") == written[::-1]


@pytest.mark.thorough
def test_surviving_node_sends_the_rows_of_a_killed_one(app, pair):
    first_node, second_node = pair
    writer = threading.Thread(target=write, args=(app,))
    writer.start()
    assert eventually(lambda: len(titles(second_node, "alice")) > 20)
    first_node.kill()
    writer.join()
    assert eventually(lambda: app.waiting() == 0)
    assert Counter(everything(second_node, "alice")) == Counter(str(number) for number in range(ROWS))


def test_lost_database_connection_neither_loses_nor_duplicates_rows(app, serve):
    server = serve()
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bellcast' AND datname = current_database()"
    writer = threading.Thread(target=write, args=(app,))
    writer.start()
    while writer.is_alive():
        app.run(cut)
        time.sleep(0.1)
    assert eventually(lambda: app.waiting() == 0)
    assert Counter(everything(server, "alice")) == Counter(str(number) for number in range(ROWS))


@pytest.mark.thorough
def test_rows_stay_in_the_outbox_while_the_store_is_unavailable(app, store_database, serve):
    server = serve(BELLCAST_STORE=store_database.url)
    name = store_database.url.rsplit("/", 1)[1]
    app.run(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    app.run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", name)
    written = write(app)
    assert app.waiting() == ROWS
    assert app.sql("status")["refused"] == 0
    app.run(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    assert eventually(lambda: app.waiting() == 0)
    assert everything(server, "alice") == written[::-1]


def test_refused_row_with_a_number_that_is_used_again_blocks_no_other(app, serve):
    server = serve()
    for number in (1, 2):
        app.run(NOTIFY, json.dumps({"titel": number}))
        assert eventually(lambda: app.waiting() == 0)
        app.run("TRUNCATE bellcast.outbox RESTART IDENTITY")
    app.run(NOTIFY, payload("Booked"))
    assert eventually(lambda: titles(server, "alice") == ["Booked"])
    refused = app.run("SELECT id, payload FROM bellcast.refused ORDER BY id")
    assert refused == [(1, {"to": "alice", "titel": 1}), (2, {"to": "alice", "titel": 2})]
