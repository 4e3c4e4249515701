"""Snapshot + events == fresh snapshot, with another program writing to the same rows."""

import random

import psycopg
import pytest

from tests.law.test_law import ACTIONS, TYPES, World
from tests.outbox.conftest import AppDatabase

STEPS = 60
SETTLES = 5  # a device that was told to fetch again has little to prove until then
OTHERS = {
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


class Shared(World):
    """Alice's world, and the other program in it."""

    def __init__(self, server, store: AppDatabase, seed: int) -> None:
        super().__init__(server)
        self.chance = random.Random(seed)
        self.store = store
        self.notify("booking")
        ((self.inbox,),) = store.run("SELECT id FROM bellcast.recipients WHERE tenant = %s", self.tenant)

    def step(self) -> None:
        chance = self.chance
        move = chance.choice(["theirs"] * 3 + ["notify", "announce", "act", "edit", "recall", "cut"])
        match move:
            case "theirs":
                self.theirs(chance.choice(list(OTHERS)))
            case "notify" | "announce":
                getattr(self, move)(chance.choice(TYPES))
            case "act":
                body = {"all": True} if chance.random() < 0.2 else {"ids": self.some()}
                self.act(chance.choice(ACTIONS), body)
            case "edit":
                self.edit(chance.choice(self.ids), "edited")
            case "recall":
                self.recall(chance.choice(self.ids))
            case "cut":
                self.cut(0, chance.choice(["websocket", "stream"]))

    def theirs(self, what: str) -> None:
        values = {"inbox": self.inbox, "type": "booking", "at": 1_763_000_000_000, "some": self.some()}
        with psycopg.connect(self.store.url) as connection:
            connection.execute(OTHERS[what], values)
            rows = connection.execute("SELECT id FROM bellcast.notifications WHERE recipient = %s", [self.inbox])
            self.ids = list(dict.fromkeys([*self.ids, *(id for (id,) in rows)]))

    def some(self) -> list[str]:
        return self.chance.sample(self.ids, min(len(self.ids), self.chance.choice([1, 1, 2, 5])))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_devices_know_what_a_fresh_look_shows(another, start_server, seed):
    world = Shared(start_server(BELLCAST_STORE=another.url), another, seed)
    try:
        world.add_device("websocket")
        for number in range(STEPS):
            world.step()
            if number % SETTLES == 0:
                world.settle()
        world.settle()
        fresh = world.fresh()
        assert fresh["unread"] == sum(one["read_at"] is None for one in fresh["notifications"])
        assert fresh["unseen"] == sum(one["seen_at"] is None for one in fresh["notifications"])
        ((tags, tagged),) = another.run(
            "SELECT (SELECT count(*) FROM bellcast.notification_tags),"
            " (SELECT sum(json_array_length(tags::json)) FROM bellcast.notifications)"
        )
        assert tags == (tagged or 0)
    finally:
        world.close()
