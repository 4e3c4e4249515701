"""Rows of the store's own notifications, written by any program: a change of an inbox like any other."""

import httpx
import psycopg
import pytest

from tests.faults.nodes import send, titles
from tests.wire.clients import stream, websocket

INSERT = "INSERT INTO bellcast.notifications (recipient, title, tags) SELECT id, %s, %s FROM bellcast.recipients WHERE key = %s"


def inbox(server, **query):
    return httpx.get(f"{server.url}/v1/inbox", params=query, headers=server.as_recipient("alice"), timeout=30).json()


def test_an_insert_rings(store, server):
    with websocket(server, "alice") as bell, stream(server, "alice") as other:
        before = bell.until("ready")
        other.until("ready")
        store.run(INSERT, "By hand", '["x"]', "alice")
        for one in (bell, other):
            told = one.until("notification")
            assert told["notification"]["title"] == "By hand"
            assert (told["unread"], told["unseen"]) == (before["unread"] + 1, before["unseen"] + 1)
        made = told["notification"]
    fresh = inbox(server)
    assert fresh["notifications"][0] == made
    assert (fresh["unread"], fresh["position"]) == (2, told["position"])
    assert [one["title"] for one in inbox(server, tag="x")["notifications"]] == ["By hand"]


def test_an_update_is_told_with_its_counters(store, server):
    with websocket(server, "alice") as bell:
        bell.until("ready")
        store.run("UPDATE bellcast.notifications SET read_at = 1763000000000")
        told = bell.until("notification-update")
        assert told["notification"]["read_at"] == told["notification"]["seen_at"] == "2025-11-13T02:13:20Z"
        assert (told["unread"], told["unseen"]) == (0, 0)
        store.run("UPDATE bellcast.notifications SET seen_at = NULL, tags = %s", '["c"]')
        told = bell.until("notification-update")
        assert told["notification"]["read_at"] is None
        assert (told["unread"], told["unseen"]) == (1, 1)
    assert [one["tags"] for one in inbox(server, tag="c")["notifications"]] == [["c"]]
    assert inbox(server, tag="a")["notifications"] == []
    assert [one["title"] for one in inbox(server, view="unread")["notifications"]] == ["First"]


def test_a_delete_is_told_and_resumed(store, server):
    with websocket(server, "alice") as bell:
        position = bell.until("ready")["position"]
        id = inbox(server)["notifications"][0]["id"]
        store.run("DELETE FROM bellcast.notifications WHERE id = %s", id)
        told = bell.until("notification-delete")
        assert (told["id"], told["unread"]) == (id, 0)
    with websocket(server, "alice", position=position) as back:
        assert back.until("ready")["resumed"]
        assert back.until("notification-delete")["id"] == id
    assert inbox(server)["notifications"] == []
    assert inbox(server, tag="a")["notifications"] == []


def test_many_rows_of_one_transaction_are_all_told_and_a_rolled_back_one_never(store, server):
    with websocket(server, "alice") as bell:
        bell.until("ready")
        with store.connect() as connection:
            connection.execute(INSERT, ["Never", None, "alice"])
            connection.rollback()
            for number in range(50):
                connection.execute(INSERT, [f"{number}", None, "alice"])
            connection.execute("UPDATE bellcast.notifications SET body = 'x' WHERE title = '7'")
            connection.execute("DELETE FROM bellcast.notifications WHERE title = '8'")
        told = [bell.until("notification") for _ in range(49)]
    assert sorted(one["notification"]["title"] for one in told) == sorted(str(n) for n in range(50) if n != 8)
    assert told[-1]["unread"] == inbox(server)["unread"] == 50
    assert {one["notification"]["body"] for one in told if one["notification"]["title"] == "7"} == {"x"}


def test_what_bellcast_writes_itself_is_told_once(store, server):
    with websocket(server, "alice") as bell:
        bell.until("ready")
        send(server, "alice", "Second")
        id = bell.until("notification")["notification"]["id"]
        bell.ask("read", ids=[id])
        bell.ask("delete", ids=[id])
        store.run(INSERT, "Last", None, "alice")
        assert bell.next()["notification"]["title"] == "Last"
    ((revision, unread),) = store.run("SELECT revision, unread FROM bellcast.recipients")
    assert (revision, unread) == (5, 2)  # First, Second, read, deleted, Last


def test_what_is_written_while_nobody_listens_is_told_once_somebody_does(store, server):
    cut = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND query ILIKE 'SELECT 1' AND application_name = 'bellcast'"""
    with websocket(server, "alice") as bell:
        bell.until("ready")
        with store.connect(autocommit=True) as connection:
            assert connection.execute(cut).fetchall() == [(True,)]
            connection.execute(INSERT, ["Unheard", None, "alice"])
        assert bell.until("notification")["notification"]["title"] == "Unheard"


UNREADABLE = [
    ({"title": " "}, "title"),
    ({"priority": "shrill"}, "priority"),
    ({"data": "[]"}, "data"),
    ({"data": "{"}, "json"),
    ({"tags": "[7]"}, "tags"),
    ({"actor": '{"age": 7}'}, "actor"),
    ({"id": "7"}, "id"),
    ({"recipient": 999}, "recipient"),
]


def test_rows_that_no_client_could_read_are_refused(store, server):
    ((number,),) = store.run("SELECT id FROM bellcast.recipients WHERE key = 'alice'")
    for columns, complaint in UNREADABLE:
        row = {"recipient": number, "title": "x"} | columns
        statement = f"INSERT INTO bellcast.notifications ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})"
        with pytest.raises(psycopg.Error, match=complaint):
            store.run(statement, *row.values())
    assert titles(server, "alice") == ["First"]


def test_a_role_that_may_only_write_rows_needs_no_other_right(store, server):
    role = f"sweeper_{store.url.rsplit('/', 1)[1]}"
    store.run(f"CREATE ROLE {role}")
    store.run(f"GRANT USAGE ON SCHEMA bellcast TO {role}")
    store.run(f"GRANT SELECT, DELETE ON bellcast.notifications TO {role}")
    try:
        with store.connect() as connection:
            connection.execute(f"SET ROLE {role}")
            connection.execute("DELETE FROM bellcast.notifications WHERE title = 'First'")
        assert (titles(server, "alice"), inbox(server)["unread"]) == ([], 0)
    finally:
        store.run(f"DROP OWNED BY {role}")
        store.run(f"DROP ROLE {role}")


def test_bellcast_knows_its_own_writes_whatever_its_address_calls_it(store, server, start_server):
    named = start_server(BELLCAST_STORE=f"{store.url}?application_name=shop")
    ((before,),) = store.run("SELECT revision FROM bellcast.recipients WHERE key = 'alice'")
    send(named, "alice", "Second")
    ((after, unread),) = store.run("SELECT revision, unread FROM bellcast.recipients WHERE key = 'alice'")
    assert (after, unread) == (before + 1, 2)
