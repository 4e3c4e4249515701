"""Checks of `bellcast doctor` for proxies: forwarded origin, CORS headers and upload size."""

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx

from bellcast import settings as effective
from bellcast.model.findings import Finding
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
            yield Finding(name, "problem", f"no response: {error}", "read your proxy's log")


def _own_pages(url: str, http: httpx.Client, token: str) -> Finding:
    """Send the server's own origin with a token, which matters with declared origins, and with a cookie, which matters
    with cookie sessions."""
    parts = urlsplit(url)
    own = {"Origin": f"{parts.scheme}://{parts.netloc}"}
    statuses = [http.get("/v1/inbox/counts", headers={**own, "Authorization": f"Bearer {token}"}).status_code]
    with http.stream("GET", "/v1/stream", headers={**own, "Cookie": "bellcast-doctor=1"}) as response:
        statuses.append(response.status_code)
    if 403 in statuses:
        fix = (
            "let your proxy pass Host and X-Forwarded-Proto (nginx: proxy_set_header Host $http_host;"
            " proxy_set_header X-Forwarded-Proto $scheme), and name it in BELLCAST_TRUSTED_PROXIES"
        )
        return Finding("own pages", "problem", f"pages of {own['Origin']} itself are rejected as cross-origin", fix)
    return Finding("own pages", "ok", f"pages of {own['Origin']} are accepted as same-origin")


def _cors(settings: Settings, http: httpx.Client) -> Finding:
    response = http.get("/healthz", headers={"Origin": UNDECLARED_ORIGIN})
    allowed = response.headers.get_list(ALLOWED)
    # With declared origins, the response varies by origin and never allows "*".
    contradicts = "*" in allowed and _varies(response)
    if len(allowed) > 1 or contradicts:
        fix = "remove Access-Control headers from your proxy: the server sends them"
        return Finding("CORS", "problem", f"the proxy adds its own header: {' and '.join(allowed)}", fix)
    unknown = [origin for origin in settings.access.origins if not _is_allowed(http, origin)]
    if unknown:
        fix = "start the server with the BELLCAST_ORIGINS of this shell"
        return Finding("CORS", "problem", f"the server does not allow {', '.join(unknown)}", fix)
    return Finding("CORS", "ok", "the headers are the server's")


def _preflight(origin: str) -> dict[str, str]:
    return {"Origin": origin, "Access-Control-Request-Method": "GET"}


def _is_allowed(http: httpx.Client, origin: str) -> bool:
    response = http.options("/v1/inbox", headers=_preflight(origin))
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
        fix = "let your proxy pass larger bodies (nginx: client_max_body_size 16m)"
        return Finding("uploads", "warning", f"a bulk send of {UPLOAD_BYTES / 1e6:.0f} MB is rejected by a proxy", fix)
    return Finding("uploads", "ok", f"{UPLOAD_BYTES / 1e6:.0f} MB are accepted")
