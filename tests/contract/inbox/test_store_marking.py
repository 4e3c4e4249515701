"""Every action on rows in every state, row by row and in bulk: events match the stored rows."""

from itertools import product

import pytest

from bellcast.inbox.types import View
from bellcast.inbox.types.inboxes import Action, Marked
from tests.contract.app import App
from tests.contract.inbox.replica import Replica

STATES: tuple[tuple[Action, ...], ...] = (
    (),
    ("seen",),
    ("read",),
    ("read", "unread"),
    ("archive",),
    ("seen", "archive"),
    ("read", "archive"),
    ("snooze",),
    ("read", "snooze"),
    ("archive", "snooze"),
)
ACTIONS: tuple[Action, ...] = ("seen", "read", "unread", "archive", "unarchive", "delete")
VIEWS: tuple[View | None, ...] = (None, "all", "unread", "read", "archived", "snoozed")


async def rows_in_every_state(app: App) -> Replica:
    """Create one row per state and type; return a replica that received every event."""
    device = Replica()
    for state, type in product(STATES, ("booking", "general")):
        request = app.send_request("alice", type=type, tags=("x",))
        for event in (await app.add(request)).events:
            device.apply(event)
        for action in state:
            apply_all(device, await app.mark("alice", action, ids=request.ids, until=app.now + 3_600_000))
            app.clock.advance(1)
    return device


def apply_all(device: Replica, marked: Marked) -> None:
    for event in marked.events:
        device.apply(event)


async def assert_replica_matches(app: App, device: Replica) -> None:
    rows = [
        *await app.page("alice"),
        *await app.page("alice", view="archived"),
        *await app.page("alice", view="snoozed"),
    ]
    assert {row.id: row for row in rows} == device.rows
    assert await app.counts("alice") == device.counts == device.counted


@pytest.mark.parametrize("type", [None, "booking"])
@pytest.mark.parametrize("max_row_events", [200, 0], ids=["row by row", "in bulk"])
@pytest.mark.parametrize("action", ACTIONS)
async def test_action_on_a_view_matches_its_events(
    app: App, monkeypatch: pytest.MonkeyPatch, action: Action, max_row_events: int, type: str | None
) -> None:
    for view in VIEWS:
        await app.store.recipients.delete("", "alice", app.now)
        device = await rows_in_every_state(app)
        with monkeypatch.context() as patched:
            patched.setattr("bellcast.inbox.store.marking.MAX_ROW_EVENTS", max_row_events)
            before = device.revision
            marked = await app.mark("alice", action, type=type, view=view)
            apply_all(device, marked)
        assert device.revision == marked.state.revision == before + bool(marked.changed)
        await assert_replica_matches(app, device)


@pytest.mark.parametrize("second", [*ACTIONS, "unseen"])
@pytest.mark.parametrize("first", [*ACTIONS, "unseen"])
async def test_combined_actions_on_named_rows_match_their_events(app: App, first: Action, second: Action) -> None:
    device = await rows_in_every_state(app)
    marked = await app.mark("alice", first, second, ids=tuple(device.rows))
    apply_all(device, marked)
    await assert_replica_matches(app, device)
    again = await app.mark("alice", first, second, ids=tuple(device.rows))
    assert (again.changed, again.events) == (0, ())


async def test_ten_thousand_rows_are_one_change_and_one_event(app: App) -> None:
    for _ in range(10):
        await app.add_all([app.send_request("alice", tags=("x",)) for _ in range(1000)])
    for action, view in (("read", None), ("archive", None), ("delete", "archived")):
        marked = await app.mark("alice", action, view=view)
        assert (marked.changed, len(marked.events)) == (10_000, 1)
        assert await app.counts("alice") == (0, 0)
    assert (await app.inbox("alice")).state.revision == 10_003
    assert await app.page("alice", tag="x") == []
