"""Authenticates requests of recipients and of servers."""

from collections.abc import Collection, Mapping
from functools import lru_cache
from urllib.parse import unquote_plus

from msgspec import Struct

from bellcast.auth import keys, origins, tokens
from bellcast.auth.app_sessions import AppSessions
from bellcast.auth.browser_request import without_own_cookies
from bellcast.auth.origins import HeaderPairs, ResponseKind, WrongOrigin
from bellcast.auth.permissions import AccessConfig
from bellcast.auth.published_keys import ALGORITHMS, PublishedKeys
from bellcast.auth.store import Keys
from bellcast.auth.tokens import Jwt
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import Forbidden, Unauthenticated
from bellcast.kernel.identities import Caller, Principal, Project
from bellcast.kernel.limits import Limits
from bellcast.kernel.outbound.port import Http

RECIPIENTS_ONLY = "A session token opens recipient paths only: send the project secret or an API key."
SERVERS_ONLY = "The project secret and API keys open server paths only: send a session token."

TOKEN_PARAMETER = b"&token="


class AuthRequest(Struct, frozen=True, kw_only=True):
    """The parts of a request used for authentication. Headers and query have the form of ASGI; `header_values` has the
    last of several equal headers. The scheme is the one that the browser uses."""

    method: str
    scheme: str
    headers: HeaderPairs
    header_values: Mapping[bytes, bytes]
    query: bytes

    def header(self, name: bytes) -> str | None:
        value = self.header_values.get(name)
        return None if value is None else value.decode("latin-1")

    def may_use_token(self, declared: Collection[str]) -> bool:
        """Return whether a request with a token may have this origin."""
        if not declared:
            return True
        origin, host = self.header(b"origin"), self.header(b"host") or ""
        return origins.token_allowed(origin, scheme=self.scheme, host=host, origins=declared)

    def may_use_cookies(self, kind: ResponseKind, declared: Collection[str]) -> bool:
        """Return whether a request with cookies may have this origin.

        Browsers send cookies with requests of any page, so requests that change data or stay open need a declared
        origin. Cookies of other pages are ignored, and the page receives an error that it can read."""
        origin = self.header(b"origin")
        if origin is not None:
            own = origins.is_same(origin, self.scheme, self.header(b"host") or "")
            return own or origins.canonical(origin) in declared
        if kind == "stream":
            # For a same-origin EventSource, browsers send no Origin. For a page of another site, they send at least one
            # of the two headers.
            return self.header(b"sec-fetch-site") in (None, "same-origin")
        return kind == "request" and self.method in origins.SAFE_METHODS

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
        """The cookies without those of operators. HTTP/2 may split the header (RFC 9113, 8.2.3)."""
        if b"cookie" not in self.header_values:
            return b""
        return without_own_cookies(b"; ".join([value for name, value in self.headers if name == b"cookie"]))


class Authenticator:
    """Authenticates recipients (session tokens, cookies) and servers (project secret, API keys)."""

    def __init__(
        self,
        project: Project,
        access: AccessConfig,
        limits: Limits,
        *,
        keys: Keys,
        http: Http,
        clock: Clock,
    ) -> None:
        self._project = project
        self._access = access
        self._limits = limits
        self._keys = keys
        self._clock = clock
        # Each of the setting's current value: the settings may change while the server runs.
        self._app_claims = lru_cache(1)(tokens.claim_names_of)
        self._jwks = lru_cache(1)(lambda url: Jwks(url, access, http, clock, limits))
        self._sessions_of = lru_cache(1)(lambda url: AppSessions(url, http, clock, limits))

    @property
    def _sessions(self) -> AppSessions | None:
        url = self._access.session_url
        return None if url is None else self._sessions_of(url)

    async def recipient(self, request: AuthRequest, kind: ResponseKind) -> Principal:
        """Authenticate a recipient. The principal can be anonymous only on live paths, and only if the operator allows
        it."""
        credential = request.bearer or _query_token(request.query)
        if credential is not None:
            self._check_origin(request)
            return await self.session(credential)
        allows_anonymous = kind != "request" and self._access.anonymous
        # The response is the same with and without cookies, so that a page cannot detect whether cookies exist.
        is_page = b"origin" in request.header_values and kind != "websocket"
        sessions, cookies = self._sessions, request.cookies
        if sessions is not None and (cookies or is_page):
            try:
                self._check_cookies(request, cookies, kind)
                return await sessions.recipient(cookies)
            except (Unauthenticated, WrongOrigin):
                if not allows_anonymous:
                    raise
        if not allows_anonymous:
            raise Unauthenticated
        self._check_origin(request)
        return Principal()

    async def session(self, token: str) -> Principal:
        """Return the principal of a session token."""
        is_jwt, now = tokens.is_jwt(token), self._clock.now()
        if not is_jwt and await keys.authenticate(self._project, self._keys, token, self._clock):
            raise Forbidden(SERVERS_ONLY)
        access = self._access
        if access.jwks_url is not None:
            parts = tokens.parse(token)
            if parts.header.alg in ALGORITHMS.values():
                return await self._jwks(access.jwks_url).verify(parts)
        if access.jwt_secret is not None:
            app_claims = self._app_claims(access.jwt_claims)
            principal = tokens.verify_app_token(access.jwt_secret, app_claims, token, now, self._limits)
            if principal is not None:
                return principal
        verified = tokens.verify(self._project, token, now, self._limits)
        if verified.key is not None and await keys.is_revoked(self._keys, verified.key):
            raise Unauthenticated("The API key that created this session token was revoked: get a fresh one.")
        return verified

    async def caller(self, request: AuthRequest) -> Caller:
        """Authenticate a server. Credentials are accepted only in headers: URLs are logged, and the secret grants full
        access."""
        bearer = request.bearer
        if bearer is not None:
            caller = await keys.authenticate(self._project, self._keys, bearer, self._clock)
            if caller is not None:
                return caller
        credential = bearer or _query_token(request.query)
        if credential is None:
            raise Unauthenticated("Send the project secret or an API key: `Authorization: Bearer …`.")
        if not tokens.is_jwt(credential):
            if credential == self._project.key:
                raise Unauthenticated("This is the project's public key: send the secret, or an API key.")
            raise Unauthenticated(
                f"This is neither the secret nor an API key of this project, whose public key is {self._project.key}."
            )
        await self.session(credential)
        raise Forbidden(RECIPIENTS_ONLY)

    async def renewed(self, principal: Principal, before: int) -> Principal | None:
        """Query the app again for a cookie session that was accepted before its recipient's sessions were revoked.
        Return None if the session has ended, as every token session has."""
        sessions = self._sessions
        if sessions is None or not principal.by_cookie:
            return None
        return await sessions.refresh(principal, before)

    def _check_cookies(self, request: AuthRequest, cookies: bytes, kind: ResponseKind) -> None:
        if not request.may_use_cookies(kind, self._access.origins):
            raise WrongOrigin(
                "Pages of this origin may not use cookies here: send a session token, or add it to BELLCAST_ORIGINS. "
                "If it is this server's own, behind a proxy that ends TLS, name that in BELLCAST_TRUSTED_PROXIES."
            )
        if not cookies:
            raise Unauthenticated

    def _check_origin(self, request: AuthRequest) -> None:
        if not request.may_use_token(self._access.origins):
            page = origins.canonical(request.header(b"origin") or "") or "this origin"
            raise WrongOrigin(f"Pages of {page} may not send requests to this server: add it to BELLCAST_ORIGINS.")


def _query_token(query: bytes) -> str | None:
    """Return the last token of a query that is not empty. A regular expression would take longer than the token's
    signature."""
    for part in reversed((b"&" + query).split(TOKEN_PARAMETER)[1:]):
        if token := part.partition(b"&")[0].decode("latin-1"):
            return unquote_plus(token) if "%" in token or "+" in token else token
    return None


class Jwks:
    """Verifies tokens under the keys of one issuer."""

    def __init__(self, url: str, access: AccessConfig, http: Http, clock: Clock, limits: Limits) -> None:
        self._keys = PublishedKeys(url, http, clock, source="BELLCAST_JWKS_URL", subject="session token")
        self._access = access
        self._clock = clock
        self._limits = limits

    async def verify(self, token: Jwt) -> Principal:
        """Return the principal of a token that a key of the issuer signed. Raises Unauthenticated or Unavailable."""
        await self._keys.verify(token)
        token_claims = tokens.decode_claims(token.payload)
        issuer, audience = self._access.jwks_issuer, self._access.jwks_audience
        if issuer is not None and token_claims.iss != issuer:
            raise Unauthenticated("The session token's iss is not the expected one (BELLCAST_JWKS_ISSUER).")
        audiences = token_claims.aud if isinstance(token_claims.aud, list) else [token_claims.aud]
        if audience is not None and audience not in audiences:
            raise Unauthenticated("The session token's aud is not the expected one (BELLCAST_JWKS_AUDIENCE).")
        return tokens.claimed_principal(token_claims, self._clock.now(), self._limits)
