"""The tests run in several processes as in one: the same outcomes, fixtures and reports."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FIRST = """
import os, atexit, pytest

@pytest.fixture(scope="session")
def process(tmp_path_factory):
    yield os.getpid()
    print("ended the session's fixture")

def test_good(process):
    assert process != os.getppid()

def test_bad(process):
    print("text of the bad test")
    assert process == 0

@pytest.mark.skip(reason="skipped here")
def test_skipped():
    raise AssertionError
"""
SECOND = """
def test_one():
    pass
"""
ENDING = """
import os

def test_before():
    pass

def test_ending():
    os._exit(7)
"""


def run(folder: Path, *flags: str, **files: str) -> tuple[int, str]:
    """Run these files in two processes; return the exit status and the output."""
    for name, code in files.items():
        (folder / f"test_{name}.py").write_text(code)
    plugins = ["-p", "tests.processes", "-p", "no:cacheprovider", f"--rootdir={folder}", "-c", os.devnull]
    environ = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", *plugins, "--processes", "2", "-rs", *flags, str(folder)]
    ran = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=200)
    return ran.returncode, ran.stdout + ran.stderr


def test_outcomes_of_all_processes_are_reported(tmp_path: Path) -> None:
    status, output = run(tmp_path, first=FIRST, second=SECOND)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "1 failed, 2 passed, 1 skipped" in output
    assert "text of the bad test" in output
    assert "skipped here" in output
    assert re.search(r"test_first.py \.Fs .*\n.*test_second.py \.", output) or re.search(
        r"test_second.py \. .*\n.*test_first.py \.Fs", output
    )


def test_end_of_a_process_within_a_test_fails_the_run(tmp_path: Path) -> None:
    status, output = run(tmp_path, ending=ENDING)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "a process ended with status 7 while it ran" in output
    assert "::test_ending" in output
    assert "1 passed" in output


def test_run_stops_after_the_permitted_failures(tmp_path: Path) -> None:
    status, output = run(tmp_path, "--exitfirst", first=FIRST)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "1 failed, 1 passed" in output
    assert "skipped" not in output.splitlines()[-2]
