"""Supervisor of several server processes on one port: starts and restarts them, and replaces them one by one on SIGHUP.

Each worker is `bellcast serve` with an additional argument, so a replacement has the current code and settings. This
process serves no requests: it reserves the port, and the workers exit when it exits."""

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

if TYPE_CHECKING:  # imported when the command runs, not for --help
    from bellcast.settings import Settings

log = structlog.get_logger(__name__)

# A worker that exits sooner is restarted after a delay, since the cause probably persists.
HEALTHY_SECONDS = 5.0
RESTART_DELAY = 1.0
# Seconds in addition to the drain until workers are killed.
GRACE_SECONDS = 5.0
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class WorkerArgs(NamedTuple):
    """Arguments of a worker: the pipe to report readiness, the pipe that closes when the parent exits, the port, and
    the folder with the workers' sockets."""

    ready: int
    parent: int
    port: int
    folder: Path

    @property
    def text(self) -> str:
        """The command line argument."""
        return ",".join(map(str, self))


def parse_worker_args(text: str) -> WorkerArgs:
    """Parse `WorkerArgs.text`."""
    ready, parent, port, folder = text.split(",", 3)
    return WorkerArgs(int(ready), int(parent), int(port), Path(folder))


def report_ready(args: WorkerArgs, url: str) -> None:
    """Report to the parent that this worker accepts connections."""
    with os.fdopen(args.ready, "w") as parent:
        parent.write(url)


def exit_with_parent(args: WorkerArgs) -> None:
    """Terminate this worker once the parent has exited, even after a crash."""

    def watch() -> None:
        os.read(args.parent, 1)  # the parent never writes: this returns when it exits
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="bellcast-parent", daemon=True).start()


class Worker:
    """One server process."""

    def __init__(self, alive: int, port: int, folder: Path) -> None:
        self.output, ready = os.pipe()
        self.is_ready = False
        self.is_stopping = False
        self.started_at = time.monotonic()
        command = [
            sys.executable,
            "-m",
            "bellcast",
            *sys.argv[1:],
            "--as-worker",
            WorkerArgs(ready, alive, port, folder).text,
        ]
        self.process = subprocess.Popen(command, pass_fds=(ready, alive))  # noqa: S603  this process's own command
        os.close(ready)

    def terminate(self) -> None:
        """Send SIGTERM, on which the worker drains and exits."""
        self.is_stopping = True
        self.process.terminate()


class Supervisor:
    """The parent process of the workers."""

    def __init__(self, settings: "Settings", ready: Callable[[str], None]) -> None:
        self._worker_count = settings.server.workers
        self._drain = settings.server.drain
        self._ready = ready
        self._port = 0
        self._folder = Path()
        self._alive, self._alive_end = os.pipe()
        self._workers: dict[int, Worker] = {}
        self._to_replace: deque[Worker] = deque()
        self._restarts: list[float] = []
        self._select = selectors.DefaultSelector()
        self._is_ready_reported = False
        self._is_stopping = False
        self._status = 0

    def run(self, host: str, port: int) -> int:
        """Run until SIGTERM or SIGINT and return the exit status. Raises OSError if the port is not available."""
        with (
            # of the workers' sockets: accessible to this user only
            tempfile.TemporaryDirectory(prefix="bellcast-", ignore_cleanup_errors=True) as folder,
            _reserved(host, port) as self._port,
            self._signals(),
        ):
            self._folder = Path(folder)
            for _ in range(self._worker_count):
                self._start()
            while self._workers or self._restarts:
                self._step()
        return self._status

    def _step(self) -> None:
        """Handle what has happened, and start the workers that are due."""
        timeout = max(0.0, min(self._restarts) - time.monotonic()) if self._restarts else None
        for key, _ in self._select.select(timeout):
            if key.data is None:
                for number in os.read(key.fd, 64):
                    self._handle_signal(number)
            else:
                self._read_readiness(key.data)
        self._reap()
        now = time.monotonic()
        due, self._restarts = (
            [at for at in self._restarts if at <= now],
            [at for at in self._restarts if at > now],
        )
        for _ in due:
            self._start()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Receive signals as bytes of a socket in the selector."""
        receiver, sender = socket.socketpair()
        sender.setblocking(False)
        receiver.setblocking(False)
        self._select.register(receiver, selectors.EVENT_READ, None)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        before = signal.set_wakeup_fd(sender.fileno())
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            receiver.close()
            sender.close()

    def _start(self) -> None:
        worker = Worker(self._alive, self._port, self._folder)
        self._workers[worker.process.pid] = worker
        self._select.register(worker.output, selectors.EVENT_READ, worker)

    def _handle_signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
        elif number == signal.SIGHUP and not self._is_stopping and not self._to_replace:
            self._to_replace.extend(self._running())
            if self._to_replace:  # otherwise all have exited, and their restarts are due
                self._start()

    def _read_readiness(self, worker: Worker) -> None:
        """Read the worker's URL; empty if it exited before it was ready."""
        url = os.read(worker.output, 4096).decode()
        self._select.unregister(worker.output)
        os.close(worker.output)
        if not url or self._is_stopping:
            return
        worker.is_ready = True
        if (
            not self._is_ready_reported
            and sum(other.is_ready for other in self._workers.values()) == self._worker_count
        ):
            self._is_ready_reported = True
            self._ready(url)
        # Stop an old worker that has been replaced, and start the next replacement
        if self._to_replace:
            self._to_replace.popleft().terminate()
            if self._to_replace:
                self._start()

    def _running(self) -> list[Worker]:
        return [worker for worker in self._workers.values() if not worker.is_stopping]

    def _reap(self) -> None:
        for pid, worker in list(self._workers.items()):
            if (status := worker.process.poll()) is not None:
                del self._workers[pid]
                self._on_exit(worker, status)

    def _on_exit(self, worker: Worker, status: int) -> None:
        if self._is_stopping or worker.is_stopping:
            return
        if not self._is_ready_reported and not worker.is_ready:
            self._status = status if status > 0 else 1  # the worker printed the reason
            self._stop()
            return
        log.warning("worker_exited", pid=worker.process.pid, status=status)
        if worker in self._to_replace:
            self._to_replace.remove(worker)
        # While workers are replaced, one more than configured runs: the replacement of the next one.
        if len(self._running()) + len(self._restarts) >= self._worker_count + bool(self._to_replace):
            return
        now = time.monotonic()
        self._restarts.append(now if now - worker.started_at > HEALTHY_SECONDS else now + RESTART_DELAY)

    def _stop(self) -> None:
        """Stop all workers, and kill them after drain and grace time."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._restarts.clear()
        for worker in self._workers.values():
            worker.terminate()

        def kill() -> None:
            for worker in list(self._workers.values()):
                worker.process.kill()

        timer = threading.Timer(self._drain + GRACE_SECONDS, kill)
        timer.daemon = True
        timer.start()


@contextlib.contextmanager
def _reserved(host: str, port: int) -> Iterator[int]:
    """Reserve the port and yield its number."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)  # fails if another server listens, which SO_REUSEPORT would not
        number: int = probe.getsockname()[1]
    with socket.socket(family, socket.SOCK_STREAM) as shared:
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind((address[0], number))
        yield number
