"""A dialect is one folder and one line: without them, the rest starts and serves."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import bellcast

PACKAGE = Path(bellcast.__file__).parent


def without(folder: Path, dialect: str) -> Path:
    """Copy the package without the folder of a dialect and its line, and return the folder to import it from."""
    copy = folder / "bellcast"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "examples", "node_modules"))
    shutil.rmtree(copy / "live" / dialect)
    dialects = copy / "live" / "dialects.py"
    kept = [line for line in dialects.read_text().splitlines(keepends=True) if dialect not in line.lower()]
    dialects.write_text("".join(kept))
    return folder


@pytest.mark.parametrize(
    ("dialect", "path"),
    [
        ("socketio", "/socket.io/?EIO=4&transport=polling"),
        pytest.param("pusher", "/v1/pusher-apps", marks=pytest.mark.thorough),
    ],
)
def test_server_starts_without_a_dialect(tmp_path: Path, dialect: str, path: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(without(tmp_path, dialect)), "BELLCAST_PROJECT": "1:key:secret"}
    command = [sys.executable, "-m", "bellcast", "serve", "--port", "0", "--data", str(tmp_path / "data")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            ready = re.search(r"listening on (\S+)", next(line for line in server.stdout if "listening" in line))
            assert ready is not None
            with httpx.Client(base_url=ready[1], headers={"authorization": "Bearer secret"}, timeout=30) as client:
                assert client.get("/readyz").status_code == 200
                assert client.get(path).status_code == 404
                assert client.get("/openapi.json").status_code == 200
                sent = client.post("/v1/notifications", json={"to": "alice", "title": "Hello"})
                assert sent.status_code == 201
                assert dialect.upper() not in str(client.get("/v1/settings").json())
        finally:
            server.terminate()
