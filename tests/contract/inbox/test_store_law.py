"""The law of the inbox for random operations: snapshot + events == fresh snapshot, and counters equal rows."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from bellcast.inbox.store import marking
from bellcast.inbox.types import Edit, View
from bellcast.inbox.types.inboxes import Action, AnnouncementChanged, Query
from bellcast.kernel import times
from bellcast.kernel.events import Event
from bellcast.recipients.types import SessionsRevoked, SubscriptionEnded
from tests import thoroughness
from tests.clock import FakeClock
from tests.contract.app import App
from tests.contract.conftest import ENGINES
from tests.contract.inbox.replica import Replica

KEYS = st.sampled_from(["alice", "bob"])
TYPES = st.sampled_from(["booking", "general"])
ACTIONS = st.sampled_from(["seen", "read", "unread", "archive", "unarchive", "delete"])
VIEWS = st.sampled_from([None, None, None, "all", "unread", "read", "archived", "snoozed"])
ALL_VIEWS: tuple[View, ...] = ("all", "archived", "snoozed")  # together they list every row
LIFETIMES = st.sampled_from([None, None, 5, 20])
PICKS = st.lists(st.integers(0, 30), min_size=1, max_size=4)


class RandomOperations(RuleBasedStateMachine):
    """One store, two recipients with a connected device each, and a device that resumes later."""

    engine = ""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._folder = tempfile.TemporaryDirectory()
        clock = FakeClock()
        self.app = App(ENGINES[self.engine](Path(self._folder.name), clock), clock)
        self.do(self.app.store.open())
        self.replicas = {"alice": Replica(), "bob": Replica()}
        self.disconnected = {"alice": Replica(), "bob": Replica()}
        self.announced: list[str] = []
        self.max_row_events = marking.MAX_ROW_EVENTS

    def teardown(self) -> None:
        marking.MAX_ROW_EVENTS = self.max_row_events
        self.do(self.app.store.close())
        self._loop.close()
        self._folder.cleanup()

    def do(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)

    def apply(self, events: Any) -> None:
        for event in events:
            self._apply(event)

    def _apply(self, event: Event) -> None:
        if isinstance(event, SessionsRevoked):
            self.replicas[event.recipient] = Replica()
            self.disconnected[event.recipient] = Replica()
        elif not isinstance(event, AnnouncementChanged | SubscriptionEnded):
            assert hasattr(event, "inbox")
            self.replicas[event.inbox.recipient].apply(event)

    def pick_ids(self, key: str, picks: list[int]) -> tuple[str, ...]:
        ids = sorted(self.replicas[key].rows)
        return tuple(dict.fromkeys(ids[pick % len(ids)] for pick in picks)) if ids else ()

    @initialize(max_row_events=st.sampled_from([0, 2, 200]))
    def start(self, max_row_events: int) -> None:
        """Move the limit between row events and bulk events, so that small inboxes exercise both."""
        marking.MAX_ROW_EVENTS = max_row_events
        for type in ("booking", "general", "general"):
            self.send({"alice", "bob"}, type, None, {"x"})
        self.mark_some("alice", "seen", [0, 1])
        self.mark_some("bob", "archive", [0])

    @rule(keys=st.sets(KEYS, min_size=1), type=TYPES, lifetime=LIFETIMES, tags=st.sets(st.sampled_from("xy")))
    def send(self, keys: set[str], type: str, lifetime: int | None, tags: set[str]) -> None:
        expires_at = None if lifetime is None else times.to_rfc3339(self.app.now + lifetime * 1000)
        request = self.app.send_request(*sorted(keys), type=type, tags=tuple(sorted(tags)), expires_at=expires_at)
        self.apply(self.do(self.app.add(request)).events)

    @rule(topic=st.sampled_from([None, "room", "role.admin"]), tenant=st.sampled_from(["", "*"]), lifetime=LIFETIMES)
    def announce(self, topic: str | None, tenant: str, lifetime: int | None) -> None:
        expires_at = None if lifetime is None else times.to_rfc3339(self.app.now + lifetime * 1000)
        self.announced.append(
            self.do(self.app.announce(topic=topic, tenant="" if topic else tenant, tags=("x",), expires_at=expires_at))
        )

    @rule(key=KEYS, action=ACTIONS, picks=PICKS)
    def mark_some(self, key: str, action: Action, picks: list[int]) -> None:
        self.open_all()
        self.apply(self.do(self.app.mark(key, action, ids=self.pick_ids(key, picks))).events)

    @rule(key=KEYS, picks=PICKS, seconds=st.integers(1, 60))
    def snooze(self, key: str, picks: list[int], seconds: int) -> None:
        self.open_all()
        marking = self.app.mark(key, "snooze", ids=self.pick_ids(key, picks), until=self.app.now + seconds * 1000)
        self.apply(self.do(marking).events)

    @rule(key=KEYS, actions=st.lists(ACTIONS, min_size=2, max_size=3), pick=st.integers(0, 30))
    def mark_with_several_actions(self, key: str, actions: list[Action], pick: int) -> None:
        self.open_all()
        self.apply(self.do(self.app.mark(key, *actions, ids=self.pick_ids(key, [pick]))).events)

    @rule(key=KEYS, action=ACTIONS, type=st.sampled_from([None, None, "booking"]), view=VIEWS)
    def mark_all(self, key: str, action: Action, type: str | None, view: str | None) -> None:
        self.open_all()
        self.apply(self.do(self.app.mark(key, action, type=type, view=view)).events)

    @rule(key=KEYS, pick=st.integers(0, 30), title=st.sampled_from("ab"), lifetime=LIFETIMES)
    def edit(self, key: str, pick: int, title: str, lifetime: int | None) -> None:
        expires_at = None if lifetime is None else times.to_rfc3339(self.app.now + lifetime * 1000)
        for id in self.pick_ids(key, [pick]):
            edited = self.do(self.app.store.sent.edit("", id, Edit(title=title, expires_at=expires_at), self.app.now))
            self.apply(edited[1] if edited else ())

    @rule(key=KEYS, pick=st.integers(0, 30))
    def recall(self, key: str, pick: int) -> None:
        for id in self.pick_ids(key, [pick]) or self.announced[-1:]:
            self.apply(self.do(self.app.store.sent.recall("", id, self.app.now)) or ())

    @rule(key=KEYS, on=st.booleans())
    def follow(self, key: str, on: bool) -> None:
        if on:
            self.do(self.app.store.subscriptions.subscribe("", "room", key, self.app.now))
        else:
            self.apply(self.do(self.app.store.subscriptions.unsubscribe("", "room", key, self.app.now)) or ())

    @rule(key=KEYS, roles=st.sampled_from([(), ("admin",), ("admin", "staff")]))
    def sign_in(self, key: str, roles: tuple[str, ...]) -> None:
        self.apply(self.do(self.app.open(key, roles=roles)).events)

    @rule(seconds=st.integers(1, 30))
    def advance_time(self, seconds: int) -> None:
        self.app.clock.advance(seconds)
        self.apply(self.do(self.app.store.maintenance.expire(self.app.now, 3))[1])
        self.apply(self.do(self.app.store.maintenance.wake(self.app.now, 2))[1])

    @rule(limit=st.integers(1, 3))
    def retire_old(self, limit: int) -> None:
        for events in self.do(self.app.retire(self.app.now - 40_000, limit)):
            self.apply(events)

    @rule(key=KEYS)
    def erase(self, key: str) -> None:
        self.apply(self.do(self.app.store.recipients.delete("", key, self.app.now)) or ())

    @rule()
    def materialize(self) -> None:
        self.apply(self.do(self.app.materialize("", ["alice", "bob"], self.app.now)))

    @rule(key=KEYS)
    def resume(self, key: str) -> None:
        """Resume the disconnected device from its revision."""
        self.open_all()
        replica, inbox = self.disconnected[key], self.do(self.app.inbox(key))
        changes = self.do(self.app.store.inboxes.changes(inbox.number, replica.revision, 1000))
        replica.resume(changes.rows, changes.state.revision, (changes.state.unread, changes.state.unseen))
        assert replica.rows == self.replicas[key].rows
        assert replica.counts == self.replicas[key].counts

    def open_all(self) -> None:
        for key in self.replicas:
            self.apply(self.do(self.app.open(key)).events)

    @invariant()
    def replicas_equal_the_store(self) -> None:
        self.open_all()
        for key, replica in self.replicas.items():
            inbox = self.do(self.app.inbox(key))
            rows = {row.id: row for view in ALL_VIEWS for row in self._view(inbox.number, view)}
            assert rows == replica.rows
            assert (inbox.state.unread, inbox.state.unseen) == replica.counts == replica.counted
            assert inbox.state.revision == replica.revision
            for tag in "xy":
                tagged = {row.id for view in ALL_VIEWS for row in self._view(inbox.number, view, tag=[tag])}
                assert tagged == {row.id for row in rows.values() if tag in row.tags}

    def _view(self, number: int, view: View, **filters: Any) -> Any:
        return self.do(self.app.store.inboxes.page(number, Query(view=view, limit=1000, **filters))).notifications


# Only round trips to PostgreSQL differ; both engines run the same scripts. Four tests run its examples, for which one had
# too little time on a loaded machine.
TESTS = [("sqlite", 0), *(("postgres", part) for part in range(4))]
EXAMPLES = {"sqlite": 30, "postgres": 5}
THOROUGH_EXAMPLES = {"sqlite": 60, "postgres": 5}


@pytest.mark.parametrize(("engine", "part"), TESTS)
def test_replicas_equal_the_store_after_random_operations(engine: str, part: int) -> None:
    machine = type(f"RandomOperations{part}", (RandomOperations,), {"engine": engine})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=(THOROUGH_EXAMPLES if thoroughness.is_thorough else EXAMPLES)[engine],
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
