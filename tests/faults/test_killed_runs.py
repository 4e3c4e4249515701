"""`kill -9` at random moments during runs: each ends once, with the rows, counts and messages of a run that is not interrupted."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bellcast.kernel.jobs.runner import MAX_CRASHES
from tests.faults import run_load
from tests.servers import START_TIMEOUT, child_processes, wait_until_ended

RUNS = 60
KILLS = 2
# On a loaded machine a start takes longer than a kill waits: a job that every kill interrupts must not look like one
# that crashes its process.
MOST_KILLS = MAX_CRASHES - 1


@pytest.mark.thorough
@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgres", marks=pytest.mark.thorough)])
def test_runs_of_killed_processes_end_once(tmp_path: Path, engine: str) -> None:
    figures = run_load.check(tmp_path, engine, RUNS, KILLS, MOST_KILLS)
    assert figures.kills >= KILLS
    # A kill repeats at most the calls that its process had begun.
    assert figures.repeated_mails + figures.repeated_hooks <= figures.interrupted


def has_runs(folder: Path) -> bool:
    """True once the server has accepted a trigger."""
    for file in folder.rglob("bellcast.db"):
        with contextlib.closing(sqlite3.connect(file)) as store, contextlib.suppress(sqlite3.OperationalError):
            return store.execute("SELECT 1 FROM runs").fetchone() is not None
    return False


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.thorough
def test_interrupted_load_leaves_no_processes(tmp_path: Path, how: signal.Signals) -> None:
    command = [sys.executable, "-m", "tests.faults.run_load", "sqlite", "10000"]
    with subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)}, stderr=subprocess.DEVNULL) as load:
        deadline = time.monotonic() + START_TIMEOUT
        while not has_runs(tmp_path):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        children = child_processes(load.pid)
        assert children
        load.send_signal(how)
        assert load.wait(START_TIMEOUT) != 0
    for child in children:
        wait_until_ended(child)
