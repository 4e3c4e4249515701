"""Drives the stock Socket.IO client in Node."""

import json
import queue
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import npm_packages
from tests.servers import ServerProcess

FOLDER = Path(__file__).parent / "socketio_node"
WAIT = 60  # seconds; a response takes milliseconds unless something is broken

Report = dict[str, Any]


def installed() -> Path:
    """Install the stock client with its dependencies."""
    return npm_packages.installed(FOLDER)


class Agent:
    """A Node process with any number of clients."""

    def __init__(self) -> None:
        installed()
        self._process = subprocess.Popen(
            ["node", "agent.mjs"], cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._reports: dict[str | None, queue.Queue[Report]] = {None: queue.Queue()}
        self._opened = threading.Condition()
        self._refs = 0
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._reports[None].get(timeout=WAIT)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            report = json.loads(line)
            self._queue_of(report["socket"]).put(report)

    def _queue_of(self, socket: str | None) -> "queue.Queue[Report]":
        with self._opened:
            return self._reports.setdefault(socket, queue.Queue())

    def do(self, what: str, socket: str, **more: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, "socket": socket, **more}) + "\n")
        self._process.stdin.flush()

    def next(self, socket: str, wait: float = WAIT) -> Report:
        return self._queue_of(socket).get(timeout=wait)

    def silent(self, socket: str, wait: float) -> bool:
        """Return True if no report arrives within that time."""
        try:
            self._queue_of(socket).get(timeout=wait)
        except queue.Empty:
            return True
        return False

    def ref(self) -> int:
        self._refs += 1
        return self._refs

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=WAIT)
        self._listener.join(timeout=WAIT)
        assert self._process.stdout is not None
        self._process.stdout.close()


class Client:
    """A client of an agent."""

    names = iter(range(1_000_000))

    def __init__(self, agent: Agent, name: str) -> None:
        self._agent = agent
        self._skipped: deque[Report] = deque()  # reports skipped while waiting for an ack
        self.name = name

    def next(self) -> Report:
        return self._skipped.popleft() if self._skipped else self._agent.next(self.name)

    def until(self, what: str, **fields: Any) -> Report:
        """Return the next report of that kind with those fields."""
        while True:
            report = self.next()
            if report["what"] == what and all(report[name] == value for name, value in fields.items()):
                return report

    def event(self, name: str) -> list[Any]:
        """Return the arguments of the next event of that name."""
        args: list[Any] = self.until("event", name=name)["args"]
        return args

    def events(self, *names: str) -> dict[str, list[Any]]:
        """Return the arguments of the next event of each name, in any order."""
        arguments: dict[str, list[Any]] = {}
        while len(arguments) < len(names):
            report = self.until("event")
            if report["name"] in names:
                arguments.setdefault(report["name"], report["args"])
        return arguments

    def emit(self, name: str, *args: Any) -> None:
        self._agent.do("emit", self.name, name=name, args=list(args))

    def ask(self, name: str, *args: Any) -> list[Any]:
        """Emit, and return the arguments of the ack."""
        ref = self._agent.ref()
        self._agent.do("emit", self.name, name=name, args=list(args), ref=ref)
        skipped = []
        while (report := self.next()).get("ref") != ref:
            skipped.append(report)
        self._skipped.extendleft(reversed(skipped))
        assert report["error"] is None, report
        reply: list[Any] = report["args"]
        return reply

    def do(self, what: str, **more: Any) -> None:
        self._agent.do(what, self.name, **more)

    def travels_by(self, transport: str) -> bool:
        """Return True if the client uses that transport within a minute."""
        for _ in range(20 * WAIT):
            ref = self._agent.ref()
            self.do("state", ref=ref)
            if self.until("state", ref=ref)["transport"] == transport:
                return True
            time.sleep(0.05)
        return False

    def silent(self, seconds: float) -> bool:
        return not self._skipped and self._agent.silent(self.name, seconds)


def open_client(
    agent: Agent, server: ServerProcess, recipient: str | None, *, namespace: str = "", **options: Any
) -> Client:
    """Open a client of a recipient, with `auth: {token}` unless `auth` overrides it. `claims` go into the token."""
    client = Client(agent, f"client{next(Client.names)}")
    replies = options.pop("replies", {})
    claims = options.pop("claims", {})
    if recipient is not None:
        options.setdefault("auth", {"token": server.token(recipient, **claims)})
    client.do("open", url=server.url + namespace, options=options, replies=replies)
    return client


@contextmanager
def agent() -> Iterator[Agent]:
    """Run a Node process until the block ends."""
    opened = Agent()
    try:
        yield opened
    finally:
        opened.close()
