"""The supervisor keeps the configured number of workers, and starts none while it stops."""

import os
import signal
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from bellcast.cli import supervisor
from bellcast.settings.groups import ServerSettings, Settings


class FakeProcess:
    """A process that exits when the test sets `status`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.status: int | None = None
        self.signals: list[str] = []

    def poll(self) -> int | None:
        return self.status

    def terminate(self) -> None:
        self.signals.append("TERM")

    def kill(self) -> None:
        self.signals.append("KILL")


class FakeWorker(supervisor.Worker):
    """A worker with a fake process."""

    pids = count(1)

    def __init__(self, alive: int, port: int, folder: Path) -> None:
        self.output, self.ready = os.pipe()
        self.is_ready = self.is_stopping = False
        self.started_at = supervisor.time.monotonic()
        self.fake = self.process = FakeProcess(next(self.pids))


class Supervised:
    """A supervisor with fake workers and a fake clock."""

    def __init__(self, workers: int, clock: SimpleNamespace) -> None:
        settings = msgspec.structs.replace(Settings(), server=ServerSettings(workers=workers, drain=0))
        self.clock = clock
        self.supervisor = supervisor.Supervisor(settings, lambda url: None)
        for _ in range(workers):
            self.supervisor._start()
        for worker in self.running:
            self.report_ready(worker)

    @property
    def running(self) -> list[FakeWorker]:
        """Workers that have not exited and are not stopping, oldest first."""
        return [worker for worker in self.supervisor._workers.values() if not worker.is_stopping]

    def report_ready(self, worker: FakeWorker) -> None:
        os.write(worker.ready, b"http://x")
        os.close(worker.ready)
        self.supervisor._step()

    def exit(self, *workers: FakeWorker) -> None:
        for worker in workers:
            worker.fake.status = -9
        self.supervisor._reap()

    def receive(self, number: signal.Signals) -> None:
        self.supervisor._handle_signal(number)

    def advance(self, seconds: float) -> None:
        """Advance the clock and start the workers that are due."""
        self.clock.now += seconds
        self.supervisor._select.select = lambda timeout=None: []  # does not block
        self.supervisor._step()
        del self.supervisor._select.select


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(supervisor, "Worker", FakeWorker)
    return clock


def test_worker_that_exited_is_restarted(clock: SimpleNamespace) -> None:
    supervised = Supervised(2, clock)
    supervised.exit(supervised.running[0])
    supervised.advance(supervisor.RESTART_DELAY / 2)
    assert len(supervised.running) == 1
    supervised.advance(supervisor.RESTART_DELAY)
    assert len(supervised.running) == 2


def test_stopping_supervisor_restarts_no_worker(clock: SimpleNamespace) -> None:
    supervised = Supervised(2, clock)
    supervised.exit(supervised.running[0])
    supervised.receive(signal.SIGTERM)
    supervised.advance(supervisor.RESTART_DELAY)
    (last,) = supervised.supervisor._workers.values()
    assert last.process.signals == ["TERM"]
    assert not supervised.supervisor._restarts


def test_reload_replaces_the_workers_one_by_one(clock: SimpleNamespace) -> None:
    supervised = Supervised(2, clock)
    old = supervised.running
    supervised.receive(signal.SIGHUP)
    for _ in old:
        assert len(supervised.running) == 3
        supervised.report_ready(supervised.running[-1])
    assert len(supervised.running) == 2
    assert not {*old} & {*supervised.running}


@pytest.mark.parametrize("dying", range(4))
@pytest.mark.parametrize("replaced", range(3))
def test_worker_that_exits_during_a_reload_is_replaced_once(clock: SimpleNamespace, replaced: int, dying: int) -> None:
    supervised = Supervised(3, clock)
    old = supervised.running
    supervised.receive(signal.SIGHUP)
    for _ in range(replaced):
        supervised.report_ready(supervised.running[-1])
    is_starting = supervised.running[-1]
    dead = supervised.running[dying]
    supervised.exit(dead)
    supervised.advance(supervisor.RESTART_DELAY)
    for worker in [is_starting, *supervised.running]:
        if not worker.is_ready and worker is not dead:
            supervised.report_ready(worker)
    while starting := [worker for worker in supervised.running if not worker.is_ready]:
        supervised.report_ready(starting[0])
    assert len(supervised.running) == 3
    assert not {*old} & {*supervised.running}


def test_reload_while_all_workers_wait_for_their_restart_adds_none(clock: SimpleNamespace) -> None:
    supervised = Supervised(2, clock)
    supervised.exit(*supervised.running)
    supervised.receive(signal.SIGHUP)
    supervised.advance(supervisor.RESTART_DELAY)
    assert len(supervised.running) == 2
