"""The celebrity booking example as a process, with a Bellcast server."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import ServerProcess, free_port, wait_until_listening
from tests.wire.socketio_client import installed

JWT_SECRET = "a-secret-only-the-agency-has-0123456789abcdef"


@contextmanager
def agency(data: Path) -> Iterator[tuple[str, ServerProcess]]:
    """Run the site and its server; yield the site's URL and the server."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environ = {"BELLCAST_JWT_SECRET": JWT_SECRET, "BELLCAST_HANDLER_URL": f"{url}/bellcast/calls"}
    with ServerProcess(data, environ) as server:
        options = ["--bellcast", server.url, "--secret", server.secret, "--jwt-secret", JWT_SECRET, "--port", str(port)]
        options += ["--libraries", str(installed())]
        process = subprocess.Popen(
            [sys.executable, "-m", "examples.celebrity_booking", *options], stderr=subprocess.DEVNULL
        )
        try:
            wait_until_listening(port, process)
            yield url, server
        finally:
            process.terminate()
            process.wait(timeout=90)
