"""Servers as processes: started, looked at through /proc, and ended by their own id."""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from bellcast.bench.epoll_loop import Deadline, pause

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

# A server that has not drained by then is killed; nothing is measured any more.
PATIENCE_S = 20


class DiedError(Exception):
    """A server ended although nobody told it to."""


class Cpu(NamedTuple):
    """Seconds of processor time, of all threads of all processes of a server, those that have ended too."""

    user: float
    system: float

    @property
    def total(self) -> float:
        return self.user + self.system

    def since(self, earlier: "Cpu") -> "Cpu":
        return Cpu(self.user - earlier.user, self.system - earlier.system)


def cpu_in_all(used: Iterable[Cpu]) -> Cpu:
    parts = list(used)
    return Cpu(sum(cpu.user for cpu in parts), sum(cpu.system for cpu in parts))


# By what used it.
Used = Mapping[str, Cpu]


def each_used(before: Used, after: Used, number: int) -> dict[str, float]:
    """Microseconds that each of so many things took between the two, as details of a figure."""
    return {f"{name}_cpu_us": 1e6 * after[name].since(before[name]).total / number for name in after}


class Process:
    """A running server and its children. It runs as `owner` (a user's and a group's number) if one is named, and ends when
    it gets `farewell`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        *,
        owner: tuple[int, int] | None = None,
        farewell: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self._log = log
        self._farewell = farewell
        user, group = owner or (None, None)
        groups: list[int] | None = None if owner is None else []
        with log.open("wb") as out:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=env,
                user=user,
                group=group,
                extra_groups=groups,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def wait_for(self, address: tuple[str, int], deadline: Deadline) -> None:
        """Until it accepts connections there."""
        self.wait_until(lambda: _accepts(address), deadline)

    def wait_until_said(self, words: str, deadline: Deadline) -> None:
        """Until it has printed these words."""
        self.wait_until(lambda: words in self._log.read_text(errors="replace"), deadline)

    def wait_until(self, is_so: Callable[[], bool], deadline: Deadline) -> None:
        while not is_so():
            self.must_live()
            deadline.check()
            pause(0.05)

    def must_live(self) -> None:
        if self.has_ended:
            raise DiedError(f"{self.name} ended with code {self._popen.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def cpu(self) -> Cpu:
        return cpu_in_all(map(cpu_of, self._told_by_each("stat")))

    def memory(self) -> int:
        """Bytes: the proportional share, so that pages of several processes count once."""
        return sum(map(pss_of, self._told_by_each("smaps_rollup")))

    def _told_by_each(self, file: str) -> Iterator[str]:
        for pid in family(self.pid):
            # One that ended a moment ago is told of by its parent.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if text := Path(f"/proc/{pid}/{file}").read_text():
                    yield text

    @property
    def has_ended(self) -> bool:
        return self._popen.poll() is not None

    def kill(self) -> None:
        """As a power cut would end it."""
        self._popen.kill()
        self._popen.wait()

    def end(self) -> None:
        if not self.has_ended:
            self._popen.send_signal(self._farewell)
        try:
            self._popen.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def cpu_of(stat: str) -> Cpu:
    """Fields 14 and 15 of /proc/pid/stat, which cover all threads, and 16 and 17, which cover children that have ended;
    the name before them may hold spaces."""
    user, system, ended_user, ended_system = map(int, stat.rpartition(")")[2].split()[11:15])
    return Cpu((user + ended_user) / TICKS_PER_SECOND, (system + ended_system) / TICKS_PER_SECOND)


def pss_of(rollup: str) -> int:
    line = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) * 1024


def family(pid: int) -> list[int]:
    """A process and all that came from it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [pid, *(member for child in children for member in family(int(child)))]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _accepts(address: tuple[str, int]) -> bool:
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex(address) == 0
