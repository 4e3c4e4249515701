"""Handlers for a server with a short limit for its end, and a store thread that breaks while the file `FAULT` says so:
it `hangs`, as on a disk that does not respond, or `fails` outside of a call."""

import os
import time
from pathlib import Path

import bellcast
from bellcast.kernel.concurrency import call_for
from bellcast.kernel.db import sqlite_connection
from bellcast.server import run

run.STOP_LIMIT_SECONDS = 1.0
fault = Path(os.environ["FAULT"])
handlers = bellcast.Handlers()


def broken_call_for(*call):
    """Call a function unless the store thread is broken."""
    match fault.read_text():
        case "hangs":
            time.sleep(3_600)
        case "fails":
            raise MemoryError
    call_for(*call)


sqlite_connection.call_for = broken_call_for
