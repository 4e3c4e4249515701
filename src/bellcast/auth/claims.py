"""What a session token says, read strictly: every claim has its type and its bounds, whoever signed it."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from bellcast.errors import FieldError, Unauthenticated
from bellcast.model import drafts
from bellcast.model.limits import Limits
from bellcast.model.people import DEFAULT_TENANT, Principal

# Clocks of two machines differ; more than this is a wrong clock, not a late packet.
LEEWAY = 2_000
# The last second of the year 9999: what a date can hold.
Seconds = Annotated[float, Meta(ge=0, le=253_402_300_799)]


class Claims(Struct, frozen=True, kw_only=True):
    """The claims Bellcast knows; others are passed over."""

    sub: str
    exp: Seconds
    nbf: Seconds | UnsetType = UNSET
    iat: Seconds | UnsetType = UNSET
    tenant: str | None = None
    topics: tuple[str, ...] | None = None
    publish: tuple[str, ...] | None = None
    roles: tuple[str, ...] | None = None
    name: str | None = None
    iss: Any = None
    aud: Any = None


_decoder = msgspec.json.Decoder(Claims)


def decode(payload: bytes) -> Claims:
    """The claims of a payload whose signature holds; Unauthenticated names the wrong one."""
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unauthenticated(f"The session token's claims are wrong: {error}.") from None


def principal(claims: Claims, now: int, limits: Limits) -> Principal:
    """Who the claims speak of, if they hold at `now` (UTC milliseconds)."""
    _check_times(claims, now)
    _check_names(claims, limits)
    return Principal(
        tenant=DEFAULT_TENANT if claims.tenant is None else claims.tenant,
        recipient=claims.sub,
        topics=claims.topics or (),
        publish=claims.publish or (),
        roles=claims.roles,
        name=claims.name,
        issued_at=0 if claims.iat is UNSET else _milliseconds(claims.iat),
        expires_at=_milliseconds(claims.exp),
    )


def _check_times(claims: Claims, now: int) -> None:
    if now > _milliseconds(claims.exp) + LEEWAY:
        raise Unauthenticated("The session token has expired: get a fresh one.")
    if claims.nbf is not UNSET and now < _milliseconds(claims.nbf) - LEEWAY:
        raise Unauthenticated("The session token is not valid yet (nbf): are both clocks right?")
    # A token from the future would outlive a revocation.
    if claims.iat is not UNSET and now < _milliseconds(claims.iat) - LEEWAY:
        raise Unauthenticated("The session token was issued in the future (iat): are both clocks right?")


def _check_names(claims: Claims, limits: Limits) -> None:
    found = list(drafts.key("sub", claims.sub, limits))
    if claims.tenant is not None:
        found += drafts.tenant("tenant", claims.tenant, limits)
    found += drafts.text("name", claims.name, limits.title)
    for field in ("topics", "publish", "roles"):
        found += _check_list(field, getattr(claims, field) or (), limits)
    if found:
        raise Unauthenticated("The session token's claims are wrong: " + "; ".join(f"{f} {why}" for f, why in found))


def _check_list(field: str, values: tuple[str, ...], limits: Limits) -> list[FieldError]:
    return [error for number, value in enumerate(values) for error in drafts.key(f"{field}.{number}", value, limits)]


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
