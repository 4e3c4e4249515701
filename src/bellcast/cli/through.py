"""What `bellcast doctor` sees through the server's URL, as a browser would: proxies in between included."""

import base64
import secrets
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import httpx

from bellcast import __version__
from bellcast.cli import asking, stream
from bellcast.cli.findings import Finding
from bellcast.cli.screen import Stop
from bellcast.client import Bellcast
from bellcast.settings import Settings

TIMEOUT = httpx.Timeout(3)
# A stream that nobody buffers begins within milliseconds.
SLOW_S = 1.0
# Two clocks may differ by 2 s before session tokens fail; HTTP dates are whole seconds.
SKEW_S = 3
# Somebody who exists only while the doctor looks.
PATIENT = "bellcast-doctor"


def server(settings: Settings) -> Iterator[Finding]:
    """Everything that needs the server."""
    url = settings.client.url
    with httpx.Client(base_url=url, timeout=TIMEOUT) as http:
        try:
            yield from _health(http, url)
        except httpx.TransportError as error:
            fix = "start `bellcast serve`, or name the server with --url; --local looks at this machine only"
            yield Finding("server", "problem", f"{url} cannot be reached ({error})", fix)
            return
        try:
            with asking.server(settings) as bell:
                yield from _live(bell, http)
        except Stop as stop:
            yield Finding("live path", "warning", f"not tried: {stop.wrong}", stop.todo)


def _health(http: httpx.Client, url: str) -> Iterator[Finding]:
    answer = http.get("/readyz")
    said = answer.json() if answer.headers.get("content-type", "").endswith("json") else {}
    if answer.status_code != 200 or "version" not in said:
        what = f"{url} is not ready: {said.get('detail') or answer.status_code}"
        yield Finding("server", "problem", what, "read the server's log; is --url right?")
    elif said["version"] != __version__:
        what = f"{url} runs {said['version']}, this is {__version__}"
        yield Finding("server", "warning", what, "use the same version on both sides")
    else:
        yield Finding("server", "ok", f"{url} is ready, version {said['version']}")
    yield from _skew(answer)


def _skew(answer: httpx.Response) -> Iterator[Finding]:
    if "date" not in answer.headers:
        return
    skew = time.time() - parsedate_to_datetime(answer.headers["date"]).timestamp()  # noqa: TID251  of this machine
    if abs(skew) > SKEW_S:
        yield Finding("server's clock", "problem", f"{abs(skew):.0f} s from this one", "set both, best by NTP")


def _live(bell: Bellcast, http: httpx.Client) -> Iterator[Finding]:
    token = bell.token(PATIENT, ttl=60)
    try:
        yield _sse(http, token)
        yield _websocket(http, token)
    finally:
        bell.recipients.delete(PATIENT)


def _sse(http: httpx.Client, token: str) -> Finding:
    fix = "in your proxy, turn buffering off for /v1/stream (nginx: proxy_buffering off) and allow long answers"
    began = time.monotonic()
    try:
        with http.stream("GET", "/v1/stream", headers={"Authorization": f"Bearer {token}"}) as answer:
            if answer.status_code != 200:
                return Finding("SSE", "problem", f"/v1/stream answers {answer.status_code}", "is --url right?")
            next(stream.frames(answer.iter_raw()))
    except (httpx.TransportError, StopIteration):
        return Finding("SSE", "problem", f"nothing arrives within {TIMEOUT.read:.0f} s", fix)
    delay = time.monotonic() - began
    if delay > SLOW_S:
        return Finding("SSE", "problem", f"the first event takes {delay:.1f} s", fix)
    return Finding("SSE", "ok", f"the first event arrives after {delay * 1000:.0f} ms")


def _websocket(http: httpx.Client, token: str) -> Finding:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
        "Authorization": f"Bearer {token}",
    }
    try:
        with http.stream("GET", "/v1/ws", headers=headers) as answer:
            status = answer.status_code
    except httpx.TransportError as error:
        return Finding("WebSocket", "problem", f"the upgrade fails ({error})", "let your proxy pass upgrades")
    if status == 101:
        return Finding("WebSocket", "ok", "the upgrade passes")
    fix = "let your proxy pass `Upgrade` and `Connection` on with HTTP/1.1; clients fall back to SSE meanwhile"
    return Finding("WebSocket", "problem", f"the upgrade is answered {status}", fix)
