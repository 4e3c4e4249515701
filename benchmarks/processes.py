"""Server processes: started, measured through /proc, and stopped by pid."""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from benchmarks.epoll_loop import Deadline, pause

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

# Seconds until a server that has not drained is killed.
STOP_TIMEOUT_S = 20


class DiedError(Exception):
    """A server exited unexpectedly."""


class Cpu(NamedTuple):
    """Seconds of CPU time of all threads and processes of a server, exited ones included."""

    user: float
    system: float

    @property
    def total(self) -> float:
        return self.user + self.system

    def since(self, earlier: "Cpu") -> "Cpu":
        return Cpu(self.user - earlier.user, self.system - earlier.system)


def sum_cpu(used: Iterable[Cpu]) -> Cpu:
    parts = list(used)
    return Cpu(sum(cpu.user for cpu in parts), sum(cpu.system for cpu in parts))


# CPU time by component.
Used = Mapping[str, Cpu]


def cpu_per_item(before: Used, after: Used, number: int) -> dict[str, float]:
    """Microseconds of CPU per item between two measurements, as details of a figure."""
    return {f"{name}_cpu_us": 1e6 * after[name].since(before[name]).total / number for name in after}


class Process:
    """A running server and its children. It runs as `owner` (uid and gid) if set, and stops on `stop_signal`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        *,
        owner: tuple[int, int] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self._log = log
        self._stop_signal = stop_signal
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
        """Wait until the process accepts connections at the address."""
        self.wait_until(lambda: _accepts(address), deadline)

    def wait_until_logged(self, words: str, deadline: Deadline) -> None:
        """Wait until the log contains these words."""
        self.wait_until(lambda: words in self._log.read_text(errors="replace"), deadline)

    def wait_until(self, condition: Callable[[], bool], deadline: Deadline) -> None:
        while not condition():
            self.check_alive()
            deadline.check()
            pause(0.05)

    def check_alive(self) -> None:
        if self.has_exited:
            raise DiedError(f"{self.name} exited with code {self._popen.returncode}: {self.log_tail()}")

    def log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def cpu(self) -> Cpu:
        return sum_cpu(map(cpu_of, self._proc_files("stat")))

    def memory(self) -> int:
        """Proportional set size in bytes, so that pages shared by several processes count once."""
        return sum(map(pss_of, self._proc_files("smaps_rollup")))

    def _proc_files(self, file: str) -> Iterator[str]:
        for pid in process_tree(self.pid):
            # CPU time of an exited child is included in its parent's.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if text := Path(f"/proc/{pid}/{file}").read_text():
                    yield text

    @property
    def has_exited(self) -> bool:
        return self._popen.poll() is not None

    def kill(self) -> None:
        """Kill the process without cleanup."""
        self._popen.kill()
        self._popen.wait()

    def end(self) -> None:
        if not self.has_exited:
            self._popen.send_signal(self._stop_signal)
        try:
            self._popen.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def cpu_of(stat: str) -> Cpu:
    """Parse fields 14 and 15 of /proc/pid/stat (all threads) and 16 and 17 (exited children). The process name before
    them may contain spaces."""
    user, system, ended_user, ended_system = map(int, stat.rpartition(")")[2].split()[11:15])
    return Cpu((user + ended_user) / TICKS_PER_SECOND, (system + ended_system) / TICKS_PER_SECOND)


def pss_of(rollup: str) -> int:
    line = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) * 1024


def process_tree(pid: int) -> list[int]:
    """Return the pid and the pids of all descendants."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [pid, *(member for child in children for member in process_tree(int(child)))]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _accepts(address: tuple[str, int]) -> bool:
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex(address) == 0
