"""Servers as processes: started, looked at through /proc, and ended by their own id."""

import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from bellcast.bench.reactor import Deadline, pause

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

# A server that has not drained by then is killed; nothing is measured any more.
PATIENCE_S = 20


class DiedError(Exception):
    """A server ended although nobody told it to."""


class Cpu(NamedTuple):
    """Seconds of processor time, of all threads of all processes of a server."""

    user: float
    system: float

    @property
    def total(self) -> float:
        return self.user + self.system

    def since(self, earlier: "Cpu") -> "Cpu":
        return Cpu(self.user - earlier.user, self.system - earlier.system)


class Process:
    """A running server and its children."""

    def __init__(self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._log = log
        with log.open("wb") as out:
            self._popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def wait_for(self, address: tuple[str, int], deadline: Deadline) -> None:
        """Until it accepts connections there."""
        while not _accepts(address):
            self.must_live()
            deadline.check()
            pause(0.05)

    def must_live(self) -> None:
        if self._popen.poll() is not None:
            raise DiedError(f"{self.name} ended with code {self._popen.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def cpu(self) -> Cpu:
        used = [cpu_of(Path(f"/proc/{pid}/stat").read_text()) for pid in family(self.pid)]
        return Cpu(sum(cpu.user for cpu in used), sum(cpu.system for cpu in used))

    def memory(self) -> int:
        """Bytes: the proportional share, so that pages of several processes count once."""
        return sum(pss_of(Path(f"/proc/{pid}/smaps_rollup").read_text()) for pid in family(self.pid))

    def end(self) -> None:
        self._popen.terminate()
        try:
            self._popen.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def cpu_of(stat: str) -> Cpu:
    """Fields 14 and 15 of /proc/pid/stat, which cover all threads; the name before them may hold spaces."""
    fields = stat.rpartition(")")[2].split()
    return Cpu(int(fields[11]) / TICKS_PER_SECOND, int(fields[12]) / TICKS_PER_SECOND)


def pss_of(rollup: str) -> int:
    line = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) * 1024


def family(pid: int) -> list[int]:
    """A process and all that came from it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
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
