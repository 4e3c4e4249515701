"""What `bellcast doctor` sees through the server's URL, as a browser would: proxies in between included."""

import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime

import httpx

from bellcast import __version__
from bellcast import settings as effective
from bellcast.cli import idle_checks, proxy_checks, remote, sse_follower
from bellcast.cli.console import CommandError
from bellcast.cli.findings import Finding
from bellcast.client import Bellcast
from bellcast.settings import Settings

TIMEOUT = httpx.Timeout(3)
# A stream that nobody buffers begins within milliseconds.
SLOW_S = 1.0
# Two clocks may differ by 2 s before session tokens fail; HTTP dates are whole seconds.
SKEW_S = 3
# Somebody who exists only while the doctor looks.
PATIENT = "bellcast-doctor"


def server(settings: Settings, *, quick: bool, progress: Callable[[str], None]) -> Iterator[Finding]:
    """Everything that needs the server. `quick` waits for no heartbeat. `progress` is called with what comes next."""
    url = effective.url(settings)
    progress(f"Checking {url}")
    with httpx.Client(base_url=url, timeout=TIMEOUT) as http:
        try:
            answer = http.get("/readyz")
            yield from _health(answer, url)
        except httpx.TransportError as error:
            fix = "start `bellcast serve`, or name the server with --url; --local looks at this machine only"
            yield Finding("server", "problem", f"{url} cannot be reached ({error})", fix)
            return
        try:
            with remote.server(settings) as bell:
                patient = not quick and not idle_checks.is_direct(url, answer)
                yield from _live(bell, http, settings, progress, patient=patient)
        except CommandError as stop:
            yield Finding("live path", "warning", f"not tried: {stop.problem}", stop.hint)


def _health(answer: httpx.Response, url: str) -> Iterator[Finding]:
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


def _live(
    bell: Bellcast, http: httpx.Client, settings: Settings, progress: Callable[[str], None], *, patient: bool
) -> Iterator[Finding]:
    bell.recipients.list(limit=1)  # the token is signed here: only a request shows whether the secret is the server's
    token = bell.token(PATIENT, ttl=300)
    try:
        events, heartbeat = _sse(http, token)
        found = [(events, idle_checks.event_stream), (_websocket(http, token), idle_checks.websocket)]
        yield from (finding for finding, _ in found)
        yield from proxy_checks.examined(settings, http, token, remote.credentials(settings).secret)
        if patient:
            progress(f"Waiting up to {heartbeat + idle_checks.LATE_S:.0f} s for a heartbeat; --quick skips this")
            ways = {finding.check: hold for finding, hold in found if finding.state == "ok"}
            yield from idle_checks.outlived(effective.url(settings), token, ways, heartbeat)
    finally:
        bell.recipients.delete(PATIENT)


def _sse(http: httpx.Client, token: str) -> tuple[Finding, float]:
    """How the event stream is, and how long the server is silent at most, seconds."""
    fix = "in your proxy, turn buffering off for /v1/stream (nginx: proxy_buffering off) and allow long answers"
    began = time.monotonic()
    try:
        with http.stream("GET", "/v1/stream", headers={"Authorization": f"Bearer {token}"}) as answer:
            if answer.status_code != 200:
                return Finding("SSE", "problem", f"/v1/stream answers {answer.status_code}", "is --url right?"), 0
            ready = next(sse_follower.frames(answer.iter_raw()))
    except (httpx.TransportError, StopIteration):
        return Finding("SSE", "problem", f"nothing arrives within {TIMEOUT.read:.0f} s", fix), 0
    delay = time.monotonic() - began
    if delay > SLOW_S:
        return Finding("SSE", "problem", f"the first event takes {delay:.1f} s", fix), 0
    return Finding("SSE", "ok", f"the first event arrives after {delay * 1000:.0f} ms"), ready.fields["heartbeat"]


def _websocket(http: httpx.Client, token: str) -> Finding:
    try:
        with http.stream("GET", "/v1/ws", headers=sse_follower.upgrade(token)) as answer:
            status = answer.status_code
    except httpx.TransportError as error:
        return Finding("WebSocket", "problem", f"the upgrade fails ({error})", "let your proxy pass upgrades")
    if status == 101:
        return Finding("WebSocket", "ok", "the upgrade passes")
    fix = "let your proxy pass `Upgrade` and `Connection` on with HTTP/1.1; clients fall back to SSE meanwhile"
    return Finding("WebSocket", "problem", f"the upgrade is answered {status}", fix)
