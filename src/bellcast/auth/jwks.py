"""Session tokens of other issuers, signed by the keys that they publish."""

from bellcast import ports
from bellcast.auth import claims
from bellcast.auth.access_config import AccessConfig
from bellcast.auth.claims import JwtClaims
from bellcast.auth.published_keys import PublishedKeys
from bellcast.auth.tokens import Jwt
from bellcast.errors import Unauthenticated
from bellcast.model.identities import Principal
from bellcast.model.limits import Limits


class Jwks:
    """Verifies tokens under the keys of one issuer."""

    def __init__(self, url: str, access: AccessConfig, http: ports.Http, clock: ports.Clock, limits: Limits) -> None:
        self._keys = PublishedKeys(url, http, clock, source="BELLCAST_JWKS_URL", subject="session token")
        self._access = access
        self._clock = clock
        self._limits = limits

    async def verify(self, token: Jwt) -> Principal:
        """Return the principal of a token that a key of the issuer signed. Raises Unauthenticated or Unavailable."""
        await self._keys.verify(token)
        token_claims = claims.decode(token.payload)
        self._check_issuer(token_claims)
        return claims.principal(token_claims, self._clock.now(), self._limits)

    def _check_issuer(self, token_claims: JwtClaims) -> None:
        issuer, audience = self._access.jwks_issuer, self._access.jwks_audience
        if issuer is not None and token_claims.iss != issuer:
            raise Unauthenticated("The session token's iss is not the expected one (BELLCAST_JWKS_ISSUER).")
        audiences = token_claims.aud if isinstance(token_claims.aud, list) else [token_claims.aud]
        if audience is not None and audience not in audiences:
            raise Unauthenticated("The session token's aud is not the expected one (BELLCAST_JWKS_AUDIENCE).")
