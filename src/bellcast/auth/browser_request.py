"""A request of an operator's browser: the cookie of its session, and the page that sent it."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from bellcast.auth import origins
from bellcast.kernel import ip_addresses
from bellcast.kernel.errors import Forbidden

# The prefix makes browsers refuse the cookie from another host or without HTTPS (RFC 6265bis, 4.1.3.2).
COOKIE = "__Host-bellcast"
# Not every browser accepts a Secure cookie from http://localhost. The port follows: the servers of a host share their cookies.
LOCAL_COOKIE = "bellcast-console-"
PORT = re.compile(r":([0-9]+)$")
HTTP_PORT = "80"
# Cookie of a sign-in that has not returned from the identity provider.
PENDING = "-sign-in"
# Cookie of a device from which an operator signed in.
DEVICE = "-device"
OWN_COOKIE = re.compile(rf"(?:{COOKIE}|{LOCAL_COOKIE}\d+)(?:{PENDING}|{DEVICE})?=".encode())

INSECURE = "Operators sign in over HTTPS only, or over plain HTTP on the server's machine as http://127.0.0.1:…."
FOREIGN = (
    "Only pages of this server may use an operator's session. If this is its own page, behind a proxy that ends TLS, name "
    "the proxy in BELLCAST_TRUSTED_PROXIES."
)


class BrowserRequest(NamedTuple):
    """The parts of a request that the session depends on. The scheme is the one that the browser sees."""

    method: str
    scheme: str
    host: str
    origin: str | None
    site: str | None
    cookies: str
    address: str | None
    user_agent: str | None


def check_origin(request: BrowserRequest) -> None:
    """Raise Forbidden for a request that another origin's page may have sent: SameSite cookies do not stop pages of the
    same site. Declared origins (BELLCAST_ORIGINS) belong to apps, and may not act as an operator."""
    if request.origin is None:
        is_own = request.method in origins.SAFE_METHODS
    else:
        is_own = origins.is_same(request.origin, request.scheme, request.host)
    if not is_own or request.site not in (None, "same-origin", "none"):
        raise Forbidden(FOREIGN)


def is_local(request: BrowserRequest) -> bool:
    """True if the browser is on the server's machine."""
    name = urlsplit(f"//{request.host}").hostname or ""
    return (name == "localhost" or ip_addresses.is_loopback(name)) and ip_addresses.is_loopback(request.address or "")


def without_own_cookies(cookies: bytes) -> bytes:
    """Return a Cookie header without operators' sessions, which must not be sent to the app that checks its own
    session."""
    if OWN_COOKIE.search(cookies) is None:
        return cookies
    parts = [part.strip() for part in cookies.split(b";")]
    return b"; ".join(part for part in parts if OWN_COOKIE.match(part) is None)


def cookie_name(request: BrowserRequest, suffix: str = "") -> str:
    if request.scheme == "https":
        return COOKIE + suffix
    port = PORT.search(request.host)
    return LOCAL_COOKIE + (port[1] if port else HTTP_PORT) + suffix


def make_cookie(request: BrowserRequest, name: str, value: str, max_age: int) -> str:
    """Return the Set-Cookie header of a session or a pending sign-in."""
    secure = "; Secure" if request.scheme == "https" else ""
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}"


def cookie_of(request: BrowserRequest, name: str) -> str | None:
    """Return the value of a cookie of the request."""
    prefix = f"{name}="
    for part in request.cookies.split(";"):
        if part.strip().startswith(prefix):
            return part.strip().removeprefix(prefix) or None
    return None


def session_token(request: BrowserRequest) -> str | None:
    return cookie_of(request, cookie_name(request))
