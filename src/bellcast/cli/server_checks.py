"""Checks of `bellcast doctor` through the server's URL, including proxies in between."""

import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime

import httpx

from bellcast import build
from bellcast import settings as effective
from bellcast.cli import idle_checks, proxy_checks, remote, sse_follower
from bellcast.cli.console import CommandError
from bellcast.client import Bellcast
from bellcast.console.types import diagnoses
from bellcast.console.types.diagnoses import Finding
from bellcast.settings import Settings

TIMEOUT = httpx.Timeout(3)
# A run inside the server takes at most 20 s.
INSIDE_TIMEOUT = 25
# Checks that only a running server can make.
INSIDE = ("nodes", "queue", "public URL", "secrets", "stored mail server", "doctor")
# Seconds. An unbuffered stream starts within milliseconds.
BUFFERED_S = 1.0
# Two clocks may differ by 2 s before session tokens fail; HTTP dates are whole seconds.
SKEW_S = 3
# A recipient that exists only during the checks.
TEST_RECIPIENT = "bellcast-doctor"


def check(settings: Settings, *, quick: bool, progress: Callable[[str], None]) -> Iterator[Finding]:
    """Run all checks of the server. `quick` skips the wait for a heartbeat. `progress` is called with each next
    step."""
    url = effective.url(settings)
    progress(f"Checking {url}")
    with httpx.Client(base_url=url, timeout=TIMEOUT) as http:
        try:
            response = http.get("/readyz")
            body = response.json() if response.headers.get("content-type", "").endswith("json") else {}
            if response.status_code != 200 or "version" not in body:
                yield diagnoses.finding("server_not_ready", url=url, reason=body.get("detail") or response.status_code)
            elif body["version"] != build.version():
                yield diagnoses.finding("other_version", url=url, version=body["version"], own=build.version())
            else:
                yield Finding("server", "ok", f"{url} is ready, version {body['version']}")
            yield from _skew(response)
        except httpx.TransportError as error:
            if (refusal := remote.certificate_refusal(error)) is not None:
                yield diagnoses.finding("certificate_refused", url=url, reason=refusal[0], fix=refusal[1])
            else:
                yield diagnoses.finding("server_unreachable", url=url, error=error)
            return
        try:
            with remote.server(settings) as client:
                waits_for_heartbeat = not quick and not idle_checks.is_direct(url, response)
                yield from _live(client, http, settings, progress, waits_for_heartbeat=waits_for_heartbeat)
        except CommandError as error:
            yield diagnoses.finding("live_not_checked", problem=error.problem, hint=error.hint)


def _skew(response: httpx.Response) -> Iterator[Finding]:
    if "date" not in response.headers:
        return
    skew = time.time() - parsedate_to_datetime(response.headers["date"]).timestamp()  # noqa: TID251  the check is about this machine's clock
    if abs(skew) > SKEW_S:
        yield diagnoses.finding("clock_differs", check="server's clock", seconds=f"{abs(skew):.0f}")


def _live(
    client: Bellcast,
    http: httpx.Client,
    settings: Settings,
    progress: Callable[[str], None],
    *,
    waits_for_heartbeat: bool,
) -> Iterator[Finding]:
    client.recipients.list(limit=1)  # checks the secret: the token below is signed without the server
    yield from _inside(http, settings)
    token = client.token(TEST_RECIPIENT, ttl=300)
    try:
        events, heartbeat = _sse(http, token)
        connections = [(events, idle_checks.event_stream), (_websocket(http, token), idle_checks.websocket)]
        yield from (finding for finding, _ in connections)
        yield from proxy_checks.check(settings, http, token, remote.credentials(settings).secret)
        if waits_for_heartbeat:
            progress(f"Waiting up to {heartbeat + idle_checks.LATE_S:.0f} s for a heartbeat; --quick skips this")
            transports = {finding.check: hold for finding, hold in connections if finding.state == "ok"}
            yield from idle_checks.check(effective.url(settings), token, transports, heartbeat)
    finally:
        client.recipients.delete(TEST_RECIPIENT)


def _inside(http: httpx.Client, settings: Settings) -> Iterator[Finding]:
    """Yield the findings that only a running server has, and its mail servers if this shell names none."""
    headers = {"Authorization": f"Bearer {remote.credentials(settings).secret}", "Accept": "application/json"}
    checks = INSIDE if settings.channels.email else (*INSIDE, "mail server")
    try:
        response = http.post("/v1/doctor", headers=headers, timeout=INSIDE_TIMEOUT)
    except httpx.TransportError as error:
        yield diagnoses.finding("inside_not_checked", error=error)
        return
    if response.status_code != 200:
        yield diagnoses.finding("inside_not_checked", error=f"POST /v1/doctor returns {response.status_code}")
        return
    yield from (Finding(**found) for found in response.json() if found["check"] in checks)


def _sse(http: httpx.Client, token: str) -> tuple[Finding, float]:
    """Check the event stream. Return the finding and the heartbeat interval in seconds."""
    started = time.monotonic()
    try:
        with http.stream("GET", "/v1/stream", headers={"Authorization": f"Bearer {token}"}) as response:
            if response.status_code != 200:
                return diagnoses.finding("stream_status", status=response.status_code), 0
            ready = next(sse_follower.frames(response.iter_raw()))
    except (httpx.TransportError, StopIteration):
        return diagnoses.finding("no_event", seconds=f"{TIMEOUT.read:.0f}"), 0
    delay = time.monotonic() - started
    if delay > BUFFERED_S:
        return diagnoses.finding("late_event", seconds=f"{delay:.1f}"), 0
    return Finding("SSE", "ok", f"the first event takes {delay * 1000:.0f} ms"), ready.fields["heartbeat"]


def _websocket(http: httpx.Client, token: str) -> Finding:
    try:
        with http.stream("GET", "/v1/ws", headers=sse_follower.upgrade(token)) as response:
            status = response.status_code
    except httpx.TransportError as error:
        return diagnoses.finding("upgrade_failed", error=error)
    if status == 101:
        return Finding("WebSocket", "ok", "the upgrade works")
    return diagnoses.finding("upgrade_refused", status=status)
