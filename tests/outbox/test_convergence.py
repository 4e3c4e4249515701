"""Snapshot + events == fresh snapshot while another program writes to the same rows."""

import contextlib
import random
from typing import Any

import psycopg
import pytest

from tests.law.test_law import ACTIONS, TYPES, Scenario
from tests.outbox.conftest import Database
from tests.thoroughness import sampled

STEPS = 60
SETTLES = 5  # a device after a reset has little to compare until then
FOREIGN_WRITES = {
    "insert": "INSERT INTO bellcast.notifications (recipient, title, type, tags) VALUES (%(inbox)s, 't', %(type)s, '[\"x\"]')",
    "read": "UPDATE bellcast.notifications SET read_at = %(at)s WHERE id = ANY(%(some)s)",
    "unread": "UPDATE bellcast.notifications SET read_at = NULL WHERE id = ANY(%(some)s)",
    "unseen": "UPDATE bellcast.notifications SET seen_at = NULL WHERE id = ANY(%(some)s)",
    "archive": "UPDATE bellcast.notifications SET archived_at = %(at)s, tags = NULL WHERE id = ANY(%(some)s)",
    "unarchive": "UPDATE bellcast.notifications SET archived_at = NULL WHERE id = ANY(%(some)s)",
    "edit": "UPDATE bellcast.notifications SET title = title || '!' WHERE id = ANY(%(some)s) AND announcement IS NULL",
    "delete": "DELETE FROM bellcast.notifications WHERE id = ANY(%(some)s)",
    "nothing": "UPDATE bellcast.notifications SET body = body",
}


class SharedScenario(Scenario):
    """Alice's scenario, and a second program that writes to the store."""

    def __init__(self, server, store: Database, seed: int) -> None:
        super().__init__(server)
        self.rng = random.Random(seed)
        self.store = store
        self.notify("booking")
        ((self.inbox,),) = store.run("SELECT id FROM bellcast.recipients WHERE tenant = %s", self.tenant)

    def step(self) -> None:
        rng = self.rng
        move = rng.choice(["foreign"] * 3 + ["notify", "announce", "act", "edit", "recall", "reconnect"])
        match move:
            case "foreign":
                self.write_directly(rng.choice(list(FOREIGN_WRITES)))
            case "notify" | "announce":
                getattr(self, move)(rng.choice(TYPES))
            case "act":
                body = {"all": True} if rng.random() < 0.2 else {"ids": self.sample_ids()}
                self.act(rng.choice(ACTIONS), body)
            case "edit":
                self.edit(rng.choice(self.ids), "edited")
            case "recall":
                self.recall(rng.choice(self.ids))
            case "reconnect":
                self.reconnect(0, rng.choice(["websocket", "stream"]))

    @staticmethod
    def execute_until_no_deadlock(connection: psycopg.Connection, statement: str, values: dict[str, Any]) -> None:
        """Execute a statement that may lock the same rows as the server in another order, as described in docs/howto/watch.md."""
        for _ in range(20):
            with contextlib.suppress(psycopg.errors.DeadlockDetected), connection.transaction():
                connection.execute(statement, values)
                return
        raise AssertionError("20 deadlocks in a row")

    def write_directly(self, statement: str) -> None:
        values = {"inbox": self.inbox, "type": "booking", "at": 1_763_000_000_000, "some": self.sample_ids()}
        with psycopg.connect(self.store.url) as connection:
            self.execute_until_no_deadlock(connection, FOREIGN_WRITES[statement], values)
            rows = connection.execute("SELECT id FROM bellcast.notifications WHERE recipient = %s", [self.inbox])
            self.ids = list(dict.fromkeys([*self.ids, *(id for (id,) in rows)]))

    def sample_ids(self) -> list[str]:
        return self.rng.sample(self.ids, min(len(self.ids), self.rng.choice([1, 1, 2, 5])))


@pytest.mark.parametrize("seed", sampled([1, 2, 3]))
def test_devices_converge_with_foreign_writes(store_database, start_server, seed):
    scenario = SharedScenario(start_server(BELLCAST_STORE=store_database.url), store_database, seed)
    try:
        scenario.add_device("websocket")
        for number in range(STEPS):
            scenario.step()
            if number % SETTLES == 0:
                scenario.settle()
        scenario.settle()
        fresh = scenario.fetch_snapshot()
        assert fresh["unread"] == sum(notification["read_at"] is None for notification in fresh["notifications"])
        assert fresh["unseen"] == sum(notification["seen_at"] is None for notification in fresh["notifications"])
        ((tags, tagged),) = store_database.run(
            "SELECT (SELECT count(*) FROM bellcast.notification_tags),"
            " (SELECT sum(json_array_length(tags::json)) FROM bellcast.notifications)"
        )
        assert tags == (tagged or 0)
    finally:
        scenario.close()
