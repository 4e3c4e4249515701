"""Runs the test files in several processes: `pytest --processes 4`.

The processes are forked after the collection, which takes 17 s of processor time and 700 MB for 13,000 tests; those of
pytest-xdist would each collect them again. A process runs whole files, one after another, so that the tests of a file share
their fixtures. The parent reports the tests of a file when its last has ended, as if one process ran them all.
"""

import atexit
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from itertools import groupby, pairwise
from multiprocessing import Pipe, connection, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

END_OF_FILE = "end of file"
_forking = get_context("fork")
Events = list[tuple[str, Any]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--processes", type=int, default=0, help="run the test files in this many processes")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the tests in the requested number of processes."""
    config = session.config
    if not config.getoption("--processes") or config.option.collectonly or session.testsfailed or not session.items:
        return None
    _run(session, config.getoption("--processes"))
    return True


def _run(session: pytest.Session, processes: int) -> None:
    files = [list(tests) for _, tests in groupby(session.items, lambda item: item.path)]
    session.config._tmp_path_factory.getbasetemp()  # one for all processes, which the parent removes
    taken = _forking.Value("i", 0)

    def next_file() -> list[pytest.Item]:
        with taken.get_lock():
            number, taken.value = taken.value, taken.value + 1
        return files[number] if number < len(files) else []

    unreported: dict[connection.Connection, Events] = {}
    started: dict[connection.Connection, BaseProcess] = {}
    for _ in range(min(processes, len(files))):
        events, sent = Pipe(duplex=False)
        process = _forking.Process(target=_run_files, args=(session, next_file, sent))
        process.start()
        sent.close()  # so that the end of the process ends the events
        unreported[events], started[events] = [], process
    try:
        while started:
            for events in connection.wait(list(started)):
                try:
                    _receive(session, events, unreported[events])
                except EOFError:
                    _check_end(session, started.pop(events), unreported[events])
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
    finally:
        for process in started.values():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGINT)
            process.join()


def _receive(session: pytest.Session, events: connection.Connection, unreported: Events) -> None:
    """Receive the next event, and report the events of a file that has ended."""
    event = events.recv()
    if event != END_OF_FILE:
        unreported.append(event)
        return
    _report(session, unreported)


def _report(session: pytest.Session, unreported: Events) -> None:
    hook = session.config.hook
    for name, content in unreported:
        if name == "report":
            report = hook.pytest_report_from_serializable(config=session.config, data=content)
            hook.pytest_runtest_logreport(report=report)
        else:
            getattr(hook, name)(nodeid=content[0], location=content[1])
    unreported.clear()


def _check_end(session: pytest.Session, process: BaseProcess, unreported: Events) -> None:
    """Report a process that ended within a file, as one does whose test ends Python."""
    process.join()
    if process.exitcode == 0 and not unreported:
        return
    test = next((content[0] for name, content in reversed(unreported) if name == "pytest_runtest_logstart"), "no test")
    _report(session, unreported)
    session.shouldfail = session.shouldfail or f"a process ended with status {process.exitcode} while it ran {test}"


def _run_files(
    session: pytest.Session, next_file: Callable[[], list[pytest.Item]], events: connection.Connection
) -> None:
    """Run files until none is left. A file is taken before the last test of the one before has ended: fixtures of the
    session end when no test follows."""
    atexit._clear()  # what the parent started is the parent's to end
    plugins = session.config.pluginmanager
    capture = plugins.getplugin("capturemanager")
    capture.stop_global_capturing()  # its files would be those of all processes
    capture.start_global_capturing()
    capture.suspend_global_capture()
    with Path(os.devnull).open("w") as nowhere:
        plugins.unregister(name="terminalreporter")
        plugins.register(reporter := pytest.TerminalReporter(session.config, nowhere), "terminalreporter")
        reporter.pytest_sessionstart(session)
        plugins.register(_Sender(session.config, events))
        try:
            tests = next_file()
            while tests:
                for test, following in pairwise(tests):
                    _run_test(session, test, following)
                last, tests = tests[-1], next_file()
                _run_test(session, last, tests[0] if tests else None)
                events.send(END_OF_FILE)
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent repeats the one of a terminal
            session._setupstate.teardown_exact(None)
            atexit._run_exitfuncs()  # ends engines and browsers; a process of multiprocessing does not


def _run_test(session: pytest.Session, test: pytest.Item, following: pytest.Item | None) -> None:
    test.config.hook.pytest_runtest_protocol(item=test, nextitem=following)
    if stop := session.shouldfail or session.shouldstop:
        raise SystemExit(f"pytest stops: {stop}")


class _Sender:
    """Sends what is reported about tests to the parent."""

    def __init__(self, config: pytest.Config, events: connection.Connection) -> None:
        self._config = config
        self._events = events

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        self._events.send(("pytest_runtest_logstart", (nodeid, location)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._events.send(("report", data))

    def pytest_runtest_logfinish(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        self._events.send(("pytest_runtest_logfinish", (nodeid, location)))
