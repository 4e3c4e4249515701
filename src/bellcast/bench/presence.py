"""Presence: what it costs that people come to a crowded channel and leave it, and everybody there is told."""

import itertools
import time

from bellcast.bench import figures, handshakes, server_under_test
from bellcast.bench.client_pool import ClientPool
from bellcast.bench.epoll_loop import EpollLoop
from bellcast.bench.figures import Figure
from bellcast.bench.handshakes import HandshakeRefused
from bellcast.bench.scales import Run
from bellcast.bench.server_under_test import FOREIGN, KEY, SECRET, BenchServer

NAME = "presence"
CHANNEL = "presence-bench"
GOAL_PERCENT = 30.0

# That many come each second, and as many leave.
RATE = 100

# Visitors at any time. Each stays for two seconds: whoever leaves sooner may not be told of at all.
VISITORS = 200

# Moves are gathered for up to a second before they are told.
QUIET_S = 1.5

# After the last move; what has not come by then is missing.
PATIENCE_S = 10.0

# How often the members look.
TICK_S = 0.001


def measure(trial: Run) -> list[Figure]:
    with server_under_test.running(trial.folder, trial.deadline) as server, EpollLoop(trial.deadline) as reactor:
        members, visitors = _crowd(server, reactor, "member"), _crowd(server, reactor, "visitor")
        trial.say(f"{trial.scale.members:,} members come")
        members.connect(itertools.repeat(FOREIGN["pusher"], trial.scale.members))
        visitors.connect(itertools.repeat(FOREIGN["pusher"], VISITORS))
        _wait_for_quiet(reactor, members)
        members.reset_counts()
        number = RATE * trial.scale.moves_seconds
        trial.say(f"{RATE} come and {RATE} leave each second for {trial.scale.moves_seconds} s")
        before, busy, begin = server.process.cpu(), time.process_time(), time.perf_counter()
        _move(reactor, visitors, number)
        seconds = time.perf_counter() - begin
        patience = time.monotonic() + PATIENCE_S
        reactor.run(lambda: members.total >= 2 * number * len(members) or time.monotonic() > patience, TICK_S)
        used = server.process.cpu().since(before)
        if not members.has_all_received(2 * number):
            raise HandshakeRefused(f"not every member heard of {number} who came and {number} who left, once")
        details: dict[str, figures.Detail] = {
            "moves_per_second": 2 * number / seconds,
            "server_user_s": used.user,
            "server_system_s": used.system,
            "generator_busy": (time.process_time() - busy) / (time.perf_counter() - begin),
        }
        return [_figure(trial, used.total / (number / RATE), details)]


def _crowd(server: BenchServer, reactor: EpollLoop, name: str) -> ClientPool:
    talk = handshakes.Pusher(KEY, SECRET, CHANNEL, member=lambda number: f"{name}-{number}")
    return ClientPool(reactor, server.address, "pusher", is_move, talk)


def is_move(payload: bytes) -> int:
    return payload.startswith(b'{"event":"pusher_internal:member_')


def _wait_for_quiet(reactor: EpollLoop, members: ClientPool) -> None:
    """Until the members have been told of each other."""
    heard = -1
    while heard != members.total:
        heard = members.total
        reactor.run_for(QUIET_S)


def _move(reactor: EpollLoop, visitors: ClientPool, number: int) -> None:
    """One comes and the one who came first leaves, at a steady rate."""
    begin = time.perf_counter()
    for move in range(number):
        while time.perf_counter() < begin + move / RATE or visitors.opening > VISITORS // 2:
            reactor.step_after(TICK_S)
        reactor.step(0)
        visitors.open(FOREIGN["pusher"])
        visitors.leave(1)
    reactor.run(lambda: not visitors.opening)


def _figure(trial: Run, share: float, details: dict[str, figures.Detail]) -> Figure:
    """The seconds of the processor that a second's moves cost, however long they took."""
    return Figure(
        benchmark=NAME,
        name=f"presence channel of {trial.scale.members:,}, {RATE} joins and {RATE} leaves a second: share of a core",
        value=100 * share,
        unit="%",
        goal=figures.at_most(GOAL_PERCENT),
        details=details,
    )
