"""The whole law on real servers: devices that deduplicate nothing, cut at any event and resumed on any node, are shown each
notification once and each live event once and in order, or `ready` has `recovered: false`; and their inbox equals a fresh
snapshot.

`python -m tests.law.test_live_law 1000` checks as many seeds on each kind of server."""

import asyncio
import itertools
import json
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests import engines
from tests.faults.nodes import cluster
from tests.law.device import Device
from tests.servers import ServerProcess

TOPICS = ["busy", "quiet"]
TYPES = ["booking", "payment"]
ACTIONS = ["seen", "read", "unread", "archive", "unarchive", "delete"]
DEVICES = 3
STEPS = 30
HISTORY = {"BELLCAST_TOPIC_HISTORY": "*=1h"}  # on a loaded machine a seed may take minutes
AT_ONCE = 8  # seeds, each in its own tenant
WAIT = 60  # seconds; a response takes milliseconds unless something is broken
tenants = (f"live-law{number}" for number in itertools.count())

Frame = dict[str, Any]
EventNumber = tuple[int, int]  # epoch and offset of an event id


class LiveDevice:
    """One device of Alice. It follows her inbox and the topics; the test decides when it applies the frames it received."""

    def __init__(self, law: "LiveLaw", is_sse: bool) -> None:
        self.law, self.is_sse = law, is_sse
        self.frames: list[Frame] = []
        self.moving = asyncio.Lock()
        self.reading: asyncio.Task[None] | None = None
        self.event_id: str | None = None
        self.base: EventNumber | None = None
        self.received: list[EventNumber] = []
        self.is_ready = False
        self.recoveries = self.resets = 0

    async def fetch(self) -> None:
        """Begin with a fresh snapshot. `shown` has every row of the inbox, including those that the device does not list."""
        while True:
            fresh = await self.law.snapshot()
            views = [await self.law.snapshot(view) for view in ("archived", "snoozed")]
            if all(view["position"] == fresh["position"] for view in views):
                break
        self.inbox = Device(fresh)
        self.shown = {row["id"] for page in (fresh, *views) for row in page["notifications"]}

    async def connect(self, node: ServerProcess) -> None:
        self.frames, self.is_ready = [], False
        position = self.inbox.position + (f"~{self.event_id}" if self.event_id else "")
        claims = {"tenant": self.law.tenant, "topics": ["*"]}
        query = {"token": node.token("alice", **claims), "topics": ",".join(TOPICS), "position": position}
        opened = asyncio.Event()
        source = _event_stream(node, query) if self.is_sse else _websocket(node, query)
        self.reading = asyncio.create_task(self._read(source, opened))
        await asyncio.wait_for(opened.wait(), WAIT)

    async def _read(self, source: AsyncIterator[Frame], opened: asyncio.Event) -> None:
        try:
            async for frame in source:
                if frame["type"] != "heartbeat":
                    self.frames.append(frame)
                opened.set()
        except (ConnectionClosed, OSError, asyncio.IncompleteReadError):
            opened.set()  # closed as slow: it resumes

    async def cut(self) -> None:
        """Lose the connection and some of the frames that have arrived."""
        self.apply(self.law.rng.randint(0, len(self.frames)))
        self.frames = []
        if self.reading is not None:
            self.reading.cancel()
            await asyncio.gather(self.reading, return_exceptions=True)
            self.reading = None

    def apply(self, count: int | None = None) -> None:
        some, self.frames = self.frames[:count], [] if count is None else self.frames[count:]
        for frame in some:
            self._apply(frame)

    def _apply(self, frame: Frame) -> None:
        match frame["type"]:
            case "ready":
                self._begin(frame)
            case "event":
                self._receive(frame)
            case "notification":
                row = frame["notification"]["id"]
                assert row not in self.shown, f"{row} was shown twice"
                self.shown.add(row)
            case "notification-update":
                row = frame["notification"]["id"]
                assert row in self.shown, f"{row} was updated before it was shown"
        if not self.inbox.needs_refetch:
            self.inbox.apply(frame)
        self.event_id = frame.get("sse_id", "").partition("~")[2] or self.event_id

    def _begin(self, ready: Frame) -> None:
        assert not self.is_ready
        self.is_ready = True
        if ready["recovered"]:
            self.recoveries += 1
            return
        assert self.base is None or self.law.has_cleared, "nothing had left the history"
        self.resets += 1
        self.end_segment()
        self.event_id = ready["id"]
        self.base = _number(ready["id"])
        self.received = []

    def _receive(self, event: Frame) -> None:
        assert self.is_ready
        number = _number(event["id"])
        assert not self.received or number > self.received[-1], f"{number} after {self.received[-1]}"
        assert "replayed" not in event
        self.received.append(number)
        self.event_id = event["id"]

    def has(self, number: EventNumber) -> bool:
        """Return True if the device received this event, or started after it."""
        return self.base is not None and max([self.base, *self.received]) >= number

    def end_segment(self) -> None:
        """Store the events received between two `recovered: false`, to compare them with the whole log at the end."""
        if self.base is not None and self.event_id is not None:
            self.law.segments.append((self.base, _number(self.event_id), self.received))


class LiveLaw:
    """A random history of Alice in a separate tenant: her devices, her app and the nodes."""

    def __init__(self, nodes: Sequence[ServerProcess], seed: int) -> None:
        self.nodes, self.rng = nodes, random.Random(seed)
        self.tenant = next(tenants)
        # On a loaded machine, the server may close an idle connection while the request is sent.
        self.http = httpx.AsyncClient(timeout=WAIT, limits=httpx.Limits(max_keepalive_connections=0))
        self.devices = [LiveDevice(self, is_sse=number == 1) for number in range(DEVICES)]
        self.ids: list[str] = []
        self.log: dict[EventNumber, str] = {}
        self.segments: list[tuple[EventNumber, EventNumber, list[EventNumber]]] = []
        self.has_cleared = False
        self.publishing = asyncio.Lock()  # no event is published between reading the log and clearing it

    async def run(self) -> None:
        async with self.http:
            for device in self.devices:
                await device.fetch()
                await device.connect(self.rng.choice(self.nodes))
            for _ in range(STEPS):
                await asyncio.gather(*[self.step() for _ in range(self.rng.choice([1, 1, 2]))])
            await self.settle()

    # --- requests, each to a random node

    async def request(self, method: str, path: str, *, alice: bool = False, **fields: Any) -> Any:
        node = self.rng.choice(self.nodes)
        headers = node.as_recipient("alice", tenant=self.tenant) if alice else node.as_app()
        params = fields.pop("params", {}) | ({} if alice else {"tenant": self.tenant})
        reply = await self.http.request(method, node.url + path, headers=headers, params=params, **fields)
        assert reply.status_code < 300 or reply.status_code == 404, reply.text
        return reply.json() if reply.content else None

    async def snapshot(self, view: str = "all") -> dict[str, Any]:
        page = await self.request("GET", "/v1/inbox", alice=True, params={"limit": 100, "view": view})
        assert page["next"] is None
        return {name: page[name] for name in ("notifications", "unread", "unseen", "position")}

    async def step(self) -> None:
        device, some = self.rng.choice(self.devices), self.rng.sample(self.ids, min(2, len(self.ids)))
        match self.rng.randint(0, 13):
            case 0 | 1:
                sends = [self._content() | {"to": "alice"} for _ in range(self.rng.randint(1, 3))]
                replies = await self.request("POST", "/v1/notifications/bulk", json=sends)
                self.ids += [result["id"] for result in replies["results"]]
            case 2:
                body = self._content() | {"to": {"tenant": self.tenant}}
                self.ids.append((await self.request("POST", "/v1/notifications", json=body))["announcement"]["id"])
            case 3 | 4:
                await self.publish()
            case 5 if some:
                await self.request("PATCH", f"/v1/notifications/{some[0]}", json={"title": self.rng.choice("ab")})
            case 6 if some:
                await self.request("DELETE", f"/v1/notifications/{some[0]}")
            case 7 | 8 if some:
                await self.act(some)
            case 9:
                await self.clear_history()
            case 10:
                device.apply()
            case _:
                await self.reconnect(device)

    def _content(self) -> dict[str, str]:
        return {"title": "t", "type": self.rng.choice(TYPES)}

    async def publish(self) -> None:
        for _ in range(self.rng.randint(1, 3)):
            body = {"topic": self.rng.choice([*TOPICS, "busy"]), "name": "n", "data": "x"}
            async with self.publishing:
                await self.request("POST", "/v1/events", json=body)

    async def act(self, some: list[str]) -> None:
        action = self.rng.choice([*ACTIONS, "snooze"])
        if action == "delete":
            await self.request("DELETE", f"/v1/inbox/{some[0]}", alice=True)
        elif action == "snooze":
            await self.request("POST", "/v1/inbox/snooze", alice=True, json={"ids": some, "for": 3600})
        else:
            body = self.rng.choice([{"ids": some}, {"all": True}, {"all": True, "of": {"type": TYPES[0]}}])
            await self.request("POST", f"/v1/inbox/{action}", alice=True, json=body)

    async def clear_history(self) -> None:
        if self.rng.random() < 0.3:
            async with self.publishing:
                self.has_cleared = True
                await self.read_log()
                await self.request("DELETE", "/v1/topics/busy/events")

    async def read_log(self) -> None:
        for topic in TOPICS:
            page = await self.request("GET", f"/v1/topics/{topic}/events", params={"limit": 1000})
            assert page["next"] is None
            self.log |= {_number(event["id"]): topic for event in page["events"]}

    async def reconnect(self, device: LiveDevice) -> None:
        async with device.moving:
            await device.cut()
            if device.inbox.needs_refetch:
                await device.fetch()
            await device.connect(self.rng.choice(self.nodes))

    # --- the end

    async def settle(self) -> None:
        """Publish a last event, let every device apply everything, and compare."""
        for device in self.devices:
            await self.reconnect(device)
        await self.request("POST", "/v1/events", json={"topic": "quiet", "name": "n", "data": "last"})
        await self.read_log()
        newest, last = await self.snapshot(), max(number for number, topic in self.log.items() if topic == "quiet")
        assert newest["unread"] == sum(row["read_at"] is None for row in newest["notifications"])
        assert newest["unseen"] == sum(row["seen_at"] is None for row in newest["notifications"])
        for device in self.devices:
            await asyncio.wait_for(self._catch_up(device, newest, last), WAIT)
            device.end_segment()
            await device.cut()
        for base, end, received in self.segments:
            expected = [number for number in sorted(self.log) if base < number <= end]
            assert received == expected, f"{received} instead of {expected}"

    async def _catch_up(self, device: LiveDevice, newest: dict[str, Any], last: EventNumber) -> None:
        """The position may still be one of a replay, if nothing changed after it."""
        while {**device.inbox.snapshot, "position": newest["position"]} != newest or not device.has(last):
            device.apply()
            if device.inbox.needs_refetch or device.reading is None or device.reading.done():
                await self.reconnect(device)
            await asyncio.sleep(0.002)


def _number(id: str) -> EventNumber:
    epoch, offset = id.split(".")
    return int(epoch, 16), int(offset, 16)


async def _websocket(node: ServerProcess, query: dict[str, str]) -> AsyncIterator[Frame]:
    url = node.url.replace("http", "ws") + "/v1/ws?" + urlencode(query)
    connection: ClientConnection = await connect(url, max_queue=None, close_timeout=1)
    try:
        async for text in connection:
            yield json.loads(text)
    finally:
        connection.transport.abort()


async def _event_stream(node: ServerProcess, query: dict[str, str]) -> AsyncIterator[Frame]:
    """HTTP/1.0 has no chunks. The position is the client's `Last-Event-ID`."""
    address, last = urlsplit(node.url), query.pop("position")
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=2**24)
    head = f"GET /v1/stream?{urlencode(query)} HTTP/1.0\r\nHost: {address.netloc}\r\nLast-Event-ID: {last}\r\n\r\n"
    writer.write(head.encode())
    try:
        await reader.readuntil(b"\r\n\r\n")
        while True:
            block = (await reader.readuntil(b"\n\n")).decode()
            fields = dict(line.split(": ", 1) for line in block.strip().split("\n") if ": " in line)
            if "event" in fields:
                yield {"type": fields["event"], **json.loads(fields["data"]), "sse_id": fields.get("id", "")}
    finally:
        writer.transport.abort()


async def check(nodes: Sequence[ServerProcess], seeds: Iterable[int]) -> int:
    """Check the law for each seed, several at a time. Return how often a client recovered."""
    waiting, recoveries = iter(seeds), 0

    async def work() -> None:
        nonlocal recoveries
        for seed in waiting:
            law = LiveLaw(nodes, seed)
            try:
                await law.run()
            except BaseException as failure:
                failure.add_note(f"seed {seed}")
                raise
            recoveries += sum(device.recoveries for device in law.devices)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
    return recoveries


@contextmanager
def servers(kind: str, folder: Path) -> Iterator[list[ServerProcess]]:
    if kind == "sqlite":
        with ServerProcess(folder / "data", HISTORY) as server:
            yield [server]
    else:
        with cluster(folder, engines.redis().url, engines.postgres(), f"live{kind}") as nodes:
            yield [nodes.start(**HISTORY) for _ in range(1 if kind == "postgres" else 3)]


KINDS = ["sqlite", "postgres", "three"]


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("three", marks=pytest.mark.thorough)])
def test_devices_are_shown_everything_once_under_any_cuts(kind: str, tmp_path: Path) -> None:
    with servers(kind, tmp_path) as nodes:
        assert asyncio.run(check(nodes, range(4))) > 4


if __name__ == "__main__":
    for name in sys.argv[2:] or KINDS:
        with tempfile.TemporaryDirectory() as place, servers(name, Path(place)) as started:
            number = asyncio.run(check(started, range(int(sys.argv[1]))))
        sys.stdout.write(f"{name}: {sys.argv[1]} seeds passed, {number} recoveries\n")
