"""Authenticates requests of recipients, by a session token or the cookie of the app's own session, and of servers."""

import asyncio
import hashlib
from datetime import datetime
from functools import lru_cache
from typing import Annotated
from urllib.parse import unquote_plus

import msgspec
from msgspec import Meta

from bellcast.auth import keys, origins, tokens
from bellcast.auth.origins import ResponseKind, WrongOrigin
from bellcast.auth.permissions import AccessConfig
from bellcast.auth.published_keys import ALGORITHMS, PublishedKeys
from bellcast.auth.request import AuthRequest, without_own_cookies
from bellcast.auth.store import Keys
from bellcast.auth.tokens import Jwt, Seconds, SessionClaims
from bellcast.kernel import concurrency, times, validation
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import FieldError, Forbidden, Unauthenticated, Unavailable
from bellcast.kernel.identities import Caller, Principal, Project
from bellcast.kernel.limits import Limits
from bellcast.kernel.outbound import Http

RECIPIENTS_ONLY = "A session token opens recipient paths only: send the project secret or an API key."
SERVERS_ONLY = "The project secret and API keys open server paths only: send a session token."

TOKEN_PARAMETER = b"&token="


# --- sessions of the app

# A page requests its inbox, counts and stream at the same time. These requests share one query to the app.
CACHE_MS = 5_000
MAX_CACHED = 10_000
# Attempts after a revocation: a request that started before it, and one more.
MAX_CONCURRENT_REQUESTS = 2


class SessionResponse(SessionClaims, frozen=True, kw_only=True):
    """The app's response about a session. A time is RFC 3339 or Unix seconds."""

    recipient: str
    expires_at: Annotated[datetime, Meta(tz=True)] | Seconds | None = None


class AppSessions:
    """Queries the app for sessions, by the cookies of a request, and caches its responses briefly. `issued_at` is the time of the query, so that a
    response from before a revocation can be detected."""

    # Not a struct, which would show the URL in a traceback.
    def __init__(self, url: str, http: Http, clock: Clock, limits: Limits) -> None:
        self.url, self.http, self.clock, self.limits = url, http, clock, limits
        self._cache: dict[bytes, Principal] = {}
        self._pending: dict[bytes, asyncio.Task[Principal]] = {}

    async def recipient(self, cookies: bytes) -> Principal:
        """Return the principal of these cookies."""
        digest = hashlib.sha256(cookies).digest()
        principal = self._cache.get(digest)
        if principal is None or not 0 <= self.clock.now() - principal.issued_at < CACHE_MS:
            principal = await self._query(digest, cookies)
        return self._current(principal)

    async def refresh(self, principal: Principal, cookies: bytes, since: int) -> Principal | None:
        """Query the app again for the cookies of a principal if the cached response is older than `since`. None if they now
        belong to another recipient."""
        digest = hashlib.sha256(cookies).digest()
        current, attempts = self._cache.get(digest), 0
        while current is None or current.issued_at < since:
            if attempts == MAX_CONCURRENT_REQUESTS:
                return None
            current, attempts = await self._query(digest, cookies), attempts + 1
        is_same = (current.tenant, current.recipient) == (principal.tenant, principal.recipient)
        return self._current(current) if is_same else None

    def _current(self, principal: Principal) -> Principal:
        if principal.expires_at is not None and self.clock.now() >= principal.expires_at:
            raise Unauthenticated("This session has expired: sign in again.")
        return principal

    async def _query(self, digest: bytes, cookies: bytes) -> Principal:
        """Return the app's response, or raise the error of the query. Concurrent requests with the same cookies share it."""
        query = self._pending.get(digest)
        if query is None:
            query = self._pending[digest] = concurrency.shared(self._request(digest, cookies))
            query.add_done_callback(lambda _: self._pending.pop(digest))
        return await asyncio.shield(query)

    async def _request(self, digest: bytes, cookies: bytes) -> Principal:
        now = self.clock.now()
        headers = {"cookie": cookies.decode("latin-1"), "accept": "application/json"}
        response = await self.http.request("GET", self.url, headers=headers)
        if response.status in (401, 403):
            raise Unauthenticated("The app has no session for these cookies: sign in again.")
        if response.status != 200:
            raise Unavailable(f"BELLCAST_SESSION_URL returned {response.status}, expected 200 or 401.")
        principal = self._read(response.body, now)
        self._cache.pop(digest, None)  # keeps the oldest response first
        if len(self._cache) >= MAX_CACHED:
            del self._cache[next(iter(self._cache))]
        self._cache[digest] = principal
        return principal

    def _read(self, body: bytes, now: int) -> Principal:
        try:
            response = msgspec.json.decode(body, type=SessionResponse)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unavailable(f"BELLCAST_SESSION_URL returned an invalid session: {error}.") from None
        wrong = [*validation.key("recipient", response.recipient, self.limits), *response.errors(self.limits)]
        if isinstance(response.expires_at, datetime) and not times.is_storable(response.expires_at):
            wrong.append(FieldError("expires_at", validation.OUT_OF_CALENDAR))
        if wrong:
            raise Unavailable(f"BELLCAST_SESSION_URL returned an invalid session: {tokens.claim_errors(wrong)}.")
        end = response.expires_at
        if isinstance(end, datetime):
            expires_at: int | None = times.milliseconds(end)
        else:
            expires_at = None if end is None else round(end * 1000)
        return response.principal(response.recipient, issued_at=now, expires_at=expires_at, by_cookie=True)


# --- requests


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
        self._issuer_keys = lru_cache(1)(
            lambda url: PublishedKeys(url, http, clock, source="BELLCAST_JWKS_URL", subject="session token")
        )
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
        sessions, cookies = self._sessions, without_own_cookies(request.cookies)
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
                return await self.issued(access.jwks_url, parts)
        if access.jwt_secret is not None:
            app_claims = self._app_claims(access.jwt_claims)
            principal = tokens.verify_app_token(access.jwt_secret, app_claims, token, now, self._limits)
            if principal is not None:
                return principal
        verified = tokens.verify(self._project, token, now, self._limits)
        if verified.key is not None and await keys.is_revoked(self._keys, verified.key):
            raise Unauthenticated("The API key that created this session token was revoked: get a fresh one.")
        return verified

    async def issued(self, url: str, token: Jwt) -> Principal:
        """Return the principal of a token that a key published at this URL signed. Raises Unauthenticated or Unavailable."""
        await self._issuer_keys(url).verify(token)
        token_claims = tokens.decode_claims(token.payload)
        issuer, audience = self._access.jwks_issuer, self._access.jwks_audience
        if issuer is not None and token_claims.iss != issuer:
            raise Unauthenticated("The session token's iss is not the expected one (BELLCAST_JWKS_ISSUER).")
        audiences = token_claims.aud if isinstance(token_claims.aud, list) else [token_claims.aud]
        if audience is not None and audience not in audiences:
            raise Unauthenticated("The session token's aud is not the expected one (BELLCAST_JWKS_AUDIENCE).")
        return tokens.claimed_principal(token_claims, self._clock.now(), self._limits)

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

    async def renewed(self, request: AuthRequest | None, principal: Principal, before: int) -> Principal | None:
        """Query the app again for the cookie session of a request that was accepted before its recipient's sessions were
        revoked. Return None if the session has ended, as every token session has."""
        sessions = self._sessions
        if sessions is None or request is None or not principal.by_cookie:
            return None
        return await sessions.refresh(principal, without_own_cookies(request.cookies), before)

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
            page = origins.canonical(request.origin or "") or "this origin"
            raise WrongOrigin(f"Pages of {page} may not send requests to this server: add it to BELLCAST_ORIGINS.")


def _query_token(query: bytes) -> str | None:
    """Return the last token of a query that is not empty. A regular expression would take longer than the token's
    signature."""
    for part in reversed((b"&" + query).split(TOKEN_PARAMETER)[1:]):
        if token := part.partition(b"&")[0].decode("latin-1"):
            return unquote_plus(token) if "%" in token or "+" in token else token
    return None
