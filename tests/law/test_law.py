"""Snapshot + events == fresh snapshot, after random histories, on every device, across every disconnect.

The same histories are stored as fixtures in `tests/fixtures/law`, where the browser's `inbox-reducer.js` must reach
the same state. `python -m tests.law.test_law` writes them again."""

import json
import random
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
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
MAX_SLOW_CLOSES = 10  # small buffers close a test that writes megabytes before it reads once or twice
BULK_COUNT = 210  # above 200 rows an event names the filter instead of the ids
ACTIONS = ["seen", "read", "unread", "archive", "unarchive", "delete"]
SHORT, LONG = 0.05, 3600  # seconds of a snooze: within the history, and longer


class Scenario:
    """Alice in a separate tenant, her devices, and the app that notifies her."""

    count = 0

    def __init__(self, server: ServerProcess) -> None:
        Scenario.count += 1
        self.server = server
        self.tenant = f"law{Scenario.count}"
        self.app = httpx.Client(base_url=server.url, headers=server.as_app(), params={"tenant": self.tenant})
        self.alice = httpx.Client(base_url=server.url, headers=server.as_recipient("alice", tenant=self.tenant))
        self.ids: list[str] = []
        self.announced: list[str] = []
        self.devices: list[tuple[Device, Any, Stream | Socket]] = []

    def close(self) -> None:
        for _, context, _ in self.devices:
            context.__exit__(None, None, None)
        self.app.close()
        self.alice.close()

    # --- app

    def notify(self, type: str) -> None:
        response = self.app.post("/v1/notifications", json={"to": "alice", "title": "t", "type": type}).json()
        self.ids.append(response["notifications"][0]["id"])

    def notify_many(self, count: int, type: str) -> None:
        sends = [{"to": "alice", "title": str(number), "type": type} for number in range(count)]
        self.ids += [result["id"] for result in self.app.post("/v1/notifications/bulk", json=sends).json()["results"]]

    def announce(self, type: str) -> None:
        body = {"to": {"tenant": self.tenant}, "title": "all", "type": type}
        id = self.app.post("/v1/notifications", json=body).json()["announcement"]["id"]
        self.ids.append(id)
        self.announced.append(id)

    def edit(self, id: str, title: str) -> None:
        self.app.patch(f"/v1/notifications/{id}", json={"title": title})

    def recall(self, id: str) -> None:
        self.app.delete(f"/v1/notifications/{id}")

    # --- Alice

    def act(self, action: str, body: dict[str, Any]) -> None:
        if action == "delete":
            for id in body.get("ids", []):
                self.alice.delete(f"/v1/inbox/{id}")
        else:
            self.alice.post(f"/v1/inbox/{action}", json=body)

    def snooze(self, ids: list[str], seconds: float) -> None:
        self.alice.post("/v1/inbox/snooze", json={"ids": ids, "for": seconds})

    def clear(self, view: str, type: str | None) -> None:
        self.alice.delete("/v1/inbox", params={"view": view} if type is None else {"view": view, "type": type})

    # --- devices

    def fetch_snapshot(self) -> dict[str, Any]:
        """Return a snapshot of everything, page by page, from one position."""
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

    def connect(self, transport: str, position: str) -> tuple[Any, Stream | Socket]:
        follow = websocket if transport == "websocket" else stream
        context = follow(self.server, "alice", position=position, claims={"tenant": self.tenant})
        return context, context.__enter__()

    def add_device(self, transport: str) -> None:
        device = Device(self.fetch_snapshot())
        self.devices.append((device, *self.connect(transport, device.position)))

    def reconnect(self, number: int, transport: str) -> None:
        """Close a device's connection and connect it again at its position."""
        device, context, _ = self.devices[number]
        context.__exit__(None, None, None)
        self.devices[number] = (device, *self.connect(transport, device.position))

    def settle(self) -> None:
        """Apply all events on every device and compare it with a fresh snapshot."""
        newest = self.fetch_snapshot()
        for number in range(len(self.devices)):
            self._catch_up(number, newest["position"])
            device, *connection = self.devices[number]
            if device.needs_refetch:
                self.devices[number] = (Device(newest), *connection)
            else:
                assert device.snapshot == newest

    def _catch_up(self, number: int, position: str) -> None:
        """Apply one device's events up to a position. The device reads only here, so it may have been closed as slow."""
        for _ in range(MAX_SLOW_CLOSES):
            device, _, connection = self.devices[number]
            try:
                while device.position != position and not device.needs_refetch:
                    device.apply(connection.next())
                return
            except (ConnectionClosed, StopIteration):
                self.reconnect(number, "websocket")
        raise AssertionError(f"device {number} was closed {MAX_SLOW_CLOSES} times before it reached {position}")


class RandomHistories(RuleBasedStateMachine):
    server: ServerProcess

    @initialize()
    def start(self) -> None:
        self.scenario = Scenario(self.server)
        self.scenario.add_device("websocket")

    @rule(type=st.sampled_from(TYPES))
    def notify(self, type: str) -> None:
        self.scenario.notify(type)

    @rule(count=st.sampled_from([2, 5]), type=st.sampled_from(TYPES))
    def notify_some(self, count: int, type: str) -> None:
        self.scenario.notify_many(count, type)

    @precondition(lambda self: len(self.scenario.ids) < BULK_COUNT)  # read in full at each comparison
    @rule(type=st.sampled_from(TYPES))
    def notify_many(self, type: str) -> None:
        self.scenario.notify_many(BULK_COUNT, type)

    @rule(type=st.sampled_from(TYPES))
    def announce(self, type: str) -> None:
        self.scenario.announce(type)

    @precondition(lambda self: self.scenario.ids)
    @rule(data=st.data(), action=st.sampled_from(ACTIONS), count=st.integers(1, 4))
    def act_on_some(self, data: st.DataObject, action: str, count: int) -> None:
        ids = data.draw(st.lists(st.sampled_from(self.scenario.ids), min_size=1, max_size=count, unique=True))
        self.scenario.act(action, {"ids": ids})

    @precondition(lambda self: self.scenario.ids)
    @rule(data=st.data(), seconds=st.sampled_from([SHORT, LONG]))
    def snooze(self, data: st.DataObject, seconds: float) -> None:
        ids = data.draw(st.lists(st.sampled_from(self.scenario.ids), min_size=1, max_size=2, unique=True))
        self.scenario.snooze(ids, seconds)

    @rule(action=st.sampled_from(ACTIONS[:-1]), type=st.sampled_from([None, *TYPES]))
    def act_on_all(self, action: str, type: str | None) -> None:
        self.scenario.act(action, {"all": True} if type is None else {"all": True, "of": {"type": type}})

    @rule(view=st.sampled_from(["read", "archived", "all"]), type=st.sampled_from([None, *TYPES]))
    def clear(self, view: str, type: str | None) -> None:
        self.scenario.clear(view, type)

    @precondition(lambda self: self.scenario.ids)
    @rule(data=st.data(), title=st.sampled_from(["one", "two"]))
    def edit(self, data: st.DataObject, title: str) -> None:
        self.scenario.edit(data.draw(st.sampled_from(self.scenario.ids)), title)

    @precondition(lambda self: self.scenario.ids)
    @rule(data=st.data())
    def recall(self, data: st.DataObject) -> None:
        self.scenario.recall(data.draw(st.sampled_from(self.scenario.ids)))

    @precondition(lambda self: len(self.scenario.devices) < 3)
    @rule(transport=st.sampled_from(["websocket", "sse"]))
    def add_device(self, transport: str) -> None:
        self.scenario.add_device(transport)

    @rule(data=st.data(), transport=st.sampled_from(["websocket", "sse"]))
    def reconnect(self, data: st.DataObject, transport: str) -> None:
        self.scenario.reconnect(data.draw(st.integers(0, len(self.scenario.devices) - 1)), transport)

    @rule()
    def settle(self) -> None:
        self.scenario.settle()

    @invariant()
    def counters_equal_rows(self) -> None:
        fresh = self.scenario.fetch_snapshot()
        assert fresh["unread"] == sum(notification["read_at"] is None for notification in fresh["notifications"])
        assert fresh["unseen"] == sum(notification["seen_at"] is None for notification in fresh["notifications"])

    def teardown(self) -> None:
        if hasattr(self, "scenario"):
            self.scenario.settle()
            self.scenario.close()


def test_snapshot_and_events_equal_a_fresh_snapshot(bellcast_server: ServerProcess) -> None:
    RandomHistories.server = bellcast_server
    RandomHistories.TestCase.settings = settings(
        max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    RandomHistories.TestCase("runTest").debug()


@pytest.mark.parametrize("file", sorted(FIXTURES.glob("*.json")), ids=lambda file: file.stem)
def test_stored_history_leads_to_its_end(file: Path) -> None:
    history = json.loads(file.read_text())
    device = Device(history["snapshot"])
    for event in history["events"]:
        device.apply(event)
    if not device.needs_refetch:
        assert device.snapshot == history["expect"]


def write_fixtures(histories: int = 12, steps: int = 14) -> None:
    """Record random histories against a real server for the browser client's tests."""
    with tempfile.TemporaryDirectory() as folder, ServerProcess(Path(folder) / "data") as server:
        for number in range(histories):
            rng = random.Random(number)
            (FIXTURES / f"history{number:02}.json").write_text(json.dumps(_history(server, rng, steps, number)))


def _history(server: ServerProcess, rng: random.Random, steps: int, number: int) -> dict[str, Any]:
    scenario = Scenario(server)
    for _ in range(rng.randint(0, 4)):
        scenario.notify(rng.choice(TYPES))
    snapshot = scenario.fetch_snapshot()
    context, connection = scenario.connect("websocket", snapshot["position"])
    for _ in range(steps):
        _step(scenario, rng)
    _wait_until_awake(scenario)
    expect, events, position = scenario.fetch_snapshot(), [], snapshot["position"]
    while position != expect["position"]:
        event = connection.next()
        events.append(event)
        position = event.get("position", position)
    context.__exit__(None, None, None)
    scenario.close()
    return {"name": f"history {number}", "snapshot": snapshot, "events": events, "expect": expect}


def _step(scenario: Scenario, rng: random.Random) -> None:
    some = rng.sample(scenario.ids, min(len(scenario.ids), rng.randint(1, 3)))
    match rng.randint(0, 9):
        case 0 | 1 | 2:
            scenario.notify(rng.choice(TYPES))
        case 3:
            scenario.announce(rng.choice(TYPES))
        case 4:
            scenario.act(rng.choice(["seen", "read", "unread", "archive", "delete"]), {"ids": some})
        case 5:
            scenario.act(rng.choice(["seen", "read", "unread"]), {"all": True, "of": {"type": rng.choice(TYPES)}})
        case 6 if some:
            scenario.edit(some[0], f"edited {rng.randint(1, 9)}")
        case 7 if some:
            scenario.recall(some[0])
        case 8 | 9 if some:
            scenario.snooze(some[:2], rng.choice([SHORT, SHORT, LONG]))


def _wait_until_awake(scenario: Scenario) -> None:
    """Wait until every notification that was snoozed for a short time is back."""
    soon = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    while True:
        rows = scenario.alice.get("/v1/inbox", params={"view": "snoozed", "limit": 100}).json()["notifications"]
        if all(row["snoozed_until"] > soon for row in rows):
            return
        time.sleep(0.2)


if __name__ == "__main__":
    FIXTURES.mkdir(parents=True, exist_ok=True)
    write_fixtures()
    sys.stdout.write(f"wrote {FIXTURES}\n")
