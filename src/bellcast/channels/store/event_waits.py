"""Waking of workflow runs by events."""

from collections.abc import Sequence

from bellcast.kernel.db import columns
from bellcast.kernel.db.script import Script, Statement


def wake(runs: Sequence[str]) -> Script[None]:
    """Record an event for each of these runs, and make waiting ones due."""
    if not runs:
        return
    for id, state in (yield Statement("runs_wake", {"ids": columns.to_json(runs)})):
        if state == "waiting":
            yield Statement("run_job_wake", {"run": id})
