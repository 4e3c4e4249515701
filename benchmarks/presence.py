"""Presence: server CPU for members joining and leaving a presence channel with thousands of members."""

import itertools
import time

from benchmarks import figures, handshakes, server_under_test
from benchmarks.client_pool import ClientPool
from benchmarks.epoll_loop import EpollLoop
from benchmarks.figures import Figure
from benchmarks.handshakes import HandshakeRefused
from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import KEY, SECRET, STOCK_GREETINGS, BenchServer

NAME = "presence"
CHANNEL = "presence-bench"
GOAL_PERCENT = 30.0

# Joins per second, and as many leaves.
RATE = 100

# Visitors at any time. Each stays for two seconds, since shorter visits may cancel out within a batch.
VISITORS = 200

# The server batches presence changes for up to a second.
QUIET_S = 1.5

# From the last join until missing events count as lost.
TIMEOUT_S = 10.0

# Poll interval of the members.
TICK_S = 0.001


def measure(run: BenchmarkRun) -> list[Figure]:
    with server_under_test.running(run.folder, run.deadline) as server, EpollLoop(run.deadline) as loop:
        members, visitors = _pool(server, loop, "member"), _pool(server, loop, "visitor")
        run.report(f"{run.scale.members:,} members connect")
        members.connect(itertools.repeat(STOCK_GREETINGS["pusher"], run.scale.members))
        visitors.connect(itertools.repeat(STOCK_GREETINGS["pusher"], VISITORS))
        # Until the members have received each other's joins.
        received = -1
        while received != members.total:
            received = members.total
            loop.run_for(QUIET_S)
        members.reset_counts()
        number = RATE * run.scale.moves_seconds
        run.report(f"{RATE} join and {RATE} leave per second for {run.scale.moves_seconds} s")
        before, busy, begin = server.process.cpu(), time.process_time(), time.perf_counter()
        _move(loop, visitors, number)
        seconds = time.perf_counter() - begin
        deadline = time.monotonic() + TIMEOUT_S
        loop.run(lambda: members.total >= 2 * number * len(members) or time.monotonic() > deadline, TICK_S)
        used = server.process.cpu().since(before)
        if not members.has_all_received(2 * number):
            raise HandshakeRefused(f"not every member received {number} joins and {number} leaves exactly once")
        details: dict[str, figures.Detail] = {
            "moves_per_second": 2 * number / seconds,
            "server_user_s": used.user,
            "server_system_s": used.system,
            "generator_busy": (time.process_time() - busy) / (time.perf_counter() - begin),
        }
        return [_figure(run, used.total / (number / RATE), details)]


def _pool(server: BenchServer, loop: EpollLoop, name: str) -> ClientPool:
    handshake = handshakes.Pusher(KEY, SECRET, CHANNEL, member=lambda number: f"{name}-{number}")
    return ClientPool(loop, server.address, "pusher", is_move, handshake)


def is_move(payload: bytes) -> int:
    return payload.startswith(b'{"event":"pusher_internal:member_')


def _move(loop: EpollLoop, visitors: ClientPool, number: int) -> None:
    """Connect a visitor and disconnect the oldest one, at a steady rate."""
    begin = time.perf_counter()
    for move in range(number):
        while time.perf_counter() < begin + move / RATE or visitors.opening > VISITORS // 2:
            loop.step_after(TICK_S)
        loop.step(0)
        visitors.open(STOCK_GREETINGS["pusher"])
        visitors.disconnect(1)
    loop.run(lambda: not visitors.opening)


def _figure(run: BenchmarkRun, share: float, details: dict[str, figures.Detail]) -> Figure:
    """Seconds of CPU per second's worth of changes, independent of how long they took."""
    return Figure(
        benchmark=NAME,
        name=f"presence channel of {run.scale.members:,}, {RATE} joins and {RATE} leaves a second: share of a core",
        value=100 * share,
        unit="%",
        goal=figures.at_most(GOAL_PERCENT),
        details=details,
    )
