"""Events that runs of workflows may wait for."""

from collections.abc import Sequence

from bellcast.storage import rows
from bellcast.storage.script import Script, Statement


def wake(runs: Sequence[str]) -> Script[None]:
    """Record an event that each of these runs may wait for, and make those due that wait."""
    if not runs:
        return
    for id, state in (yield Statement("runs_wake", {"ids": rows.to_json(runs)})):
        if state == "waiting":
            yield Statement("run_job_wake", {"run": id})
