"""Runs the command line in a real process, like a user or a script."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple

from tests import forked_commands

TIMEOUT = 60  # seconds; a loaded machine needs three
ESCAPE = "\x1b["


class Finished(NamedTuple):
    """The result of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def environ(**variables: str) -> dict[str, str]:
    """Return this process's environment with the given Bellcast settings only."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("BELLCAST_", "NO_COLOR"))}
    return inherited | {"TERM": "xterm-256color"} | variables


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "bellcast", *map(str, args)]


def bellcast(*args: object, stdin: str = "", **variables: str) -> Finished:
    """Run a command to its end; keywords are environment variables."""
    with TemporaryFile("w+") as given, TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        given.write(stdin)
        given.seek(0)
        process = forked_commands.start([str(arg) for arg in args], environ(**variables), given, out, err)
        try:
            status = process.wait(TIMEOUT)
        finally:
            process.kill()
        out.seek(0)
        err.seek(0)
        return Finished(status, out.read(), err.read())


class Running(NamedTuple):
    """A forked command that runs. It has the part of `subprocess.Popen` that the tests use."""

    process: forked_commands.Forked
    stdout: IO[str]
    errors: IO[str]

    @property
    def returncode(self) -> int | None:
        return self.process.poll()

    def send_signal(self, number: int) -> None:
        self.process.send_signal(number)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Return the remaining output, and all errors, at its end."""
        output = self.stdout.read()
        self.process.wait(timeout)
        self.errors.seek(0)
        return output, self.errors.read()


@contextmanager
def running(*args: object, **variables: str) -> Iterator[Running]:
    """Run a command until the block ends."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as output, TemporaryFile("w+") as errors, TemporaryFile("w+") as empty:
        with os.fdopen(writing, "w") as writer:
            process = forked_commands.start(list(map(str, args)), environ(**variables), empty, writer, errors)
        try:
            yield Running(process, output, errors)
        finally:
            process.kill()
            process.wait(TIMEOUT)


@contextmanager
def started(*args: object, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command until the block ends, started as a user does: half a second of CPU time for a server."""
    process = subprocess.Popen(
        command(*args), env=environ(**variables), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def lines(process: Running | subprocess.Popen[str]) -> Iterator[str]:
    """Yield the lines of a running command's output."""
    assert process.stdout is not None
    yield from (line.rstrip("\n") for line in process.stdout)


def end(process: Running | subprocess.Popen[str], how: signal.Signals) -> Finished:
    """Send a signal, wait for the exit, and return the remaining output."""
    process.send_signal(how)
    out, err = process.communicate(timeout=TIMEOUT)
    return Finished(process.returncode, out, err)


class Terminal:
    """A command at a terminal of 100 columns, which enables colours and live updates."""

    def __init__(self, *args: object, **variables: str) -> None:
        self.text = ""
        self._fd, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.process = subprocess.Popen(
            command(*args), env=environ(**variables), stdin=side, stdout=side, stderr=side, start_new_session=True
        )
        os.close(side)

    def read_until(self, pattern: str) -> re.Match[str]:
        """Wait until the output matches the pattern."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            if match := re.search(pattern, self.text):
                return match
            if not self._read_more(deadline - time.monotonic()):
                break
        raise AssertionError(f"{pattern!r} did not appear in {self.text!r}")

    def wait(self) -> int:
        """Read to the end, and return the exit status."""
        while self._read_more(TIMEOUT):
            pass
        return self.process.wait(TIMEOUT)

    def _read_more(self, timeout: float) -> bool:
        if not select.select([self._fd], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # the read error of a closed terminal
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._fd)
