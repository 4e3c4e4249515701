"""Authenticates requests of recipients and of servers."""

from typing import Protocol
from urllib.parse import unquote_plus

from msgspec import Struct

from bellcast import ports
from bellcast.auth import app_tokens, origins, server_credentials, tokens
from bellcast.auth.access_config import AccessConfig
from bellcast.auth.cookie_sessions import CookieSessions
from bellcast.auth.jwks import ALGORITHMS, Jwks
from bellcast.auth.origins import HeaderPairs, ResponseKind, WrongOrigin
from bellcast.errors import Forbidden, Unauthenticated
from bellcast.model.identities import Caller, Principal, Project
from bellcast.model.limits import Limits

RECIPIENTS_ONLY = "A session token opens recipient paths only: send the project secret or an API key."
SERVERS_ONLY = "The project secret and API keys open server paths only: send a session token."


TOKEN_PARAMETER = b"token="


class AuthRequest(Protocol):
    """The parts of a request used for authentication. HeaderPairs and query as in ASGI, the scheme as the browser sees
    it."""

    @property
    def method(self) -> str: ...
    @property
    def scheme(self) -> str: ...
    @property
    def headers(self) -> HeaderPairs: ...
    @property
    def query(self) -> bytes: ...


class Credentials(Struct, frozen=True, kw_only=True):
    """Credentials of a request, and the origin of its page."""

    bearer: str | None
    token: str | None
    cookies: bytes
    host: str
    origin: str | None
    site: str | None


class Authenticator:
    """Authenticates recipients (session tokens, cookies) and servers (project secret, API keys)."""

    def __init__(
        self,
        project: Project,
        access: AccessConfig,
        limits: Limits,
        *,
        keys: ports.Keys,
        http: ports.Http,
        clock: ports.Clock,
    ) -> None:
        self._project = project
        self._access = access
        self._limits = limits
        self._keys = keys
        self._clock = clock
        self._app_claims = app_tokens.mapping(access.jwt_claims)
        self._jwks = Jwks(access.jwks_url, access, http, clock, limits) if access.jwks_url else None
        self._sessions = CookieSessions(access.session_url, http, clock, limits) if access.session_url else None

    async def recipient(self, request: AuthRequest, kind: ResponseKind) -> Principal:
        """Authenticate a recipient. The principal is anonymous only on live paths, and only where the operator
        allows it."""
        brought = read(request)
        credential = brought.bearer or brought.token
        if credential is not None:
            self._check_origin(request, brought)
            return await self.session(credential)
        nameless = kind != "request" and self._access.anonymous
        # The response is the same with and without cookies, so that a page cannot detect whether cookies exist.
        is_page = brought.origin is not None and kind != "websocket"
        if self._sessions is not None and (brought.cookies or is_page):
            try:
                return await self._from_cookie(self._sessions, request, brought, kind)
            except (Unauthenticated, WrongOrigin):
                if not nameless:
                    raise
        if not nameless:
            raise Unauthenticated
        self._check_origin(request, brought)
        return Principal()

    async def session(self, token: str) -> Principal:
        """Who a session token speaks of."""
        if await server_credentials.authenticate(self._project, self._keys, token) is not None:
            raise Forbidden(SERVERS_ONLY)
        if self._jwks is not None:
            parts = tokens.parse(token)
            if parts.header.alg in ALGORITHMS.values():
                return await self._jwks.verify(parts)
        now = self._clock.now()
        if self._access.jwt_secret is not None:
            theirs = app_tokens.verify(self._access.jwt_secret, self._app_claims, token, now, self._limits)
            if theirs is not None:
                return theirs
        return tokens.verify(self._project, token, now, self._limits)

    async def caller(self, request: AuthRequest) -> Caller:
        """Authenticate a server. Only headers are accepted: URLs are logged, and the secret grants full access."""
        brought = read(request)
        if brought.bearer is not None:
            caller = await server_credentials.authenticate(self._project, self._keys, brought.bearer)
            if caller is not None:
                return caller
        credential = brought.bearer or brought.token
        if credential is None or not tokens.is_jwt(credential):
            raise Unauthenticated("Send the project secret or an API key: `Authorization: Bearer …`.")
        await self.session(credential)
        raise Forbidden(RECIPIENTS_ONLY)

    async def renewed(self, principal: Principal, before: int) -> Principal | None:
        """Query the app again for a cookie session accepted before its recipient's sessions were revoked. None if the
        session has ended, as every token session has."""
        if self._sessions is None or not principal.by_cookie:
            return None
        return await self._sessions.refresh(principal, before)

    async def _from_cookie(
        self, sessions: CookieSessions, request: AuthRequest, brought: Credentials, kind: ResponseKind
    ) -> Principal:
        allowed = origins.cookie_allowed(
            kind,
            request.method,
            brought.origin,
            scheme=request.scheme,
            host=brought.host,
            site=brought.site,
            origins=self._access.origins,
        )
        if not allowed:
            raise WrongOrigin(
                "Pages of this origin may not use cookies here: send a session token, or add the origin to "
                "BELLCAST_ORIGINS. If it is this server's own, behind a proxy that ends TLS, name the proxy in "
                "BELLCAST_TRUSTED_PROXIES."
            )
        if not brought.cookies:
            raise Unauthenticated
        return await sessions.recipient(brought.cookies)

    def _check_origin(self, request: AuthRequest, brought: Credentials) -> None:
        origin, declared = brought.origin, self._access.origins
        if not origins.token_allowed(origin, scheme=request.scheme, host=brought.host, origins=declared):
            raise WrongOrigin


def read(request: AuthRequest) -> Credentials:
    """The credentials in a request, none of them checked."""
    found = dict(request.headers)  # of several lines the last counts
    authorization = found.get(b"authorization")
    return Credentials(
        bearer=None if authorization is None else _bearer(authorization.decode("latin-1")),
        token=_query_token(request.query),
        cookies=_cookies(request.headers) if b"cookie" in found else b"",
        host=found.get(b"host", b"").decode("latin-1"),
        origin=_text(found.get(b"origin")),
        site=_text(found.get(b"sec-fetch-site")),
    )


def _cookies(headers: HeaderPairs) -> bytes:
    """HTTP/2 splits them over several lines (RFC 9113, 8.2.3)."""
    return b"; ".join([value for name, value in headers if name == b"cookie"])


def _bearer(authorization: str) -> str | None:
    """The bearer credential; other schemes are a proxy's matter."""
    scheme, _, credential = authorization.partition(" ")
    return credential.strip() or None if scheme.lower() == "bearer" else None


def _query_token(query: bytes) -> str | None:
    if TOKEN_PARAMETER not in query:
        return None
    found = None
    for parameter in query.split(b"&"):
        if parameter.startswith(TOKEN_PARAMETER):
            found = unquote_plus(parameter[len(TOKEN_PARAMETER) :].decode("latin-1")) or found
    return found


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
