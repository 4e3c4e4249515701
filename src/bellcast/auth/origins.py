"""Cross-origin rules: checks of `Origin`, and CORS headers. Pure."""

import re
from collections.abc import Collection
from typing import Literal

from bellcast.kernel.errors import Forbidden
from bellcast.kernel.ip_addresses import is_server

# Kind of the response: single, event stream, or WebSocket.
ResponseKind = Literal["request", "stream", "websocket"]
HeaderPairs = list[tuple[bytes, bytes]]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
DEFAULT_PORTS = {"http": 80, "https": 443}
METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
ALLOWED_HEADERS = b"Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID"
READABLE = (b"access-control-expose-headers", b"ETag, Location, Retry-After, X-Request-Id")
# Chromium's maximum for caching a preflight response: two hours.
MAX_AGE = b"7200"
# Paths of operators' sessions and accounts, which only pages of this server may use.
CONSOLE_PATH = re.compile(r"/v1/(?:session|setup|me|operators)(?:/.*)?")


class WrongOrigin(Forbidden):
    """Pages of this origin may not send requests to this server: add it to BELLCAST_ORIGINS."""


def canonical(origin: str) -> str | None:
    """`scheme://host[:port]` in lower case without a default port; None for an origin that pages cannot have, such as
    `null`."""
    scheme, _, server = origin.lower().partition("://")
    if scheme not in DEFAULT_PORTS or not is_server(server):
        return None
    return f"{scheme}://{server.removesuffix(':').removesuffix(f':{DEFAULT_PORTS[scheme]}')}"


def is_same(origin: str, scheme: str, host: str) -> bool:
    """True if `origin` is the server's own origin."""
    canonical_origin = canonical(origin)
    return canonical_origin is not None and canonical_origin == canonical(f"{scheme}://{host}")


def token_allowed(origin: str | None, *, scheme: str, host: str, origins: Collection[str]) -> bool:
    """True if a request with a token may have this origin. Any origin is allowed until origins are declared."""
    if not origins or origin is None:
        return True
    return is_same(origin, scheme, host) or canonical(origin) in origins


def cors_headers(
    origin: str | None, origins: Collection[str], status: int = 200, *, is_public: bool = False
) -> HeaderPairs:
    """Return the CORS headers of a response. Any page may read it if it is public, or if no origins are declared;
    otherwise only pages of declared origins.

    Every page may read errors, including those of requests with credentials. Otherwise developers would see a CORS
    error instead of the reason. This reveals nothing about the user: cookies from undeclared origins are ignored
    (`AuthRequest.may_use_cookies`), so the error is the same as without cookies."""
    vary = (b"vary", b"Origin")
    if origin is None:
        return [vary] if origins else []
    page = canonical(origin)
    # An error may name any origin that pages can have; `null` is the origin of pages opened as files.
    if page in origins or (status >= 400 and (origin == "null" or page is not None)):
        allow_origin = (b"access-control-allow-origin", origin.encode("latin-1"))
        return [allow_origin, (b"access-control-allow-credentials", b"true"), READABLE, vary]
    if origins and not is_public:
        return [vary]
    return [(b"access-control-allow-origin", b"*"), READABLE, *([vary] if origins else [])]


def preflight_headers(origin: str | None, origins: Collection[str]) -> HeaderPairs:
    """Return the CORS headers of the response to a preflight (OPTIONS)."""
    return [
        *preflight_origin(origin, origins),
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", ALLOWED_HEADERS),
        (b"access-control-max-age", MAX_AGE),
    ]


def preflight_origin(origin: str | None, origins: Collection[str]) -> HeaderPairs:
    """Return the origin allowed by a preflight response. Any page is allowed, but undeclared ones only without cookies.
    Once origins are declared, an undeclared page receives an error that it can read."""
    is_declared = origin is not None and canonical(origin) in origins
    vary = [(b"vary", b"Origin")] if origins and not is_declared else []
    return [*cors_headers(origin, origins if is_declared else ()), *vary]
