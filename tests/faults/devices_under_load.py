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
SILENCE_SECONDS = 90.0  # seconds of silence, more than three heartbeats, after which a follower changes its stream


class StreamEnded(Exception):
    """The stream ended."""


# How a connection may end during a fault.
CONNECTION_ERRORS = (StreamEnded, OSError, asyncio.IncompleteReadError, TimeoutError)


class Follower:
    """A device of a recipient: a snapshot, then events. It moves to another node when its own fails."""

    def __init__(self, world: "World", recipient: str) -> None:
        self.world = world
        self.recipient = recipient
        self.device: Device | None = None
        self.twice: list[str] = []
        self.refusals: list[Any] = []
        self.connected = asyncio.Event()
        self._shown: set[str] = set()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            node = random.choice(self.world.nodes)
            try:
                if self.device is None or self.device.needs_refetch:
                    await self._load_snapshot(node)
                await self._follow(node)
            except CONNECTION_ERRORS:
                self.connected.clear()
            await asyncio.sleep(random.uniform(0.05, 0.5))

    async def _load_snapshot(self, node: ServerProcess) -> None:
        snapshot = await self.world.fresh(node, self.recipient)
        self.device = Device(snapshot)
        self._shown |= self.device.notifications.keys()

    async def _follow(self, node: ServerProcess) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        try:
            await self._send_request(node, reader, writer)
            while True:
                async with asyncio.timeout(SILENCE_SECONDS):
                    size = int(await reader.readline() or b"0", 16)
                    if size == 0:
                        raise StreamEnded
                    chunk = await reader.readexactly(size + 2)
                for block in chunk.decode().strip().split("\n\n"):
                    self._receive(dict(line.split(": ", 1) for line in block.split("\n") if ": " in line))
        finally:
            writer.transport.abort()

    async def _send_request(
        self, node: ServerProcess, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        assert self.device is not None
        query = urlencode({"token": self.world.token(self.recipient)})
        writer.write(
            f"GET /v1/stream?{query} HTTP/1.1\r\nHost: test\r\nLast-Event-ID: {self.device.position}\r\n\r\n".encode()
        )
        async with asyncio.timeout(30):
            head = await reader.readuntil(b"\r\n\r\n")
        # A node that cannot start a stream responds with 200, a delay for the reconnection and a length.
        if b" 200 " not in head[:20] or b"\r\ncontent-length:" in head.lower():
            raise StreamEnded

    def _receive(self, block: dict[str, str]) -> None:
        name = block.get("event")
        if name is None:
            return
        frame = {"type": name, **json.loads(block["data"])}
        if name == "ready":
            self.connected.set()
        elif name == "close":
            if not frame["reconnect"]:
                self.refusals.append(frame)
            raise StreamEnded
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
            raise StreamEnded


class World:
    """The recipients of one tenant, their devices, and an app that sends to them during a fault."""

    def __init__(self, nodes: list[ServerProcess], tenant: str, recipient_count: int) -> None:
        self.nodes = nodes
        self.tenant = tenant
        self.recipients = [f"person{number}" for number in range(recipient_count)]
        self.followers = [Follower(self, name) for name in self.recipients for _ in range(DEVICES)]
        self.acknowledged: dict[str, Counter[str]] = defaultdict(Counter)
        self.refused: Counter[object] = Counter()
        self._tokens = {name: nodes[0].token(name, 7_200, tenant=tenant) for name in self.recipients}
        self._http = httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=64))
        self._snapshot_slots = asyncio.Semaphore(32)  # concurrent snapshots
        self._over = asyncio.Event()
        self._following: list[asyncio.Future[None]] = []
        self._sending: list[asyncio.Future[None]] = []
        self._number = 0

    def token(self, recipient: str) -> str:
        return self._tokens[recipient]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["World"]:
        """Let every device follow its inbox and the app send until the block ends."""
        self._following = [asyncio.ensure_future(follower.run()) for follower in self.followers]
        await self.until(lambda: all(follower.connected.is_set() for follower in self.followers), 120)
        self._sending = [asyncio.ensure_future(self._send_steadily()) for _ in range(SENDERS)]
        self._sending += [asyncio.ensure_future(self._announce()), asyncio.ensure_future(self._act())]
        try:
            yield self
        finally:
            for task in (*self._sending, *self._following):
                task.cancel()
            await asyncio.gather(*self._sending, *self._following, return_exceptions=True)
            await self._http.aclose()

    async def until(self, condition: Any, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come true in time"
            await asyncio.sleep(0.05)

    # --- load

    async def _send_steadily(self) -> None:
        while not self._over.is_set():
            recipient = random.choice(self.recipients)
            title = await self._acknowledged({"to": recipient})
            self.acknowledged[recipient][title] += 1
            await asyncio.sleep(PAUSE)

    async def _announce(self) -> None:
        while not self._over.is_set():
            title = await self._acknowledged({"to": {"tenant": self.tenant}})
            for recipient in self.recipients:
                self.acknowledged[recipient][title] += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), 4)

    async def _acknowledged(self, body: dict[str, Any]) -> str:
        """Send with one idempotency key to node after node until one accepts; return the title."""
        self._number += 1
        title = f"{self._number}"
        while True:
            node = random.choice(self.nodes)
            headers = node.as_app() | {"idempotency-key": title}
            try:
                response = await self._http.post(
                    f"{node.url}/v1/notifications",
                    json={"title": title, "tenant": self.tenant, **body},
                    headers=headers,
                )
            except httpx.HTTPError as failure:
                self.refused[type(failure).__name__] += 1
            else:
                if response.status_code == 201:
                    return title
                self.refused[response.status_code] += 1
            await asyncio.sleep(0.1)

    async def _act(self) -> None:
        """Mark and archive notifications of random recipients; ignore failures."""
        while not self._over.is_set():
            follower = random.choice(self.followers)
            ids = list(follower.device.notifications)[:3] if follower.device is not None else []
            node, action = random.choice(self.nodes), random.choice(["read", "seen", "archive"])
            with contextlib.suppress(httpx.HTTPError):
                url, headers = (
                    f"{node.url}/v1/inbox/{action}",
                    {"authorization": f"Bearer {self.token(follower.recipient)}"},
                )
                await self._http.post(url, json={"ids": ids}, headers=headers)
            await asyncio.sleep(PAUSE)

    # --- invariants

    async def settle(self) -> float:
        """Stop the senders, and return the seconds until every device equals a fresh snapshot."""
        self._over.set()
        started = time.monotonic()
        unequal: Iterable[Follower] = self.followers
        await asyncio.gather(*self._sending)  # a send in flight would be stored and not yet acknowledged
        while unequal := await self._unequal(unequal):
            for ended in filter(asyncio.Future.done, self._following):
                ended.result()  # raises: a device follows until it is cancelled
            assert time.monotonic() - started < AUDIT_SECONDS, self._describe(unequal)
            await asyncio.sleep(0.5)
        return time.monotonic() - started

    async def _unequal(self, followers: Iterable[Follower]) -> list[Follower]:
        by_recipient: dict[str, list[Follower]] = defaultdict(list)
        for follower in followers:
            by_recipient[follower.recipient].append(follower)
        differing = await asyncio.gather(*(self._differs(name, group) for name, group in by_recipient.items()))
        return [follower for group in differing for follower in group]

    async def _differs(self, recipient: str, followers: list[Follower]) -> list[Follower]:
        try:
            fresh = await self.fresh(random.choice(self.nodes), recipient)
        except CONNECTION_ERRORS:
            return followers
        return [follower for follower in followers if follower.device is None or follower.device.snapshot != fresh]

    def _describe(self, unequal: Iterable[Follower]) -> str:
        unequal_followers = list(unequal)
        disconnected = [follower for follower in unequal_followers if not follower.connected.is_set()]
        return f"{len(unequal_followers)} of {len(self.followers)} devices differ, {len(disconnected)} of them not connected; {self.refused}"

    async def check(self) -> None:
        """Check that no acknowledged notification is lost, duplicated or shown twice, and that no device was
        refused.
        """
        inboxes = await asyncio.gather(*(self._titles(name) for name in self.recipients))
        for name, titles in zip(self.recipients, inboxes, strict=True):
            assert titles == self.acknowledged[name], name
        assert [follower.twice for follower in self.followers if follower.twice] == []
        assert [follower.refusals for follower in self.followers if follower.refusals] == []

    async def _titles(self, recipient: str) -> Counter[str]:
        """Count the titles of all notifications of a recipient, including archived ones."""
        node = random.choice(self.nodes)
        shown = await self.fresh(node, recipient)
        archived = await self.fresh(node, recipient, view="archived")
        return Counter(follower["title"] for follower in (*shown["notifications"], *archived["notifications"]))

    async def fresh(self, node: ServerProcess, recipient: str, view: str = "all") -> dict[str, Any]:
        """Fetch a snapshot of everything at one position, page by page."""
        while True:
            snapshot = await self._page(node, recipient, {"limit": "100", "view": view})
            while snapshot["next"] is not None:
                query = {"limit": "100", "view": view, "before": snapshot["next"]}
                page = await self._page(node, recipient, query)
                if page["position"] != snapshot["position"]:
                    break
                snapshot["notifications"] += page["notifications"]
                snapshot["next"] = page["next"]
            else:
                return {name: snapshot[name] for name in ("notifications", "unread", "unseen", "position")}

    async def _page(self, node: ServerProcess, recipient: str, parameters: dict[str, str]) -> dict[str, Any]:
        """Sent without a client library, whose pool takes seconds for two thousand concurrent requests."""
        query = urlencode({**parameters, "token": self.token(recipient)})
        async with self._snapshot_slots, asyncio.timeout(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
            try:
                writer.write(f"GET /v1/inbox?{query} HTTP/1.0\r\nHost: test\r\n\r\n".encode())
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.transport.abort()
        if b" 200 " not in head[:20]:
            raise StreamEnded
        page: dict[str, Any] = json.loads(body)
        return page
