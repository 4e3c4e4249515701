"""`python -m tests.faults.fast_time serve …`: the command line in a process whose clock runs SPEED times as fast as the system's.

All such processes show the same time, so leases, delays and retries work between them as they do in real time."""

import ctypes
import os
import signal
import time
from typing import Any

from bellcast import server
from bellcast.cli import main
from bellcast.kernel.clock import TestClock
from bellcast.server.app import App, create_app

# prctl(2): the signal that a process gets when its parent ends.
PR_SET_PDEATHSIG = 1
ORIGIN_VARIABLE, SPEED_VARIABLE = "FAST_TIME_ORIGIN", "FAST_TIME_SPEED"


class FastClock(TestClock):
    """Fast time since an origin (UTC milliseconds of the system)."""

    def __init__(self, origin: int, speed: int) -> None:
        super().__init__(origin)
        self._origin = origin
        self._speed = speed

    def now(self) -> int:
        """Return UTC milliseconds."""
        return self._origin + (time.time_ns() // 1_000_000 - self._origin) * self._speed


def create_fast_app(*args: Any, **options: Any) -> App:
    """`create_app` with fast time."""
    clock = FastClock(int(os.environ[ORIGIN_VARIABLE]), int(os.environ[SPEED_VARIABLE]))
    return create_app(*args, **{**options, "test_clock": clock})


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a killed test leaves no processes
    server.create_app = create_fast_app
    main()
