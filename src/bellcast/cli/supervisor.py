"""Supervisor of several server processes on one port: starts and restarts them, and replaces them one by one on SIGHUP.

Each worker is `bellcast serve` with an additional argument, so a replacement has the current code and settings. This
process serves no requests: it reserves the port, and the workers exit when it exits."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
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


def run_worker(settings: "Settings", arguments: str) -> None:
    """Serve on the port of the supervisor until a signal, or until the supervisor exits, even after a crash. `arguments` are those of
    `Worker.start`."""
    from msgspec import structs

    from bellcast import server
    from bellcast.live.http.socket_handoff import SocketHandoff

    ready, alive, port, folder = arguments.split(",", 3)

    def watch() -> None:
        os.read(int(alive), 1)  # the parent never writes: this returns when it exits
        os.kill(os.getpid(), signal.SIGTERM)

    def report(url: str) -> None:
        with os.fdopen(int(ready), "w") as parent:
            parent.write(url)

    threading.Thread(target=watch, name="bellcast-parent", daemon=True).start()
    own = structs.replace(settings, server=structs.replace(settings.server, port=int(port)))
    app = server.create_app(own, handoff=SocketHandoff(Path(folder)))
    server.serve(app, report, shared=True)


class Worker(NamedTuple):
    """One server process. `ready` ends when it accepts connections, with its URL, or when it exits before, with an empty text."""

    process: asyncio.subprocess.Process
    ready: asyncio.Task[str]
    started_at: float

    @staticmethod
    async def start(alive: int, port: int, folder: Path) -> "Worker":
        """Start a process. Its arguments are the pipe to report its URL, the pipe `alive`, which closes when this process exits, the
        port, and the folder with the workers' sockets."""
        output, ready = os.pipe()
        text = f"{ready},{alive},{port},{folder}"
        command = [sys.executable, "-m", "bellcast", *sys.argv[1:], "--as-worker", text]
        process = await asyncio.create_subprocess_exec(*command, pass_fds=(ready, alive))
        os.close(ready)
        return Worker(process, asyncio.ensure_future(_read(output)), time.monotonic())

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has exited
            self.process.send_signal(number)


async def _read(pipe: int) -> str:
    """Wait for a line of a pipe, or for its end."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pipe, readable.set)
    await readable.wait()
    loop.remove_reader(pipe)
    with os.fdopen(pipe) as file:
        return file.readline()


class Supervisor:
    """The parent process of the workers."""

    def __init__(self, settings: "Settings", ready: Callable[[str], None]) -> None:
        self._worker_count = settings.server.workers
        self._drain = settings.server.drain
        self._report = ready
        self._alive, self._alive_end = os.pipe()
        self._slots: list[Worker] = []  # the configured number of workers
        self._workers: set[Worker] = set()  # also replacements that start, and workers that drain
        self._is_started = False
        self._stopping, self._reload = asyncio.Event(), asyncio.Event()
        self._status = 0

    def run(self, host: str, port: int) -> int:
        """Run until SIGTERM or SIGINT and return the exit status. Raises OSError if the port is not available."""
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)  # fails if another server listens, which SO_REUSEPORT would not
            number: int = probe.getsockname()[1]
        with (
            # of the workers' sockets: accessible to this user only
            tempfile.TemporaryDirectory(prefix="bellcast-", ignore_cleanup_errors=True) as folder,
            socket.socket(family, socket.SOCK_STREAM) as reserved,
        ):
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            reserved.bind((address[0], number))
            asyncio.run(self.supervise(number, Path(folder)))
        return self._status

    async def supervise(self, port: int, folder: Path) -> None:
        """Run the workers on a reserved port until `stop`, and wait until they have exited."""
        self._port, self._folder = port, folder
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        async with asyncio.TaskGroup() as self._tasks:
            for _ in range(self._worker_count):
                self._slots.append(await self._start())
            urls = [await worker.ready for worker in list(self._slots)]
            self._is_started = all(urls) and not self._stopping.is_set()
            if self._is_started:
                self._report(urls[0])
            while await self._reload.wait() and not self._stopping.is_set():
                await self._replace_all()
                self._reload.clear()

    def reload(self) -> None:
        """Replace all workers, one by one, unless this is in progress."""
        self._reload.set()

    def stop(self) -> None:
        """Stop all workers, and kill them after drain and grace time."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._reload.set()
        for worker in self._workers:
            worker.send(signal.SIGTERM)

        def kill() -> None:
            for worker in self._workers:
                worker.send(signal.SIGKILL)

        asyncio.get_running_loop().call_later(self._drain + GRACE_SECONDS, kill)

    async def _start(self) -> Worker:
        worker = await Worker.start(self._alive, self._port, self._folder)
        self._workers.add(worker)
        self._tasks.create_task(self._watch(worker))
        if self._stopping.is_set():
            worker.send(signal.SIGTERM)
        return worker

    async def _watch(self, worker: Worker) -> None:
        """Start another worker in the slot of one that has exited."""
        status = await worker.process.wait()
        self._workers.discard(worker)
        was_ready = await worker.ready
        if self._stopping.is_set() or (was_ready and worker not in self._slots):  # a new one replaced it
            return
        if not self._is_started and not was_ready:
            self._status = status if status > 0 else 1  # the worker printed the reason
            self.stop()
            return
        log.warning("worker_exited", pid=worker.process.pid, status=status)
        if time.monotonic() - worker.started_at <= HEALTHY_SECONDS:
            await self._pause()
        if worker in self._slots and not self._stopping.is_set():
            slot, new = self._slots.index(worker), await self._start()
            if self._slots[slot] is worker:
                self._slots[slot] = new
            else:  # a reload has just replaced it too
                new.send(signal.SIGTERM)

    async def _replace_all(self) -> None:
        """Start a new worker for each slot, and stop the old one when the new one accepts connections."""
        for slot in range(self._worker_count):
            while not await (worker := await self._start()).ready:
                await self._pause()
                if self._stopping.is_set():
                    return
            old, self._slots[slot] = self._slots[slot], worker
            old.send(signal.SIGTERM)

    async def _pause(self) -> None:
        """Wait before a worker starts in place of one that failed; not while stopping."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), RESTART_DELAY)
