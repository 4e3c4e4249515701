"""Frames as text for a terminal and as JSON lines for scripts."""

import json

import pytest

from bellcast.cli.remote import SseFrame
from bellcast.cli.requests import TailOutput

NOTIFICATION = {
    "id": "n1",
    "type": "booking",
    "title": "New booking",
    "body": "Saturday, 14:00\nin the garden",
    "priority": "normal",
    "action_url": "/bookings/7",
    "actor": {"name": "Clara"},
    "tags": ["vip"],
    "created_at": "2026-01-31T12:00:00Z",
    "seen_at": None,
    "read_at": None,
    "archived_at": None,
}


def notification(**changed):
    return SseFrame("notification", {"notification": NOTIFICATION | changed, "unread": 1, "unseen": 1})


@pytest.fixture
def render(capsys):
    """Return the lines printed for these frames."""

    def render_frames(*frames):
        output = TailOutput("alice", json=False)
        for frame in frames:
            output.show(frame)
        return [line.strip() for line in capsys.readouterr().out.splitlines()]

    return render_frames


def test_notification_is_shown_with_all_its_fields(render):
    head, *details = render(notification())
    assert head.endswith("● New booking  booking")
    assert details == ["Saturday, 14:00", "in the garden", "→ /bookings/7", "by Clara  #vip"]


@pytest.mark.parametrize(("priority", "mark"), [("low", "·"), ("normal", "●"), ("high", "▲"), ("urgent", "■")])
def test_every_priority_has_its_mark(render, priority, mark):
    assert f" {mark} New booking" in render(notification(priority=priority))[0]


def test_read_notification_has_a_hollow_mark(render):
    assert " ○ New booking" in render(notification(read_at="2026-01-31T12:01:00Z", priority="urgent"))[0]


def test_missing_fields_are_omitted(render):
    bare = notification(body=None, action_url=None, actor=None, tags=[])
    assert len(render(bare)) == 1


def test_updates_name_their_notification(render):
    read = NOTIFICATION | {"read_at": "2026-01-31T12:01:00Z", "seen_at": "2026-01-31T12:01:00Z"}
    lines = render(
        notification(),
        SseFrame("notification-update", {"notification": read, "unread": 0, "unseen": 0}),
        SseFrame("notification-delete", {"id": "n1", "unread": 0, "unseen": 0}),
        SseFrame("notification-delete", {"id": "never-seen", "unread": 0, "unseen": 0}),
    )
    assert lines[-3:] == ["✓ New booking: read", "✗ New booking: deleted", "✗ never-seen: deleted"]


def test_bulk_changes_are_one_line(render):
    counters = {"unread": 0, "unseen": 0}
    assert render(SseFrame("counts", {"changed": "read", "ids": "all", **counters})) == ["✓ all read"]
    assert render(SseFrame("counts", {"changed": "archived", "ids": ["a", "b"], **counters})) == ["✓ 2 archived"]
    assert render(SseFrame("counts", counters)) == []


def test_topic_frames_are_shown(render):
    refused = [{"topic": "secret", "code": "forbidden", "message": "not yours"}]
    lines = render(
        SseFrame("ready", {"unread": 0, "unseen": 0, "refused": refused}),
        SseFrame("event", {"topic": "deploys", "name": "deployed", "data": {"sha": "abc"}}),
        SseFrame("event", {"name": "poke", "data": None}),
        SseFrame("presence", {"topic": "lobby", "joined": [{"recipient": "bob"}], "left": []}),
        SseFrame("heartbeat", {"time": "2026-01-31T12:00:00Z"}),
    )
    assert lines == [
        "not following secret: not yours",
        '⚡ deploys deployed {"sha":"abc"}',
        "⚡ you poke null",
        "◦ lobby: bob joined",
    ]


def test_text_is_escaped_as_markup_and_control_characters(render):
    hostile = notification(title="[red]\x1b[31mred[/red]", body="\x1b]0;title\x07", type="[bold]", tags=["\x9b1m"])
    lines = render(hostile)
    assert "[red]\ufffd[31mred[/red]  [bold]" in lines[0]
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for line in lines for c in line)


def test_json_output_is_one_object_per_line_without_heartbeats(capsys):
    out = TailOutput("alice", json=True)
    out.show(notification(title="two\nlines"))
    out.show(SseFrame("heartbeat", {"time": "2026-01-31T12:00:00Z"}))
    out.show(SseFrame("reset", {"unread": 1}))
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["type"], first["notification"]["title"]) == ("notification", "two\nlines")
    assert second == {"type": "reset", "unread": 1}
