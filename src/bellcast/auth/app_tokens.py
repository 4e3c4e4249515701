"""Tokens an app signs for itself: HS256 under its own secret, with claims of its own names, as it did before it came here."""

import hmac
from collections.abc import Mapping
from typing import Any

import msgspec

from bellcast.auth import claims, tokens
from bellcast.auth.claims import JwtClaims
from bellcast.errors import Unauthenticated
from bellcast.model.identities import Principal
from bellcast.model.limits import Limits

# What a claim may stand for; only whose token it is must be there.
MEANINGS = frozenset(("recipient", "tenant", "roles", "name", "topics", "publish"))
LISTED = frozenset(("roles", "topics", "publish"))
# Other people's tokens may have no end; a date can hold no later one.
NEVER = 253_402_300_799


def mapping(pairs: tuple[str, ...]) -> Mapping[str, str]:
    """`recipient=userId,roles=role` as what each is called in the app's tokens."""
    named = dict(pair.split("=", 1) for pair in pairs)
    if "recipient" not in named or not MEANINGS.issuperset(named) or not all(named.values()):
        raise ValueError(pairs)
    return named


def verify(secret: str, named: Mapping[str, str], token: str, now: int, limits: Limits) -> Principal | None:
    """Who a token of the app's speaks of; None if the app did not sign it."""
    jwt = tokens.parse(token)
    digest = hmac.digest(secret.encode(), jwt.signed, "sha256")
    if jwt.header.alg != "HS256" or not hmac.compare_digest(digest, jwt.signature):
        return None
    try:
        payload = msgspec.json.decode(jwt.payload, type=dict[str, Any])
        said = msgspec.convert(_translated(payload, named), JwtClaims)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unauthenticated(f"The token's claims are wrong: {error}.") from None
    return claims.principal(said, now, limits)


def _translated(payload: dict[str, Any], named: Mapping[str, str]) -> dict[str, Any]:
    """The app's claims under the names they have here. A user's id is often a number, and one role a bare text."""
    said = {claim: payload[claim] for claim in ("nbf", "iat") if payload.get(claim) is not None}
    said["exp"] = payload.get("exp", NEVER)
    for meaning, claim in named.items():
        value = payload.get(claim)
        if meaning == "recipient":
            said["sub"] = str(value) if type(value) is int else value
        elif meaning in LISTED and isinstance(value, str):
            said[meaning] = [value]
        else:
            said[meaning] = value
    return said
