"""A real Bellcast process for tests: started on a free port, killed, restarted on the same port, and always stopped."""

import atexit
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import IO

import jwt

from tests import forked_commands
from tests.forked_commands import Forked

PROJECT = ("770077", "test-project-key", "test-project-secret-of-forty-characters-x")
START_TIMEOUT = 90  # seconds; a loaded machine needs ten
PORTS = range(20_000, 32_000)  # outside the system's range for outgoing connections
BLOCK = 400  # ports per process; tests run far fewer servers at a time
_rng = random.SystemRandom()  # Hypothesis seeds the default generator equally in every process


class ServerProcess:
    """One `bellcast serve`. `url` is final before the start."""

    def __init__(self, data: Path, environ: Mapping[str, str] | None = None, *flags: str) -> None:
        self.data = data
        self.environ = dict(environ or {})
        self.flags = flags
        self.prefix: list[str] = []  # command that starts the server, for example a debugger or `prlimit`
        self.program: list[str] = []  # instead of this checkout's `bellcast`
        self.command = "serve"  # or "worker", which does not listen
        self.project, self.key, self.secret = PROJECT
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self.log = data / "server.log"
        self._output: IO[str] | None = None

    def start(self) -> "ServerProcess":
        """Start it and wait until it accepts connections."""
        self.data.mkdir(parents=True, exist_ok=True)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("BELLCAST_")}
        # So that tests sharing a server do not receive each other's announcements.
        environ |= {"BELLCAST_PROJECT": ":".join(PROJECT), "BELLCAST_NEWCOMERS": "0"} | self.environ
        address = ["--port", str(self.port)] if self.command == "serve" else []
        args = [self.command, *address, "--data", str(self.data), *self.flags]
        reading, writing = os.pipe()
        with os.fdopen(writing, "w") as output, self.log.open("a") as log, Path(os.devnull).open() as nothing:
            if self.prefix or self.program:
                command = [*self.prefix, *(self.program or [sys.executable, "-m", "bellcast"]), *args]
                self.process = subprocess.Popen(command, env=environ, stdout=output, stderr=log)
            else:
                self.process = forked_commands.start(args, environ, nothing, output, log)
        self._output = os.fdopen(reading)
        for line in self._output:
            if re.search(r"http://\S+|worker is running", line):
                return self
        self._output.close()
        raise AssertionError(f"the server did not start: {self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """End it without a shutdown, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Send SIGTERM; return the exit status."""
        return self._end(signal.SIGTERM)

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Kill it, and restart it at the end of the block for the other tests that share it."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    def restart(self) -> "ServerProcess":
        """Kill it and start it again on the same port and data."""
        self.kill()
        return self.start()

    def token(self, recipient: str, ttl: int = 3600, **claims: object) -> str:
        """A session token, signed as an app would sign it."""
        now = time.time()
        body = {"sub": recipient, "iat": now, "exp": int(now) + ttl, **claims}
        return jwt.encode(body, self.secret, "HS256", headers={"kid": self.key})

    def as_app(self) -> dict[str, str]:
        """The headers of the app's server."""
        return {"authorization": f"Bearer {self.secret}"}

    def as_recipient(self, recipient: str, **claims: object) -> dict[str, str]:
        """The headers of a recipient's browser."""
        return {"authorization": f"Bearer {self.token(recipient, **claims)}"}

    def _end(self, how: signal.Signals) -> int:
        if self.process is None:
            return 0
        process, self.process = self.process, None
        workers = child_processes(process.pid) if how == signal.SIGKILL else set()
        if process.poll() is None:
            process.send_signal(how)
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, how)
        status = process.wait(timeout=90)
        for worker in workers:
            wait_until_ended(worker)
        if self._output is not None:
            self._output.close()
        return status

    def __enter__(self) -> "ServerProcess":
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end(signal.SIGKILL)


def child_processes(parent: int) -> set[int]:
    """Return the ids of a process's children that have not ended."""
    children = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if after_name[1] == str(parent) and after_name[0] != "Z":
                children.add(int(entry.name))
    return children


def wait_until_ended(process: int) -> None:
    """Wait until a killed process has closed its sockets: the parent of an orphan does not wait for it."""
    with suppress(OSError):
        while (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.005)


def free_port() -> int:
    """Return a free port that neither an outgoing connection nor another test process takes before the server starts or
    while it restarts."""
    ports = _own_ports()[1]
    while True:
        port = next(ports)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@cache
def _own_ports() -> tuple[socket.socket, Iterator[int]]:
    """Choose this process's block of ports. Its first port stays bound, which keeps other processes from the block."""
    first_ports = list(PORTS[::BLOCK])
    _rng.shuffle(first_ports)
    for first in first_ports:
        bound = socket.socket()
        try:
            bound.bind(("127.0.0.1", first))
        except OSError:
            bound.close()
        else:
            atexit.register(bound.close)
            return bound, cycle(_rng.sample(range(first + 1, first + BLOCK), BLOCK - 1))
    raise AssertionError("no block of ports is free")


def wait_until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the process accepts connections on the port."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)
    raise AssertionError(f"no process accepts connections on port {port}")
