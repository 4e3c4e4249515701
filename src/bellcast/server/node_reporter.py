"""Measures this process for the heartbeats of its node."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

from bellcast import build
from bellcast.kernel.clock import Clock
from bellcast.live.types.nodes import NodeReport, NodeRole

# Minimum window of a CPU share. In a shorter one, the request for the report would dominate.
MIN_WINDOW_SECONDS = 1.0
# Resident pages are the second number in the file (proc(5)).
MEMORY_FILE = Path("/proc/self/statm")


class NodeReporter:
    """Creates reports about this process. `connections`, `queue_age` and `settings_revision` read the current values. A
    report takes 25 µs."""

    def __init__(
        self,
        clock: Clock,
        connections: Callable[[], int],
        queue_age: Callable[[], int | None],
        settings_revision: Callable[[], int],
        *,
        runs_jobs: bool,
        schema_version: int,
    ) -> None:
        self.role: NodeRole = "server"
        self._connections = connections
        self._queue_age = queue_age
        self._settings_revision = settings_revision
        self._runs_jobs = runs_jobs
        self._version, self._schema_version = build.version(), schema_version
        self._started_at = clock.now()
        self._measured_at = time.monotonic()
        self._cpu_seconds = time.process_time()
        self._cpu = 0.0

    def report(self) -> NodeReport:
        return NodeReport(
            version=self._version,
            commit=build.commit(),
            role=self.role,
            host=platform.node(),
            pid=os.getpid(),
            runs_jobs=self._runs_jobs,
            started_at=self._started_at,
            connections=self._connections(),
            cpu=self._cpu_share(),
            memory=_resident_bytes(),
            queue_age=self._queue_age(),
            settings_revision=self._settings_revision(),
            schema_version=self._schema_version,
        )

    def _cpu_share(self) -> float:
        """Return the share of one core since the previous report, which is at least MIN_WINDOW_SECONDS old."""
        now, used = time.monotonic(), time.process_time()
        window = now - self._measured_at
        if window >= MIN_WINDOW_SECONDS:
            self._cpu = round((used - self._cpu_seconds) / window, 3)
            self._measured_at, self._cpu_seconds = now, used
        return self._cpu


def _resident_bytes() -> int | None:
    try:
        pages = int(MEMORY_FILE.read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
