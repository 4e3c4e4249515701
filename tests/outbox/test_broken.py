"""Nodes die, are cut off and work side by side: what is in the outbox rings once, in the order it was written."""

import json
import threading
import time
from collections import Counter

import pytest

from tests import engines
from tests.faults.nodes import titles
from tests.faults.raw import eventually
from tests.faults.test_postgres_nodes import everything
from tests.wire.clients import websocket

NOTIFY = "SELECT bellcast.notify('alice', %s)"
NUMBER = 300


def said(title: object) -> str:
    return json.dumps({"title": str(title)})


def write(app, first: int = 0) -> list[str]:
    """Rows one by one, each in a transaction of its own; their titles."""
    with app.connect(autocommit=True) as connection:
        for number in range(first, first + NUMBER):
            connection.execute(NOTIFY, [said(number)])
            time.sleep(0.001)
    return [str(number) for number in range(first, first + NUMBER)]


def test_a_node_killed_between_sending_and_removing_rings_once(app, serve):
    app.run(NOTIFY, said("Booked"))
    with app.connect() as blocking:
        blocking.execute("LOCK TABLE bellcast.outbox IN SHARE MODE")  # rows can be taken, and not be removed
        server = serve()
        assert eventually(lambda: titles(server, "alice") == ["Booked"])
        server.kill()
    assert app.waiting() == 1
    server.start()
    assert eventually(lambda: app.waiting() == 0)
    assert titles(server, "alice") == ["Booked"]


@pytest.fixture
def pair(another, serve):
    """Two nodes on one store, both at one outbox."""
    environ = {"BELLCAST_STORE": another.url, "BELLCAST_BROKER": engines.redis().url}
    return serve(**environ), serve(**environ)


def test_two_nodes_at_one_outbox_ring_once_and_in_order(app, pair):
    one, other = pair
    with websocket(one, "alice") as here, websocket(other, "alice") as there:
        for bell in (here, there):
            bell.until("ready")
        written = write(app)
        for bell in (here, there):
            assert [bell.until("notification")["notification"]["title"] for _ in written] == written
    assert everything(one, "alice") == written[::-1]


def test_a_node_that_dies_leaves_its_rows_to_the_other(app, pair):
    one, other = pair
    writer = threading.Thread(target=write, args=(app,))
    writer.start()
    assert eventually(lambda: len(titles(other, "alice")) > 20)
    one.kill()
    writer.join()
    assert eventually(lambda: app.waiting() == 0)
    assert Counter(everything(other, "alice")) == Counter(str(number) for number in range(NUMBER))


def test_a_connection_to_the_apps_database_that_is_cut_loses_and_doubles_nothing(app, serve):
    server = serve()
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bellcast' AND datname = current_database()"
    writer = threading.Thread(target=write, args=(app,))
    writer.start()
    while writer.is_alive():
        app.run(cut)
        time.sleep(0.1)
    assert eventually(lambda: app.waiting() == 0)
    assert Counter(everything(server, "alice")) == Counter(str(number) for number in range(NUMBER))


def test_a_store_that_is_away_leaves_everything_in_the_outbox(app, another, serve):
    server = serve(BELLCAST_STORE=another.url)
    name = another.url.rsplit("/", 1)[1]
    app.run(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    app.run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", name)
    written = write(app)
    assert app.waiting() == NUMBER
    assert app.sql("status")["refused"] == 0
    app.run(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    assert eventually(lambda: app.waiting() == 0)
    assert everything(server, "alice") == written[::-1]
