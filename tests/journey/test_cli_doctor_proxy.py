"""`bellcast doctor` through a reverse proxy, configured well and with its defaults."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.journey.shell import TIMEOUT, bellcast
from tests.servers import free_port

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
CONFIG = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 100; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {url}; {more} }} }}
}}
"""
PASSING = (
    "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;"
)
PASSING_HOST = PASSING + "proxy_set_header Host $http_host; client_max_body_size 16m;"
# The server sends X-Accel-Buffering: no; this proxy ignores it.
BUFFERING = "proxy_ignore_headers X-Accel-Buffering;"


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def proxy(folder, url: str, directives: str) -> Iterator[str]:
    """Run an nginx in front of that server, and yield its address."""
    port = free_port()
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, port=port, url=url, more=directives))
    process = subprocess.Popen([NGINX, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"])
    try:
        deadline = time.monotonic() + TIMEOUT
        while not listens(port):
            assert process.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(TIMEOUT)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("directives", "sse", "websocket"),
    [(PASSING_HOST, "ok", "ok"), (BUFFERING, "problem", "problem")],
    ids=["well", "buffering"],
)
def test_doctor_checks_the_live_paths_through_a_proxy(start_server, tmp_path, directives, sse, websocket):
    server = start_server(BELLCAST_HEARTBEAT="1")
    with proxy(tmp_path, server.url, directives) as url:
        result = bellcast("doctor", "--url", url, "--json", BELLCAST_SECRET=server.secret)
    checks = {finding["check"]: finding for finding in result.json["findings"]}
    assert checks["server"]["state"] == "ok"
    assert (checks["SSE"]["state"], checks["WebSocket"]["state"]) == (sse, websocket)
    if sse == "problem":
        assert "proxy_buffering off" in checks["SSE"]["fix"]
        assert "Upgrade" in checks["WebSocket"]["fix"]
    assert result.status == (1 if sse == "problem" else 0)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("directives", "check", "state", "named"),
    [
        (PASSING, "own pages", "problem", "proxy_set_header Host"),
        (PASSING_HOST + "proxy_http_version 1.0;", "WebSocket", "problem", "Upgrade"),
        (PASSING_HOST.replace("16m", "100k"), "uploads", "warning", "client_max_body_size"),
        (PASSING_HOST + "proxy_read_timeout 1s;", "idle", "problem", "proxy_read_timeout"),
    ],
    ids=["no Host", "no Upgrade", "body limit", "read timeout"],
)
def test_doctor_finds_what_a_proxy_breaks(start_server, tmp_path, directives, check, state, named):
    server = start_server(BELLCAST_HEARTBEAT="3")
    directives = directives.removeprefix("proxy_http_version 1.1;") if "1.0" in directives else directives
    with proxy(tmp_path, server.url, directives) as url:
        result = bellcast("doctor", "--url", url, "--json", BELLCAST_SECRET=server.secret)
    finding = next(one for one in result.json["findings"] if one["check"] == check)
    assert (finding["state"], named in finding["fix"]) == (state, True)
