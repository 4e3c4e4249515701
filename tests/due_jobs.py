"""Runs jobs without the loop of a server, so that a test decides when."""

import asyncio

from bellcast.kernel.jobs.runner import JobRunner


async def run_due(runner: JobRunner) -> int:
    """Run due jobs to their end, up to the number of slots; return their number."""
    started = await runner._start_due()
    while runner._running:
        await asyncio.wait(runner._tasks())
    await runner._save_outcomes()
    return started
