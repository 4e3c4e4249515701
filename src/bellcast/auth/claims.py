"""Strict decoding of session claims: every claim has a type and bounds, for all issuers."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from bellcast.kernel import validation
from bellcast.kernel.errors import FieldError, Unauthenticated
from bellcast.kernel.identities import DEFAULT_TENANT, Principal
from bellcast.kernel.limits import Limits

# Tolerated clock difference between two machines; a larger one means a wrong clock.
LEEWAY = 2_000
# The last second of the year 9999, the maximum of a datetime.
Seconds = Annotated[float, Meta(ge=0, le=253_402_300_799)]


class SessionClaims(Struct, frozen=True, kw_only=True):
    """Optional claims of a session. Null means absent."""

    tenant: str | None = None
    topics: tuple[str, ...] | None = None
    publish: tuple[str, ...] | None = None
    roles: tuple[str, ...] | None = None
    name: str | None = None
    since: Seconds | None = None  # when the recipient joined the app

    def principal(self, recipient: str, *, issued_at: int, expires_at: int | None, by_cookie: bool) -> Principal:
        """Return the principal that the claims describe."""
        return Principal(
            tenant=DEFAULT_TENANT if self.tenant is None else self.tenant,
            recipient=recipient,
            topics=self.topics or (),
            publish=self.publish or (),
            roles=self.roles,
            name=self.name,
            member_since=None if self.since is None else _milliseconds(self.since),
            issued_at=issued_at,
            expires_at=expires_at,
            by_cookie=by_cookie,
        )

    def errors(self, limits: Limits) -> list[FieldError]:
        """Return an error for each claim out of bounds."""
        errors: list[FieldError] = []
        if self.tenant is not None:
            errors += validation.tenant("tenant", self.tenant, limits)
        if self.name is not None:
            errors += validation.text("name", self.name, limits.title)
        for field, values in (("topics", self.topics), ("publish", self.publish)):
            for number, value in enumerate(values or ()):
                errors += validation.key(f"{field}.{number}", value, limits)
        for number, role in enumerate(self.roles or ()):
            errors += validation.role(f"roles.{number}", role, limits)
        return errors


class JwtClaims(SessionClaims, frozen=True, kw_only=True):
    """The supported claims of a token. Others are ignored."""

    sub: str
    exp: Seconds
    nbf: Seconds = 0
    iat: Seconds = 0
    iss: Any = None
    aud: Any = None
    bellcast_key: str | None = None  # the API key that created it


_decoder = msgspec.json.Decoder(JwtClaims)


def decode(payload: bytes) -> JwtClaims:
    """Decode the claims of a payload. The signature must have been verified."""
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unauthenticated(f"The session token's claims are wrong: {error}.") from None


def principal(claims: JwtClaims, now: int, limits: Limits) -> Principal:
    """Return the principal of the claims. Raises Unauthenticated if they are not valid at `now` (UTC milliseconds)."""
    issued_at, expires_at = _milliseconds(claims.iat), _milliseconds(claims.exp)
    if now > expires_at + LEEWAY:
        raise Unauthenticated("The session token has expired: get a fresh one.")
    if claims.nbf and now < _milliseconds(claims.nbf) - LEEWAY:
        raise Unauthenticated("The session token is not valid yet (nbf): are both clocks right?")
    if now < issued_at - LEEWAY:  # otherwise a revocation would not affect it
        raise Unauthenticated("The session token was issued in the future (iat): are both clocks right?")
    if wrong := [*validation.key("sub", claims.sub, limits), *claims.errors(limits)]:
        raise Unauthenticated(f"The session token's claims are wrong: {error_text(wrong)}.")
    result = claims.principal(claims.sub, issued_at=issued_at, expires_at=expires_at, by_cookie=False)
    return msgspec.structs.replace(result, key=claims.bellcast_key) if claims.bellcast_key else result


def error_text(wrong: list[FieldError]) -> str:
    """Format the invalid fields as one sentence."""
    return "; ".join(f"{field} {message}" for field, message, *_ in wrong)


def _milliseconds(seconds: float) -> int:
    # Rounded down, so that a token issued in the millisecond before a revocation counts as older. The addend corrects
    # floats of this size, which may be 0.0003 ms too low.
    return int(seconds * 1000 + 0.001)
