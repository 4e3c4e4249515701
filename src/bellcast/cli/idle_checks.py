"""Does a live connection outlive a silence? It is held until the server's heartbeat has come through all proxies."""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpcore
import httpx

from bellcast.cli import sse_follower
from bellcast.cli.findings import Finding

# A heartbeat may be late by so much before it is missed.
LATE_S = 10.0
LOCAL = ("localhost", "127.0.0.1", "::1")
HEARTBEAT = b'"type":"heartbeat"'
FIX = (
    "let your proxy keep silent connections longer than BELLCAST_HEARTBEAT"
    " (nginx: proxy_read_timeout 60s), or make that shorter"
)

Hold = Callable[[httpx.Client, str, float], float | None]


def is_direct(url: str, answer: httpx.Response) -> bool:
    """Whether nobody seems to stand between: on this machine, and no proxy has signed the answer."""
    return urlsplit(url).hostname in LOCAL and not {"server", "via"} & set(answer.headers)


def outlived(url: str, token: str, ways: Mapping[str, Hold], heartbeat: float) -> Iterator[Finding]:
    """Hold every way open at once until its first heartbeat."""
    patience = heartbeat + LATE_S
    with (
        ThreadPoolExecutor(len(ways) or 1) as threads,
        httpx.Client(base_url=url, timeout=httpx.Timeout(10, read=patience)) as http,
    ):
        held = {name: threads.submit(hold, http, token, patience) for name, hold in ways.items()}
        cut = {name: after for name, one in held.items() if (after := one.result()) is not None}
    if cut:
        what = " and ".join(f"{name} after {after:.1f} s" for name, after in cut.items())
        yield Finding("idle", "problem", f"silent connections are cut: {what}", FIX)
    elif ways:
        yield Finding("idle", "ok", f"{' and '.join(ways)} outlive the silence up to the server's heartbeat")


def event_stream(http: httpx.Client, token: str, patience: float) -> float | None:
    """Return the event stream's lifetime in seconds if it ends before the first heartbeat."""
    began = time.monotonic()
    try:
        with http.stream("GET", "/v1/stream", headers={"Authorization": f"Bearer {token}"}) as answer:
            if any(frame.name == "heartbeat" for frame in sse_follower.frames(answer.iter_raw())):
                return None
    except httpx.TransportError:
        pass
    return time.monotonic() - began


def websocket(http: httpx.Client, token: str, patience: float) -> float | None:
    """As `event_stream`, over a WebSocket. Frames are short: looking for the words in them is enough."""
    began = time.monotonic()
    heard = b""
    try:
        with http.stream("GET", "/v1/ws", headers=sse_follower.upgrade(token)) as answer:
            network = answer.extensions["network_stream"]
            while HEARTBEAT not in heard and (more := network.read(65_536, timeout=patience)):
                heard += more
    except (httpx.TransportError, httpcore.NetworkError, httpcore.TimeoutException):
        pass
    return None if HEARTBEAT in heard else time.monotonic() - began
