"""Checks of `bellcast doctor` through the server's URL, including proxies in between."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx
import msgspec

from bellcast import build
from bellcast import settings as effective
from bellcast.auth.request import FOREIGN
from bellcast.cli import remote
from bellcast.cli.output import CommandError
from bellcast.client.request import UNDECODABLE
from bellcast.console import diagnoses
from bellcast.console.types import FindingItem
from bellcast.settings import Settings

TIMEOUT = httpx.Timeout(3)
# A server whose store does not respond says so after 4 s.
READY_TIMEOUT = 8
# A run inside the server takes at most 20 s.
INSIDE_TIMEOUT = 25
# Checks that only a running server can make.
INSIDE = ("nodes", "queue", "public URL", "secrets", "stored mail server", "store's connections", "doctor")
# Seconds. An unbuffered stream starts within milliseconds.
BUFFERED_S = 1.0
# Two clocks may differ by 2 s before session tokens fail; HTTP dates are whole seconds.
SKEW_S = 3
# A recipient that exists only during the checks.
TEST_RECIPIENT = "bellcast-doctor"


def check(settings: Settings, *, quick: bool, progress: Callable[[str], None]) -> Iterator[FindingItem]:
    """Run all checks of the server. `quick` skips the wait for a heartbeat. `progress` is called with each next
    step."""
    url = effective.url(settings)
    progress(f"Checking {url}")
    with httpx.Client(base_url=url, timeout=TIMEOUT) as http:
        try:
            response = http.get("/readyz", timeout=READY_TIMEOUT)
            body: dict[str, Any] = {}
            with suppress(*UNDECODABLE):  # of another server
                body = msgspec.json.decode(response.content, type=dict[str, Any])
            version = build.label(body.get("version", ""), body.get("commit"))
            if response.status_code != 200 or "version" not in body:
                yield diagnoses.finding("server_not_ready", url=url, reason=body.get("detail") or response.status_code)
            elif body["version"] != build.version():
                ours = build.label(build.version(), build.commit())
                yield diagnoses.finding("other_version", url=url, version=version, own=ours)
            else:
                yield FindingItem("server", "ok", f"{url} is ready, version {version}")
            if "date" in response.headers:
                own = time.time()  # noqa: TID251  the check is about this machine's clock
                skew = own - parsedate_to_datetime(response.headers["date"]).timestamp()
                if abs(skew) > SKEW_S:
                    yield diagnoses.finding("clock_differs", check="server's clock", seconds=f"{abs(skew):.0f}")
        except httpx.TransportError as error:
            if (refusal := remote.certificate_refusal(error)) is not None:
                yield diagnoses.finding("certificate_refused", url=url, reason=refusal[0], fix=refusal[1])
            else:
                yield diagnoses.finding("server_unreachable", url=url, error=error)
            return
        try:
            with remote.server(settings) as client:
                # There seems to be no proxy if the server is local, and the response has no header of one.
                is_direct = urlsplit(url).hostname in LOCAL and not {"server", "via"} & set(response.headers)
                client.recipients.list(limit=1)  # checks the secret: the token below is signed without the server
                yield from _inside(http, settings)
                token = client.token(TEST_RECIPIENT, ttl=300)
                try:
                    events, heartbeat = _sse(http, token)
                    connections = (events, _websocket(http, token))
                    yield from connections
                    checks: dict[str, Callable[[], FindingItem]] = {
                        "own pages": lambda: _own_pages(url, http, token),
                        "CORS": lambda: _cors(settings, http),
                        "uploads": lambda: _uploads(http, remote.credentials(settings).secret),
                    }
                    for name, run in checks.items():
                        try:
                            yield run()
                        except httpx.TransportError as error:
                            yield diagnoses.finding("proxy_no_response", check=name, error=error)
                    if not quick and not is_direct:
                        progress(f"Waiting up to {heartbeat + LATE_S:.0f} s for a heartbeat; --quick skips this")
                        transports = [finding.check for finding in connections if finding.state == "ok"]
                        yield from check_idle(url, token, transports, heartbeat)
                finally:
                    client.recipients.delete(TEST_RECIPIENT)
        except CommandError as error:
            yield diagnoses.finding("live_not_checked", problem=error.problem, hint=error.hint)


def _inside(http: httpx.Client, settings: Settings) -> Iterator[FindingItem]:
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
    try:
        findings = msgspec.json.decode(response.content, type=list[FindingItem])
    except UNDECODABLE as error:  # of another version
        yield diagnoses.finding("inside_not_checked", error=f"POST /v1/doctor: {error}")
        return
    yield from (one for one in findings if one.check in checks)


def _sse(http: httpx.Client, token: str) -> tuple[FindingItem, float]:
    """Check the event stream. Return the finding and the heartbeat interval in seconds."""
    started = time.monotonic()
    try:
        with http.stream("GET", "/v1/stream", headers={"Authorization": f"Bearer {token}"}) as response:
            if response.status_code != 200:
                return diagnoses.finding("stream_status", status=response.status_code), 0
            event = next(remote.frames(response.iter_raw()))
    except (httpx.TransportError, StopIteration):
        return diagnoses.finding("no_event", seconds=f"{TIMEOUT.read:.0f}"), 0
    if event.name == "close":  # a refusal after which clients connect again, as at a limit or while the server stops
        return diagnoses.finding("stream_status", status=f"200 and the close reason {event.fields['reason']}"), 0
    delay = time.monotonic() - started
    if delay > BUFFERED_S:
        return diagnoses.finding("late_event", seconds=f"{delay:.1f}"), 0
    return FindingItem("SSE", "ok", f"the first event takes {delay * 1000:.0f} ms"), event.fields["heartbeat"]


def _websocket(http: httpx.Client, token: str) -> FindingItem:
    try:
        with http.stream("GET", "/v1/ws", headers=remote.upgrade(token)) as response:
            status = response.status_code
    except httpx.TransportError as error:
        return diagnoses.finding("upgrade_failed", error=error)
    if status == 101:
        return FindingItem("WebSocket", "ok", "the upgrade works")
    return diagnoses.finding("upgrade_refused", status=status)


# Tolerated delay of a heartbeat in seconds.
LATE_S = 10.0
LOCAL = ("localhost", "127.0.0.1", "::1")
# The bytes of a heartbeat by transport.
HEARTBEATS = {"SSE": b"event: heartbeat\n", "WebSocket": b'"type":"heartbeat"'}


def check_idle(url: str, token: str, transports: Sequence[str], heartbeat: float) -> Iterator[FindingItem]:
    """Keep a connection of each transport open until its first heartbeat, concurrently."""
    with (
        ThreadPoolExecutor(len(transports) or 1) as threads,
        httpx.Client(base_url=url, timeout=httpx.Timeout(10, read=heartbeat + LATE_S)) as http,
    ):
        lifetimes = zip(transports, threads.map(lambda one: _lifetime(http, token, one), transports), strict=True)
        closed = [f"{name} after {seconds:.1f} s" for name, seconds in lifetimes if seconds is not None]
    if closed:
        yield diagnoses.finding("idle_closed", connections=" and ".join(closed))
    elif transports:
        yield FindingItem("idle", "ok", f"{' and '.join(transports)} stay open until the server's heartbeat")


def _lifetime(http: httpx.Client, token: str, transport: str) -> float | None:
    """Return the lifetime in seconds of a connection that ends before its first heartbeat, which is searched in the raw bytes."""
    started, received = time.monotonic(), b""
    is_websocket = transport == "WebSocket"
    headers = remote.upgrade(token) if is_websocket else {"Authorization": f"Bearer {token}"}
    try:
        with http.stream("GET", "/v1/ws" if is_websocket else "/v1/stream", headers=headers) as response:
            network = response.extensions["network_stream"]
            frames = iter(lambda: network.read(65_536, timeout=http.timeout.read), b"")
            for chunk in frames if is_websocket else response.iter_raw():
                received += chunk
                if HEARTBEATS[transport] in received:
                    return None
    except (httpx.TransportError, httpcore.NetworkError, httpcore.TimeoutException):
        pass
    return time.monotonic() - started


# An origin that is never declared.
UNDECLARED_ORIGIN = "https://bellcast-doctor.invalid"
ALLOWED = "access-control-allow-origin"
# Above the default limit of proxies, below the server's: BELLCAST_LIMIT_BULK is 16 MiB.
UPLOAD_BYTES = 2_000_000


def _own_pages(url: str, http: httpx.Client, token: str) -> FindingItem:
    """Send the server's own origin with a token, which matters with declared origins, and with a cookie, which matters
    with cookie sessions."""
    parts = urlsplit(url)
    own = {"Origin": f"{parts.scheme}://{parts.netloc}"}
    statuses = [http.get("/v1/inbox/counts", headers={**own, "Authorization": f"Bearer {token}"}).status_code]
    with http.stream("GET", "/v1/stream", headers={**own, "Cookie": "bellcast-doctor=1"}) as response:
        statuses.append(response.status_code)
    # Operators' sessions are for pages of the host that the server sees. Without a session, nothing ends.
    is_foreign = FOREIGN in http.delete("/v1/session", headers=own).text
    if 403 in statuses or is_foreign:
        return diagnoses.finding("own_pages_refused", origin=own["Origin"])
    return FindingItem("own pages", "ok", f"pages of {own['Origin']} are accepted as same-origin")


def _cors(settings: Settings, http: httpx.Client) -> FindingItem:
    response = http.get("/healthz", headers={"Origin": UNDECLARED_ORIGIN})
    allowed = response.headers.get_list(ALLOWED)
    # With declared origins, the response varies by origin and never allows "*".
    contradicts = "*" in allowed and _varies(response)
    if len(allowed) > 1 or contradicts:
        return diagnoses.finding("proxy_adds_cors", headers=" and ".join(allowed))
    unknown = []
    for origin in settings.access.origins:
        headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        response = http.options("/v1/inbox", headers=headers)
        found = response.headers.get(ALLOWED)
        # An undeclared origin gets "*" too, so that it can read the error.
        if found != origin and not (found == "*" and not _varies(response)):
            unknown.append(origin)
    if unknown:
        return diagnoses.finding("origins_differ", origins=", ".join(unknown))
    return FindingItem("CORS", "ok", "the headers are the server's")


def _varies(response: httpx.Response) -> bool:
    return "origin" in response.headers.get("vary", "").lower()


def _uploads(http: httpx.Client, secret: str) -> FindingItem:
    """Post an empty list padded with spaces, which sends nothing."""
    body = b"[" + b" " * UPLOAD_BYTES + b"]"
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    response = http.post("/v1/notifications/bulk", content=body, headers=headers)
    if response.status_code == 413 and "problem" not in response.headers.get("content-type", ""):
        return diagnoses.finding("upload_rejected", megabytes=f"{UPLOAD_BYTES / 1e6:.0f}")
    return FindingItem("uploads", "ok", f"{UPLOAD_BYTES / 1e6:.0f} MB are accepted")
