"""CPU and memory of a server include its threads and children, and its process exits with the block."""

import sys

import pytest
from benchmarks.epoll_loop import Deadline, pause
from benchmarks.processes import TICKS_PER_SECOND, Cpu, DiedError, Process, cpu_of, free_port, process_tree, pss_of

BURN = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"
WAIT = "import sys, time\nprint('up', flush=True)\ntime.sleep(60)\n"
PARENT = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN + WAIT!r}])\n"


def wait_for_output(text, log):
    deadline = Deadline(60)
    while text not in log.read_text():
        deadline.check()
        pause(0.01)


def test_process_name_with_spaces_and_brackets_does_not_shift_the_fields():
    stat = "7 (a ) b) S " + " ".join(str(number) for number in range(4, 53))
    assert cpu_of(stat) == Cpu((14 + 16) / TICKS_PER_SECOND, (15 + 17) / TICKS_PER_SECOND)


def test_memory_is_the_proportional_share():
    assert pss_of("00400000-7fff rollup\nRss:  900 kB\nPss:  12 kB\nPss_Dirty: 3 kB\n") == 12 * 1024


def test_cpu_time_of_a_running_child_is_counted(tmp_path):
    with Process("parent", [sys.executable, "-c", PARENT], tmp_path / "log") as process:
        wait_for_output("up", tmp_path / "log")
        # Both times are truncated to whole ticks.
        assert process.cpu().total >= 0.25
        assert len(process_tree(process.pid)) == 2
        assert process.memory() > 1_000_000


def test_cpu_time_of_an_ended_child_is_counted(tmp_path):
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}])\n{WAIT}"
    with Process("parent", [sys.executable, "-c", parent], tmp_path / "log") as process:
        process.wait_until_logged("up", Deadline(60))
        assert len(process_tree(process.pid)) == 1
        assert process.cpu().total >= 0.25


def test_process_ends_with_its_block(tmp_path):
    with Process("sleeper", [sys.executable, "-c", WAIT], tmp_path / "log") as process:
        wait_for_output("up", tmp_path / "log")
    with pytest.raises(DiedError):
        process.check_alive()


def test_server_that_dies_at_start_is_reported_with_its_output(tmp_path):
    with (
        Process("broken", [sys.executable, "-c", "raise SystemExit('no such option')"], tmp_path / "log") as process,
        pytest.raises(DiedError, match="no such option"),
    ):
        process.wait_for(("127.0.0.1", free_port()), Deadline(60))
