"""How frames look to a person, and read to a script."""

import json

import pytest

from bellcast.cli.sse_follower import Frame
from bellcast.cli.tail_output import TailOutput, TextOutput

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
    return Frame("notification", {"notification": NOTIFICATION | changed, "unread": 1, "unseen": 1})


@pytest.fixture
def shown(capsys):
    """What a sheet prints for these frames, line by line."""

    def show(*frames):
        sheet = TextOutput("alice")
        for frame in frames:
            sheet.show(frame)
        return [line.strip() for line in capsys.readouterr().out.splitlines()]

    return show


def test_a_notification_is_told_whole(shown):
    head, *details = shown(notification())
    assert head.endswith("● New booking  booking")
    assert details == ["Saturday, 14:00", "in the garden", "→ /bookings/7", "by Clara  #vip"]


@pytest.mark.parametrize(("priority", "mark"), [("low", "·"), ("normal", "●"), ("high", "▲"), ("urgent", "■")])
def test_every_priority_has_a_mark_of_its_own(shown, priority, mark):
    assert f" {mark} New booking" in shown(notification(priority=priority))[0]


def test_what_was_read_steps_back(shown):
    assert " ○ New booking" in shown(notification(read_at="2026-01-31T12:01:00Z", priority="urgent"))[0]


def test_only_what_is_there_is_told(shown):
    bare = notification(body=None, action_url=None, actor=None, tags=[])
    assert len(shown(bare)) == 1


def test_changes_name_what_they_change(shown):
    read = NOTIFICATION | {"read_at": "2026-01-31T12:01:00Z", "seen_at": "2026-01-31T12:01:00Z"}
    lines = shown(
        notification(),
        Frame("notification-update", {"notification": read, "unread": 0, "unseen": 0}),
        Frame("notification-delete", {"id": "n1", "unread": 0, "unseen": 0}),
        Frame("notification-delete", {"id": "never-seen", "unread": 0, "unseen": 0}),
    )
    assert lines[-3:] == ["✓ New booking: read", "✗ New booking: gone", "✗ never-seen: gone"]


def test_many_at_once_are_one_line(shown):
    counters = {"unread": 0, "unseen": 0}
    assert shown(Frame("counts", {"changed": "read", "ids": "all", **counters})) == ["✓ all read"]
    assert shown(Frame("counts", {"changed": "archived", "ids": ["a", "b"], **counters})) == ["✓ 2 archived"]
    assert shown(Frame("counts", counters)) == []


def test_what_topics_bring(shown):
    refused = [{"topic": "secret", "code": "forbidden", "message": "not yours"}]
    lines = shown(
        Frame("ready", {"unread": 0, "unseen": 0, "refused": refused}),
        Frame("event", {"topic": "deploys", "name": "deployed", "data": {"sha": "abc"}}),
        Frame("event", {"name": "poke", "data": None}),
        Frame("presence", {"topic": "lobby", "joined": [{"recipient": "bob"}], "left": []}),
        Frame("heartbeat", {"time": "2026-01-31T12:00:00Z"}),
    )
    assert lines == [
        "not following secret: not yours",
        '⚡ deploys deployed {"sha":"abc"}',
        "⚡ you poke null",
        "◦ lobby: bob joined",
    ]


def test_no_text_is_taken_for_markup_or_control(shown):
    hostile = notification(title="[red]\x1b[31mred[/red]", body="\x1b]0;title\x07", type="[bold]", tags=["\x9b1m"])
    lines = shown(hostile)
    assert "[red]\ufffd[31mred[/red]  [bold]" in lines[0]
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for line in lines for c in line)


def test_scripts_get_one_object_a_line_and_no_heartbeats(capsys):
    with TailOutput() as out:
        out.show(notification(title="two\nlines"))
        out.show(Frame("heartbeat", {"time": "2026-01-31T12:00:00Z"}))
        out.show(Frame("reset", {"unread": 1}))
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["type"], first["notification"]["title"]) == ("notification", "two\nlines")
    assert second == {"type": "reset", "unread": 1}
