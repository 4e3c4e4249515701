"""A simulation ends after CPU time of its own; the work of other tasks does not count."""

import asyncio
from datetime import UTC, datetime

import pytest

from bellcast.workflows import simulation
from bellcast.workflows.simulation import MAX_CPU_SECONDS, Allowance
from bellcast.workflows.types import SimulatedStep

STEP = SimulatedStep(step="bell", type="inbox", at=datetime(2026, 1, 1, tzinfo=UTC), state="done")


class CpuTime:
    """The CPU time of a thread."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> CpuTime:
    monkeypatch.setattr(simulation, "thread_time", found := CpuTime())
    return found


@pytest.mark.parametrize(("share", "is_exceeded"), [(0.9, False), (1.1, True)])
async def test_simulation_is_charged_for_its_own_work_only(cpu: CpuTime, share: float, is_exceeded: bool) -> None:
    allowance = Allowance()

    async def work() -> str:
        for _ in range(10):
            cpu.seconds += share * MAX_CPU_SECONDS / 10
            allowance.charge(STEP)
            await asyncio.sleep(0)
        return "done"

    async def other() -> None:
        while True:
            cpu.seconds += MAX_CPU_SECONDS
            await asyncio.sleep(0)

    busy = asyncio.ensure_future(other())
    assert await allowance.suspendable(work()) == "done"
    busy.cancel()
    assert allowance.is_exceeded is is_exceeded


async def test_suspended_simulation_is_cancelled(cpu: CpuTime) -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def simulated() -> None:
        await Allowance().suspendable(work())

    task = asyncio.ensure_future(simulated())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]
