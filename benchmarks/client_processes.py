"""Clients in several processes, for more connections than one process may have open files.

Each process runs its own loop, also between two commands: it replies to pings and counts events. The parent process has
no clients.
"""

import contextlib
import itertools
import multiprocessing
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Self

import msgspec

from benchmarks.client_pool import ClientPool
from benchmarks.epoll_loop import Deadline, EpollLoop, OutOfTimeError
from benchmarks.handshakes import HandshakeRefused
from benchmarks.processes import DiedError

# Bytes: larger than any command or report.
MESSAGE_SIZE = 65_536


class ClientShare(NamedTuple):
    """The share of one process: creates its pool, and yields the greetings of its clients."""

    create_pool: Callable[[EpollLoop], ClientPool]
    greetings: Iterator[bytes]


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """Report after a command. `at` is when the last expected event was received, by `perf_counter`, which all processes
    of a machine share; `cpu_seconds` is the process's CPU time so far."""

    clients: int = 0
    total: int = 0
    exact: bool = False
    at: float = 0.0
    cpu_seconds: float = 0.0
    failure: str | None = None


class WorkerCommand(msgspec.Struct, frozen=True, kw_only=True):
    """Connect this many clients; wait at most `timeout` seconds until each has received `each` events in total; then
    receive for `settle_seconds` more, to count duplicates."""

    connect: int = 0
    each: int = 0
    timeout: float = 0.0
    settle_seconds: float = 0.0


class ClientProcesses:
    """The pools of all processes. A command is sent to all processes, and has completed when all have reported."""

    def __init__(self, deadline: Deadline, parts: Sequence[ClientShare]) -> None:
        self._deadline = deadline
        self._ends: list[socket.socket] = []
        # Forked, so that children have the tokens' secret and compute their greetings themselves.
        forking = multiprocessing.get_context("fork")
        self._processes = []
        for part in parts:
            parent_end, child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._ends.append(parent_end)
            inherited = tuple(self._ends)
            process = forking.Process(target=_run_process, args=(deadline, part, child_end, inherited), daemon=True)
            process.start()
            child_end.close()
            self._processes.append(process)

    def run_command(self, command: WorkerCommand) -> list[WorkerReport]:
        """Run a command in all processes and return their reports."""
        for end in self._ends:
            with contextlib.suppress(BrokenPipeError):  # it has exited and reported the reason
                end.send(msgspec.json.encode(command))
        return [self._receive_report(end) for end in self._ends]

    def _receive_report(self, end: socket.socket) -> WorkerReport:
        end.settimeout(1)
        while True:
            self._deadline.check()
            with contextlib.suppress(TimeoutError):
                try:
                    message = end.recv(MESSAGE_SIZE)
                except ConnectionResetError:  # it exited with an unread command
                    message = b""
                if not message:
                    raise DiedError("a process of the load generator exited")
                report = msgspec.json.decode(message, type=WorkerReport)
                if report.failure:
                    raise HandshakeRefused(report.failure)
                return report

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the sockets, on which each process exits, and wait."""
        for end in self._ends:
            end.close()
        for process in self._processes:
            process.join(5)
            process.kill()


def _run_process(
    deadline: Deadline, part: ClientShare, commands: socket.socket, inherited: Sequence[socket.socket]
) -> None:
    """Main function of one process. Closes the inherited sockets of the other processes."""
    for end in inherited:
        end.close()
    with EpollLoop(deadline) as loop, contextlib.suppress(BrokenPipeError):
        try:
            _serve(loop, part, commands)
        except (HandshakeRefused, OutOfTimeError, OSError) as error:
            # Closing a socket with unread commands would discard the report, so read them and refuse further ones.
            commands.shutdown(socket.SHUT_RD)
            while commands.recv(MESSAGE_SIZE):
                pass
            commands.send(msgspec.json.encode(WorkerReport(failure=f"{type(error).__name__}: {error}")))


def _serve(loop: EpollLoop, part: ClientShare, commands: socket.socket) -> None:
    pool, greetings, waiting = part.create_pool(loop), part.greetings, list[bytes]()
    loop.watch(commands, lambda _fd, _events: waiting.append(commands.recv(MESSAGE_SIZE)))
    while True:
        loop.run(lambda: bool(waiting))
        message = waiting.pop(0)
        if not message:
            return
        report = _run_command(loop, pool, greetings, msgspec.json.decode(message, type=WorkerCommand))
        commands.send(msgspec.json.encode(report))


def _run_command(loop: EpollLoop, pool: ClientPool, greetings: Iterator[bytes], command: WorkerCommand) -> WorkerReport:
    pool.connect(itertools.islice(greetings, command.connect))
    goal, deadline = command.each * len(pool), time.monotonic() + command.timeout
    loop.run(lambda: pool.total >= goal or time.monotonic() > deadline)
    at = time.perf_counter()
    loop.run_for(command.settle_seconds)
    return WorkerReport(
        clients=len(pool),
        total=pool.total,
        exact=pool.has_all_received(command.each),
        at=at,
        cpu_seconds=time.process_time(),
    )
