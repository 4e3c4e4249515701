"""Registration, subscriptions and dispatch of the hub."""

import asyncio
from typing import Any, cast

import pytest
from msgspec.structs import replace

from bellcast.auth.permissions import Grant
from bellcast.inbox.types.inboxes import AnnouncementChanged, InboxBulkChanged
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import LiveEvent, inbox_stream, topic_stream
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.live.connection import Phase
from bellcast.live.connection.close_reasons import EVENTS_LOST, RECONNECT, RESTARTING, REVOKED, TOO_SLOW, CloseReason
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.native import protocol
from bellcast.live.types import LiveConfig, Member, Typing
from bellcast.recipients.types import SessionsRevoked, SubscriptionEnded
from tests import fake_stores
from tests.unit.live.fakes import ALICE, FakeConnection, added, connect, new_hub, state

BOB = Principal(recipient="bob")
ROOM = topic_stream("", "room")


class Recorder:
    """Hub callbacks and observer that record their calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def callbacks(self) -> HubCallbacks:
        def record(name: str) -> Any:
            return lambda *args, **named: self.calls.append((name, *args, *named.values()))

        return HubCallbacks(*map(record, HubCallbacks._fields))

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]

    def recipients_of(self, topic: str) -> list[str]:
        return [topic.removeprefix("private-")] if topic.startswith("private-") else []

    def topics_of(self, recipient: str) -> list[str]:
        return [f"private-{recipient}"]

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **named: self.calls.append((name, *args, *named.values()))


class Granting:
    """A store with recipients subscribed to these topics, or one that fails."""

    def __init__(self, *topics: str, failure: Exception | None = None) -> None:
        self.subscriptions = self
        self._topics, self._failure = topics, failure

    async def among(self, tenant: str, recipient: str, topics: list[str]) -> frozenset[str]:
        if self._failure is not None:
            raise self._failure
        return frozenset(self._topics)


def live_event(name: str = "e", **fields: Any) -> LiveEvent:
    return LiveEvent(tenant="", name=name, data=None, **fields)


def frame_names(connection: FakeConnection) -> list[str]:
    return [frame.get("name", frame["type"]) for frame in connection.fake.frames]


def joined(connection: FakeConnection) -> list[str]:
    return [member["recipient"] for frame in connection.fake.frames for member in frame["joined"]]


# --- registration


def test_hub_counts_connections_by_id_address_and_recipient() -> None:
    hub = new_hub()
    first, second = connect(hub, "1", address="10.0.0.1"), connect(hub, "2", address="10.0.0.1")
    assert (len(hub), hub.at_address("10.0.0.1"), hub.subscriptions.total(inbox_stream("", "alice"))) == (2, 2, 2)
    hub.on_disconnected(first)
    assert (list(hub), hub.at_address("10.0.0.1"), hub.subscriptions.total(inbox_stream("", "alice"))) == (
        [second],
        1,
        1,
    )


def test_hub_discards_everything_about_a_disconnected_connection() -> None:
    hub = new_hub()
    connection = connect(hub, address="10.0.0.1")
    hub.subscriptions.follow(connection, {"room": Grant.PUBLIC})
    hub.on_disconnected(connection)
    hub.on_disconnected(connection)
    assert (len(hub), set(hub._streams), hub.subscriptions.followed_topics("")) == (0, set(), {})


def test_failed_recovery_leaves_the_connection_that_owns_the_id() -> None:
    hub = new_hub()
    owner = connect(hub, "1")
    imposter = FakeConnection("1", protocol.WEBSOCKET, Principal(), hub, 0, None)
    hub.on_disconnected(imposter)
    assert hub.find("1") is owner


def test_callbacks_receive_additions_and_disconnections() -> None:
    recorder = Recorder()
    hub = new_hub(recorder.callbacks())
    connection = connect(hub)
    hub.on_disconnected(connection)
    hub.on_disconnected(connection)
    assert recorder.calls == [("added", connection), ("disconnected", connection)]


# --- subscriptions


async def test_connection_that_takes_over_an_id_ends_the_other() -> None:
    hub = new_hub()
    first, second = connect(hub), connect(hub)
    assert (first.phase, hub.find("1"), hub.subscriptions.connections_on(inbox_stream("", "alice"))) == (
        Phase.CLOSED,
        second,
        [second],
    )
    hub.end(second, RESTARTING)
    assert hub.subscriptions.count(inbox_stream("", "alice")) == 0


async def test_follow_is_idempotent_and_the_later_grant_wins() -> None:
    hub = new_hub()
    connection = connect(hub)
    hub.subscriptions.follow(connection, {"room": Grant.PUBLIC})
    hub.subscriptions.follow(connection, {"room": Grant.APP})
    assert (connection.grants, hub.subscriptions.total(ROOM)) == ({"room": Grant.APP}, 1)


def test_connections_share_the_texts_of_their_topics() -> None:
    hub = new_hub()
    one, other = (connect(hub, id, principal=Principal(recipient=id)) for id in ("one", "other"))
    for connection in (one, other):
        hub.subscriptions.follow(connection, {"".join(("ro", "om")): Grant.CLAIM})
    assert one.streams[-1] is other.streams[-1]
    assert next(iter(one.grants or {})) is next(iter(other.grants or {}))


def test_closed_connection_follows_nothing() -> None:
    hub = new_hub()
    connection = connect(hub, phase=Phase.CLOSED)
    hub.subscriptions.follow(connection, {"room": Grant.PUBLIC})
    assert (connection.grants, hub.subscriptions.count(ROOM)) == (None, 0)


def test_followers_of_lost_events_are_returned_once_and_held_until_they_disconnect() -> None:
    hub = new_hub()
    first, second, unread = connect(hub, "1"), connect(hub, "2", BOB), connect(hub, "3", BOB)
    hub.history_holds.hold_unread(unread)
    lost = [[inbox_stream("", "alice")], [inbox_stream("", "alice"), inbox_stream("", "bob")], [ROOM]]
    returned = [hub.history_holds.hold_followers(streams) for streams in lost]
    assert returned == [
        {first: EVENTS_LOST, unread: RESTARTING},
        {second: EVENTS_LOST, unread: EVENTS_LOST},
        {},
    ]
    hub.history_holds.release(first)
    assert hub.history_holds.connections.keys() == {first, second, unread}
    for connection in (first, second, unread):
        connection.connection_lost(None)
    assert hub.history_holds.connections == {}


def test_follower_of_a_lost_event_whose_history_could_not_be_read_is_closed_for_the_loss() -> None:
    hub = new_hub()
    unread = connect(hub)
    hub.history_holds.hold_unread(unread)
    assert hub.history_holds.hold_followers(unread.streams) == {unread: EVENTS_LOST}
    assert hub.history_holds.hold_followers(unread.streams) == {}


@pytest.mark.parametrize("is_lost_first", [True, False])
@pytest.mark.parametrize("end", [RESTARTING, RECONNECT])
async def test_follower_of_a_lost_event_loses_its_event_id_whatever_closes_it(
    is_lost_first: bool, end: CloseReason
) -> None:
    hub = new_hub()
    connection = connect(hub)
    for is_lost in (is_lost_first, not is_lost_first):
        if not is_lost:
            hub.history_holds.hold_unread(connection)
        hub.history_holds.hold_followers(connection.streams if is_lost else ())
    hub.end(connection, replace(end, after=100))
    assert connection.close_reason == replace(end, after=100, event_id="")


async def test_connection_whose_history_could_not_be_read_keeps_its_event_id() -> None:
    hub = new_hub()
    connection = connect(hub)
    hub.history_holds.hold_unread(connection)
    for reason in hub.history_holds.hold_followers(()).values():
        hub.end(connection, reason)
    assert connection.close_reason == RESTARTING


def test_unfollow_ignores_topics_that_are_not_followed() -> None:
    hub = new_hub()
    connection = connect(hub)
    hub.subscriptions.follow(connection, {"room": Grant.PUBLIC})
    hub.subscriptions.unfollow(connection, ["other", "room", "room"])
    assert (connection.grants, connection.streams) == ({}, (inbox_stream("", "alice"),))


def test_broker_is_followed_with_the_first_follower_and_unfollowed_with_the_last() -> None:
    hub, broker = new_hub(), Recorder()
    hub.groups._broker = cast(Any, broker)
    first, second = connect(hub, "1"), connect(hub, "2", BOB)
    for connection in (first, second):
        hub.subscriptions.follow(connection, {"room": Grant.PUBLIC})
    hub.subscriptions.unfollow(first, ["room"])
    hub.subscriptions.unfollow(second, ["room"])
    assert [call for call in broker.calls if call[1] == ROOM] == [("follow", ROOM), ("unfollow", ROOM)]


def test_topic_that_carries_an_inbox_follows_the_inbox_too() -> None:
    hub, broker = new_hub(), Recorder()
    hub.observers.append(Recorder())
    connection = connect(hub, principal=Principal())
    hub.groups._broker = cast(Any, broker)
    hub.subscriptions.follow(connection, {"private-carol": Grant.APP})
    assert broker.calls == [("follow", topic_stream("", "private-carol")), ("follow", inbox_stream("", "carol"))]
    assert hub.subscriptions.recipients("*") == [("", ["carol"])]


def test_inbox_that_a_topic_carried_is_unfollowed_even_if_it_carries_none_now() -> None:
    hub, broker, observer = new_hub(), Recorder(), Recorder()
    hub.observers.append(observer)
    connections = [connect(hub, str(number), principal=Principal()) for number in range(2)]
    hub.groups._broker = cast(Any, broker)
    hub.subscriptions.follow(connections[0], {"private-carol": Grant.APP})
    cast(Any, observer).recipients_of = lambda topic: ["dave"]  # the aliases were changed
    hub.subscriptions.unfollow(connections[0], ["private-carol"])
    followed, unfollowed = broker.calls[:2], broker.calls[2:]
    assert [stream for _, stream in unfollowed] == [stream for _, stream in followed]


def test_observer_receives_the_count_of_a_stream() -> None:
    hub, observer = new_hub(), Recorder()
    connection = connect(hub, principal=Principal())
    hub.observers.append(observer)
    hub.subscriptions.follow(connection, {"room": Grant.PUBLIC})
    hub.subscriptions.unfollow(connection, ["room"])
    changes = [("subscription_count_changed", ROOM, 1, 1, True), ("subscription_count_changed", ROOM, 0, -1, True)]
    assert observer.calls == changes


def test_counts_of_other_nodes_are_reported_to_an_observer() -> None:
    hub, observer = new_hub(), Recorder()
    hub.observers.append(observer)
    hub.apply_peer(ROOM, "other", 2, [])
    assert observer.calls == [("subscription_count_changed", ROOM, 0, 2, False)]


async def test_presence_is_sent_to_others_after_the_join() -> None:
    hub = new_hub(presence=("room",))
    first, second = connect(hub, "1"), connect(hub, "2", BOB)
    hub.subscriptions.follow(first, {"room": Grant.PUBLIC})
    await asyncio.sleep(0)
    hub.subscriptions.follow(second, {"room": Grant.PUBLIC})
    assert second.fake.written == []
    await asyncio.sleep(0)
    assert [frame["joined"] for frame in first.fake.frames] == [[{"recipient": "bob"}]]
    assert second.fake.written == []


async def test_presence_of_another_node_is_sent_once() -> None:
    hub = new_hub(presence=("room",))
    connection = connect(hub)
    hub.subscriptions.follow(connection, {"room": Grant.PUBLIC})
    await asyncio.sleep(0)
    carol = Member("carol", connections=2)
    for _ in range(2):
        hub.apply_peer(topic_stream("", "room"), "other", 0, [carol])
    await asyncio.sleep(0)
    assert [frame["joined"] for frame in connection.fake.frames] == [[{"recipient": "carol"}]]


async def test_new_connection_of_a_present_member_is_not_sent_earlier_changes() -> None:
    hub = new_hub(presence=("room",))
    first, second = connect(hub, "1"), connect(hub, "2")
    bob, carol = connect(hub, "3", BOB), connect(hub, "4", Principal(recipient="carol"))
    hub.subscriptions.follow(first, {"room": Grant.PUBLIC})
    await asyncio.sleep(0)
    for connection in (bob, second, carol):  # `second` receives the members, with bob
        hub.subscriptions.follow(connection, {"room": Grant.PUBLIC})
    await asyncio.sleep(0)
    assert joined(first) == ["bob", "carol"]
    assert joined(second) == ["carol"]


# --- reauthorization


async def test_new_token_keeps_what_it_grants_and_what_no_token_granted() -> None:
    hub = new_hub()
    connection = connect(hub, principal=Principal(recipient="alice", roles=("admin",)))
    hub.subscriptions.follow(
        connection,
        {"role.admin": Grant.ROLE, "news": Grant.SUBSCRIPTION, "old": Grant.SUBSCRIPTION, "app": Grant.APP},
    )
    fresh = Principal(recipient="alice", roles=())
    await hub.subscriptions.reauthorize(
        connection, fresh, fake_stores.db(Granting("news")), LiveConfig(limits=Limits())
    )
    assert connection.grants == {"news": Grant.SUBSCRIPTION, "app": Grant.APP}
    assert connection.principal is fresh


async def test_failed_reauthorization_changes_nothing() -> None:
    hub = new_hub()
    before = Principal(recipient="alice", roles=("admin",))
    connection = connect(hub, principal=before)
    hub.subscriptions.follow(connection, {"role.admin": Grant.ROLE})
    store = fake_stores.db(Granting(failure=Unavailable()))
    with pytest.raises(Unavailable):
        await hub.subscriptions.reauthorize(
            connection, Principal(recipient="alice"), store, LiveConfig(limits=Limits())
        )
    assert (connection.principal, connection.grants) == (before, {"role.admin": Grant.ROLE})


async def test_topic_unfollowed_during_reauthorization_stays_unfollowed() -> None:
    hub = new_hub()
    connection = connect(hub)
    hub.subscriptions.follow(connection, {"news": Grant.SUBSCRIPTION})

    class Slow(Granting):
        async def among(self, *query: Any) -> frozenset[str]:
            hub.subscriptions.unfollow(connection, ["news"])
            hub.subscriptions.follow(connection, {"app": Grant.APP})
            return frozenset({"news"})

    await hub.subscriptions.reauthorize(connection, ALICE, fake_stores.db(Slow()), LiveConfig(limits=Limits()))
    assert connection.grants == {"app": Grant.APP}


@pytest.mark.parametrize(
    ("grant", "recipient", "is_followed"),
    [(Grant.SUBSCRIPTION, "alice", False), (Grant.APP, "alice", True), (Grant.SUBSCRIPTION, "bob", True)],
)
def test_ended_subscription_ends_only_what_it_granted(grant: Grant, recipient: str, is_followed: bool) -> None:
    hub = new_hub()
    connection = connect(hub)
    hub.subscriptions.follow(connection, {"room": grant})
    hub.dispatch(SubscriptionEnded("", recipient, "room"))
    assert (connection in hub.subscriptions.connections_on(ROOM)) is is_followed


# --- dispatch of inbox changes


async def test_next_revision_is_written_and_advances_the_connection() -> None:
    hub = new_hub()
    connection = connect(hub)
    hub.dispatch(added(1))
    hub.dispatch(InboxBulkChanged(inbox=state(2), changed="read", at=0))
    assert (connection.fake.types, connection.revision) == (["notification", "counts"], 2)


async def test_failed_dispatch_fails_neither_the_publisher_nor_later_events() -> None:
    hub = new_hub(HubCallbacks(fill_gap=lambda connection: 1 / 0))
    connection = connect(hub)
    hub.dispatch(added(5))
    hub.dispatch(added(1))
    assert connection.fake.types == ["notification"]


@pytest.mark.parametrize(
    ("event", "is_gap"),
    [(added(5), True), (added(1, epoch=2), True), (added(0), False)],
    ids=["ahead", "other epoch", "known"],
)
async def test_gap_is_filled_from_the_store(event: Any, is_gap: bool) -> None:
    recorder = Recorder()
    hub = new_hub(recorder.callbacks())
    connection = connect(hub)
    hub.dispatch(event)
    assert ("fill_gap" in recorder.names(), connection.fake.written) == (is_gap, [])


@pytest.mark.parametrize("phase", [Phase.OPENING, Phase.REPLAYING], ids=lambda phase: phase.name)
async def test_change_before_the_connection_is_live_marks_it_stale(phase: Phase) -> None:
    hub = new_hub()
    connection = connect(hub, phase=phase)
    hub.dispatch(added(1))
    assert (connection.is_stale, connection.fake.written) == (True, [])


async def test_event_is_encoded_once_per_dialect() -> None:
    hub = new_hub()
    for number in range(3):
        connect(hub, f"message {number}")
    connect(hub, "stream", dialect=protocol.SSE_PLAIN)
    hub.dispatch(added(1))
    assert hub.dispatcher.encoded_total == {("native", "websocket"): 1, ("native", "sse"): 1}


# --- dispatch of live events


async def test_live_event_skips_its_sender() -> None:
    hub = new_hub()
    sender, reader = connect(hub, "1"), connect(hub, "2", BOB)
    for connection in (sender, reader):
        hub.subscriptions.follow(connection, {"room": Grant.PUBLIC})
    hub.dispatch(live_event(topic="room", sender="1"))
    hub.dispatch(Typing("", "room", "alice", on=True, sender="1"))
    assert (frame_names(sender), frame_names(reader)) == ([], ["e", "typing"])


@pytest.mark.parametrize(("phase", "count"), [(Phase.OPENING, 0), (Phase.REPLAYING, 1), (Phase.LIVE, 1)])
async def test_event_for_a_recipient_is_sent_from_ready_on(phase: Phase, count: int) -> None:
    hub = new_hub()
    connection = connect(hub, phase=phase)
    hub.dispatch(live_event(recipient="alice"))
    assert len(connection.fake.written) == count


async def test_slow_reader_is_closed_and_the_others_receive_the_event() -> None:
    hub = new_hub()
    slow, fast = connect(hub, "1", max_unsent=10), connect(hub, "2", BOB)
    slow.fake.is_buffering = True
    for connection in (slow, fast):
        hub.subscriptions.follow(connection, {"room": Grant.PUBLIC})
    hub.dispatch(live_event(topic="room"))
    assert (slow.close_reason, list(hub), frame_names(fast)) == (TOO_SLOW, [fast], ["e"])


@pytest.mark.parametrize(("issued_at", "is_open"), [(99, False), (100, True)])
async def test_revocation_closes_sessions_issued_before(issued_at: int, is_open: bool) -> None:
    hub = new_hub()
    connection = connect(hub, principal=Principal(recipient="alice", issued_at=issued_at))
    hub.dispatch(SessionsRevoked("", "alice", 100))
    assert (connection.close_reason is None, connection.close_reason is REVOKED) == (is_open, not is_open)


def test_announcement_is_materialized_with_the_hubs_recipients() -> None:
    recorder = Recorder()
    hub = new_hub(recorder.callbacks())
    connect(hub, "1")
    connect(hub, "2", Principal(tenant="acme", recipient="bob"))
    event = AnnouncementChanged("*")
    hub.dispatch(event)
    assert recorder.calls[-1] == ("receive", event)
    assert hub.subscriptions.recipients("*") == [("", ["alice"]), ("acme", ["bob"])]
    assert hub.subscriptions.recipients("acme") == [("acme", ["bob"])]
