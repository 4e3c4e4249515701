"""Storm: everybody comes back at once, each with a token and the position where they were cut off."""

import time
from collections.abc import Iterator, Sequence

import msgspec

from bellcast.bench import figures, handshakes, server_under_test
from bellcast.bench.client_pool import ClientPool, Kind
from bellcast.bench.epoll_loop import EpollLoop, pause
from bellcast.bench.fanout import KINDS
from bellcast.bench.figures import Figure
from bellcast.bench.handshakes import HandshakeRefused
from bellcast.bench.http_load import drive
from bellcast.bench.scales import Run
from bellcast.bench.server_under_test import READY, BenchServer, booking
from bellcast.bench.target import is_marked

NAME = "storm"
GOAL_PER_SECOND = 4_000
ITEMS = 1_000


def measure(trial: Run) -> list[Figure]:
    with server_under_test.running(trial.folder, trial.deadline) as server:
        tokens = [server.token(f"guest-{number}") for number in range(trial.scale.storm)]
        trial.say("everyone gets a notification, looks, and leaves")
        send_to_all(trial, server, trial.scale.storm)
        positions = positions_of(trial, server, tokens)
        send_to_all(trial, server, trial.scale.storm)
        return [_storm(trial, server, kind, tokens, positions) for kind in KINDS]


def send_to_all(trial: Run, server: BenchServer, number: int) -> None:
    """A notification to each of so many guests."""
    loads = (range(start, min(start + ITEMS, number)) for start in range(0, number, ITEMS))
    requests = (server.bulk([booking(f"guest-{guest}", guest) for guest in load]) for load in loads)
    drive(trial.deadline, server.address, requests, 2).must_be(200)


def positions_of(trial: Run, server: BenchServer, tokens: Sequence[str]) -> dict[int, str]:
    """Where the inbox of each guest is; the link of its notification tells whose it is."""
    positions: dict[int, str] = {}

    def look(body: bytes) -> None:
        inbox = msgspec.json.decode(body)
        number = int(inbox["notifications"][0]["action_url"].rpartition("/")[2])
        positions[number] = inbox["position"]

    requests = (server.read("/v1/inbox?limit=1", token) for token in tokens)
    drive(trial.deadline, server.address, requests, 32, look).must_be(200)
    return positions


def _storm(trial: Run, server: BenchServer, kind: Kind, tokens: list[str], positions: dict[int, str]) -> Figure:
    _wait_until_empty(trial, server)
    trial.say(f"{len(tokens):,} clients come back over {KINDS[kind]}")
    greetings = [server.greeting(kind, token, position=positions[n]) for n, token in enumerate(tokens)]
    with EpollLoop(trial.deadline) as reactor:
        crowd = ClientPool(reactor, server.address, kind, is_marked, handshakes.until(READY), alike=False)
        return _figure(kind, len(tokens), *_timed(server, crowd, iter(greetings)))


def _wait_until_empty(trial: Run, server: BenchServer) -> None:
    """The goodbyes of those who came before are no part of a storm."""
    while server.send_request(trial.deadline, server.read("/v1/stats", server_under_test.SECRET))["connections"]:
        pause(0.1)


def _timed(
    server: BenchServer, crowd: ClientPool, greetings: Iterator[bytes]
) -> tuple[float, dict[str, figures.Detail]]:
    """Seconds until all were ready, and until all had what they missed."""
    before, busy, begin = server.process.cpu(), time.process_time(), time.perf_counter()
    crowd.connect(greetings)
    seconds = time.perf_counter() - begin
    crowd.listen(len(crowd), tick=0)
    caught_up = time.perf_counter() - begin
    used = server.process.cpu().since(before)
    if not crowd.has_all_received(1):
        raise HandshakeRefused("not everyone got the one notification they had missed")
    return seconds, {
        "caught_up_per_second": len(crowd) / caught_up,
        "server_cpu_us": 1e6 * used.total / len(crowd),
        "server_user_us": 1e6 * used.user / len(crowd),
        "generator_busy": (time.process_time() - busy) / caught_up,
    }


def _figure(kind: Kind, number: int, seconds: float, details: dict[str, figures.Detail]) -> Figure:
    return Figure(
        benchmark=NAME,
        name=f"connection storm of {number:,} over {KINDS[kind]}, token and position checked",
        value=number / seconds,
        unit="/s",
        goal=figures.at_least(GOAL_PER_SECOND),
        details=details,
    )
