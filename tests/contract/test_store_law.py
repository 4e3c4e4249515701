"""The law of the inbox, for random deeds: snapshot + events == fresh snapshot, and the counters equal the rows."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from bellcast.model import times
from bellcast.model.events import AnnouncementChanged, Event, SessionsRevoked, SubscriptionEnded
from bellcast.model.notifications import Edit, View
from bellcast.ports import Action, Query
from bellcast.storage import marking
from tests.clock import FakeClock
from tests.contract.app import App
from tests.contract.conftest import ENGINES
from tests.contract.replica import Replica

KEYS = st.sampled_from(["alice", "bob"])
TYPES = st.sampled_from(["booking", "general"])
ACTIONS = st.sampled_from(["seen", "read", "unread", "archive", "unarchive", "delete"])
VIEWS = st.sampled_from([None, None, None, "all", "unread", "read", "archived"])
SHELVES: tuple[View, ...] = ("all", "archived")  # together: everything
LIFETIMES = st.sampled_from([None, None, 5, 20])
PICKS = st.lists(st.integers(0, 30), min_size=1, max_size=4)


class Law(RuleBasedStateMachine):
    """One store, two people with a device each that hears every event, and a device that was away for a while."""

    engine = ""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._folder = tempfile.TemporaryDirectory()
        clock = FakeClock()
        self.app = App(ENGINES[self.engine](Path(self._folder.name), clock), clock)
        self.do(self.app.store.open())
        self.replicas = {"alice": Replica(), "bob": Replica()}
        self.away = {"alice": Replica(), "bob": Replica()}
        self.announced: list[str] = []
        self.few = marking.MAX_ROW_EVENTS

    def teardown(self) -> None:
        marking.MAX_ROW_EVENTS = self.few
        self.do(self.app.store.close())
        self._loop.close()
        self._folder.cleanup()

    def do(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)

    def hear(self, events: Any) -> None:
        for event in events:
            self._hear(event)

    def _hear(self, event: Event) -> None:
        if isinstance(event, SessionsRevoked):
            self.replicas[event.recipient] = Replica()
            self.away[event.recipient] = Replica()
        elif not isinstance(event, AnnouncementChanged | SubscriptionEnded):
            assert hasattr(event, "inbox")
            self.replicas[event.inbox.recipient].hear(event)

    def picked(self, key: str, picks: list[int]) -> tuple[str, ...]:
        known = sorted(self.replicas[key].rows)
        return tuple(dict.fromkeys(known[pick % len(known)] for pick in picks)) if known else ()

    @initialize(few=st.sampled_from([0, 2, 200]))
    def begin(self, few: int) -> None:
        """Where the words "one by one" end and "all of them" begins is moved, so that small inboxes try both ways."""
        marking.MAX_ROW_EVENTS = few
        for type in ("booking", "general", "general"):
            self.send({"alice", "bob"}, type, None, {"x"})
        self.mark_some("alice", "seen", [0, 1])
        self.mark_some("bob", "archive", [0])

    @rule(keys=st.sets(KEYS, min_size=1), type=TYPES, lifetime=LIFETIMES, tags=st.sets(st.sampled_from("xy")))
    def send(self, keys: set[str], type: str, lifetime: int | None, tags: set[str]) -> None:
        expires_at = None if lifetime is None else times.to_rfc3339(self.app.now + lifetime * 1000)
        sending = self.app.sending(*sorted(keys), type=type, tags=tuple(sorted(tags)), expires_at=expires_at)
        self.hear(self.do(self.app.add(sending)).events)

    @rule(topic=st.sampled_from([None, "room", "role.admin"]), tenant=st.sampled_from(["", "*"]), lifetime=LIFETIMES)
    def announce(self, topic: str | None, tenant: str, lifetime: int | None) -> None:
        expires_at = None if lifetime is None else times.to_rfc3339(self.app.now + lifetime * 1000)
        self.announced.append(
            self.do(self.app.announce(topic=topic, tenant="" if topic else tenant, tags=("x",), expires_at=expires_at))
        )

    @rule(key=KEYS, action=ACTIONS, picks=PICKS)
    def mark_some(self, key: str, action: Action, picks: list[int]) -> None:
        self.look()
        self.hear(self.do(self.app.mark(key, action, ids=self.picked(key, picks))).events)

    @rule(key=KEYS, actions=st.lists(ACTIONS, min_size=2, max_size=3), pick=st.integers(0, 30))
    def mark_one_at_once(self, key: str, actions: list[Action], pick: int) -> None:
        self.look()
        self.hear(self.do(self.app.mark(key, *actions, ids=self.picked(key, [pick]))).events)

    @rule(key=KEYS, action=ACTIONS, type=st.sampled_from([None, None, "booking"]), view=VIEWS)
    def mark_all(self, key: str, action: Action, type: str | None, view: str | None) -> None:
        self.look()
        self.hear(self.do(self.app.mark(key, action, type=type, view=view)).events)

    @rule(key=KEYS, pick=st.integers(0, 30), title=st.sampled_from("ab"), lifetime=LIFETIMES)
    def edit(self, key: str, pick: int, title: str, lifetime: int | None) -> None:
        expires_at = None if lifetime is None else times.to_rfc3339(self.app.now + lifetime * 1000)
        for id in self.picked(key, [pick]):
            done = self.do(self.app.store.sends.edit("", id, Edit(title=title, expires_at=expires_at), self.app.now))
            self.hear(done[1] if done else ())

    @rule(key=KEYS, pick=st.integers(0, 30))
    def recall(self, key: str, pick: int) -> None:
        for id in self.picked(key, [pick]) or self.announced[-1:]:
            self.hear(self.do(self.app.store.sends.recall("", id, self.app.now)) or ())

    @rule(key=KEYS, on=st.booleans())
    def follow(self, key: str, on: bool) -> None:
        recipients = self.app.store.recipients
        if on:
            self.do(recipients.subscribe("", "room", key, self.app.now))
        else:
            self.hear(self.do(recipients.unsubscribe("", "room", key, self.app.now)) or ())

    @rule(key=KEYS, roles=st.sampled_from([(), ("admin",), ("admin", "staff")]))
    def sign_in(self, key: str, roles: tuple[str, ...]) -> None:
        self.hear(self.do(self.app.open(key, roles=roles)).events)

    @rule(seconds=st.integers(1, 30))
    def time_passes(self, seconds: int) -> None:
        self.app.clock.advance(seconds)
        self.hear(self.do(self.app.store.upkeep.expire(self.app.now, 3))[1])

    @rule(limit=st.integers(1, 3))
    def old_ones_go(self, limit: int) -> None:
        self.hear(self.do(self.app.store.upkeep.retire(self.app.now, self.app.now - 40_000, limit))[1])

    @rule(key=KEYS)
    def erase(self, key: str) -> None:
        self.hear(self.do(self.app.store.recipients.delete("", key, self.app.now)) or ())

    @rule()
    def connected_inboxes_are_told(self) -> None:
        self.hear(self.do(self.app.materialize("", ["alice", "bob"], self.app.now)))

    @rule(key=KEYS)
    def come_back(self, key: str) -> None:
        """The device that was away resumes from where it was."""
        self.look()
        replica, inbox = self.away[key], self.do(self.app.inbox(key))
        changes = self.do(self.app.store.inboxes.changes(inbox.number, replica.revision, 1000))
        replica.resume(changes.rows, changes.state.revision, (changes.state.unread, changes.state.unseen))
        assert replica.rows == self.replicas[key].rows
        assert replica.counts == self.replicas[key].counts

    def look(self) -> None:
        for key in self.replicas:
            self.hear(self.do(self.app.open(key)).events)

    @invariant()
    def what_was_told_is_what_there_is(self) -> None:
        self.look()
        for key, replica in self.replicas.items():
            inbox = self.do(self.app.inbox(key))
            rows = {row.id: row for view in SHELVES for row in self._view(inbox.number, view)}
            assert rows == replica.rows
            assert (inbox.state.unread, inbox.state.unseen) == replica.counts == replica.counted
            assert inbox.state.revision == replica.revision
            for tag in "xy":
                tagged = {row.id for view in SHELVES for row in self._view(inbox.number, view, tag=tag)}
                assert tagged == {row.id for row in rows.values() if tag in row.tags}

    def _view(self, number: int, view: View, **narrowed: Any) -> Any:
        return self.do(self.app.store.inboxes.page(number, Query(view=view, limit=1000, **narrowed))).notifications


# The scripts are the same; what differs is who runs them, and a round trip takes its time.
EXAMPLES = {"sqlite": 60, "postgres": 20}


@pytest.mark.parametrize("engine", ENGINES)
def test_what_was_told_is_what_there_is(engine: str) -> None:
    machine = type("Law", (Law,), {"engine": engine})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES[engine],
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
