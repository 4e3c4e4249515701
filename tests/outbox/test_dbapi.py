"""The outbox table through DB-API drivers."""

import json
import os
import queue
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from sqlalchemy import create_engine
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import Session

from bellcast.client import Bellcast
from bellcast.contrib import dbapi, outbox, relay_thread, sqlalchemy
from bellcast.contrib.outbox import OutboxRows
from bellcast.contrib.relay import RelayThread, Round
from tests.faults.nodes import titles
from tests.faults.raw_sockets import eventually


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


def test_pending_key_adds_no_row(connection):
    for _ in range(2):
        dbapi.notify(connection, "alice", title="Booked", idempotency_key="booking-7")
    (key,) = connection.execute("SELECT key FROM bellcast_outbox").fetchone()
    assert key == str(outbox.row_key("booking-7"))
    assert len(rows(connection)) == 1


def test_refused_row_is_replaced_by_a_send_with_its_key(connection):
    for number in range(2):
        dbapi.notify(connection, "alice", title="Too long", idempotency_key=f"booking-{number}")
    refused = OutboxRows(connection, "sqlite")
    first, second = refused.lease(2)
    refused.refuse(first.id, "title: must be at most 200 characters")
    for number in range(2):
        dbapi.notify(connection, "alice", title="Booked", idempotency_key=f"booking-{number}")
    assert [row["title"] for _, row in rows(connection)] == ["Booked", "Too long"]
    (renewed,) = refused.lease(2)
    assert (renewed.id, renewed.attempts) == (first.id, 1)
    assert second.id != first.id


def test_subclass_of_a_connection_is_one_of_its_driver():
    class AppConnection(sqlite3.Connection):
        """Exceptions of the app's own module."""

    with closing(sqlite3.connect(":memory:", factory=AppConnection)) as connection:
        connection.executescript(outbox.table_sql("sqlite"))
        dbapi.notify(connection, "alice", title="Booked")
        assert rows(connection) == [("notify", {"to": "alice", "title": "Booked"})]


def test_pooled_connection_of_sqlalchemy_is_one_of_its_driver(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with closing(engine.raw_connection()) as connection:
        connection.driver_connection.executescript(outbox.table_sql("sqlite"))
        dbapi.notify(connection, "alice", title="Booked")
        assert rows(connection.driver_connection) == [("notify", {"to": "alice", "title": "Booked"})]
    engine.dispose()


def test_proxy_of_a_connection_is_one_of_its_class(connection):
    class Proxy:
        """Reports the class of the connection, as proxies of tracing libraries do."""

        __class__ = sqlite3.Connection

        def cursor(self):
            return connection.cursor()

    dbapi.notify(Proxy(), "alice", title="Booked")
    assert rows(connection) == [("notify", {"to": "alice", "title": "Booked"})]


@pytest.mark.parametrize("package", ["pymysql", "MySQLdb", "mariadb"])
def test_drivers_of_mysql_and_mariadb_get_the_statement_of_the_table(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, SimpleNamespace(paramstyle="qmark"))
    cursor = Mock()
    connection = type("Connection", (), {"__module__": f"{package}.connections", "cursor": lambda _: cursor})()
    dbapi.notify(connection, "alice", title="Booked")
    assert cursor.execute.call_args.args[0] == outbox.insert_sql("mysql", ["?"] * 3)


def test_sqlalchemy_statement_inserts_the_same_row(tmp_path):
    file = tmp_path / "shop.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(outbox.table_sql("sqlite"))
    engine = create_engine(f"sqlite:///{file}")
    with Session(engine) as session:
        session.execute(sqlalchemy.notify("alice", title="Rolled back"))
    with Session(engine) as session, session.begin():
        for _ in range(2):
            session.execute(sqlalchemy.notify("alice", title="It's “booked” %s :x", idempotency_key="booking-7"))
        session.execute(sqlalchemy.publish("desk", "booking.made", {"id": 7}))
    engine.dispose()
    with closing(sqlite3.connect(file)) as connection:
        assert rows(connection) == [
            ("notify", {"to": "alice", "title": "It's “booked” %s :x"}),
            ("publish", {"topic": "desk", "name": "booking.made", "data": {"id": 7}}),
        ]
        (key,) = connection.execute("SELECT key FROM bellcast_outbox WHERE kind = 'notify'").fetchone()
    assert key == str(outbox.row_key("booking-7"))


@pytest.mark.parametrize("dialect", [mysql.dialect(), mysql.dialect(is_mariadb=True)], ids=["mysql", "mariadb"])
def test_sqlalchemy_statement_of_mysql_is_that_of_the_table(dialect):
    statement = sqlalchemy.notify("alice", title="Booked").compile(dialect=dialect)
    assert str(statement) == outbox.insert_sql("mysql", ["%s"] * 3)


EXITING_APP = """
import sqlite3, sys
from bellcast.contrib import dbapi, relay_thread

relay_thread.start(f"sqlite:///{sys.argv[1]}")
with sqlite3.connect(sys.argv[1]) as connection:
    dbapi.notify(connection, sys.argv[2], title="Committed before the exit")
"""


def test_relay_thread_sends_immediately_when_it_is_woken_and_at_exit(bellcast_server, tmp_path):
    file = tmp_path / "shop.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(outbox.table_sql("sqlite"))
        relay = relay_thread.start(f"sqlite:///{file}", Bellcast(bellcast_server.url, bellcast_server.secret))
        with connection:
            dbapi.notify(connection, "woken-reader", title="Booked")
        relay.wake()
        assert eventually(lambda: titles(bellcast_server, "woken-reader") == ["Booked"])
        relay.finish()
    environ = {**os.environ, "BELLCAST_URL": bellcast_server.url, "BELLCAST_SECRET": bellcast_server.secret}
    subprocess.run([sys.executable, "-c", EXITING_APP, str(file), "exit-reader"], env=environ, check=True, timeout=60)
    assert titles(bellcast_server, "exit-reader") == ["Committed before the exit"]


def test_relay_thread_that_is_woken_during_its_end_ends_and_starts_again(monkeypatch):
    rounds, process = queue.SimpleQueue(), os.getpid()

    def find_process():
        """Another thread commits while `stop` checks the process."""
        if threading.current_thread() is threading.main_thread():
            monkeypatch.setattr(os, "getpid", lambda: process)
            committer = threading.Thread(target=relay.wake)
            committer.start()
            committer.join()
        return process

    relay = RelayThread(lambda: (rounds.put("round"), Round())[1])
    relay.wake()
    rounds.get(timeout=60)
    monkeypatch.setattr(os, "getpid", find_process)
    assert relay.stop(10)
    while not rounds.empty():
        rounds.get()
    relay.wake()
    assert rounds.get(timeout=60) == "round"
    assert relay.stop(60)


def test_relay_that_is_stopped_as_a_round_begins_ends_after_it():
    stopped = threading.Event()

    class Woken(threading.Event):
        def clear(self):
            stopped.set()
            self.set()  # as `stop` does
            super().clear()

    loop = threading.Thread(target=RelayThread(Round)._loop, args=(Woken(), stopped), daemon=True)
    loop.start()
    loop.join(10)
    assert not loop.is_alive()


@pytest.mark.parametrize(
    ("url", "package"), [("postgresql://db/shop", "'psycopg[binary]'"), ("mysql://db/shop", "pymysql")]
)
def test_relay_without_the_driver_says_what_to_install(monkeypatch, url, package):
    for name in ("psycopg", "pymysql"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=re.escape(f"run pip install {package}")):
        relay_thread.start(url)


class MySQL:
    """The module of the driver and its connection: records statements, and finds the row 7."""

    description = (("id",),)

    def __init__(self):
        self.statements = []

    def connect(self, *, init_command, autocommit, **address):
        assert (address["host"], address["database"], autocommit) == ("db", "shop", True)
        self.statements.append(init_command)
        return self

    def cursor(self):
        return self

    def execute(self, statement, parameters):
        self.statements.append(statement % tuple(["?"] * len(parameters)))

    def fetchall(self):
        statement = self.statements[-1]
        if "min(id)" in statement:
            return [(None,)]
        return [(7,)] if statement.startswith("SELECT id FROM") else []

    def close(self):
        pass


def test_relay_on_mysql_does_not_wait_for_rows_that_are_not_committed(monkeypatch):
    driver = MySQL()
    monkeypatch.setitem(sys.modules, "pymysql", driver)
    rows = outbox.connect("mysql://db/shop")
    assert driver.statements == ["SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"]
    rows.release_ahead()
    rows.lease(2)
    rows.postpone([7, 8], 1, "The server is down")
    rows.delete([7, 8])
    changes = [one for one in driver.statements if one.startswith(("UPDATE", "DELETE"))]
    assert len(changes) == 4
    assert all(" bellcast_outbox FORCE INDEX (PRIMARY) " in one for one in changes)
    # MySQL scans the table for a list of ids, in spite of the index
    assert "FROM (SELECT ? AS id UNION ALL SELECT ? AS id) AS sent STRAIGHT_JOIN" in changes[-1]


def test_mysql_stores_the_reason_of_a_refusal_in_any_character_set():
    connection = Mock()
    connection.cursor().description = None
    OutboxRows(connection, "mysql").refuse(7, "There is no template 'Ž😀'.")
    (_, reason, _) = connection.cursor().execute.call_args.args[1]
    assert reason == r"There is no template '\u017d\U0001f600'."


def test_relay_reconnects_after_an_outage_of_its_database(bellcast_server, tmp_path):
    file = tmp_path / "shop.db"
    with Bellcast(bellcast_server.url, bellcast_server.secret) as bell:
        relay = relay_thread.DatabaseRelay(f"sqlite:///{file}", bell)
        assert relay.run().wait == relay_thread.POLL_INTERVAL
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.executescript(outbox.table_sql("sqlite"))
            dbapi.notify(connection, "away-reader", title="Booked")
        assert len(relay.run().sent) == 1
        relay.close()


def test_relay_sends_rows_past_their_time_immediately_and_once(bellcast_server, tmp_path):
    file, now = tmp_path / "shop.db", datetime.now(UTC)
    local = (now - timedelta(days=2)).replace(tzinfo=None).isoformat()
    late = {
        "exact": {"send_at": (now - timedelta(minutes=2)).isoformat()},
        "own key": {"send_at": (now - timedelta(minutes=2)).isoformat(), "idempotency_key": "late-reminder"},
        "in a zone": {"send_at": local, "timezone": "Europe/Vienna"},
        "of the recipient": {"send_at": local, "timezone": "recipient"},
    }
    wrong = {
        "no time": {"send_at": "yesterday"},
        "no zone": {"send_at": local},
        "too far": {"send_at": (now + timedelta(days=400)).isoformat()},
        "zone of two": {"send_at": f"{local}Z", "timezone": "recipient"},
        "no title": {"send_at": (now - timedelta(minutes=2)).isoformat(), "title": ""},
    }
    payloads = {title: {"to": "late-reader", "title": title, **row} for title, row in {**late, **wrong}.items()}
    with closing(sqlite3.connect(file)) as connection, Bellcast(bellcast_server.url, bellcast_server.secret) as bell:
        connection.executescript(outbox.table_sql("sqlite"))
        relay = relay_thread.DatabaseRelay(f"sqlite:///{file}", bell)
        for _ in range(2):  # as after a round whose response was lost
            for title, payload in payloads.items():
                key = str(outbox.row_key(f"{file} {title}"))
                connection.execute(outbox.insert_sql("sqlite", "???"), [key, "notify", json.dumps(payload)])
            connection.commit()
            assert len(relay.run().sent) == len(late)
        relay.close()
        ((refused,),) = connection.execute("SELECT count(*) FROM bellcast_outbox WHERE refused_at IS NOT NULL")
    assert titles(bellcast_server, "late-reader") == list(late)[::-1]
    assert refused == len(wrong)


def run(*command, **environ):
    command = [sys.executable, "-m", "bellcast", *command]
    return subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, timeout=120)


class SlowServer(BaseHTTPRequestHandler):
    """Accepts bulk sends, and stops the relay before its response."""

    def do_POST(self):
        self.server.relay.send_signal(self.server.signal)
        lines = self.rfile.read(int(self.headers["Content-Length"])).splitlines()
        body = json.dumps({"results": [{"id": "n"} for _ in lines]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """No-op."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_relay_command_finishes_its_request_before_it_ends(tmp_path, number):
    file = tmp_path / "shop.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.executescript(outbox.table_sql("sqlite"))
        dbapi.notify(connection, "alice", title="Booked")
    with HTTPServer(("127.0.0.1", 0), SlowServer) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        command = [sys.executable, "-m", "bellcast", "relay", f"sqlite:///{file}", "--url", url]
        environ = {**os.environ, "BELLCAST_SECRET": "secret"}
        with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as relay:
            server.relay, server.signal = relay, number
            server.handle_request()
            out, err = relay.communicate(timeout=60)
    assert (relay.returncode, "1 sent" in out) == (0, True), err
    with closing(sqlite3.connect(file)) as connection:
        assert rows(connection) == []


@pytest.mark.thorough
def test_relay_command_sends_due_rows_and_keeps_refused_ones(bellcast_server, tmp_path):
    file = tmp_path / "shop.db"
    printed = run("sql", "outbox", "sqlite").stdout
    connection = sqlite3.connect(file)
    connection.executescript(printed)
    for number in range(3):
        dbapi.notify(connection, "relay-reader", title=f"N{number}", idempotency_key=f"relay-{file}-{number}")
    connection.execute(
        "INSERT INTO bellcast_outbox (key, kind, payload) VALUES (?, 'notify', '{}')", [str(outbox.row_key())]
    )
    dbapi.publish(connection, "desk", "tick")
    connection.commit()
    relay = ("relay", f"sqlite:///{file}", "--once", "--url")
    down = run(*relay, "http://127.0.0.1:9", BELLCAST_SECRET=bellcast_server.secret)
    assert down.returncode == 1, down.stdout
    assert "still due" in down.stderr
    connection.execute("UPDATE bellcast_outbox SET next_attempt_at = NULL")
    connection.commit()
    sent = run(*relay, bellcast_server.url, BELLCAST_SECRET=bellcast_server.secret)
    assert sent.returncode == 0, sent.stderr
    assert titles(bellcast_server, "relay-reader") == ["N2", "N1", "N0"]
    ((kind, error, refused_at),) = connection.execute("SELECT kind, error, refused_at FROM bellcast_outbox")
    connection.close()
    assert (kind, refused_at is None) == ("notify", False)
    assert error
