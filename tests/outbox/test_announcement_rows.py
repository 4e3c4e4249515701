"""Announcements written by any program, and tables of the store that somebody empties: everybody who looks is told."""

import psycopg
import pytest

from tests.faults.nodes import send, titles
from tests.faults.raw import eventually
from tests.outbox.test_notification_rows import inbox
from tests.wire.clients import stream, websocket

ANNOUNCE = "INSERT INTO bellcast.announcements (title, topic, tags) VALUES (%s, %s, %s)"


def test_an_announcement_rings_for_those_whom_it_is_for(store, server):
    send(server, "bob", "To bob")
    with websocket(server, "alice") as bell, stream(server, "alice") as other, websocket(server, "bob") as bob:
        for one in (bell, other, bob):
            one.until("ready")
        store.run(ANNOUNCE, "To all", None, '["x"]')
        for one in (bell, other, bob):
            told = one.until("notification")
            assert (told["notification"]["title"], told["unread"], told["unseen"]) == ("To all", 2, 2)
        store.run(ANNOUNCE, "To nobody", "nobody", None)
        store.run(ANNOUNCE, "To all again", None, None)
        assert bell.until("notification")["notification"]["title"] == "To all again"
    assert inbox(server)["unread"] == 3
    assert [one["title"] for one in inbox(server, tag="x")["notifications"]] == ["To all"]
    assert titles(server, "bob")[:2] == ["To all again", "To all"]


def test_a_correction_is_told_and_what_is_deleted_is_recalled(store, server):
    with websocket(server, "alice") as bell:
        position = bell.until("ready")["position"]
        store.run(ANNOUNCE, "At noon", None, None)
        id = bell.until("notification")["notification"]["id"]
        store.run("UPDATE bellcast.announcements SET title = 'At one' WHERE id = %s", id)
        assert bell.until("notification-update")["notification"]["title"] == "At one"
        store.run("DELETE FROM bellcast.announcements WHERE id = %s", id)
        told = bell.until("notification-delete")
        assert (told["id"], told["unread"]) == (id, 1)
    with websocket(server, "alice", position=position) as back:
        assert back.until("ready")["resumed"]
        assert back.until("notification-delete")["id"] == id
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
def test_what_no_client_could_read_is_refused(store, server, statement, complaint):
    store.run(ANNOUNCE, "There", "somebody", None)
    with pytest.raises(psycopg.errors.CheckViolation, match=complaint):
        store.run(statement)


def test_emptied_notifications_are_a_reset_for_whoever_had_some(store, server):
    with websocket(server, "alice") as bell, stream(server, "alice") as other:
        position = bell.until("ready")["position"]
        other.until("ready")
        store.run("TRUNCATE bellcast.notifications")
        for one in (bell, other):
            told = one.until("reset")
            assert (told["unread"], told["unseen"]) == (0, 0)
        send(server, "alice", "After", tags=["a"])
        assert bell.until("notification")["unread"] == 1
    with websocket(server, "alice", position=position) as back:
        assert not back.until("ready")["resumed"]
    assert titles(server, "alice") == ["After"]
    assert [one["title"] for one in inbox(server, tag="a")["notifications"]] == ["After"]


def test_emptied_announcements_leave_the_inboxes_that_have_them(store, server):
    with websocket(server, "alice") as bell:
        bell.until("ready")
        store.run(ANNOUNCE, "Soon gone", None, None)
        id = bell.until("notification")["notification"]["id"]
        store.run("TRUNCATE bellcast.announcements")
        told = bell.until("notification-delete")
        assert (told["id"], told["unread"]) == (id, 1)
        store.run("TRUNCATE bellcast.announcements, bellcast.notifications")
        assert bell.until("reset")["unread"] == 0
    assert titles(server, "alice") == []


def test_without_tombstones_a_position_before_is_too_old(store, server):
    with websocket(server, "alice") as bell:
        position = bell.until("ready")["position"]
        store.run("DELETE FROM bellcast.notifications")
        bell.until("notification-delete")
    store.run("TRUNCATE bellcast.tombstones")
    with websocket(server, "alice", position=position) as back:
        back.until("ready")
        assert back.until("reset")["unread"] == 0
    assert eventually(lambda: inbox(server)["notifications"] == [])
