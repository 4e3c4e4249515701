"""Runs of a workflow with every kind of wait, while their processes are killed at random.

`python -m tests.faults.run_load postgres 10000 --kills 60` runs it with many runs and prints the repeated calls."""

import argparse
import asyncio
import contextlib
import json
import math
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from msgspec import Struct

from bellcast.kernel.jobs.slots import CALLS
from bellcast.workflows.types.runs import ENDED
from tests import engines
from tests.faults.fast_time import ORIGIN_VARIABLE, SPEED_VARIABLE
from tests.servers import START_TIMEOUT, ServerProcess
from tests.smtp_server import Mailbox, smtp_server
from tests.vendor_server import VendorServer, vendor_server

ENGINES = ("sqlite", "postgres")
# A lease of 30 s ends after 6 seconds, and the steps below wait for one or two. At a higher speed, a process that shares its
# core with others renews no lease in time: it runs each job again and again.
SPEED = 5
RUNS_PER_RECIPIENT = 20
TRIGGERING_THREADS = 4
SECONDS_BETWEEN_KILLS = (0.2, 1.0)
SECONDS_TO_SETTLE = 1_800
PAGE = 1000
# States of runs and messages that have not ended.
OPEN_STATES = (("runs", "running"), ("runs", "waiting"), ("messages", "queued"), ("messages", "sending"))
STEPS: list[dict[str, Any]] = [
    {"key": "bell", "type": "inbox", "title": "{{ data.n }}"},
    {"key": "pause", "type": "delay", "for": "5s"},
    {"key": "looked", "type": "wait_for", "step": "bell", "event": "seen", "timeout": "10s", "on_match": "continue"},
    {"key": "hook", "type": "http", "url": "{{ data.hook }}"},
    {"key": "mail", "type": "email", "subject": "{{ data.n }}", "text": "{{ data.n }}"},
    {"key": "bundle", "type": "digest", "window": "15s"},
    {
        "key": "summary",
        "type": "inbox",
        "title": "Summary",
        "body": "{% for one in digest.items %}{{ one.n }} {% endfor %}",
    },
]


class Figures(Struct, frozen=True, kw_only=True):
    """Observations of a load. `mails` and `hooks` are calls, some of which repeat an earlier call; `interrupted` is how many calls
    the kills can have interrupted at most, `set_aside` how many jobs were interrupted so often that an operator had to retry
    them."""

    runs: int
    kills: int
    seconds: float
    mails: int
    repeated_mails: int
    hooks: int
    repeated_hooks: int
    interrupted: int
    set_aside: int


class Nodes:
    """The processes of one store: a server, and on PostgreSQL two workers."""

    def __init__(self, folder: Path, engine: str, environ: dict[str, str], speed: int) -> None:
        origin = {ORIGIN_VARIABLE: str(time.time_ns() // 1_000_000), SPEED_VARIABLE: str(speed)}
        self._folder = folder
        self._environ = {"BELLCAST_HTTP_ALLOW": "127.0.0.1", **origin, **environ}
        self.server = self._process("server")
        workers = [] if engine == "sqlite" else [self._process("worker1"), self._process("worker2")]
        self.all = [self.server, *workers]
        for worker in workers:
            worker.command = "worker"

    def _process(self, name: str) -> ServerProcess:
        process = ServerProcess(self._folder / name, self._environ)
        process.program = [sys.executable, "-m", "tests.faults.fast_time"]
        return process

    def __enter__(self) -> "Nodes":
        try:
            for process in self.all:
                process.start()
        except BaseException:  # an interrupt too
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.all:
            process.kill()

    def client(self) -> httpx.Client:
        """A client for the app's server. Making one takes 30 ms of CPU time, so recipients share one: their requests have
        their own headers."""
        return httpx.Client(base_url=self.server.url, headers=self.server.as_app(), timeout=60)


class Vendors:
    """The servers of the providers, in a thread, so that they outlive every kill."""

    def __init__(self) -> None:
        self.mails: Mailbox
        self.hooks: VendorServer
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    async def _serve(self) -> None:
        async with smtp_server() as self.mails, vendor_server() as self.hooks:
            self._ready.set_result(None)
            await self._stop.wait()

    def __enter__(self) -> "Vendors":
        self._thread.start()
        self._ready.result(timeout=START_TIMEOUT)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()


class RunLoad:
    """Triggers runs, reads inboxes, kills processes, and checks the results."""

    def __init__(self, nodes: Nodes, vendors: Vendors, runs: int) -> None:
        self._nodes = nodes
        self._vendors = vendors
        self._runs = runs
        self._recipients = [f"r{number}" for number in range(max(runs // RUNS_PER_RECIPIENT, 3))]
        self._is_over = threading.Event()
        self._set_aside = 0

    def recipient_of(self, number: int) -> str:
        """The recipient of a run."""
        return self._recipients[number % len(self._recipients)]

    def prepare(self) -> None:
        """Write the workflow and the recipients."""
        with self._nodes.client() as app:
            recipients = [{"key": key, "email": f"{key}@example.com"} for key in self._recipients]
            stored = app.post("/v1/recipients/bulk", json=recipients)
            assert stored.status_code == 200, stored.text
            written = app.put("/v1/workflows/orders", json={"steps": STEPS})
            assert written.status_code == 201, written.text

    def run(self, kills: int, most: float = math.inf) -> Figures:
        """Trigger all runs, and kill until all are accepted: at least `kills` times, and at most `most`."""
        started = time.monotonic()
        with ThreadPoolExecutor(TRIGGERING_THREADS + 2) as threads:
            try:
                work = [threads.submit(self._trigger, first) for first in range(TRIGGERING_THREADS)]
                reader = threads.submit(self._see)
                killed = self._kill(kills, most, work)
                for one in work:
                    one.result()
                self._wait_until_ended()
            finally:  # an interrupt ends the threads too
                self._is_over.set()
            reader.result(timeout=START_TIMEOUT)
        seconds = time.monotonic() - started
        self._check_inboxes()
        return self._figures(killed, seconds, self._check_calls())

    # --- load

    def _trigger(self, first: int) -> None:
        """Trigger a share of the runs, each until it is accepted."""
        hook = f"http://{self._vendors.hooks.host}/hook"
        with self._nodes.client() as app:
            for number in range(first, self._runs, TRIGGERING_THREADS):
                body = {"to": self.recipient_of(number), "data": {"n": number, "hook": hook}}
                response = self._accepted(app, body, {"Idempotency-Key": f"n{number}"})
                if response is None:
                    return
                assert response.status_code == 202, response.text

    def _accepted(self, app: httpx.Client, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response | None:
        """Repeat a trigger until the server responds; None if the load is over."""
        deadline = time.monotonic() + START_TIMEOUT
        while not self._is_over.is_set():
            try:
                return app.post("/v1/workflows/orders/trigger", json=body, headers=headers)
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        return None

    def _see(self) -> None:
        """Mark the inboxes of some recipients as seen, because their runs wait for that."""
        chance = random.Random(1)
        with self._nodes.client() as client:
            while not self._is_over.wait(0.05):
                headers = self._nodes.server.as_recipient(chance.choice(self._recipients[::3]))
                with contextlib.suppress(httpx.TransportError):
                    client.post("/v1/inbox/seen", json={"all": True}, headers=headers)

    def _kill(self, kills: int, most: float, work: Sequence[Future[None]]) -> int:
        """Kill random processes repeatedly. Return the number of kills."""
        chance = random.Random()
        killed = 0
        while killed < kills or (killed < most and not all(one.done() for one in work)):
            time.sleep(chance.uniform(*SECONDS_BETWEEN_KILLS))
            chance.choice(self._nodes.all).restart()
            killed += 1
        return killed

    def _wait_until_ended(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_SETTLE
        with self._nodes.client() as app:
            while True:
                self._retry_jobs(app)
                left = [
                    (plural, state)
                    for plural, state in OPEN_STATES
                    if app.get(f"/v1/{plural}", params={"state": state, "limit": 1}).json()[plural]
                ]
                if not left:
                    return
                assert time.monotonic() < deadline, (left, app.get("/v1/jobs?state=dead").text)
                time.sleep(0.3)

    def _retry_jobs(self, app: httpx.Client) -> None:
        """Retry jobs that were interrupted too often, as an operator does once the processes stay up."""
        for job in app.get("/v1/jobs?state=dead").json()["jobs"]:
            assert job["error"] == "The process ended while it ran this job."
            retried = app.post(f"/v1/jobs/{job['id']}/retry")
            assert retried.is_success, retried.text
            self._set_aside += 1

    # --- results

    def _check_inboxes(self) -> None:
        """Each run has one row; each is in one summary of its recipient; the counters match the rows."""
        numbers = {
            key: Counter(map(str, range(i, self._runs, len(self._recipients))))
            for i, key in enumerate(self._recipients)
        }
        with self._nodes.client() as client:
            for recipient, expected in numbers.items():
                rows, counts = _inbox(client, self._nodes.server.as_recipient(recipient))
                assert len({row["id"] for row in rows}) == len(rows)
                assert Counter(row["title"] for row in rows if row["title"] != "Summary") == expected, recipient
                summaries = [row["body"] for row in rows if row["title"] == "Summary"]
                assert Counter(number for body in summaries for number in body.split()) == expected, recipient
                assert counts["unread"] == sum(row["read_at"] is None for row in rows), recipient
                assert counts["unseen"] == sum(row["seen_at"] is None for row in rows), recipient

    def _check_calls(self) -> tuple[Counter[str], Counter[str]]:
        """Each run has ended, with one sent message and one call; count both by their ids."""
        with self._nodes.client() as app:
            runs = _pages(app, "runs")
            messages = _pages(app, "messages")
        assert len(runs) == self._runs
        assert Counter(run["state"] for run in runs).keys() <= {"completed", "merged"} < set(ENDED)
        assert len(messages) == self._runs
        assert {message["state"] for message in messages} == {"sent"}
        assert {message["run"] for message in messages} == {run["id"] for run in runs}
        mails = Counter(str(mail["message-id"]).strip("<>").partition("@")[0] for mail in self._vendors.mails.received)
        assert mails.keys() == {message["id"] for message in messages}
        hooks = Counter(request.headers["webhook-id"] for request in self._vendors.hooks.requests)
        assert hooks.keys() == {f"{run['id']}.hook" for run in runs}
        return mails, hooks

    def _figures(self, killed: int, seconds: float, calls: tuple[Counter[str], Counter[str]]) -> Figures:
        mails, hooks = (calls.total() for calls in calls)
        return Figures(
            runs=self._runs,
            kills=killed,
            seconds=round(seconds, 1),
            mails=mails,
            repeated_mails=mails - self._runs,
            hooks=hooks,
            repeated_hooks=hooks - self._runs,
            interrupted=killed * CALLS,
            set_aside=self._set_aside,
        )


def _pages(app: httpx.Client, plural: str, **query: str) -> list[dict[str, Any]]:
    """All objects of a list."""
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        page = app.get(f"/v1/{plural}", params={**query, **after, "limit": PAGE}).json()
        found += page[plural]
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


def _inbox(client: httpx.Client, headers: dict[str, str]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """All rows of a recipient's inbox, and its counters."""
    page = client.get("/v1/inbox?limit=100", headers=headers).json()
    counts, rows = page, list(page["notifications"])
    while page["next"] is not None:
        page = client.get("/v1/inbox", params={"limit": 100, "before": page["next"]}, headers=headers).json()
        rows += page["notifications"]
    return rows, counts


@contextlib.contextmanager
def store_of(engine: str) -> Iterator[dict[str, str]]:
    """The settings of a new store; a SQLite file is in the server's folder."""
    if engine == "sqlite":
        yield {}
        return
    server, name = engines.postgres(), f"runs_{uuid4().hex}"
    url = asyncio.run(server.make(name))
    try:
        yield {"BELLCAST_STORE": url, "BELLCAST_BROKER": url}
    finally:
        asyncio.run(server.drop(name))


def check(folder: Path, engine: str, runs: int, kills: int, most: float = math.inf, speed: int = SPEED) -> Figures:
    """Run this many runs with kills, and check the results."""
    with store_of(engine) as environ, Vendors() as vendors:
        email = f"smtp://127.0.0.1:{vendors.mails.port}?from=shop@example.com"
        with Nodes(folder, engine, {**environ, "BELLCAST_EMAIL": email}, speed) as nodes:
            load = RunLoad(nodes, vendors, runs)
            load.prepare()
            return load.run(kills, most)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # its processes and its database end too
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("runs", type=int)
    parser.add_argument("--kills", type=int, default=math.inf, help="at most; else until all runs are accepted")
    parser.add_argument("--speed", type=int, default=SPEED, help="of the processes' clocks")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        figures = check(Path(temporary), arguments.engine, arguments.runs, 3, arguments.kills, arguments.speed)
    print(json.dumps({name: getattr(figures, name) for name in Figures.__struct_fields__}))
