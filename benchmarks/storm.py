"""Storm: thousands of clients reconnect at the same time, each with a token and its last position."""

import time
from collections.abc import Iterator, Sequence

import msgspec

from benchmarks import figures, handshakes, server_under_test
from benchmarks.client_pool import ClientKind, ClientPool
from benchmarks.epoll_loop import EpollLoop, pause
from benchmarks.fanout import KINDS
from benchmarks.figures import Figure
from benchmarks.handshakes import HandshakeRefused
from benchmarks.http_load import drive
from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import READY, BenchServer, booking
from benchmarks.target import is_marked

NAME = "storm"
GOAL_PER_SECOND = 4_000
ITEMS = 1_000


def measure(run: BenchmarkRun) -> list[Figure]:
    with server_under_test.running(run.folder, run.deadline) as server:
        storm = Storm(run, server)
        return [storm.figure(kind) for kind in KINDS]


class Storm:
    """Clients with a token each, a position and one notification that they missed."""

    def __init__(self, run: BenchmarkRun, server: BenchServer) -> None:
        self._run = run
        self._server = server
        self._tokens = [server.token(f"guest-{number}") for number in range(run.scale.storm)]
        run.report("sending a notification to every client and reading its position")
        send_to_all(run, server, run.scale.storm)
        self._positions = fetch_positions(run, server, self._tokens)
        send_to_all(run, server, run.scale.storm)

    def figure(self, kind: ClientKind) -> Figure:
        """Connect all clients, and disconnect them."""
        run, server, tokens = self._run, self._server, self._tokens
        wait_until_empty(run, server)
        run.report(f"{len(tokens):,} clients reconnect over {KINDS[kind]}")
        greetings = [server.greeting(kind, token, position=self._positions[n]) for n, token in enumerate(tokens)]
        with EpollLoop(run.deadline) as loop:
            pool = ClientPool(loop, server.address, kind, is_marked, handshakes.until(READY), is_uniform=False)
            return _figure(kind, len(tokens), *_timed(server, pool, iter(greetings)))


def send_to_all(run: BenchmarkRun, server: BenchServer, number: int) -> None:
    """Send a notification to each of `number` guests."""
    loads = (range(start, min(start + ITEMS, number)) for start in range(0, number, ITEMS))
    requests = (server.bulk([booking(f"guest-{guest}", guest) for guest in load]) for load in loads)
    drive(run.deadline, server.address, requests, 2).expect_status(200)


def fetch_positions(run: BenchmarkRun, server: BenchServer, tokens: Sequence[str]) -> dict[int, str]:
    """Return the inbox position of each guest. The notification's link contains the guest's number."""
    positions: dict[int, str] = {}

    def on_body(body: bytes) -> None:
        inbox = msgspec.json.decode(body)
        number = int(inbox["notifications"][0]["action_url"].rpartition("/")[2])
        positions[number] = inbox["position"]

    requests = (server.read("/v1/inbox?limit=1", token) for token in tokens)
    drive(run.deadline, server.address, requests, 32, on_body).expect_status(200)
    return positions


def wait_until_empty(run: BenchmarkRun, server: BenchServer) -> None:
    """Wait until earlier clients have disconnected, so that their cleanup is not measured."""
    while server.send_request(run.deadline, server.read("/v1/connections", server_under_test.SECRET))["connections"]:
        pause(0.1)


def _timed(
    server: BenchServer, pool: ClientPool, greetings: Iterator[bytes]
) -> tuple[float, dict[str, figures.Detail]]:
    """Connect all clients and return the seconds until all were ready, with details of the replay."""
    before, busy, begin = server.process.cpu(), time.process_time(), time.perf_counter()
    pool.connect(greetings)
    seconds = time.perf_counter() - begin
    pool.wait_for_events(len(pool), tick=0)
    caught_up = time.perf_counter() - begin
    used = server.process.cpu().since(before)
    if not pool.has_all_received(1):
        raise HandshakeRefused("not every client received its missed notification")
    return seconds, {
        "caught_up_per_second": len(pool) / caught_up,
        "server_cpu_us": 1e6 * used.total / len(pool),
        "server_user_us": 1e6 * used.user / len(pool),
        "generator_busy": (time.process_time() - busy) / caught_up,
    }


def _figure(kind: ClientKind, number: int, seconds: float, details: dict[str, figures.Detail]) -> Figure:
    return Figure(
        benchmark=NAME,
        name=f"connection storm of {number:,} over {KINDS[kind]}, token and position checked",
        value=number / seconds,
        unit="/s",
        goal=figures.at_least(GOAL_PER_SECOND),
        details=details,
    )
