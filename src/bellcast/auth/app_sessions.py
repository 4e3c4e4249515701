"""Sessions of the app: authenticates recipients by its session cookie, whose owner the app returns."""

import asyncio
import hashlib
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bellcast.auth import tokens
from bellcast.auth.tokens import Seconds, SessionClaims
from bellcast.kernel import times, validation
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import BellcastError, FieldError, Unauthenticated, Unavailable
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.kernel.outbound.port import Http

# A page requests its inbox, counts and stream at the same time. These requests share one query to the app.
CACHE_MS = 5_000
MAX_CACHED = 10_000
# A response is valid for CACHE_MS, and the inbox is then read within the same time. Cookies are stored for both, in
# case the inbox shows that the session was revoked and the app must be queried again.
COOKIES_SECONDS = 2 * CACHE_MS / 1000
# Attempts after a revocation: a request that started before it, and one more.
MAX_CONCURRENT_REQUESTS = 2


class SessionResponse(SessionClaims, frozen=True, kw_only=True):
    """The app's response about a session. A time is RFC 3339 or Unix seconds."""

    recipient: str
    expires_at: Annotated[datetime, Meta(tz=True)] | Seconds | None = None


class AppSessions:
    """Queries the app for sessions and caches its responses briefly. `issued_at` is the time of the query, so that a
    response from before a revocation can be detected."""

    # Not a struct, which would show the URL and the cookies in a traceback.
    def __init__(self, url: str, http: Http, clock: Clock, limits: Limits) -> None:
        self.url, self.http, self.clock, self.limits = url, http, clock, limits
        self._cache: dict[bytes, Principal] = {}
        # Cookies of recent responses. Each response is stored too, so that its id is not reused.
        self._cookies_by_principal: dict[int, tuple[Principal, bytes]] = {}
        self._pending: dict[bytes, asyncio.Future[Principal | BellcastError | None]] = {}

    async def recipient(self, cookies: bytes) -> Principal:
        """Return the principal of these cookies."""
        digest = hashlib.sha256(cookies).digest()
        principal = self._cache.get(digest)
        if principal is None or not 0 <= self.clock.now() - principal.issued_at < CACHE_MS:
            principal = await self._query(digest, cookies)
        return self._current(principal)

    async def refresh(self, principal: Principal, since: int) -> Principal | None:
        """Query the app again for the cookies behind a cached response older than `since`. None if they now belong
        to another recipient."""
        _, cookies = self._cookies_by_principal.get(id(principal), (None, None))
        if cookies is None:
            return None
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
        outcome: Principal | BellcastError | None = None
        while (pending := self._pending.get(digest)) is not None:
            outcome = await asyncio.shield(pending)
            if isinstance(outcome, BellcastError):
                raise outcome
            if outcome is not None:  # None: the requester was cancelled before the response arrived
                return outcome
        pending = self._pending[digest] = asyncio.get_running_loop().create_future()
        try:
            now = self.clock.now()
            headers = {"cookie": cookies.decode("latin-1"), "accept": "application/json"}
            response = await self.http.request("GET", self.url, headers=headers)
            if response.status in (401, 403):
                raise Unauthenticated("The app has no session for these cookies: sign in again.")
            if response.status != 200:
                raise Unavailable(f"BELLCAST_SESSION_URL returned {response.status}, expected 200 or 401.")
            principal = outcome = self._read(response.body, now)
            self._cache.pop(digest, None)  # keeps the oldest response first
            _make_room(self._cache)
            _make_room(self._cookies_by_principal)
            self._cache[digest] = principal
            self._cookies_by_principal[id(principal)] = principal, cookies
            asyncio.get_running_loop().call_later(COOKIES_SECONDS, self._cookies_by_principal.pop, id(principal), None)
        except BellcastError as refusal:
            outcome = refusal
            raise
        finally:
            del self._pending[digest]
            pending.set_result(outcome)
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


def _make_room(cache: dict[Any, Any]) -> None:
    if len(cache) >= MAX_CACHED:
        del cache[next(iter(cache))]
