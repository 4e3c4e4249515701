"""`kill -9` at random moments during runs: each ends once, with the rows, counts and messages of a run that is not interrupted."""

from pathlib import Path

import pytest

from bellcast.jobs.runner import MAX_CRASHES
from tests.faults import run_load

RUNS = 60
KILLS = 2
# On a loaded machine a start takes longer than a kill waits: a job that every kill interrupts must not be taken for one
# that ends its process.
MOST_KILLS = MAX_CRASHES - 1


@pytest.mark.parametrize("engine", run_load.ENGINES)
def test_runs_of_killed_processes_end_once(tmp_path: Path, engine: str) -> None:
    figures = run_load.check(tmp_path, engine, RUNS, KILLS, MOST_KILLS)
    assert figures.kills >= KILLS
    # A kill repeats at most the calls that its process had begun.
    assert figures.repeated_mails + figures.repeated_hooks <= figures.interrupted
