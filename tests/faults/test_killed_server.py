"""`kill -9` at random moments under load: acknowledged notifications are stored exactly once, and reconnected
clients agree.
"""

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import WebSocketException

from tests.faults.raw_sockets import eventually, unharmed
from tests.law.device import Device
from tests.servers import START_TIMEOUT, ServerProcess
from tests.wire.clients import Socket, Stream, stream, websocket

RECIPIENTS = ["alice", "bob", "carol"]
TENANT = "acme"
ROUNDS = 5
SECONDS = (0.05, 0.8)  # seconds of load before the next kill
PAUSE = 0.005  # seconds between two requests of a writer, since clients run on the same machine
# Errors that a client of a killed server may see.
DISCONNECT_ERRORS = (OSError, EOFError, ValueError, IndexError, StopIteration, WebSocketException, RuntimeError)


class Load:
    """State shared by the threads: when to stop, and which notifications were acknowledged."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.is_over = threading.Event()
        self.acknowledged: dict[str, list[str]] = {}  # title -> recipients, acknowledged by the server
        self.responses: list[tuple[dict[str, Any], str, Any]] = []  # body, key, response

    @contextmanager
    def client(self, recipient: str | None = None) -> Iterator[httpx.Client]:
        server = self.server
        client_headers = server.as_app() if recipient is None else server.as_recipient(recipient, tenant=TENANT)
        with httpx.Client(base_url=server.url, headers=client_headers, timeout=60) as client:
            yield client

    def repeat_until_response(self, send_request: Callable[[], httpx.Response]) -> httpx.Response:
        """Repeat the request until the server responds."""
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                return send_request()
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    # --- load

    def write(self, number: int) -> None:
        """Send single, bulk and announced notifications, each with a key, each repeated until acknowledged."""
        chance = random.Random(number)
        with self.client() as app:
            for count in range(1_000_000):
                if self.is_over.is_set():
                    return
                key = f"{number}.{count}"
                [self._send, self._send, self._send_many, self._announce][chance.randrange(4)](app, key, chance)
                time.sleep(PAUSE)

    def _send(self, app: httpx.Client, key: str, chance: random.Random) -> None:
        to = chance.sample(RECIPIENTS, chance.randint(1, 3))
        self.post(app, {"to": to, "title": key, "tenant": TENANT}, key)
        self.acknowledged[key] = to

    def _announce(self, app: httpx.Client, key: str, _: random.Random) -> None:
        self.post(app, {"to": {"tenant": TENANT}, "title": key}, key)
        self.acknowledged[key] = RECIPIENTS

    def post(self, app: httpx.Client, body: dict[str, Any], key: str) -> None:
        headers = {"Idempotency-Key": key}
        response = self.repeat_until_response(lambda: app.post("/v1/notifications", json=body, headers=headers))
        assert response.status_code == 201, response.text
        self.responses.append((body, key, response.json()))

    def _send_many(self, app: httpx.Client, key: str, chance: random.Random) -> None:
        to = chance.choice(RECIPIENTS)
        keys = [f"{key}.{item}" for item in range(chance.randint(2, 12))]
        body = [{"to": to, "title": one, "idempotency_key": one, "tenant": TENANT} for one in keys]
        response = self.repeat_until_response(lambda: app.post("/v1/notifications/bulk", json=body))
        assert all("id" in one for one in response.json()["results"]), response.text
        self.acknowledged |= {one: [to] for one in keys}

    def act(self, recipient: str) -> None:
        """Read the inbox and change it."""
        chance = random.Random(recipient)
        with self.client(recipient) as recipient_client:
            while not self.is_over.is_set():
                try:
                    self._do_something(recipient_client, chance)
                except httpx.TransportError:
                    time.sleep(0.02)

    def _do_something(self, recipient_client: httpx.Client, chance: random.Random) -> None:
        rows = recipient_client.get("/v1/inbox").json()["notifications"]
        some = [one["id"] for one in chance.sample(rows, min(len(rows), 3))]
        match chance.randrange(6):
            case 0:
                recipient_client.post("/v1/inbox/read", json={"all": True})
            case 1 if some:
                recipient_client.patch(f"/v1/inbox/{some[0]}", json={"read": True})
            case 2:
                recipient_client.post("/v1/inbox/archive", json={"ids": some})
            case 3:
                recipient_client.post("/v1/inbox/unread", json={"ids": some})
            case _:
                recipient_client.post("/v1/inbox/seen", json={"ids": some})
        time.sleep(4 * PAUSE)

    # --- expected state

    def inbox(self, recipient: str, view: str = "all") -> dict[str, Any]:
        """Fetch a fresh snapshot, page by page."""
        with self.client(recipient) as recipient_client:
            whole = page = recipient_client.get("/v1/inbox", params={"view": view, "limit": 100}).json()
            while page["next"] is not None:
                query = {"view": view, "limit": 100, "before": page["next"]}
                page = recipient_client.get("/v1/inbox", params=query).json()
                whole["notifications"] += page["notifications"]
        return {name: whole[name] for name in ("notifications", "unread", "unseen", "position")}


class Follower:
    """A client that reconnects, as browsers do, and does not fetch its inbox a second time."""

    def __init__(self, load: Load, recipient: str, follow: Callable[..., Any]) -> None:
        self._load = load
        self.recipient = recipient
        self._follow = follow
        self._live: Stream | Socket | None = None
        self.device = Device(load.inbox(recipient))
        self._last: str | None = None
        self.reconnects = -1
        self._is_over = False

    def run(self) -> None:
        while not self._is_over:
            try:
                self._follow_once()
            except DISCONNECT_ERRORS:
                time.sleep(0.02)

    def _follow_once(self) -> None:
        claims = {"tenant": TENANT}
        resume = {"position": self.device.position} if self._last is None else {"last": self._last}
        with self._follow(self._load.server, self.recipient, claims=claims, **resume) as self._live:
            ready = self._live.next()
            assert ready["type"] == "ready", ready
            self.reconnects += 1
            while not self._is_over:
                event = self._live.next()
                self.device.apply(event)
                self._last = event.get("id") or self._last

    def reaches(self, position: str) -> bool:
        return eventually(lambda: self.device.position == position)

    def disconnect(self) -> None:
        self._is_over = True
        if isinstance(self._live, Stream):
            with suppress(OSError):  # the device is between two connections
                self._live._socket.shutdown(socket.SHUT_RDWR)
        elif self._live is not None:
            self._live.raw.close()


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    with ServerProcess(tmp_path / "data") as server:
        load = Load(server)
        with load.client() as app:
            for recipient in RECIPIENTS:
                load.post(app, {"to": recipient, "title": "welcome", "tenant": TENANT}, f"welcome {recipient}")
        load.acknowledged["welcome"] = RECIPIENTS
        yield load


def test_acknowledged_notifications_survive_kills_and_clients_agree(load: Load) -> None:
    chance = random.Random()
    followers = [Follower(load, recipient, follow) for recipient in RECIPIENTS for follow in (stream, websocket)]
    with ThreadPoolExecutor(16) as threads:
        work = [threads.submit(load.write, number) for number in range(4)]
        work += [threads.submit(load.act, recipient) for recipient in RECIPIENTS]
        listening = [threads.submit(follower.run) for follower in followers]
        try:
            for killed in range(ROUNDS):
                assert eventually(lambda killed=killed: all(one.reconnects == killed for one in followers))
                time.sleep(chance.uniform(*SECONDS))
                load.server.restart()
            assert eventually(lambda: all(follower.reconnects == ROUNDS for follower in followers))
            before = len(load.acknowledged)
            assert eventually(lambda: len(load.acknowledged) > before + 10)
        except BaseException:
            for follower in followers:
                follower.disconnect()
            raise
        finally:
            load.is_over.set()
        for one in work:
            one.result(timeout=START_TIMEOUT)
        fresh = {recipient: load.inbox(recipient) for recipient in RECIPIENTS}
        for follower in followers:
            assert follower.reaches(fresh[follower.recipient]["position"])
            follower.disconnect()
        for one in listening:
            one.result(timeout=START_TIMEOUT)
    assert [follower.reconnects for follower in followers] == [ROUNDS] * len(followers)
    for follower in followers:
        assert not follower.device.needs_refetch
        assert follower.device.snapshot == fresh[follower.recipient]
    for recipient in RECIPIENTS:
        _check_inbox(load, recipient, fresh[recipient])
    _check_repeated_keys(load)
    assert unharmed(load.server)


def _check_inbox(load: Load, recipient: str, fresh: dict[str, Any]) -> None:
    """Check that each acknowledged notification is stored once, and that the counters match the rows."""
    rows = fresh["notifications"] + load.inbox(recipient, "archived")["notifications"]
    titles = Counter(one["title"] for one in rows)
    assert titles == Counter(title for title, recipients in load.acknowledged.items() if recipient in recipients)
    assert len({one["id"] for one in rows}) == len(rows)
    assert fresh["unread"] == sum(one["read_at"] is None for one in fresh["notifications"])
    assert fresh["unseen"] == sum(one["seen_at"] is None for one in fresh["notifications"])


def _check_repeated_keys(load: Load) -> None:
    """Check that a repeated key and body return the first response, even after a restart."""
    with load.client() as app:
        for body, key, response in random.sample(load.responses, min(50, len(load.responses))):
            repeated = app.post("/v1/notifications", json=body, headers={"Idempotency-Key": key})
            assert repeated.json() == response
