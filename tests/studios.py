"""A real photo studio process for tests, ringing the bells of a real server."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.servers import free_port

STARTS_WITHIN = 90  # seconds; a loaded machine needs ten


@contextmanager
def photo_studio(bellcast: str, secret: str) -> Iterator[str]:
    """The address of a studio that runs until the end of the block."""
    port = free_port()
    options = ["--bellcast", bellcast, "--secret", secret, "--port", str(port)]
    process = subprocess.Popen([sys.executable, "-m", "examples.photo_studio", *options], stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=90)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)
    raise AssertionError("the studio did not start")
