"""Devices that follow inboxes over event streams, an app that sends to them steadily, and the invariant they must
converge to: each device equals a fresh snapshot, with no notification lost or shown twice.
"""

import asyncio
import contextlib
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from typing import Any
from urllib.parse import urlencode

import httpx

from tests.law.device import Device
from tests.servers import ServerProcess

# The longest interval of the reconciler, with a margin for a loaded machine.
AUDIT_SECONDS = 90.0
SENDERS = 5
PAUSE = 0.1  # seconds between two sends of one sender: 50 sends a second in total
DEVICES = 2  # per recipient
PATIENCE = 90.0  # seconds of silence, more than three heartbeats, after which a follower changes its stream


class Gone(Exception):
    """The stream ended."""


# How a connection may end during a fault.
ENDS = (Gone, OSError, asyncio.IncompleteReadError, TimeoutError)


class Follower:
    """A device of a recipient: a snapshot, then events. It moves to another node when its own fails."""

    def __init__(self, world: "World", recipient: str) -> None:
        self.world = world
        self.recipient = recipient
        self.device: Device | None = None
        self.twice: list[str] = []
        self.turned_away: list[Any] = []
        self.connected = asyncio.Event()
        self._shown: set[str] = set()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            node = random.choice(self.world.nodes)
            try:
                if self.device is None or self.device.needs_refetch:
                    await self._look(node)
                await self._listen(node)
            except ENDS:
                self.connected.clear()
            await asyncio.sleep(random.uniform(0.05, 0.5))

    async def _look(self, node: ServerProcess) -> None:
        snapshot = await self.world.fresh(node, self.recipient)
        self.device = Device(snapshot)
        self._shown |= self.device.notifications.keys()

    async def _listen(self, node: ServerProcess) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        try:
            await self._greet(node, reader, writer)
            while True:
                async with asyncio.timeout(PATIENCE):
                    size = int(await reader.readline() or b"0", 16)
                    if size == 0:
                        raise Gone
                    chunk = await reader.readexactly(size + 2)
                for block in chunk.decode().strip().split("\n\n"):
                    self._hear(dict(line.split(": ", 1) for line in block.split("\n") if ": " in line))
        finally:
            writer.transport.abort()

    async def _greet(self, node: ServerProcess, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self.device is not None
        query = urlencode({"token": self.world.token(self.recipient)})
        writer.write(
            f"GET /v1/stream?{query} HTTP/1.1\r\nHost: test\r\nLast-Event-ID: {self.device.position}\r\n\r\n".encode()
        )
        async with asyncio.timeout(30):
            said = await reader.readline()
            while (await reader.readline()).strip():
                pass
        if b" 200 " not in said:
            raise Gone

    def _hear(self, block: dict[str, str]) -> None:
        name = block.get("event")
        if name is None:
            return
        frame = {"type": name, **json.loads(block["data"])}
        if name == "ready":
            self.connected.set()
        elif name == "close":
            if not frame["reconnect"]:
                self.turned_away.append(frame)
            raise Gone
        self._apply(frame)

    def _apply(self, frame: dict[str, Any]) -> None:
        assert self.device is not None
        if frame["type"] == "notification":
            id = frame["notification"]["id"]
            if id in self._shown:
                self.twice.append(id)
            self._shown.add(id)
        self.device.apply(frame)
        if self.device.needs_refetch:
            raise Gone


class World:
    """The recipients of one tenant, their devices, and an app that sends to them during a fault."""

    def __init__(self, nodes: list[ServerProcess], tenant: str, people: int) -> None:
        self.nodes = nodes
        self.tenant = tenant
        self.people = [f"person{number}" for number in range(people)]
        self.followers = [Follower(self, name) for name in self.people for _ in range(DEVICES)]
        self.acknowledged: dict[str, Counter[str]] = defaultdict(Counter)
        self.refused: Counter[object] = Counter()
        self._tokens = {name: nodes[0].token(name, 7_200, tenant=tenant) for name in self.people}
        self._http = httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=64))
        self._free = asyncio.Semaphore(32)  # concurrent snapshots
        self._over = asyncio.Event()
        self._number = 0

    def token(self, recipient: str) -> str:
        return self._tokens[recipient]

    @contextlib.asynccontextmanager
    async def going_on(self) -> AsyncIterator["World"]:
        """Let every device follow and the app send until the block ends."""
        following = [asyncio.ensure_future(one.run()) for one in self.followers]
        await self.until(lambda: all(one.connected.is_set() for one in self.followers), 120)
        sending = [asyncio.ensure_future(self._send_steadily()) for _ in range(SENDERS)]
        sending += [asyncio.ensure_future(self._announce()), asyncio.ensure_future(self._act())]
        try:
            yield self
        finally:
            for task in (*sending, *following):
                task.cancel()
            await asyncio.gather(*sending, *following, return_exceptions=True)
            await self._http.aclose()

    async def until(self, holds: Any, within: float) -> None:
        deadline = time.monotonic() + within
        while not holds():
            assert time.monotonic() < deadline, "it did not come true in time"
            await asyncio.sleep(0.05)

    # --- load

    async def _send_steadily(self) -> None:
        while not self._over.is_set():
            recipient = random.choice(self.people)
            title = await self._acknowledged({"to": recipient})
            self.acknowledged[recipient][title] += 1
            await asyncio.sleep(PAUSE)

    async def _announce(self) -> None:
        while not self._over.is_set():
            title = await self._acknowledged({"to": {"tenant": self.tenant}})
            for recipient in self.people:
                self.acknowledged[recipient][title] += 1
            await asyncio.sleep(4)

    async def _acknowledged(self, body: dict[str, Any]) -> str:
        """Send with one idempotency key to node after node until one accepts; return the title."""
        self._number += 1
        title = f"{self._number}"
        while True:
            node = random.choice(self.nodes)
            headers = node.as_app() | {"idempotency-key": title}
            try:
                answer = await self._http.post(
                    f"{node.url}/v1/notifications",
                    json={"title": title, "tenant": self.tenant, **body},
                    headers=headers,
                )
            except httpx.HTTPError as failure:
                self.refused[type(failure).__name__] += 1
            else:
                if answer.status_code == 201:
                    return title
                self.refused[answer.status_code] += 1
            await asyncio.sleep(0.1)

    async def _act(self) -> None:
        """Mark and archive for random recipients; ignore failures."""
        while not self._over.is_set():
            one = random.choice(self.followers)
            ids = list(one.device.notifications)[:3] if one.device is not None else []
            node, action = random.choice(self.nodes), random.choice(["read", "seen", "archive"])
            with contextlib.suppress(httpx.HTTPError):
                url, headers = f"{node.url}/v1/inbox/{action}", {"authorization": f"Bearer {self.token(one.recipient)}"}
                await self._http.post(url, json={"ids": ids}, headers=headers)
            await asyncio.sleep(PAUSE)

    # --- invariants

    async def settled(self) -> float:
        """Stop the senders, and return the seconds until every device equals a fresh snapshot."""
        self._over.set()
        began = time.monotonic()
        unequal: Iterable[Follower] = self.followers
        await asyncio.sleep(0.5)
        while unequal := await self._unequal(unequal):
            assert time.monotonic() - began < AUDIT_SECONDS, self._say(unequal)
            await asyncio.sleep(0.5)
        return time.monotonic() - began

    async def _unequal(self, followers: Iterable[Follower]) -> list[Follower]:
        by_person: dict[str, list[Follower]] = defaultdict(list)
        for one in followers:
            by_person[one.recipient].append(one)
        found = await asyncio.gather(*(self._differs(name, those) for name, those in by_person.items()))
        return [one for those in found for one in those]

    async def _differs(self, recipient: str, followers: list[Follower]) -> list[Follower]:
        try:
            fresh = await self.fresh(random.choice(self.nodes), recipient)
        except ENDS:
            return followers
        return [one for one in followers if one.device is None or one.device.snapshot != fresh]

    def _say(self, unequal: Iterable[Follower]) -> str:
        those = list(unequal)
        lost = [one for one in those if not one.connected.is_set()]
        return (
            f"{len(those)} of {len(self.followers)} devices differ, {len(lost)} of them not connected; {self.refused}"
        )

    async def check(self) -> None:
        """Check that no acknowledged notification is lost, duplicated or shown twice, and that no device was
        refused.
        """
        inboxes = await asyncio.gather(*(self._titles(name) for name in self.people))
        for name, titles in zip(self.people, inboxes, strict=True):
            assert titles == self.acknowledged[name], name
        assert [one.twice for one in self.followers if one.twice] == []
        assert [one.turned_away for one in self.followers if one.turned_away] == []

    async def _titles(self, recipient: str) -> Counter[str]:
        """Count the titles of all notifications of a recipient, including archived ones."""
        node = random.choice(self.nodes)
        shown = await self.fresh(node, recipient)
        away = await self.fresh(node, recipient, view="archived")
        return Counter(one["title"] for one in (*shown["notifications"], *away["notifications"]))

    async def fresh(self, node: ServerProcess, recipient: str, view: str = "all") -> dict[str, Any]:
        """Fetch a snapshot of everything at one position, page by page."""
        while True:
            snapshot = await self._page(node, recipient, {"limit": "100", "view": view})
            while snapshot["next"] is not None:
                asked = {"limit": "100", "view": view, "before": snapshot["next"]}
                more = await self._page(node, recipient, asked)
                if more["position"] != snapshot["position"]:
                    break
                snapshot["notifications"] += more["notifications"]
                snapshot["next"] = more["next"]
            else:
                return {name: snapshot[name] for name in ("notifications", "unread", "unseen", "position")}

    async def _page(self, node: ServerProcess, recipient: str, asked: dict[str, str]) -> dict[str, Any]:
        """Without a client library: its pool takes seconds over two thousand concurrent requests."""
        query = urlencode({**asked, "token": self.token(recipient)})
        async with self._free, asyncio.timeout(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
            try:
                writer.write(f"GET /v1/inbox?{query} HTTP/1.0\r\nHost: test\r\n\r\n".encode())
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.transport.abort()
        if b" 200 " not in head[:20]:
            raise Gone
        found: dict[str, Any] = json.loads(body)
        return found
