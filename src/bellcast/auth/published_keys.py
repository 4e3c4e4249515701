"""The public keys that an issuer publishes (RFC 7517), for signatures by RS256 and ES256."""

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, field

from bellcast.auth.tokens import Jwt
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import Unauthenticated, Unavailable
from bellcast.kernel.outbound import Http

if TYPE_CHECKING:
    import jwt

# Supported algorithms by key type and curve.
ALGORITHMS = {"RSA None": "RS256", "EC P-256": "ES256"}
# Issuers announce a new key long before they sign with it, and their endpoints change rarely.
KEYS_CACHE_MS = 300_000
# A forged kid must not cause a flood of requests to the issuer. After a failure the next request is allowed sooner.
MIN_REFRESH_MS = 30_000
FAILED_RETRY_MS = 5_000
# How long cached keys are used while the issuer is unreachable: it cannot revoke a key, but an outage should not
# immediately reject all sessions.
MAX_STALE_MS = 3_600_000
MIN_RSA_BITS = 2_048  # RFC 7518 §3.3


class JwksDocument(Struct, frozen=True):
    """A JWK set. Keys are decoded separately, so that an unsupported key does not invalidate the others."""

    keys: list[dict[str, Any]]


class PublishedKeys(Struct, eq=False):
    """Caches the issuer's keys and fetches them when they are stale or a kid is unknown, with one request at a time.
    `source` and `subject` name the URL and the tokens in errors."""

    url: str
    http: Http
    clock: Clock
    source: str
    subject: str
    _refreshing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _keys: "list[jwt.PyJWK]" = field(default_factory=list)
    _fetched_at: int = -MAX_STALE_MS
    _next_refresh_at: int = 0
    _failure: Unavailable | None = None

    async def verify(self, token: Jwt) -> None:
        """Verify that a key of the issuer signed the token. Raises Unauthenticated or Unavailable."""
        is_cached = self._find(token) is not None and self.clock.now() < self._fetched_at + MAX_STALE_MS
        # While an issuer hangs, only one of the requests with a cached key waits for it.
        if not is_cached or (self._is_old() and not self._refreshing.locked()):
            async with self._refreshing:
                # Tasks that waited for the lock find the response cached.
                # No refresh is due later than MIN_REFRESH_MS, unless the clock was set back.
                waits = 0 < self._next_refresh_at - self.clock.now() <= MIN_REFRESH_MS
                if (self._is_old() or self._find(token) is None) and not waits:
                    try:
                        self._keys = await self._fetch()
                    except Unavailable as failure:
                        now = self.clock.now()
                        self._failure, self._next_refresh_at = failure, now + FAILED_RETRY_MS
                        if now >= self._fetched_at + MAX_STALE_MS:
                            self._keys = []
                    else:
                        now = self.clock.now()
                        self._failure, self._fetched_at, self._next_refresh_at = None, now, now + MIN_REFRESH_MS
        key = self._find(token)
        if key is None and self._failure is not None:
            raise Unavailable(self._failure.detail)
        if key is None:
            raise Unauthenticated(f"The {self.subject}'s key (kid) is not among its issuer's.")
        if not key.Algorithm.verify(token.signed, key.key, token.signature):
            raise Unauthenticated(f"The {self.subject}'s signature is wrong.")

    def _is_old(self) -> bool:
        return not 0 <= self.clock.now() - self._fetched_at < KEYS_CACHE_MS

    def _find(self, token: Jwt) -> "jwt.PyJWK | None":
        """Return the key with the token's kid; without a kid, the only key of its algorithm."""
        candidates = [key for key in self._keys if key.algorithm_name == token.header.alg]
        if token.header.kid is None:
            return candidates[0] if len(candidates) == 1 else None
        return next((key for key in candidates if key.key_id == token.header.kid), None)

    async def _fetch(self) -> "list[jwt.PyJWK]":
        response = await self.http.request("GET", self.url, headers={"accept": "application/json"})
        if response.status != 200:
            raise Unavailable(f"{self.source} returned {response.status}, expected 200.")
        try:
            published = msgspec.json.decode(response.body, type=JwksDocument)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Unavailable(f"{self.source} returned an invalid JWK set.") from None
        return [key for key in map(_usable, published.keys) if key is not None]


def _usable(published: dict[str, Any]) -> "jwt.PyJWK | None":
    """Return the key if it can verify RS256 or ES256. The key's type determines the algorithm, never the token."""
    algorithm = ALGORITHMS.get(f"{published.get('kty')} {published.get('crv')}")
    if algorithm is None or published.get("alg", algorithm) != algorithm or published.get("use", "sig") != "sig":
        return None
    if "d" in published:  # a private key: anyone who can read the set could sign with it
        return None
    import jwt  # with cryptography 9 MB, and few servers use published keys

    try:
        key = jwt.PyJWK(published, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if algorithm == "RS256" and key.key.key_size < MIN_RSA_BITS:
        return None
    return key
