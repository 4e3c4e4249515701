"""Rows of the store's notifications written by other programs change inboxes like any other change."""

import httpx
import psycopg
import pytest

from tests.faults.nodes import send, titles
from tests.wire.clients import stream, websocket

INSERT = "INSERT INTO bellcast.notifications (recipient, title, tags) SELECT id, %s, %s FROM bellcast.recipients WHERE key = %s"


def inbox(server, **query):
    return httpx.get(f"{server.url}/v1/inbox", params=query, headers=server.as_recipient("alice"), timeout=30).json()


def test_inserted_notification_is_delivered(store, server):
    with websocket(server, "alice") as alice, stream(server, "alice") as alice_stream:
        before = alice.until("ready")
        alice_stream.until("ready")
        store.run(INSERT, "By hand", '["x"]', "alice")
        for client in (alice, alice_stream):
            frame = client.until("notification")
            assert frame["notification"]["title"] == "By hand"
            assert (frame["unread"], frame["unseen"]) == (before["unread"] + 1, before["unseen"] + 1)
        notification = frame["notification"]
    fresh = inbox(server)
    assert fresh["notifications"][0] == notification
    assert (fresh["unread"], fresh["position"]) == (2, frame["position"])
    assert [row["title"] for row in inbox(server, tag="x")["notifications"]] == ["By hand"]


def test_updated_notification_is_sent_with_its_counters(store, server):
    with websocket(server, "alice") as alice:
        alice.until("ready")
        store.run("UPDATE bellcast.notifications SET read_at = 1763000000000")
        frame = alice.until("notification-update")
        assert frame["notification"]["read_at"] == frame["notification"]["seen_at"] == "2025-11-13T02:13:20Z"
        assert (frame["unread"], frame["unseen"]) == (0, 0)
        store.run("UPDATE bellcast.notifications SET seen_at = NULL, tags = %s", '["c"]')
        frame = alice.until("notification-update")
        assert frame["notification"]["read_at"] is None
        assert (frame["unread"], frame["unseen"]) == (1, 1)
    assert [row["tags"] for row in inbox(server, tag="c")["notifications"]] == [["c"]]
    assert inbox(server, tag="a")["notifications"] == []
    assert [row["title"] for row in inbox(server, view="unread")["notifications"]] == ["First"]


def test_deleted_notification_is_sent_and_replayed_on_resume(store, server):
    with websocket(server, "alice") as alice:
        position = alice.until("ready")["position"]
        id = inbox(server)["notifications"][0]["id"]
        store.run("DELETE FROM bellcast.notifications WHERE id = %s", id)
        frame = alice.until("notification-delete")
        assert (frame["id"], frame["unread"]) == (id, 0)
    with websocket(server, "alice", position=position) as resumed:
        assert resumed.until("ready")["resumed"]
        assert resumed.until("notification-delete")["id"] == id
    assert inbox(server)["notifications"] == []
    assert inbox(server, tag="a")["notifications"] == []


def test_rows_of_one_transaction_are_all_sent_and_of_a_rolled_back_one_none(store, server):
    with websocket(server, "alice") as alice:
        alice.until("ready")
        with store.connect() as connection:
            connection.execute(INSERT, ["Never", None, "alice"])
            connection.rollback()
            for number in range(50):
                connection.execute(INSERT, [f"{number}", None, "alice"])
            connection.execute("UPDATE bellcast.notifications SET body = 'x' WHERE title = '7'")
            connection.execute("DELETE FROM bellcast.notifications WHERE title = '8'")
        frames = [alice.until("notification") for _ in range(49)]
    assert sorted(frame["notification"]["title"] for frame in frames) == sorted(str(n) for n in range(50) if n != 8)
    assert frames[-1]["unread"] == inbox(server)["unread"] == 50
    assert {frame["notification"]["body"] for frame in frames if frame["notification"]["title"] == "7"} == {"x"}


def test_bellcasts_own_writes_are_sent_once(store, server):
    with websocket(server, "alice") as alice:
        alice.until("ready")
        send(server, "alice", "Second")
        id = alice.until("notification")["notification"]["id"]
        alice.ask("read", ids=[id])
        alice.ask("delete", ids=[id])
        store.run(INSERT, "Last", None, "alice")
        assert alice.next()["notification"]["title"] == "Last"
    ((revision, unread),) = store.run("SELECT revision, unread FROM bellcast.recipients")
    assert (revision, unread) == (5, 2)  # First, Second, read, deleted, Last


def test_rows_written_while_the_listener_is_disconnected_are_sent_after_it_reconnects(store, server):
    cut = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND query ILIKE 'SELECT 1' AND application_name = 'bellcast'"""
    with websocket(server, "alice") as alice:
        alice.until("ready")
        with store.connect(autocommit=True) as connection:
            assert connection.execute(cut).fetchall() == [(True,)]
            connection.execute(INSERT, ["Unheard", None, "alice"])
        assert alice.until("notification")["notification"]["title"] == "Unheard"


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


def test_unreadable_notification_rows_are_refused(store, server):
    ((number,),) = store.run("SELECT id FROM bellcast.recipients WHERE key = 'alice'")
    for columns, complaint in UNREADABLE:
        row = {"recipient": number, "title": "x"} | columns
        statement = f"INSERT INTO bellcast.notifications ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})"
        with pytest.raises(psycopg.Error, match=complaint):
            store.run(statement, *row.values())
    assert titles(server, "alice") == ["First"]


def test_role_with_row_privileges_needs_no_other_privilege(store, server):
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


def test_own_writes_are_recognised_despite_another_application_name(store, server, start_server):
    renamed = start_server(BELLCAST_STORE=f"{store.url}?application_name=shop")
    ((before,),) = store.run("SELECT revision FROM bellcast.recipients WHERE key = 'alice'")
    send(renamed, "alice", "Second")
    ((after, unread),) = store.run("SELECT revision, unread FROM bellcast.recipients WHERE key = 'alice'")
    assert (after, unread) == (before + 1, 2)
