"""The parts of a request that authentication depends on: its credentials, the page that sent it, and the cookies of an operator's
session."""

import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from bellcast.auth import origins
from bellcast.auth.origins import HeaderPairs, ResponseKind
from bellcast.kernel import ip_addresses
from bellcast.kernel.errors import Forbidden

# The prefix makes browsers refuse the cookie from another host or without HTTPS (RFC 6265bis, 4.1.3.2).
COOKIE = "__Host-bellcast"
# Not every browser accepts a Secure cookie from http://localhost. The port follows: the servers of a host share their cookies.
LOCAL_COOKIE = "bellcast-console-"
PORT = re.compile(r":([0-9]+)$")
HTTP_PORT = "80"
# Suffix of the cookie of a sign-in that has not returned from the identity provider.
PENDING = "-sign-in"
# Suffix of the cookie of a device from which an operator signed in.
DEVICE = "-device"
OWN_COOKIE = re.compile(rf"(?:{COOKIE}|{LOCAL_COOKIE}\d+)(?:{PENDING}|{DEVICE})?=".encode())
# Browsers' fetch metadata: whether a page of the same origin sent the request.
SITE = b"sec-fetch-site"

INSECURE = "Operators sign in over HTTPS only, or over plain HTTP on the server's machine as http://127.0.0.1:…."
FOREIGN = (
    "Only pages of this server may use an operator's session. If this is its own page, behind a proxy that ends TLS, name "
    "the proxy in BELLCAST_TRUSTED_PROXIES."
)


class AuthRequest(Struct, frozen=True, kw_only=True):
    """The parts of a request used for authentication. Headers and query have the form of ASGI; `header_values` has the
    last of several equal headers. The scheme is the one that the browser uses."""

    method: str
    scheme: str
    headers: HeaderPairs
    header_values: Mapping[bytes, bytes]
    query: bytes
    address: str | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(method={self.method!r}, scheme={self.scheme!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        """Without headers and query, which have the credentials: tracebacks show local variables."""
        return [("method", self.method), ("scheme", self.scheme)]

    def header(self, name: bytes) -> str | None:
        value = self.header_values.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def host(self) -> str:
        return self.header(b"host") or ""

    @property
    def origin(self) -> str | None:
        return self.header(b"origin")

    @property
    def bearer(self) -> str | None:
        """The bearer credential, unverified. Other schemes belong to proxies and are ignored."""
        value = self.header_values.get(b"authorization")
        if value is None:
            return None
        scheme, _, credential = value.decode("latin-1").partition(" ")
        return credential.strip() or None if scheme.lower() == "bearer" else None

    @property
    def cookies(self) -> bytes:
        """The cookies. HTTP/2 may split the header (RFC 9113, 8.2.3)."""
        if b"cookie" not in self.header_values:
            return b""
        return b"; ".join([value for name, value in self.headers if name == b"cookie"])

    def is_from_known_page(self, declared: Collection[str]) -> bool:
        """Return whether the request names this server's own origin, or a declared one."""
        origin = self.origin or ""
        return origins.is_same(origin, self.scheme, self.host) or origins.canonical(origin) in declared

    def may_use_token(self, declared: Collection[str]) -> bool:
        """Return whether a request with a token may have this origin."""
        if not declared:
            return True
        return origins.token_allowed(self.origin, scheme=self.scheme, host=self.host, origins=declared)

    def may_use_cookies(self, kind: ResponseKind, declared: Collection[str]) -> bool:
        """Return whether a request with cookies may have this origin.

        Browsers send cookies with requests of any page, so requests that change data or stay open need a declared
        origin. Cookies of other pages are ignored, and the page receives an error that it can read."""
        if self.origin is not None:
            return self.is_from_known_page(declared)
        if kind == "stream":
            # For a same-origin EventSource, browsers send no Origin. For a page of another site, they send at least one
            # of the two headers.
            return self.header(SITE) in (None, "same-origin")
        return kind == "request" and self.method in origins.SAFE_METHODS

    # --- the session of an operator

    def check_own_page(self) -> None:
        """Raise Forbidden for a request that another origin's page may have sent: SameSite cookies do not stop pages of the
        same site. Declared origins (BELLCAST_ORIGINS) belong to apps, and may not act as an operator."""
        is_own = self.is_from_known_page(()) if self.origin is not None else self.method in origins.SAFE_METHODS
        if not is_own or self.header(SITE) not in (None, "same-origin", "none"):
            raise Forbidden(FOREIGN)

    @property
    def is_local(self) -> bool:
        """True if the browser is on the server's machine."""
        name = urlsplit(f"//{self.host}").hostname or ""
        is_own_name = name == "localhost" or ip_addresses.is_loopback(name)
        return is_own_name and ip_addresses.is_loopback(self.address or "")

    def cookie_name(self, suffix: str = "") -> str:
        if self.scheme == "https":
            return COOKIE + suffix
        port = PORT.search(self.host)
        return LOCAL_COOKIE + (port[1] if port else HTTP_PORT) + suffix

    def cookie(self, suffix: str = "") -> str | None:
        """Return the value of the cookie with this suffix."""
        prefix = f"{self.cookie_name(suffix)}="
        for part in self.cookies.decode("latin-1").split(";"):
            if part.strip().startswith(prefix):
                return part.strip().removeprefix(prefix) or None
        return None

    def make_cookie(self, value: str, max_age: int, suffix: str = "") -> str:
        """Return the Set-Cookie header of a session, a pending sign-in or a device."""
        secure = "; Secure" if self.scheme == "https" else ""
        return f"{self.cookie_name(suffix)}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}"


def without_own_cookies(cookies: bytes) -> bytes:
    """Return a Cookie header without operators' sessions, which must not be sent to the app that checks its own
    session."""
    if OWN_COOKIE.search(cookies) is None:
        return cookies
    parts = [part.strip() for part in cookies.split(b";")]
    return b"; ".join(part for part in parts if OWN_COOKIE.match(part) is None)
