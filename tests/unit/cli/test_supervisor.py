"""The supervisor keeps the configured number of workers, and starts none while it stops."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from bellcast.cli import supervisor
from bellcast.settings.table import ServerSettings, Settings


class FakeWorker:
    """A worker that becomes ready and exits when the test says so."""

    started: list["FakeWorker"]

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[str] = loop.create_future()
        self.exited: asyncio.Future[int] = loop.create_future()
        self.process = SimpleNamespace(pid=1, wait=lambda: self.exited)
        self.started_at = supervisor.time.monotonic()
        self.signals: list[signal.Signals] = []
        self.started.append(self)

    @classmethod
    async def start(cls, alive: int, port: int, folder: Path) -> "FakeWorker":
        return cls()

    def send(self, number: signal.Signals) -> None:
        self.signals.append(number)

    @property
    def is_running(self) -> bool:
        return not self.exited.done() and not self.signals

    @property
    def is_ready(self) -> bool:
        return self.ready.done() and self.ready.result() != ""

    async def report_ready(self) -> None:
        self.ready.set_result("http://x")
        await settled()

    def exit(self) -> None:
        if not self.ready.done():
            self.ready.set_result("")
        self.exited.set_result(-9)


async def settled() -> None:
    """Let all tasks run as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0)


class Supervised:
    """A supervisor with fake workers and a fake clock."""

    def __init__(self, workers: int, clock: SimpleNamespace) -> None:
        settings = msgspec.structs.replace(Settings(), server=ServerSettings(workers=workers, drain=0))
        self.clock = clock
        self.urls: list[str] = []
        self.supervisor = supervisor.Supervisor(settings, self.urls.append)
        self.paused = asyncio.Event()
        self.supervisor._pause = self.pause

    async def pause(self) -> None:
        self.paused.clear()
        await self.paused.wait()

    @property
    def running(self) -> list[FakeWorker]:
        """Workers that have not exited and are not stopping, oldest first."""
        return [worker for worker in FakeWorker.started if worker.is_running]

    async def exit(self, *workers: FakeWorker) -> None:
        for worker in workers:
            worker.exit()
        await settled()

    async def reload(self) -> None:
        self.supervisor.reload()
        await settled()

    async def advance(self) -> None:
        """Let the delay of restarts pass."""
        self.paused.set()
        await settled()


@asynccontextmanager
async def supervised(workers: int, clock: SimpleNamespace) -> AsyncIterator[Supervised]:
    """Run a supervisor whose workers have all become ready."""
    one = Supervised(workers, clock)
    run = asyncio.ensure_future(one.supervisor.supervise(1, Path()))
    await settled()
    for worker in one.running:
        await worker.report_ready()
    assert one.urls == ["http://x"]
    yield one
    one.supervisor.stop()
    await one.advance()
    for worker in FakeWorker.started:
        if not worker.exited.done():
            worker.exit()
    await run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(supervisor, "Worker", FakeWorker)
    monkeypatch.setattr(FakeWorker, "started", [], raising=False)
    return clock


async def test_worker_that_exited_soon_is_restarted_after_a_delay(clock: SimpleNamespace) -> None:
    async with supervised(2, clock) as one:
        await one.exit(one.running[0])
        assert len(one.running) == 1
        await one.advance()
        assert len(one.running) == 2


async def test_worker_that_has_run_for_long_is_restarted_at_once(clock: SimpleNamespace) -> None:
    async with supervised(2, clock) as one:
        clock.now += supervisor.HEALTHY_SECONDS + 1
        await one.exit(one.running[0])
        assert len(one.running) == 2


async def test_stopping_supervisor_restarts_no_worker(clock: SimpleNamespace) -> None:
    async with supervised(2, clock) as one:
        dead, last = one.running
        await one.exit(dead)
        one.supervisor.stop()
        await one.advance()
        assert last.signals == [signal.SIGTERM]
        assert FakeWorker.started == [dead, last]


async def test_worker_that_exits_before_it_is_ready_ends_the_start(clock: SimpleNamespace) -> None:
    one = Supervised(2, clock)
    run = asyncio.ensure_future(one.supervisor.supervise(1, Path()))
    await settled()
    first, second = one.running
    first.ready.set_result("")
    first.exited.set_result(3)
    await settled()
    assert second.signals == [signal.SIGTERM]
    second.exit()
    await run
    assert (one.supervisor._status, one.urls) == (3, [])


async def test_reload_replaces_the_workers_one_by_one(clock: SimpleNamespace) -> None:
    async with supervised(2, clock) as one:
        old = one.running
        await one.reload()
        for _ in old:
            assert len(one.running) == 3
            await one.running[-1].report_ready()
        assert len(one.running) == 2
        assert not {*old} & {*one.running}


@pytest.mark.parametrize("dying", range(4))
@pytest.mark.parametrize("replaced", range(3))
async def test_worker_that_exits_during_a_reload_is_replaced_once(
    clock: SimpleNamespace, replaced: int, dying: int
) -> None:
    async with supervised(3, clock) as one:
        old = one.running
        await one.reload()
        for _ in range(replaced):
            await one.running[-1].report_ready()
        await one.exit(one.running[dying])
        await one.advance()
        while starting := [worker for worker in one.running if not worker.is_ready]:
            await starting[0].report_ready()
            await one.advance()
        assert len(one.running) == 3
        assert not {*old} & {*one.running}


async def test_reload_while_all_workers_wait_for_their_restart_adds_none(clock: SimpleNamespace) -> None:
    async with supervised(2, clock) as one:
        await one.exit(*one.running)
        await one.reload()
        await one.advance()
        while starting := [worker for worker in one.running if not worker.is_ready]:
            await starting[0].report_ready()
        assert len(one.running) == 2
