"""A throng: more clients than one process may have files, in crowds of several processes.

Each process serves its crowd with a reactor of its own, and between two orders it goes on doing so: pings are answered,
events are counted. Who gives the orders has no client itself.
"""

import contextlib
import itertools
import multiprocessing
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Self

import msgspec

from bellcast.bench.client_pool import ClientPool
from bellcast.bench.epoll_loop import Deadline, EpollLoop, OutOfTimeError
from bellcast.bench.handshakes import HandshakeRefused
from bellcast.bench.processes import DiedError

# Longer than any order or answer.
MESSAGE_SIZE = 65_536


class ClientShare(NamedTuple):
    """What one of the processes has: how its crowd is made, and what its clients open with."""

    crowd: Callable[[EpollLoop], ClientPool]
    greetings: Iterator[bytes]


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a crowd answers to an order. `at` is when all that was awaited had come, by the clock that all processes of a
    machine share (`perf_counter`); `busy` its processor seconds so far."""

    clients: int = 0
    total: int = 0
    exact: bool = False
    at: float = 0.0
    busy: float = 0.0
    failure: str | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """So many more clients are to be ready; then each is to hear so many events in all, within `patience` seconds; then
    for `settle` seconds whatever else comes is heard."""

    connect: int = 0
    each: int = 0
    patience: float = 0.0
    settle: float = 0.0


class ClientProcesses:
    """The crowds of all processes. An order is given to all of them, and done once all have answered."""

    def __init__(self, deadline: Deadline, parts: Sequence[ClientShare]) -> None:
        self._deadline = deadline
        self._ends: list[socket.socket] = []
        # As they are, with the tokens' secret: nothing is sent that could be computed there.
        forking = multiprocessing.get_context("fork")
        self._processes = []
        for part in parts:
            here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._ends.append(here)
            strangers = tuple(self._ends)
            process = forking.Process(target=_live, args=(deadline, part, there, strangers), daemon=True)
            process.start()
            there.close()
            self._processes.append(process)

    def order(self, order: Order) -> list[WorkerReport]:
        """Have it done by all; what each tells then."""
        for end in self._ends:
            with contextlib.suppress(BrokenPipeError):  # it has ended, and said why
                end.send(msgspec.json.encode(order))
        return [self._answer(end) for end in self._ends]

    def _answer(self, end: socket.socket) -> WorkerReport:
        end.settimeout(1)
        while True:
            self._deadline.check()
            with contextlib.suppress(TimeoutError):
                try:
                    said = end.recv(MESSAGE_SIZE)
                except ConnectionResetError:  # it ended with an order unread
                    said = b""
                if not said:
                    raise DiedError("a process of the generator ended")
                told = msgspec.json.decode(said, type=WorkerReport)
                if told.failure:
                    raise HandshakeRefused(told.failure)
                return told

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Whoever has nobody left to give orders ends."""
        for end in self._ends:
            end.close()
        for process in self._processes:
            process.join(5)
            process.kill()


def _live(deadline: Deadline, part: ClientShare, orders: socket.socket, strangers: Sequence[socket.socket]) -> None:
    """The life of one process. It was born with others' ends, which would stay open through it."""
    for end in strangers:
        end.close()
    with EpollLoop(deadline) as reactor, contextlib.suppress(BrokenPipeError):
        try:
            _serve(reactor, part, orders)
        except (HandshakeRefused, OutOfTimeError, OSError) as error:
            orders.send(msgspec.json.encode(WorkerReport(failure=f"{type(error).__name__}: {error}")))


def _serve(reactor: EpollLoop, part: ClientShare, orders: socket.socket) -> None:
    crowd, greetings, waiting = part.crowd(reactor), part.greetings, list[bytes]()
    reactor.watch(orders, lambda _fd, _events: waiting.append(orders.recv(MESSAGE_SIZE)))
    while True:
        reactor.run(lambda: bool(waiting))
        said = waiting.pop(0)
        if not said:
            return
        told = _done(reactor, crowd, greetings, msgspec.json.decode(said, type=Order))
        orders.send(msgspec.json.encode(told))


def _done(reactor: EpollLoop, crowd: ClientPool, greetings: Iterator[bytes], order: Order) -> WorkerReport:
    crowd.connect(itertools.islice(greetings, order.connect))
    goal, patience = order.each * len(crowd), time.monotonic() + order.patience
    reactor.run(lambda: crowd.total >= goal or time.monotonic() > patience)
    at = time.perf_counter()
    reactor.run_for(order.settle)
    return WorkerReport(
        clients=len(crowd), total=crowd.total, exact=crowd.has_all_received(order.each), at=at, busy=time.process_time()
    )
