"""`bellcast tail`: an inbox followed live, even across restarts of the server."""

import json
import signal

import httpx
import pytest

from tests.journey.shell import Terminal, bellcast, end, lines, running


@pytest.fixture
def project(bellcast_server):
    return {"BELLCAST_URL": bellcast_server.url, "BELLCAST_SECRET": bellcast_server.secret}


def send(server, **draft):
    response = httpx.post(f"{server.url}/v1/notifications", headers=server.as_app(), json=draft)
    response.raise_for_status()
    return response.json()["notifications"][0]["id"]


def next_frame(process, name):
    """Return the next frame of that type."""
    return next(frame for frame in map(json.loads, lines(process)) if frame["type"] == name)


def test_tail_prints_the_newest_notifications_then_live_events(bellcast_server, project):
    for title in ("one", "two", "three"):
        send(bellcast_server, to="tail-alice", title=title)
    with running("tail", "tail-alice", "-n", 2, "--json", **project) as process:
        assert [next_frame(process, "notification")["notification"]["title"] for _ in range(2)] == ["two", "three"]
        assert next_frame(process, "ready")["unread"] == 3
        id = send(bellcast_server, to="tail-alice", title="four")
        live = next_frame(process, "notification")
        assert (live["notification"]["id"], live["unread"]) == (id, 4)
        headers = bellcast_server.as_recipient("tail-alice")
        httpx.patch(f"{bellcast_server.url}/v1/inbox/{id}", headers=headers, json={"read": True})
        assert next_frame(process, "notification-update")["unread"] == 3
        httpx.delete(f"{bellcast_server.url}/v1/inbox/{id}", headers=headers)
        assert next_frame(process, "notification-delete")["id"] == id
        assert end(process, signal.SIGINT).status == 0


def test_tail_marks_nothing_as_seen(bellcast_server, project):
    send(bellcast_server, to="tail-bob", title="Unseen")
    with running("tail", "tail-bob", "--json", **project) as process:
        assert next_frame(process, "notification")["notification"]["seen_at"] is None
        next_frame(process, "ready")
    headers = bellcast_server.as_recipient("tail-bob")
    assert httpx.get(f"{bellcast_server.url}/v1/inbox", headers=headers).json()["unseen"] == 1


def test_tail_follows_topics_too(bellcast_server, project):
    with running("tail", "tail-carol", "--topic", "deploys", "--topic", "alerts", "--json", **project) as process:
        assert next_frame(process, "ready")["topics"] == ["deploys", "alerts"]
        body = {"topic": "alerts", "name": "fired", "data": {"level": 3}}
        httpx.post(f"{bellcast_server.url}/v1/events", headers=bellcast_server.as_app(), json=body)
        assert next_frame(process, "event")["data"] == {"level": 3}


def test_tail_loses_nothing_when_the_server_is_killed(start_server):
    server = start_server()
    project = {"BELLCAST_URL": server.url, "BELLCAST_SECRET": server.secret}
    with running("tail", "alice", "--json", **project) as process:
        next_frame(process, "ready")
        sent = [send(server, to="alice", title="before")]
        received = [next_frame(process, "notification")["notification"]["id"]]
        for _ in range(2):
            server.restart()
            sent += [send(server, to="alice", title=f"number {number}") for number in range(3)]
            received += [next_frame(process, "notification")["notification"]["id"] for _ in range(3)]
    assert received == sent


def test_tail_highlights_urgent_notifications_at_a_terminal(bellcast_server, project):
    send(bellcast_server, to="tail-dora", title="Disk almost full", priority="urgent", type="ops", tags=["db"])
    with Terminal("tail", "tail-dora", **project) as screen:
        shown = screen.read_until(r"[^\n]*Disk almost full[^\n]*\n[^\n]*#db")[0]
        assert "\x1b[1;37;41m" in shown
        screen.read_until(r"tail-dora.*1 unread")
        send(bellcast_server, to="tail-dora", title="Tea?", priority="low", body="At four", actor="Bob")
        screen.read_until(r"Tea\?(.|\n)*At four(.|\n)*by Bob(.|\n)*2 unread")
        screen.process.send_signal(signal.SIGINT)
        assert screen.wait() == 0


def test_notification_cannot_control_the_terminal(bellcast_server, project):
    # The first sequence would rename the window, the second would hide the text after it.
    send(bellcast_server, to="tail-eve", title="\x1b]0;owned\x07 title", body="\x9b8m body", type="t\x1b[8m")
    with Terminal("tail", "tail-eve", **project) as screen:
        shown = screen.read_until(r"(.|\n)*1 unread")[0]
    assert "\x1b]0" not in shown
    assert "\x9b" not in shown
    assert "\x1b[8m" not in shown


def test_tail_reports_errors_of_credentials_server_and_arguments(project):
    wrong = bellcast("tail", "alice", **project | {"BELLCAST_SECRET": "wrong"})
    assert wrong.status == 1
    assert "does not accept this secret" in wrong.err
    unreachable = bellcast("tail", "alice", **project | {"BELLCAST_URL": "http://127.0.0.1:1"})
    assert unreachable.status == 1
    assert "no server responds at http://127.0.0.1:1" in unreachable.err
    empty = bellcast("tail", "", **project)
    assert empty.status == 2
    assert "recipient: must not be empty" in empty.err


def test_tail_ends_when_its_session_is_revoked(bellcast_server, project):
    with running("tail", "tail-frank", "--json", **project) as process:
        next_frame(process, "ready")
        url = f"{bellcast_server.url}/v1/recipients/tail-frank/sessions"
        httpx.delete(url, headers=bellcast_server.as_app())
        assert next_frame(process, "close")["reason"] == "revoked"
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the server ended the stream (revoked); run the command again for a new session" in err
