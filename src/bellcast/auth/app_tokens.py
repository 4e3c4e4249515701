"""Tokens signed by the app: HS256 under its own secret, with its own claim names."""

import hmac
from collections.abc import Mapping
from typing import Any

import msgspec

from bellcast.auth import claims, tokens
from bellcast.auth.claims import JwtClaims
from bellcast.kernel.errors import Unauthenticated
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits

# Meanings a claim can be mapped to. Only `recipient` is required.
MEANINGS = frozenset(("recipient", "tenant", "roles", "name", "topics", "publish", "since"))
LISTED = frozenset(("roles", "topics", "publish"))
# App tokens may lack `exp`. This is the last second that a datetime can hold.
NEVER = 253_402_300_799


def mapping(pairs: tuple[str, ...]) -> Mapping[str, str]:
    """Parse `recipient=userId,roles=role` into a mapping from meaning to claim name."""
    claim_names = dict(pair.split("=", 1) for pair in pairs)
    if "recipient" not in claim_names or not MEANINGS.issuperset(claim_names) or not all(claim_names.values()):
        raise ValueError(pairs)
    return claim_names


def verify(secret: str, claim_names: Mapping[str, str], token: str, now: int, limits: Limits) -> Principal | None:
    """Return the principal of an app token, or None if the app did not sign it."""
    jwt = tokens.parse(token)
    digest = hmac.digest(secret.encode(), jwt.signed, "sha256")
    if jwt.header.alg != "HS256" or not hmac.compare_digest(digest, jwt.signature):
        return None
    try:
        payload = msgspec.json.decode(jwt.payload, type=dict[str, Any])
        session_claims = msgspec.convert(_translated(payload, claim_names), JwtClaims)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unauthenticated(f"The token's claims are wrong: {error}.") from None
    return claims.principal(session_claims, now, limits)


def _translated(payload: dict[str, Any], claim_names: Mapping[str, str]) -> dict[str, Any]:
    """Rename the app's claims to Bellcast's. User ids may be integers, and a single role may be a plain string."""
    session_claims = {claim: payload[claim] for claim in ("nbf", "iat") if payload.get(claim) is not None}
    session_claims["exp"] = payload.get("exp", NEVER)
    for meaning, claim in claim_names.items():
        value = payload.get(claim)
        if meaning == "recipient":
            session_claims["sub"] = str(value) if type(value) is int else value
        elif meaning in LISTED and isinstance(value, str):
            session_claims[meaning] = [value]
        else:
            session_claims[meaning] = value
    return session_claims
