"""Events that runs of workflows may wait for."""

from bellcast.storage.script import Script, Statement


def wake(run: str) -> Script[None]:
    """Record an event that a run may wait for, and make it due if it waits."""
    for (state,) in (yield Statement("run_wake", {"run": run})):
        if state == "waiting":
            yield Statement("run_job_wake", {"run": run})
