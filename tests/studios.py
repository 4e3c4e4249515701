"""The photo studio example as a process."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers import free_port, wait_until_listening


@contextmanager
def photo_studio(bellcast: str, secret: str) -> Iterator[str]:
    """Run a studio for the duration of the block; yield its URL."""
    port = free_port()
    options = ["--bellcast", bellcast, "--secret", secret, "--port", str(port)]
    process = subprocess.Popen([sys.executable, "-m", "examples.photo_studio", *options], stderr=subprocess.DEVNULL)
    try:
        wait_until_listening(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=90)
