"""Snapshot + events == fresh snapshot, whatever happened in between, on every device, over every cut.

The same histories are kept as fixtures in `tests/fixtures/law`, where the browser's `inbox-reducer.js` must reach the same end.
`python -m tests.law.test_law` writes them anew."""

import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from websockets.exceptions import ConnectionClosed

from tests.law.device import Device
from tests.servers import ServerProcess
from tests.wire.clients import Socket, Stream, stream, websocket

FIXTURES = Path(__file__).parent.parent / "fixtures" / "law"
TYPES = ["booking", "payment"]
TIMES_LET_GO = 10  # a test that writes megabytes before it reads is let go once or twice where buffers are small
MANY = 210  # beyond 200 rows an event names the rows by what they have in common
ACTIONS = ["seen", "read", "unread", "archive", "unarchive", "delete"]


class World:
    """Alice in a tenant of her own, her devices, and the app that tells her things."""

    count = 0

    def __init__(self, server: ServerProcess) -> None:
        World.count += 1
        self.server = server
        self.tenant = f"law{World.count}"
        self.app = httpx.Client(base_url=server.url, headers=server.as_app(), params={"tenant": self.tenant})
        self.alice = httpx.Client(base_url=server.url, headers=server.as_recipient("alice", tenant=self.tenant))
        self.ids: list[str] = []
        self.announced: list[str] = []
        self.devices: list[tuple[Device, Any, Stream | Socket]] = []

    def close(self) -> None:
        for _, opened, _ in self.devices:
            opened.__exit__(None, None, None)
        self.app.close()
        self.alice.close()

    # --- what the app does

    def notify(self, type: str) -> None:
        answer = self.app.post("/v1/notifications", json={"to": "alice", "title": "t", "type": type}).json()
        self.ids.append(answer["notifications"][0]["id"])

    def notify_many(self, count: int, type: str) -> None:
        sends = [{"to": "alice", "title": str(number), "type": type} for number in range(count)]
        self.ids += [one["id"] for one in self.app.post("/v1/notifications/bulk", json=sends).json()["results"]]

    def announce(self, type: str) -> None:
        body = {"to": {"tenant": self.tenant}, "title": "all", "type": type}
        id = self.app.post("/v1/notifications", json=body).json()["announcement"]["id"]
        self.ids.append(id)
        self.announced.append(id)

    def edit(self, id: str, title: str) -> None:
        self.app.patch(f"/v1/notifications/{id}", json={"title": title})

    def recall(self, id: str) -> None:
        self.app.delete(f"/v1/notifications/{id}")

    # --- what Alice does

    def act(self, action: str, body: dict[str, Any]) -> None:
        if action == "delete":
            for id in body.get("ids", []):
                self.alice.delete(f"/v1/inbox/{id}")
        else:
            self.alice.post(f"/v1/inbox/{action}", json=body)

    def clear(self, view: str, type: str | None) -> None:
        self.alice.delete("/v1/inbox", params={"view": view} if type is None else {"view": view, "type": type})

    # --- her devices

    def fresh(self) -> dict[str, Any]:
        """A snapshot of everything, page by page, from one moment."""
        while True:
            snapshot = self.alice.get("/v1/inbox", params={"limit": 100}).json()
            while snapshot["next"] is not None:
                more = self.alice.get("/v1/inbox", params={"limit": 100, "before": snapshot["next"]}).json()
                if more["position"] != snapshot["position"]:
                    break
                snapshot["notifications"] += more["notifications"]
                snapshot["next"] = more["next"]
            else:
                return {name: snapshot[name] for name in ("notifications", "unread", "unseen", "position")}

    def connect(self, way: str, position: str) -> tuple[Any, Stream | Socket]:
        follow = websocket if way == "websocket" else stream
        opened = follow(self.server, "alice", position=position, claims={"tenant": self.tenant})
        return opened, opened.__enter__()

    def add_device(self, way: str) -> None:
        device = Device(self.fresh())
        self.devices.append((device, *self.connect(way, device.position)))

    def cut(self, number: int, way: str) -> None:
        """A device loses its connection, hears nothing for a while, and comes back where it was."""
        device, opened, _ = self.devices[number]
        opened.__exit__(None, None, None)
        self.devices[number] = (device, *self.connect(way, device.position))

    def settle(self) -> None:
        """Every device hears what there is up to the newest position."""
        newest = self.fresh()
        for number in range(len(self.devices)):
            self._hear(number, newest["position"])
            device, *line = self.devices[number]
            if device.lost:
                self.devices[number] = (Device(newest), *line)
            else:
                assert device.snapshot == newest

    def _hear(self, number: int, position: str) -> None:
        """One device, up to a position. It reads only now, so it may have been let go as too slow: then it comes back."""
        for _ in range(TIMES_LET_GO):
            device, _, live = self.devices[number]
            try:
                while device.position != position and not device.lost:
                    device.hear(live.next())
                return
            except (ConnectionClosed, StopIteration):
                self.cut(number, "websocket")
        raise AssertionError(f"device {number} was let go {TIMES_LET_GO} times on its way to {position}")


class Law(RuleBasedStateMachine):
    """Random histories."""

    server: ServerProcess

    @initialize()
    def begin(self) -> None:
        self.world = World(self.server)
        self.world.add_device("websocket")

    @rule(type=st.sampled_from(TYPES))
    def notify(self, type: str) -> None:
        self.world.notify(type)

    @rule(count=st.sampled_from([2, 5]), type=st.sampled_from(TYPES))
    def notify_some(self, count: int, type: str) -> None:
        self.world.notify_many(count, type)

    @precondition(lambda self: len(self.world.ids) < MANY)  # twice: each look at the inbox reads all of it
    @rule(type=st.sampled_from(TYPES))
    def notify_many(self, type: str) -> None:
        self.world.notify_many(MANY, type)

    @rule(type=st.sampled_from(TYPES))
    def announce(self, type: str) -> None:
        self.world.announce(type)

    @precondition(lambda self: self.world.ids)
    @rule(data=st.data(), action=st.sampled_from(ACTIONS), count=st.integers(1, 4))
    def act_on_some(self, data: st.DataObject, action: str, count: int) -> None:
        ids = data.draw(st.lists(st.sampled_from(self.world.ids), min_size=1, max_size=count, unique=True))
        self.world.act(action, {"ids": ids})

    @rule(action=st.sampled_from(ACTIONS[:-1]), type=st.sampled_from([None, *TYPES]))
    def act_on_all(self, action: str, type: str | None) -> None:
        self.world.act(action, {"all": True} if type is None else {"all": True, "of": {"type": type}})

    @rule(view=st.sampled_from(["read", "archived", "all"]), type=st.sampled_from([None, *TYPES]))
    def clear(self, view: str, type: str | None) -> None:
        self.world.clear(view, type)

    @precondition(lambda self: self.world.ids)
    @rule(data=st.data(), title=st.sampled_from(["one", "two"]))
    def edit(self, data: st.DataObject, title: str) -> None:
        self.world.edit(data.draw(st.sampled_from(self.world.ids)), title)

    @precondition(lambda self: self.world.ids)
    @rule(data=st.data())
    def recall(self, data: st.DataObject) -> None:
        self.world.recall(data.draw(st.sampled_from(self.world.ids)))

    @precondition(lambda self: len(self.world.devices) < 3)
    @rule(way=st.sampled_from(["websocket", "sse"]))
    def add_device(self, way: str) -> None:
        self.world.add_device(way)

    @rule(data=st.data(), way=st.sampled_from(["websocket", "sse"]))
    def cut(self, data: st.DataObject, way: str) -> None:
        self.world.cut(data.draw(st.integers(0, len(self.world.devices) - 1)), way)

    @rule()
    def settle(self) -> None:
        self.world.settle()

    @invariant()
    def counters_equal_rows(self) -> None:
        fresh = self.world.fresh()
        assert fresh["unread"] == sum(one["read_at"] is None for one in fresh["notifications"])
        assert fresh["unseen"] == sum(one["seen_at"] is None for one in fresh["notifications"])

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.settle()
            self.world.close()


def test_snapshot_and_events_equal_a_fresh_snapshot(bellcast_server: ServerProcess) -> None:
    Law.server = bellcast_server
    Law.TestCase.settings = settings(
        max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    Law.TestCase("runTest").debug()


@pytest.mark.parametrize("file", sorted(FIXTURES.glob("*.json")), ids=lambda file: file.stem)
def test_a_kept_history_leads_to_its_end(file: Path) -> None:
    history = json.loads(file.read_text())
    device = Device(history["snapshot"])
    for event in history["events"]:
        device.hear(event)
    if not device.lost:
        assert device.snapshot == history["expect"]


def write_fixtures(histories: int = 12, steps: int = 14) -> None:
    """Live random histories against a real server, kept for the browser's client."""
    with tempfile.TemporaryDirectory() as folder, ServerProcess(Path(folder) / "data") as server:
        for number in range(histories):
            chance = random.Random(number)
            (FIXTURES / f"history{number:02}.json").write_text(json.dumps(_history(server, chance, steps, number)))


def _history(server: ServerProcess, chance: random.Random, steps: int, number: int) -> dict[str, Any]:
    world = World(server)
    for _ in range(chance.randint(0, 4)):
        world.notify(chance.choice(TYPES))
    snapshot = world.fresh()
    opened, live = world.connect("websocket", snapshot["position"])
    for _ in range(steps):
        _step(world, chance)
    expect, events, position = world.fresh(), [], snapshot["position"]
    while position != expect["position"]:
        event = live.next()
        events.append(event)
        position = event.get("position", position)
    opened.__exit__(None, None, None)
    world.close()
    return {"name": f"history {number}", "snapshot": snapshot, "events": events, "expect": expect}


def _step(world: World, chance: random.Random) -> None:
    some = chance.sample(world.ids, min(len(world.ids), chance.randint(1, 3)))
    match chance.randint(0, 7):
        case 0 | 1 | 2:
            world.notify(chance.choice(TYPES))
        case 3:
            world.announce(chance.choice(TYPES))
        case 4:
            world.act(chance.choice(["seen", "read", "unread", "archive", "delete"]), {"ids": some})
        case 5:
            world.act(chance.choice(["seen", "read", "unread"]), {"all": True, "of": {"type": chance.choice(TYPES)}})
        case 6 if some:
            world.edit(some[0], f"edited {chance.randint(1, 9)}")
        case 7 if some:
            world.recall(some[0])


if __name__ == "__main__":
    FIXTURES.mkdir(parents=True, exist_ok=True)
    write_fixtures()
    sys.stdout.write(f"wrote {FIXTURES}\n")
