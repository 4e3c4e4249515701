"""Latency: time from the send to the bytes in the client's socket, at a steady rate."""

import random
import time
from collections import deque
from collections.abc import Mapping, Sequence

from benchmarks import figures, handshakes, server_under_test
from benchmarks.client_pool import ClientPool
from benchmarks.epoll_loop import EpollLoop
from benchmarks.figures import Detail, Figure
from benchmarks.frames import HttpReply
from benchmarks.handshakes import HandshakeRefused
from benchmarks.http_load import HttpCaller
from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import READY, BenchServer, booking
from benchmarks.target import MARK

NAME = "latency"
GOAL_MS = 20.0

# Connections of the sending app to each server. At 200 sends per second, one is nearly always free.
CALLERS = 16

# Unmeasured sends before the measured ones.
WARM_UP = 100

# Without a delivery for this long after the last send, the remaining ones count as lost.
TIMEOUT_S = 5.0


def measure(run: BenchmarkRun) -> list[Figure]:
    scale, clock = run.scale, DelayClock()
    with server_under_test.running(run.folder, run.deadline) as server, EpollLoop(run.deadline) as loop:
        pool = create_pool(loop, server, clock)
        clients = [f"reader-{number}" for number in range(scale.latency_clients)]
        run.report(f"connecting {len(clients):,} clients")
        pool.connect(server.greeting("websocket", server.token(client)) for client in clients)
        number = WARM_UP + scale.latency_rate * scale.latency_seconds
        sender, recipients = Sender(loop, server), random.Random(1).choices(clients, k=number)
        sends = [(sender, server.send("/v1/notifications", booking(who, n))) for n, who in enumerate(recipients)]
        run.report(f"{scale.latency_rate} sends a second for {scale.latency_seconds} s")
        send_all(loop, sends, clock, scale.latency_rate)
        what = f"send to socket at {scale.latency_rate}/s, {len(clients):,} connections"
        return [figure(NAME, what, delays(loop, [pool], clock), GOAL_MS)]


class DelayClock:
    """Send and delivery times of numbered notifications."""

    def __init__(self) -> None:
        self.sent_at: dict[int, float] = {}
        self.received_at: dict[int, float] = {}

    def record(self, payload: bytes) -> int:
        at = payload.find(MARK)
        if at < 0:
            return 0
        start = at + len(MARK) + 1
        self.received_at.setdefault(int(payload[start : start + 6]), time.perf_counter())
        return 1

    def delays(self) -> list[float]:
        return [self.received_at[number] - sent for number, sent in self.sent_at.items()]


class Sender:
    """Sends as soon as a connection is free. Latency counts from the intended send time, so queueing is included."""

    def __init__(self, loop: EpollLoop, server: BenchServer, callers: int = CALLERS) -> None:
        self._free = deque(HttpCaller(loop, server.address, self._on_response) for _ in range(callers))
        self._waiting: deque[bytes] = deque()

    def send(self, request: bytes) -> None:
        if self._free:
            self._free.popleft().send(request)
        else:
            self._waiting.append(request)

    def _on_response(self, caller: HttpCaller, response: HttpReply) -> None:
        if response.status != 201:
            raise HandshakeRefused(f"a send returned {response.status}, expected 201: {response.body[:300]!r}")
        if self._waiting:
            caller.send(self._waiting.popleft())
        else:
            self._free.append(caller)


def create_pool(loop: EpollLoop, server: BenchServer, clock: DelayClock) -> ClientPool:
    """Return an empty pool of clients that record delivery times."""
    return ClientPool(loop, server.address, "websocket", clock.record, handshakes.until(READY), is_uniform=False)


def send_all(loop: EpollLoop, sends: Sequence[tuple[Sender, bytes]], clock: DelayClock, rate: float) -> None:
    """Send `rate` requests per second, independent of response times."""
    begin = time.perf_counter()
    for number, (sender, request) in enumerate(sends):
        due = begin + number / rate
        while (left := due - time.perf_counter()) > 0:
            loop.step(left)
        clock.sent_at[number] = time.perf_counter()
        sender.send(request)


def delays(loop: EpollLoop, pools: Sequence[ClientPool], clock: DelayClock) -> list[float]:
    """Wait for all deliveries and return the delays of the measured sends. Raises HandshakeRefused unless each send was
    delivered exactly once."""

    def received() -> int:
        return sum(pool.total for pool in pools)

    number, before = len(clock.sent_at), -1
    while received() != before:
        before, deadline = received(), time.monotonic() + TIMEOUT_S
        loop.run(lambda until=deadline: received() >= number or time.monotonic() > until)  # type: ignore[misc]  # mypy: a default in a lambda
    if received() != number or len(clock.received_at) != number:
        raise HandshakeRefused(f"{number} sent, {received()} received, {len(clock.received_at)} of them distinct")
    return clock.delays()[WARM_UP:]


def figure(
    benchmark: str, what: str, latencies: Sequence[float], goal: float, more: Mapping[str, Detail] = {}
) -> Figure:
    """Figure of the 99th percentile."""
    p50, p99 = (1e3 * figures.percentile(latencies, share) for share in (0.5, 0.99))
    return Figure(
        benchmark=benchmark,
        name=f"{what}: p99",
        value=p99,
        unit="ms",
        goal=figures.at_most(goal),
        details={"p50_ms": p50, "max_ms": 1e3 * max(latencies), "sends": len(latencies), **more},
    )
