"""Latency: from the send to the bytes in the client's socket, at a steady rate."""

import random
import time
from collections import deque
from collections.abc import Mapping, Sequence

from bellcast.bench import figures, handshakes, server_under_test
from bellcast.bench.client_pool import ClientPool
from bellcast.bench.epoll_loop import EpollLoop
from bellcast.bench.figures import Detail, Figure
from bellcast.bench.frames import Answer
from bellcast.bench.handshakes import HandshakeRefused
from bellcast.bench.http_load import HttpCaller
from bellcast.bench.scales import Run
from bellcast.bench.server_under_test import READY, BenchServer, booking
from bellcast.bench.target import MARK

NAME = "latency"
GOAL_MS = 20.0

# Connections of the sending app to each server. At 200 a second one is rarely waited for.
CALLERS = 16

# Sends before the measured ones, numbered apart.
WARM_UP = 100

# When nothing has come for so long after the last send, what has not come is missing.
PATIENCE_S = 5.0


def measure(trial: Run) -> list[Figure]:
    scale, clock = trial.scale, DelayClock()
    with server_under_test.running(trial.folder, trial.deadline) as server, EpollLoop(trial.deadline) as reactor:
        crowd = listening(reactor, server, clock)
        clients = [f"reader-{number}" for number in range(scale.latency_clients)]
        trial.say(f"connecting {len(clients):,} clients")
        crowd.connect(server.greeting("websocket", server.token(client)) for client in clients)
        number = WARM_UP + scale.latency_rate * scale.latency_seconds
        sender, recipients = Sender(reactor, server), random.Random(1).choices(clients, k=number)
        sends = [(sender, server.send("/v1/notifications", booking(who, n))) for n, who in enumerate(recipients)]
        trial.say(f"{scale.latency_rate} sends a second for {scale.latency_seconds} s")
        send_all(reactor, sends, clock, scale.latency_rate)
        what = f"send to socket at {scale.latency_rate}/s, {len(clients):,} connections"
        return [figure(NAME, what, delays(reactor, [crowd], clock), GOAL_MS)]


class DelayClock:
    """When each numbered notification was sent and when it was heard."""

    def __init__(self) -> None:
        self.sent: dict[int, float] = {}
        self.heard: dict[int, float] = {}

    def record(self, payload: bytes) -> int:
        at = payload.find(MARK)
        if at < 0:
            return 0
        start = at + len(MARK) + 1
        self.heard.setdefault(int(payload[start : start + 6]), time.perf_counter())
        return 1

    def delays(self) -> list[float]:
        return [self.heard[number] - sent for number, sent in self.sent.items()]


class Sender:
    """Sends when a caller is free; the clock runs from when the app wanted to send."""

    def __init__(self, reactor: EpollLoop, server: BenchServer) -> None:
        self._free = deque(HttpCaller(reactor, server.address, self._answered) for _ in range(CALLERS))
        self._waiting: deque[bytes] = deque()

    def send(self, request: bytes) -> None:
        if self._free:
            self._free.popleft().send(request)
        else:
            self._waiting.append(request)

    def _answered(self, caller: HttpCaller, answer: Answer) -> None:
        if answer.status != 201:
            raise HandshakeRefused(f"a send was answered {answer.status}: {answer.body[:300]!r}")
        if self._waiting:
            caller.send(self._waiting.popleft())
        else:
            self._free.append(caller)


def listening(reactor: EpollLoop, server: BenchServer, clock: DelayClock) -> ClientPool:
    """Nobody yet: clients of that server, who note when they hear what."""
    return ClientPool(reactor, server.address, "websocket", clock.record, handshakes.until(READY), alike=False)


def send_all(reactor: EpollLoop, sends: Sequence[tuple[Sender, bytes]], clock: DelayClock, rate: float) -> None:
    """So many a second, however long the answers take."""
    begin = time.perf_counter()
    for number, (sender, request) in enumerate(sends):
        due = begin + number / rate
        while (left := due - time.perf_counter()) > 0:
            reactor.step(left)
        clock.sent[number] = time.perf_counter()
        sender.send(request)


def delays(reactor: EpollLoop, crowds: Sequence[ClientPool], clock: DelayClock) -> list[float]:
    """Of the measured sends, when each has been heard by one client, once."""

    def heard() -> int:
        return sum(crowd.total for crowd in crowds)

    number, before = len(clock.sent), -1
    while heard() != before:
        before, patience = heard(), time.monotonic() + PATIENCE_S
        reactor.run(lambda until=patience: heard() >= number or time.monotonic() > until)  # type: ignore[misc]  # mypy: a default in a lambda
    if heard() != number or len(clock.heard) != number:
        raise HandshakeRefused(f"{number} were sent, {heard()} heard, {len(clock.heard)} of them different")
    return clock.delays()[WARM_UP:]


def figure(benchmark: str, what: str, found: Sequence[float], goal: float, more: Mapping[str, Detail] = {}) -> Figure:
    """What the slowest of a hundred took."""
    p50, p99 = (1e3 * figures.percentile(found, share) for share in (0.5, 0.99))
    return Figure(
        benchmark=benchmark,
        name=f"{what}: p99",
        value=p99,
        unit="ms",
        goal=figures.at_most(goal),
        details={"p50_ms": p50, "max_ms": 1e3 * max(found), "sends": len(found), **more},
    )
