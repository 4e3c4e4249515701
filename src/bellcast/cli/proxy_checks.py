"""What a browser's page and a bulk sender meet on the way: whose page it is, who may read the answer, how much passes."""

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx

from bellcast import settings as effective
from bellcast.cli.findings import Finding
from bellcast.settings import Settings

# Of an origin that nobody declares.
STRANGER = "https://bellcast-doctor.invalid"
ALLOWED = "access-control-allow-origin"
# More than proxies pass by default, less than the server takes: BELLCAST_LIMIT_BULK is 16 MiB.
UPLOAD_BYTES = 2_000_000


def examined(settings: Settings, http: httpx.Client, token: str, secret: str) -> Iterator[Finding]:
    """Everything that a proxy's headers and limits can spoil."""
    ways: dict[str, Callable[[], Finding]] = {
        "own pages": lambda: _own_pages(effective.url(settings), http, token),
        "CORS": lambda: _cors(settings, http),
        "uploads": lambda: _uploads(http, secret),
    }
    for check, look in ways.items():
        try:
            yield look()
        except httpx.TransportError as error:
            yield Finding(check, "problem", f"no answer: {error}", "read your proxy's log")


def _own_pages(url: str, http: httpx.Client, token: str) -> Finding:
    """By token, which counts where origins are declared, and by cookie, which counts where sessions are asked for."""
    parts = urlsplit(url)
    own = {"Origin": f"{parts.scheme}://{parts.netloc}"}
    statuses = [http.get("/v1/inbox/counts", headers={**own, "Authorization": f"Bearer {token}"}).status_code]
    with http.stream("GET", "/v1/stream", headers={**own, "Cookie": "bellcast-doctor=1"}) as answer:
        statuses.append(answer.status_code)
    if 403 in statuses:
        fix = (
            "let your proxy pass Host and X-Forwarded-Proto (nginx: proxy_set_header Host $http_host;"
            " proxy_set_header X-Forwarded-Proto $scheme), and name it in BELLCAST_TRUSTED_PROXIES"
        )
        return Finding("own pages", "problem", f"pages of {own['Origin']} itself are taken for strangers'", fix)
    return Finding("own pages", "ok", f"pages of {own['Origin']} are known as its own")


def _cors(settings: Settings, http: httpx.Client) -> Finding:
    answer = http.get("/healthz", headers={"Origin": STRANGER})
    allowed = answer.headers.get_list(ALLOWED)
    # Once origins are declared the answer varies by them, and one that succeeds never says "*".
    contradicts = "*" in allowed and _varies(answer)
    if len(allowed) > 1 or contradicts:
        fix = "take Access-Control headers out of your proxy: the server sends them itself"
        return Finding("CORS", "problem", f"browsers are told {' and '.join(allowed)}, not by the server alone", fix)
    unknown = [origin for origin in settings.access.origins if not _is_allowed(http, origin)]
    if unknown:
        fix = "start the server with the same BELLCAST_ORIGINS as stands here"
        return Finding("CORS", "problem", f"the server does not know {', '.join(unknown)}", fix)
    return Finding("CORS", "ok", "what browsers are told comes from the server")


def _preflight(origin: str) -> dict[str, str]:
    return {"Origin": origin, "Access-Control-Request-Method": "GET"}


def _is_allowed(http: httpx.Client, origin: str) -> bool:
    answer = http.options("/v1/inbox", headers=_preflight(origin))
    allowed = answer.headers.get(ALLOWED)
    # An undeclared one gets "*" too: it may ask, and is told why it may not.
    return allowed == origin or (allowed == "*" and not _varies(answer))


def _varies(answer: httpx.Response) -> bool:
    return "origin" in answer.headers.get("vary", "").lower()


def _uploads(http: httpx.Client, secret: str) -> Finding:
    """An empty list with much room in it: nothing is sent."""
    body = b"[" + b" " * UPLOAD_BYTES + b"]"
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    answer = http.post("/v1/notifications/bulk", content=body, headers=headers)
    if answer.status_code == 413 and "problem" not in answer.headers.get("content-type", ""):
        fix = "let your proxy pass larger bodies (nginx: client_max_body_size 16m)"
        return Finding("uploads", "warning", f"a bulk send of {UPLOAD_BYTES / 1e6:.0f} MB is refused on the way", fix)
    return Finding("uploads", "ok", f"{UPLOAD_BYTES / 1e6:.0f} MB pass")
