"""Checks of `bellcast doctor`: do proxies keep idle connections open until the server's heartbeat?"""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpcore
import httpx

from bellcast.cli import sse_follower
from bellcast.console.types import diagnoses
from bellcast.console.types.diagnoses import Finding

# Tolerated delay of a heartbeat in seconds.
LATE_S = 10.0
LOCAL = ("localhost", "127.0.0.1", "::1")
HEARTBEAT = b'"type":"heartbeat"'

Hold = Callable[[httpx.Client, str, float], float | None]


def is_direct(url: str, response: httpx.Response) -> bool:
    """True if there seems to be no proxy: the server is local, and the response has no header of a proxy."""
    return urlsplit(url).hostname in LOCAL and not {"server", "via"} & set(response.headers)


def check(url: str, token: str, transports: Mapping[str, Hold], heartbeat: float) -> Iterator[Finding]:
    """Keep a connection of each transport open until its first heartbeat, concurrently."""
    timeout = heartbeat + LATE_S
    with (
        ThreadPoolExecutor(len(transports) or 1) as threads,
        httpx.Client(base_url=url, timeout=httpx.Timeout(10, read=timeout)) as http,
    ):
        futures = {name: threads.submit(hold, http, token, timeout) for name, hold in transports.items()}
        closed = {name: after for name, future in futures.items() if (after := future.result()) is not None}
    if closed:
        connections = " and ".join(f"{name} after {after:.1f} s" for name, after in closed.items())
        yield diagnoses.finding("idle_closed", connections=connections)
    elif transports:
        yield Finding("idle", "ok", f"{' and '.join(transports)} stay open until the server's heartbeat")


def event_stream(http: httpx.Client, token: str, timeout: float) -> float | None:
    """Return the event stream's lifetime in seconds if it ends before the first heartbeat."""
    started = time.monotonic()
    try:
        with http.stream("GET", "/v1/stream", headers={"Authorization": f"Bearer {token}"}) as response:
            if any(frame.name == "heartbeat" for frame in sse_follower.frames(response.iter_raw())):
                return None
    except httpx.TransportError:
        pass
    return time.monotonic() - started


def websocket(http: httpx.Client, token: str, timeout: float) -> float | None:
    """Like `event_stream`, over a WebSocket. Searches the raw bytes instead of parsing frames."""
    started = time.monotonic()
    received = b""
    try:
        with http.stream("GET", "/v1/ws", headers=sse_follower.upgrade(token)) as response:
            network = response.extensions["network_stream"]
            while HEARTBEAT not in received and (data := network.read(65_536, timeout=timeout)):
                received += data
    except (httpx.TransportError, httpcore.NetworkError, httpcore.TimeoutException):
        pass
    return None if HEARTBEAT in received else time.monotonic() - started
