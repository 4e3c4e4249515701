"""Writes of notifications to live connections, for the timeline."""

from typing import Any, cast

import pytest

from bellcast.channels.explanations import timeline
from bellcast.inbox.types.inboxes import NotificationUpdated, Position
from bellcast.inbox.types.sends import SentItem
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.events import Event
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.live import resume
from bellcast.live.connection import Phase
from bellcast.live.hub import Hub, dispatch
from bellcast.live.hub.survey import ConnectionSurvey
from bellcast.live.types import ConnectionFilter, NotificationWrite, SurveyReply, SurveyRequest
from tests.clock import FakeClock
from tests.unit.live.fakes import added, change, changes, connect, new_hub, notification, state

NOW = FakeClock().now()


def writes(hub: Hub, recipient: str | None = "alice", *, tenant: str = "", id: str = "n") -> list[NotificationWrite]:
    return list(hub.writes.find("a", tenant, id, recipient))


def test_write_counts_the_live_connections_of_the_recipient() -> None:
    hub = new_hub()
    connect(hub, "1")
    connect(hub, "2")
    connect(hub, "3", phase=Phase.OPENING)
    connect(hub, "4", Principal(recipient="bob"))
    hub.dispatch(added(1))
    assert writes(hub) == writes(hub, None) == [NotificationWrite("a", NOW, 2)]


def test_writes_are_those_of_the_tenant_the_notification_and_the_recipient() -> None:
    hub = new_hub()
    connect(hub)
    hub.dispatch(added(1))
    assert writes(hub, "bob") == writes(hub, tenant="acme") == writes(hub, id="other") == []


def test_notification_that_no_connection_received_has_no_write() -> None:
    hub = new_hub()
    hub.dispatch(added(1))
    connection = connect(hub)
    hub.dispatch(NotificationUpdated(inbox=state(1), notification=notification()))
    assert (len(connection.fake.frames), writes(hub)) == (1, [])


def test_announcement_has_one_write_for_all_recipients() -> None:
    hub = new_hub()
    for key in ("alice", "bob"):
        connect(hub, f"{key} 1", Principal(recipient=key))
        connect(hub, f"{key} 2", Principal(recipient=key))
        hub.dispatch(added(1, recipient=key))
    assert writes(hub, None) == [NotificationWrite("a", NOW, 4, 2)]
    assert writes(hub, "bob") == [NotificationWrite("a", NOW, 2)]


def test_oldest_writes_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "MAX_WRITES", 3)
    monkeypatch.setattr(dispatch, "MAX_LISTED_WRITES", 2)
    log = dispatch.WriteLog(FakeClock())
    for connections in range(1, 6):
        log.record(added(1), connections)
    assert [one.connections for one in log.find("a", "", "n", "alice")] == [4, 5]
    assert [one.connections for one in log.find("a", "", "n", None)] == [3 + 4 + 5]


@pytest.mark.parametrize("number", [2, resume.INLINE_CHANGES + 1], ids=["inline", "paced"])
async def test_replay_writes_new_notifications_once(number: int) -> None:
    hub = new_hub()
    connection = connect(hub, phase=Phase.OPENING)
    connection.revision = 1
    rows = (*map(change, range(2, number + 1)), change(number + 1, first=1))
    await resume.replay(cast(Any, None), connection, changes(*rows), Position(1, 1), Limits())
    assert connection.phase is Phase.LIVE
    for revision in range(2, number + 1):
        assert writes(hub, id=f"n{revision}") == [NotificationWrite("a", NOW, 1)]
    assert writes(hub, id=f"n{number + 1}") == []  # known before, and changed


async def test_survey_of_one_node_returns_its_writes() -> None:
    hub = new_hub()
    connect(hub)
    hub.dispatch(added(1))
    survey = ConnectionSurvey(hub, MemoryBroker(), cast(Any, None))
    assert await survey.writes("", "n", "alice") == [NotificationWrite(hub.members.id, NOW, 1)]
    assert await survey.writes("acme", "n", "alice") == []


async def test_node_replies_with_its_writes_only() -> None:
    hub, broker, published = new_hub(), MemoryBroker(), list[Event]()
    broker.listen(published.append)
    connect(hub)
    hub.dispatch(added(1))
    spawned: list[Any] = []
    survey = ConnectionSurvey(hub, broker, spawned.append)
    wanted = ConnectionFilter(recipient="alice")
    survey.receive(SurveyRequest("other", "q", "", None, 0, wanted, "n"))
    (publishing,) = spawned
    await publishing
    write = NotificationWrite(hub.members.id, NOW, 1)
    assert published == [SurveyReply("other", hub.members.id, "q", (), (), (write,))]


@pytest.mark.parametrize(
    ("write", "detail"),
    [
        (NotificationWrite("a", NOW, 1), "to 1 connection on node a"),
        (NotificationWrite("a", NOW, 2), "to 2 connections on node a"),
        (NotificationWrite("a", NOW, 4000, 3000), "to 4,000 connections of 3,000 recipients on node a"),
    ],
    ids=["one", "two", "announcement"],
)
def test_timeline_has_the_writes(write: NotificationWrite, detail: str) -> None:
    item = SentItem(notification=notification(), tenant="", recipient="alice")
    entries = timeline(item, (), (), (), [write], NOW)
    assert [(one.detail, one.channel) for one in entries if one.what == "written"] == [(detail, "inbox")]


def test_repeated_notification_has_a_write_for_each_time() -> None:
    hub = new_hub()
    connect(hub)
    for revision in (1, 2):
        hub.dispatch(added(revision))  # the second returns from being snoozed
    assert writes(hub) == [NotificationWrite("a", NOW, 1)] * 2
