"""Announcements written by other programs, and truncated tables of the store, reach every connected inbox."""

import psycopg
import pytest

from tests.faults.nodes import send, titles
from tests.faults.raw_sockets import eventually
from tests.outbox.test_notification_rows import inbox
from tests.wire.clients import stream, websocket

ANNOUNCE = "INSERT INTO bellcast.announcements (title, topic, tags) VALUES (%s, %s, %s)"


def test_inserted_announcement_is_delivered_to_its_audience(store, server):
    send(server, "bob", "To bob")
    with websocket(server, "alice") as alice, stream(server, "alice") as alice_stream, websocket(server, "bob") as bob:
        for client in (alice, alice_stream, bob):
            client.until("ready")
        store.run(ANNOUNCE, "To all", None, '["x"]')
        for client in (alice, alice_stream, bob):
            frame = client.until("notification")
            assert (frame["notification"]["title"], frame["unread"], frame["unseen"]) == ("To all", 2, 2)
        store.run(ANNOUNCE, "To nobody", "nobody", None)
        store.run(ANNOUNCE, "To all again", None, None)
        assert alice.until("notification")["notification"]["title"] == "To all again"
    assert inbox(server)["unread"] == 3
    assert [row["title"] for row in inbox(server, tag="x")["notifications"]] == ["To all"]
    assert titles(server, "bob")[:2] == ["To all again", "To all"]


def test_updated_announcement_is_sent_and_deleted_one_recalled(store, server):
    with websocket(server, "alice") as alice:
        position = alice.until("ready")["position"]
        store.run(ANNOUNCE, "At noon", None, None)
        id = alice.until("notification")["notification"]["id"]
        store.run("UPDATE bellcast.announcements SET title = 'At one' WHERE id = %s", id)
        assert alice.until("notification-update")["notification"]["title"] == "At one"
        store.run("DELETE FROM bellcast.announcements WHERE id = %s", id)
        frame = alice.until("notification-delete")
        assert (frame["id"], frame["unread"]) == (id, 1)
    with websocket(server, "alice", position=position) as resumed:
        assert resumed.until("ready")["resumed"]
        assert resumed.until("notification-delete")["id"] == id
    assert titles(server, "alice") == ["First"]


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("INSERT INTO bellcast.announcements (title) VALUES (' ')", "title"),
        ("INSERT INTO bellcast.announcements (title, topic) VALUES ('x', 'a b')", "topic"),
        ("INSERT INTO bellcast.announcements (title, data) VALUES ('x', '[]')", "data"),
        ("UPDATE bellcast.announcements SET topic = 'other'", "whom it is for"),
    ],
)
def test_unreadable_announcement_rows_are_refused(store, server, statement, complaint):
    store.run(ANNOUNCE, "There", "somebody", None)
    with pytest.raises(psycopg.errors.CheckViolation, match=complaint):
        store.run(statement)


def test_truncated_notifications_reset_the_inboxes_that_had_some(store, server):
    with websocket(server, "alice") as alice, stream(server, "alice") as alice_stream:
        position = alice.until("ready")["position"]
        alice_stream.until("ready")
        store.run("TRUNCATE bellcast.notifications")
        for client in (alice, alice_stream):
            frame = client.until("reset")
            assert (frame["unread"], frame["unseen"]) == (0, 0)
        send(server, "alice", "After", tags=["a"])
        assert alice.until("notification")["unread"] == 1
    with websocket(server, "alice", position=position) as resumed:
        assert not resumed.until("ready")["resumed"]
    assert titles(server, "alice") == ["After"]
    assert [row["title"] for row in inbox(server, tag="a")["notifications"]] == ["After"]


def test_truncated_announcements_are_removed_from_inboxes(store, server):
    with websocket(server, "alice") as alice:
        alice.until("ready")
        store.run(ANNOUNCE, "Soon gone", None, None)
        id = alice.until("notification")["notification"]["id"]
        store.run("TRUNCATE bellcast.announcements")
        frame = alice.until("notification-delete")
        assert (frame["id"], frame["unread"]) == (id, 1)
        store.run("TRUNCATE bellcast.announcements, bellcast.notifications")
        assert alice.until("reset")["unread"] == 0
    assert titles(server, "alice") == []


def test_position_before_truncated_tombstones_is_too_old(store, server):
    with websocket(server, "alice") as alice:
        position = alice.until("ready")["position"]
        store.run("DELETE FROM bellcast.notifications")
        alice.until("notification-delete")
    store.run("TRUNCATE bellcast.tombstones")
    with websocket(server, "alice", position=position) as resumed:
        resumed.until("ready")
        assert resumed.until("reset")["unread"] == 0
    assert eventually(lambda: inbox(server)["notifications"] == [])
