"""Checks of `bellcast doctor` for proxies: forwarded origin, CORS headers and upload size."""

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx

from bellcast import settings as effective
from bellcast.auth.browser_request import FOREIGN
from bellcast.console.types import diagnoses
from bellcast.console.types.diagnoses import Finding
from bellcast.settings import Settings

# An origin that is never declared.
UNDECLARED_ORIGIN = "https://bellcast-doctor.invalid"
ALLOWED = "access-control-allow-origin"
# Above the default limit of proxies, below the server's: BELLCAST_LIMIT_BULK is 16 MiB.
UPLOAD_BYTES = 2_000_000


def check(settings: Settings, http: httpx.Client, token: str, secret: str) -> Iterator[Finding]:
    """Run the checks. A failed request is a problem."""
    checks: dict[str, Callable[[], Finding]] = {
        "own pages": lambda: _own_pages(effective.url(settings), http, token),
        "CORS": lambda: _cors(settings, http),
        "uploads": lambda: _uploads(http, secret),
    }
    for name, run in checks.items():
        try:
            yield run()
        except httpx.TransportError as error:
            yield diagnoses.finding("proxy_no_response", check=name, error=error)


def _own_pages(url: str, http: httpx.Client, token: str) -> Finding:
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
    return Finding("own pages", "ok", f"pages of {own['Origin']} are accepted as same-origin")


def _cors(settings: Settings, http: httpx.Client) -> Finding:
    response = http.get("/healthz", headers={"Origin": UNDECLARED_ORIGIN})
    allowed = response.headers.get_list(ALLOWED)
    # With declared origins, the response varies by origin and never allows "*".
    contradicts = "*" in allowed and _varies(response)
    if len(allowed) > 1 or contradicts:
        return diagnoses.finding("proxy_adds_cors", headers=" and ".join(allowed))
    unknown = [origin for origin in settings.access.origins if not _is_allowed(http, origin)]
    if unknown:
        return diagnoses.finding("origins_differ", origins=", ".join(unknown))
    return Finding("CORS", "ok", "the headers are the server's")


def _is_allowed(http: httpx.Client, origin: str) -> bool:
    response = http.options("/v1/inbox", headers={"Origin": origin, "Access-Control-Request-Method": "GET"})
    allowed = response.headers.get(ALLOWED)
    # An undeclared origin gets "*" too, so that it can read the error.
    return allowed == origin or (allowed == "*" and not _varies(response))


def _varies(response: httpx.Response) -> bool:
    return "origin" in response.headers.get("vary", "").lower()


def _uploads(http: httpx.Client, secret: str) -> Finding:
    """Post an empty list padded with spaces, which sends nothing."""
    body = b"[" + b" " * UPLOAD_BYTES + b"]"
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    response = http.post("/v1/notifications/bulk", content=body, headers=headers)
    if response.status_code == 413 and "problem" not in response.headers.get("content-type", ""):
        return diagnoses.finding("upload_rejected", megabytes=f"{UPLOAD_BYTES / 1e6:.0f}")
    return Finding("uploads", "ok", f"{UPLOAD_BYTES / 1e6:.0f} MB are accepted")
