"""Session tokens of other issuers, signed by the keys that they publish."""

from bellcast.auth import claims
from bellcast.auth.access_config import AccessConfig
from bellcast.auth.published_keys import PublishedKeys
from bellcast.auth.tokens import Jwt
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import Unauthenticated
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.kernel.outbound.port import Http


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
        token_claims = claims.decode(token.payload)
        issuer, audience = self._access.jwks_issuer, self._access.jwks_audience
        if issuer is not None and token_claims.iss != issuer:
            raise Unauthenticated("The session token's iss is not the expected one (BELLCAST_JWKS_ISSUER).")
        audiences = token_claims.aud if isinstance(token_claims.aud, list) else [token_claims.aud]
        if audience is not None and audience not in audiences:
            raise Unauthenticated("The session token's aud is not the expected one (BELLCAST_JWKS_AUDIENCE).")
        return claims.principal(token_claims, self._clock.now(), self._limits)
