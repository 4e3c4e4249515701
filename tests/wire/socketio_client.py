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

from tests import stock
from tests.servers import ServerProcess

HERE = Path(__file__).parent / "socketio_node"
WAIT = 60  # seconds; a response takes milliseconds unless something is broken

Told = dict[str, Any]


def installed() -> Path:
    """Install the stock client with its dependencies."""
    return stock.installed(HERE)


class Agent:
    """A Node process with any number of clients."""

    def __init__(self) -> None:
        installed()
        self._process = subprocess.Popen(
            ["node", "agent.mjs"], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._told: dict[str | None, queue.Queue[Told]] = {None: queue.Queue()}
        self._opened = threading.Condition()
        self._refs = 0
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._told[None].get(timeout=WAIT)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            self._of(told["socket"]).put(told)

    def _of(self, socket: str | None) -> "queue.Queue[Told]":
        with self._opened:
            return self._told.setdefault(socket, queue.Queue())

    def do(self, what: str, socket: str, **more: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, "socket": socket, **more}) + "\n")
        self._process.stdin.flush()

    def next(self, socket: str, wait: float = WAIT) -> Told:
        return self._of(socket).get(timeout=wait)

    def silent(self, socket: str, wait: float) -> bool:
        """Return True if no report arrives within that time."""
        try:
            self._of(socket).get(timeout=wait)
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
        self._passed: deque[Told] = deque()  # reports skipped while waiting for an ack
        self.name = name

    def next(self) -> Told:
        return self._passed.popleft() if self._passed else self._agent.next(self.name)

    def until(self, what: str, **fields: Any) -> Told:
        """Return the next report of that kind with those fields."""
        while True:
            told = self.next()
            if told["what"] == what and all(told[name] == value for name, value in fields.items()):
                return told

    def event(self, name: str) -> list[Any]:
        """Return the arguments of the next event of that name."""
        args: list[Any] = self.until("event", name=name)["args"]
        return args

    def events(self, *names: str) -> dict[str, list[Any]]:
        """Return the arguments of the next event of each name, in any order."""
        found: dict[str, list[Any]] = {}
        while len(found) < len(names):
            told = self.until("event")
            if told["name"] in names:
                found.setdefault(told["name"], told["args"])
        return found

    def emit(self, name: str, *args: Any) -> None:
        self._agent.do("emit", self.name, name=name, args=list(args))

    def ask(self, name: str, *args: Any) -> list[Any]:
        """Emit, and return the arguments of the ack."""
        ref = self._agent.ref()
        self._agent.do("emit", self.name, name=name, args=list(args), ref=ref)
        passed = []
        while (told := self.next()).get("ref") != ref:
            passed.append(told)
        self._passed.extendleft(reversed(passed))
        assert told["error"] is None, told
        said: list[Any] = told["args"]
        return said

    def do(self, what: str, **more: Any) -> None:
        self._agent.do(what, self.name, **more)

    def travels_by(self, transport: str) -> bool:
        """Return True if the client uses that transport within a second."""
        for _ in range(20):
            ref = self._agent.ref()
            self.do("state", ref=ref)
            if self.until("state", ref=ref)["transport"] == transport:
                return True
            time.sleep(0.05)
        return False

    def silent(self, seconds: float) -> bool:
        return not self._passed and self._agent.silent(self.name, seconds)


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
    one = Agent()
    try:
        yield one
    finally:
        one.close()
