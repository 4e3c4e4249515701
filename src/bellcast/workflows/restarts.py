"""Retries of failed runs."""

import msgspec

from bellcast.workflows.types import runs
from bellcast.workflows.types.runs import StoredRun


def restarted(run: StoredRun) -> StoredRun:
    """Return the failed run, ready to continue from the step that failed."""
    state = runs.decode(run.body).retried()
    return msgspec.structs.replace(
        run, state=state.status, reason=None, ended_at=None, wakes_at=None, body=runs.encode(state)
    )
