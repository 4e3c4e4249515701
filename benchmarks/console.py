"""Console: latency of its views and of concurrent sends in a store with millions of notifications, and the cost of
watching the live feed."""

import itertools
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import bellcast
from benchmarks import feed_watchers, figures, server_under_test
from benchmarks.epoll_loop import Deadline, EpollLoop
from benchmarks.fairness import Singles
from benchmarks.figures import Figure
from benchmarks.frames import HttpReply
from benchmarks.handshakes import HandshakeRefused
from benchmarks.http_load import HttpCaller, drive
from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import SECRET, BenchServer

NAME = "console"
GOAL_VIEW_MS = 200.0
GOAL_TIMELINE_MS = 100.0
GOAL_TIMES = 1.10

# The tenants that `bellcast demo --busy` fills, with 90 % and 1 % of the notifications.
LARGE, SMALL = "aurora", "juniper"
# An operator opens a view each second.
BROWSE_INTERVAL_S = 1.0
WARM_UP_S = 2.0
# The data folder.
STORE = "store"

DAY_S = 86_400


def measure(run: BenchmarkRun) -> list[Figure]:
    # The server has not started yet: its database is filled as by `bellcast demo --busy --rows`.
    run.report(f"filling the store with {run.scale.console_rows:,} notifications")
    folder = run.folder / STORE
    folder.mkdir(mode=0o700)
    command = [
        sys.executable,
        "-P",
        "-m",
        "bellcast.examples.demo.history",
        str(folder / "bellcast.db"),
        str(run.scale.console_rows),
    ]
    env = {"PYTHONPATH": str(Path(bellcast.__file__).parents[1])}
    subprocess.run(command, env=env, check=True, timeout=run.deadline.seconds)
    with server_under_test.running(run.folder, run.deadline, name=STORE) as server:
        views = _views(run, server)
        paths = [server.read(path, SECRET) for path in views.values()]
        run.report(f"{len(views)} views, {run.scale.views} times each")
        drive(run.deadline, server.address, iter(paths), 1).expect_status(200)
        waits = drive(run.deadline, server.address, iter(paths * run.scale.views), 1).expect_status(200).waits
        p95 = {name: 1e3 * figures.percentile(waits[place :: len(paths)], 0.95) for place, name in enumerate(views)}
        sends = _sends_while_browsing(run, server, paths)
    return [*_view_figures(run, p95), sends, feed_watchers.measure(run, NAME)]


def _views(run: BenchmarkRun, server: BenchServer) -> Mapping[str, str]:
    """Return the requests of the console's pages by name."""

    def first(path: str, rows: str, **query: str) -> dict[str, Any]:
        found: dict[str, Any] = server.send_request(run.deadline, server.read(f"{path}?{urlencode(query)}", SECRET))[
            rows
        ][0]
        return found

    sent = first("/v1/notifications", "notifications", tenant=LARGE)
    message = first("/v1/messages", "messages", tenant=LARGE)
    one_run = first("/v1/runs", "runs", tenant=LARGE)
    failure = first("/v1/failures", "failures", tenant=LARGE)
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 2 * DAY_S))
    key, all_, large, small = sent["recipient"], {"tenant": "*"}, {"tenant": LARGE}, {"tenant": SMALL}
    of_step = {"workflow": one_run["workflow"], "step": one_run["steps"][0]["key"]}
    queries: dict[str, tuple[str, dict[str, str]]] = {
        "overview, counts": ("/v1/stats", {}),
        "overview, counts of a tenant": ("/v1/stats", large),
        "overview, charts": ("/v1/stats/series", {"step": "15m", "from": since}),
        "notifications": ("/v1/notifications", all_),
        "notifications of a large tenant": ("/v1/notifications", large),
        "notifications of a small tenant": ("/v1/notifications", small),
        "notifications of a recipient": ("/v1/notifications", {**large, "recipient": key}),
        "notifications by type": ("/v1/notifications", {**all_, "type": "review"}),
        "notifications by tag": ("/v1/notifications", {**all_, "tag": "booking"}),
        "notifications by state": ("/v1/notifications", {**all_, "state": "archived"}),
        "notifications that no filter finds": ("/v1/notifications", {**small, "type": "unknown", "tag": "unknown"}),
        "notifications of two days": ("/v1/notifications", {**all_, "from": since}),
        "timeline": (f"/v1/notifications/{sent['id']}", large),
        "timeline with a message": (f"/v1/notifications/{message['notification']}", large),
        "announcements": ("/v1/announcements", all_),
        "messages": ("/v1/messages", all_),
        "messages of a small tenant": ("/v1/messages", small),
        "messages of a recipient": ("/v1/messages", {**large, "recipient": key}),
        "messages by state": ("/v1/messages", {**all_, "state": "bounced"}),
        "messages that no filter finds": ("/v1/messages", {**all_, "channel": "sms"}),
        "messages of a workflow that none has": ("/v1/messages", {**all_, "workflow": "unknown"}),
        "message": (f"/v1/messages/{message['id']}", large),
        "runs": ("/v1/runs", all_),
        "runs of a small tenant": ("/v1/runs", small),
        "runs by state": ("/v1/runs", {**all_, "state": "failed"}),
        "runs that no filter finds": ("/v1/runs", {**all_, "workflow": "unknown"}),
        "runs of a channel that none has": ("/v1/runs", {**all_, "channel": "sms"}),
        "runs of a provider that none has": ("/v1/runs", {**large, "provider": "unknown"}),
        "runs by the state of a step": ("/v1/runs", {**large, **of_step, "step_state": "done"}),
        "runs by the state of a step that none has": ("/v1/runs", {**large, **of_step, "step_state": "failed"}),
        "counts of a workflow": (f"/v1/workflows/{one_run['workflow']}/stats", large),
        "counts of a workflow of all tenants": (f"/v1/workflows/{one_run['workflow']}/stats", all_),
        "run": (f"/v1/runs/{one_run['id']}", large),
        "failures by cause": ("/v1/failures/causes", all_),
        "failures of a tenant by cause": ("/v1/failures/causes", large),
        "failures of a cause": ("/v1/failures", {**large, "cause": failure["cause"]}),
        "recipients": ("/v1/recipients", large),
        "recipients by prefix": ("/v1/recipients", {**large, "search": "user-1"}),
        "recipient": (f"/v1/recipients/{key}", large),
        "explain a recipient": ("/v1/explain", {**large, "recipient": key}),
        "explain a notification": ("/v1/explain", {**large, "recipient": key, "notification": sent["id"]}),
        "tenants": ("/v1/tenants", {}),
        "tenant": (f"/v1/tenants/{LARGE}", {}),
        "topics": ("/v1/topics", large),
        "connections": ("/v1/connections", all_),
        "requests": ("/v1/requests", all_),
        "audit": ("/v1/audit", all_),
        "health": ("/v1/nodes", {}),
    }
    return {name: f"{path}?{urlencode(query)}" for name, (path, query) in queries.items()}


def _view_figures(run: BenchmarkRun, p95: Mapping[str, float]) -> list[Figure]:
    rows = f"console, {run.scale.console_rows:,} notifications"
    timelines = {name: value for name, value in p95.items() if name.startswith("timeline")}
    return [
        Figure(
            benchmark=NAME,
            name=f"{rows}, slowest of {len(p95)} views: p95",
            value=max(p95.values()),
            unit="ms",
            goal=figures.at_most(GOAL_VIEW_MS),
            details={f"{name.replace(',', '').replace(' ', '_')}_ms": value for name, value in p95.items()},
        ),
        Figure(
            benchmark=NAME,
            name=f"{rows}, timeline of one: p95",
            value=max(timelines.values()),
            unit="ms",
            goal=figures.at_most(GOAL_TIMELINE_MS),
        ),
    ]


class Browsing:
    """An operator who opens a view about every BROWSE_INTERVAL_S while `is_active`.

    At random times and in its own thread, so that views are neither synchronized with sends nor delay the client that
    sends."""

    def __init__(self, deadline: Deadline, server: BenchServer, requests: Iterator[bytes]) -> None:
        self.is_active = False
        self.opened = 0
        self._is_open = False  # the view that was requested last
        self._deadline = deadline
        self._server = server
        self._requests = requests
        self._is_over = threading.Event()
        self._threads = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        self._work = self._threads.submit(self._browse)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._threads.shutdown()
        self._work.result()

    def _browse(self) -> None:
        with EpollLoop(self._deadline) as loop:
            caller = HttpCaller(loop, self._server.address, self._on_response)
            while not self._is_over.wait(random.uniform(0.5, 1.5) * BROWSE_INTERVAL_S):
                if self.is_active:
                    loop.step(0)  # notices that the server has closed the idle connection
                    self._is_open = False
                    caller.send(next(self._requests))
                    loop.run(lambda: self._is_open)

    def _on_response(self, _caller: HttpCaller, response: HttpReply) -> None:
        if response.status != 200:
            raise HandshakeRefused(f"a view returned {response.status}: {response.body[:300]!r}")
        self._is_open = True
        self.opened += 1


def _sends_while_browsing(run: BenchmarkRun, server: BenchServer, paths: Sequence[bytes]) -> Figure:
    """Compare the latencies of single sends with and without browsing, in alternating periods."""
    waits: dict[bool, list[float]] = {False: [], True: []}
    browser = Browsing(run.deadline, server, itertools.cycle(paths))
    with EpollLoop(run.deadline) as loop, browser as browsing:
        singles = Singles(loop, server)
        singles.send_for(WARM_UP_S)
        for number in range(2 * run.scale.periods):
            browsing.is_active = bool(number % 2)
            run.report(f"sends {'while an operator browses' if browsing.is_active else 'alone'}")
            waits[browsing.is_active] += singles.send_for(run.scale.browse_seconds)
    alone, browsed = (1e3 * figures.percentile(waits[key], 0.99) for key in (False, True))
    return Figure(
        benchmark=NAME,
        name="single sends while an operator opens a view each second: p99, times its value without",
        value=browsed / alone,
        unit="×",
        goal=figures.at_most(GOAL_TIMES),
        details={
            "alone_p99_ms": alone,
            "browsed_p99_ms": browsed,
            "alone_p50_ms": 1e3 * figures.percentile(waits[False], 0.5),
            "browsed_p50_ms": 1e3 * figures.percentile(waits[True], 0.5),
            "sends": len(waits[False]) + len(waits[True]),
            "views": browsing.opened,
        },
    )
