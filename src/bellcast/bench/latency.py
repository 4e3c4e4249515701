"""Latency: from the send to the bytes in the client's socket, at a steady rate."""

import random
import time
from collections import deque

from bellcast.bench import bell, figures, talks
from bellcast.bench.bell import READY, Bell, booking
from bellcast.bench.callers import Caller
from bellcast.bench.crowd import Crowd
from bellcast.bench.figures import Figure
from bellcast.bench.frames import Answer
from bellcast.bench.reactor import Reactor
from bellcast.bench.talks import RefusedError
from bellcast.bench.target import MARK
from bellcast.bench.trial import Trial

NAME = "latency"
GOAL_MS = 20.0

# Connections of the sending app. At 200 a second one is rarely waited for.
CALLERS = 16

# Sends before the measured ones, numbered apart.
WARM_UP = 100

# After the last send; what has not come by then is missing.
PATIENCE_S = 5.0


def measure(trial: Trial) -> list[Figure]:
    clock = Clock()
    with bell.running(trial.folder, trial.deadline) as server, Reactor(trial.deadline) as reactor:
        crowd = Crowd(reactor, server.address, "websocket", clock.hear, talks.until(READY), alike=False)
        return [_figure(trial, _sent_and_heard(trial, server, reactor, crowd, clock))]


class Clock:
    """When each numbered notification was sent and when it was heard."""

    def __init__(self) -> None:
        self.sent: dict[int, float] = {}
        self.heard: dict[int, float] = {}

    def hear(self, payload: bytes) -> int:
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

    def __init__(self, reactor: Reactor, server: Bell) -> None:
        self._free = deque(Caller(reactor, server.address, self._answered) for _ in range(CALLERS))
        self._waiting: deque[bytes] = deque()

    def send(self, request: bytes) -> None:
        if self._free:
            self._free.popleft().send(request)
        else:
            self._waiting.append(request)

    def _answered(self, caller: Caller, answer: Answer) -> None:
        if answer.status != 201:
            raise RefusedError(f"a send was answered {answer.status}: {answer.body[:300]!r}")
        if self._waiting:
            caller.send(self._waiting.popleft())
        else:
            self._free.append(caller)


def _sent_and_heard(trial: Trial, server: Bell, reactor: Reactor, crowd: Crowd, clock: Clock) -> list[float]:
    clients = [f"reader-{number}" for number in range(trial.scale.latency_clients)]
    trial.say(f"connecting {len(clients):,} clients")
    crowd.connect(server.greeting("websocket", server.token(client)) for client in clients)
    number = trial.scale.latency_rate * trial.scale.latency_seconds
    recipients = random.Random(1).choices(clients, k=WARM_UP + number)
    requests = [server.send("/v1/notifications", booking(who, n)) for n, who in enumerate(recipients)]
    trial.say(f"{trial.scale.latency_rate} sends a second for {trial.scale.latency_seconds} s")
    _send_all(reactor, Sender(reactor, server), requests, clock, trial.scale.latency_rate)
    patience = time.monotonic() + PATIENCE_S
    reactor.run(lambda: crowd.total >= len(requests) or time.monotonic() > patience)
    if crowd.total != len(requests) or len(clock.heard) != len(requests):
        raise RefusedError(f"{len(requests)} were sent, {crowd.total} heard, {len(clock.heard)} of them different")
    return clock.delays()[WARM_UP:]


def _send_all(reactor: Reactor, sender: Sender, requests: list[bytes], clock: Clock, rate: int) -> None:
    begin = time.perf_counter()
    for number, request in enumerate(requests):
        due = begin + number / rate
        while (left := due - time.perf_counter()) > 0:
            reactor.step(left)
        clock.sent[number] = time.perf_counter()
        sender.send(request)


def _figure(trial: Trial, delays: list[float]) -> Figure:
    in_ms = {name: 1e3 * figures.percentile(delays, share) for name, share in {"p50": 0.5, "p99": 0.99}.items()}
    return Figure(
        benchmark=NAME,
        name=f"send to socket at {trial.scale.latency_rate}/s, {trial.scale.latency_clients:,} connections: p99",
        value=in_ms["p99"],
        unit="ms",
        goal=figures.at_most(GOAL_MS),
        details={"p50_ms": in_ms["p50"], "max_ms": 1e3 * max(delays), "sends": len(delays)},
    )
