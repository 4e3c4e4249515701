"""Several server processes on one port: started, watched, started again when one dies, replaced one by one on SIGHUP.

Each is `bellcast serve` itself with a word more on its command line, so a replaced one has the code and the settings of
now. This process serves nothing: it holds the port's number, and its end is the workers' end."""

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import structlog

if TYPE_CHECKING:  # for the types alone
    from bellcast.settings import Settings

log = structlog.get_logger(__name__)

# One that lives shorter than this is not started again at once: what ended it would end the next one too.
HEALTHY_SECONDS = 5.0
RESTART_DELAY = 1.0
# How much longer than their drain workers may take to leave.
GRACE_SECONDS = 5.0
READ_BYTES = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class WorkerArgs(NamedTuple):
    """What a worker is told: where to say that it is ready, what to watch its parent by, the port, and the folder where
    it finds the others."""

    ready: int
    parent: int
    port: int
    doors: Path

    @property
    def text(self) -> str:
        """As it stands on the command line."""
        return ",".join(map(str, self))


def parse_worker_args(text: str) -> WorkerArgs:
    """What a worker was told."""
    ready, parent, port, doors = text.split(",", 3)
    return WorkerArgs(int(ready), int(parent), int(port), Path(doors))


def told_ready(at: WorkerArgs, url: str) -> None:
    """Say that this worker accepts connections."""
    with os.fdopen(at.ready, "w") as parent:
        parent.write(url)


def end_with_parent(at: WorkerArgs) -> None:
    """Leave, as on SIGTERM, once the parent is gone, however it went."""

    def watch() -> None:
        os.read(at.parent, 1)  # nothing is ever written: this returns at the parent's end
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="bellcast-parent", daemon=True).start()


class Worker:
    """One server process."""

    def __init__(self, alive: int, port: int, doors: Path) -> None:
        self.output, ready = os.pipe()
        self.is_ready = False
        self.is_leaving = False
        self.since = time.monotonic()
        command = [
            sys.executable,
            "-m",
            "bellcast",
            *sys.argv[1:],
            "--as-worker",
            WorkerArgs(ready, alive, port, doors).text,
        ]
        self.process = subprocess.Popen(command, pass_fds=(ready, alive))  # noqa: S603  this very command
        os.close(ready)

    def terminate(self) -> None:
        """Ask it to drain and end."""
        self.is_leaving = True
        self.process.terminate()


class Supervisor:
    """The parent."""

    def __init__(self, settings: "Settings", ready: Callable[[str], None]) -> None:
        self._wanted = settings.server.workers
        self._drain = settings.server.drain
        self._ready = ready
        self._port = 0
        self._doors = Path()
        self._alive, self._alive_end = os.pipe()
        self._workers: dict[int, Worker] = {}
        self._to_replace: deque[Worker] = deque()
        self._due: list[float] = []
        self._select = selectors.DefaultSelector()
        self._told = False
        self._ending = False
        self._status = 0

    def run(self, host: str, port: int) -> int:
        """Until SIGTERM or SIGINT; the status to end with. OSError when the port cannot be had."""
        with _reserved(host, port) as self._port, _private_folder() as self._doors, self._signals():
            for _ in range(self._wanted):
                self._start()
            while self._workers or (self._due and not self._ending):
                self._step()
        return self._status

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Signals as bytes to be read beside everything else."""
        heard, told = socket.socketpair()
        told.setblocking(False)
        heard.setblocking(False)
        self._select.register(heard, selectors.EVENT_READ, None)
        for number in READ_BYTES:
            signal.signal(number, lambda *_: None)
        before = signal.set_wakeup_fd(told.fileno())
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            heard.close()
            told.close()

    def _start(self) -> None:
        worker = Worker(self._alive, self._port, self._doors)
        self._workers[worker.process.pid] = worker
        self._select.register(worker.output, selectors.EVENT_READ, worker)

    def _step(self) -> None:
        for key, _ in self._select.select(self._timeout()):
            if key.data is None:
                for number in os.read(key.fd, 64):
                    self._read_pipe(number)
            else:
                self._listen_to(key.data)
        self._reap()
        now = time.monotonic()
        due, self._due = [at for at in self._due if at <= now], [at for at in self._due if at > now]
        for _ in due:
            self._start()

    def _timeout(self) -> float | None:
        return max(0.0, min(self._due) - time.monotonic()) if self._due and not self._ending else None

    def _read_pipe(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._end()
        elif number == signal.SIGHUP and not self._ending and not self._to_replace:
            self._to_replace.extend(worker for worker in self._workers.values() if not worker.is_leaving)
            self._start()

    def _listen_to(self, worker: Worker) -> None:
        """It is ready, or gone before it was."""
        url = os.read(worker.output, 4096).decode()
        self._select.unregister(worker.output)
        os.close(worker.output)
        if not url or self._ending:
            return
        worker.is_ready = True
        if not self._told and sum(one.is_ready for one in self._workers.values()) == self._wanted:
            self._told = True
            self._ready(url)
        self._replace_next()

    def _replace_next(self) -> None:
        """One is let go for each that came; the next comes when that one is ready."""
        if self._to_replace:
            self._to_replace.popleft().terminate()
            if self._to_replace:
                self._start()

    def _reap(self) -> None:
        for pid, worker in list(self._workers.items()):
            status = worker.process.poll()
            if status is not None:
                del self._workers[pid]
                self._on_exit(worker, status)

    def _on_exit(self, worker: Worker, status: int) -> None:
        if self._ending or worker.is_leaving:
            return
        if not self._told and not worker.is_ready:
            self._status = status if status > 0 else 1  # it has said why
            self._end()
            return
        log.warning("a worker ended; another takes its place", pid=worker.process.pid, status=status)
        if worker in self._to_replace:
            self._to_replace.remove(worker)
        now = time.monotonic()
        self._due.append(now if now - worker.since > HEALTHY_SECONDS else now + RESTART_DELAY)

    def _end(self) -> None:
        """Let all go; those that stay beyond their time are made to."""
        if self._ending:
            return
        self._ending = True
        for worker in self._workers.values():
            worker.terminate()
        late = threading.Timer(self._drain + GRACE_SECONDS, self._make_them)
        late.daemon = True
        late.start()

    def _make_them(self) -> None:
        for worker in list(self._workers.values()):
            worker.process.kill()


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """Where workers find each other; nobody else may look into it."""
    with tempfile.TemporaryDirectory(prefix="bellcast-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextlib.contextmanager
def _reserved(host: str, port: int) -> Iterator[int]:
    """The port's number, held so that all workers get the same; nobody else may have it."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    with socket.socket(family, socket.SOCK_STREAM) as alone:
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone.bind(address)  # fails where another server is, which sharing the port would not
        number: int = alone.getsockname()[1]
    with socket.socket(family, socket.SOCK_STREAM) as shared:
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind((address[0], number))
        yield number
