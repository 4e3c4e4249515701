"""The tasks of the PostgreSQL writer, without a database."""

import asyncio
from typing import Any

import pytest

from bellcast.kernel.db.postgres import MAX_TASKS, PostgresWriter
from bellcast.kernel.db.script import Script, ScriptCommand
from bellcast.kernel.db.writer import QueuedCommand
from tests.clock import FakeClock

TIMEOUT = 10  # seconds


class TenantCommand(ScriptCommand[None]):
    """A small write of one tenant that shares no transaction; its batch is replaced, so it never runs."""

    def __init__(self, tenant: str) -> None:
        super().__init__(_no_script, None)
        self._tenant = tenant

    @property
    def tenant(self) -> str:
        return self._tenant


def _no_script() -> Script[None]:
    yield from ()


async def test_command_queued_while_all_tasks_end_is_run(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    """Tasks that finish in one iteration of the event loop are removed after the callers they woke have continued."""
    writer = PostgresWriter(None, clock)  # type: ignore[arg-type]  # no batch reaches the pool
    gate = asyncio.Event()

    async def settled(entries: list[QueuedCommand]) -> None:
        await gate.wait()
        for entry in entries:
            entry.settle(None)

    async def write(tenant: str, times: int) -> Any:
        for _ in range(times):
            (entry,) = writer.enqueue([TenantCommand(tenant)], tenant)
            await entry.result

    monkeypatch.setattr(writer, "_run_batch", settled)
    # The first one writes again, and no other writes after it.
    callers = [asyncio.ensure_future(write(f"t{number}", 1 if number else 2)) for number in range(MAX_TASKS)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gate.set()
    await asyncio.wait_for(asyncio.gather(*callers), TIMEOUT)
    await writer.close()
