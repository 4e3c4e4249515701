"""Session tokens: short-lived JWTs, HS256 under the project secret, one recipient each. Every claim has a type and bounds,
for all issuers.

HS256 is a single HMAC. Computing it here takes a quarter of PyJWT's time, which matters when many clients reconnect.
Public-key signatures (published_keys.py) use PyJWT."""

import binascii
import hmac
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from bellcast.kernel import base64url, validation
from bellcast.kernel.errors import FieldError, Unauthenticated
from bellcast.kernel.identities import DEFAULT_TENANT, Principal, Project
from bellcast.kernel.limits import Limits

# About the maximum length of cookies and URLs. It also bounds the cost of rejected requests.
MAX_LENGTH = 8_192
# Longer sessions are not needed: the app can always request a new token.
MAX_TTL_SECONDS = 30 * 86_400
PADDING = (b"", b"===", b"==", b"=")
# Maps base64url to base64, and maps characters that exist only in base64 to one that strict decoding rejects.
URL_SAFE = bytes.maketrans(b"-_+/=", b"+/!!!")

# Tolerated clock difference between two machines; a larger one means a wrong clock.
LEEWAY = 2_000
# The last second of the year 9999, the maximum of a datetime.
Seconds = Annotated[float, Meta(ge=0, le=253_402_300_799)]


class Header(Struct, frozen=True):
    """A JOSE header. Any `crit` is rejected, since no extensions are supported."""

    alg: str
    kid: str | None = None
    crit: Any | UnsetType = UNSET


class Jwt(Struct, frozen=True):
    """A parsed token. Its content must not be trusted before the signature is verified."""

    header: Header
    signed: bytes
    payload: bytes
    signature: bytes


_header_decoder = msgspec.json.Decoder(Header)


def sign(
    project: Project,
    recipient: str,
    *,
    now: int,
    expires_at: int,
    tenant: str = DEFAULT_TENANT,
    topics: Sequence[str] = (),
    publish: Sequence[str] = (),
    roles: Sequence[str] | None = None,
    name: str | None = None,
    since: float | None = None,
    key: str | None = None,
) -> str:
    """Sign a session token for one recipient, which ends with the API key `key`. Times are UTC milliseconds, but `since` is in
    epoch seconds. Names are not validated."""
    session_claims: dict[str, Any] = {"sub": recipient, "iat": now / 1000, "exp": expires_at / 1000}
    optional_claims = {"tenant": tenant, "topics": list(topics), "publish": list(publish), "name": name}
    optional_claims["bellcast_key"] = key
    session_claims |= {claim: value for claim, value in optional_claims.items() if value}
    if since is not None:
        session_claims["since"] = since
    if roles is not None:
        session_claims["roles"] = list(roles)
    signed = f"{encode({'alg': 'HS256', 'typ': 'JWT', 'kid': project.key})}.{encode(session_claims)}"
    return f"{signed}.{base64url.encode(_digest(project, signed.encode()))}"


def verify(project: Project, token: str, now: int, limits: Limits) -> Principal:
    """Return the principal of a token of this project. Raises Unauthenticated with the reason."""
    jwt = parse(token)
    if jwt.header.alg != "HS256":
        raise Unauthenticated("The session token's algorithm is not accepted: sign with HS256.")
    if jwt.header.kid is not None and jwt.header.kid != project.key:
        raise Unauthenticated(f"The session token is of another project: sign with the secret of {project.key}.")
    if True not in [hmac.compare_digest(_digest(one, jwt.signed), jwt.signature) for one in project.accepted]:
        raise Unauthenticated("The session token's signature is wrong: sign with the project secret.")
    return claimed_principal(decode_claims(jwt.payload), now, limits)


def is_jwt(credential: str) -> bool:
    """True if a credential has a JWT's three parts, which API keys and generated secrets never have."""
    return credential.count(".") == 2


def parse(token: str, subject: str = "session token", max_length: int = MAX_LENGTH) -> Jwt:
    """Parse a token without verifying it; `subject` names it in errors. Raises Unauthenticated if it is malformed."""
    if len(token) > max_length:
        raise Unauthenticated(f"The {subject} is longer than {max_length} characters.")
    if token.count(".") != 2:
        raise Unauthenticated(f"The {subject} is not a JWT: three parts with dots between.")
    try:
        signed, _, signature = token.encode("ascii").rpartition(b".")
        head, _, body = signed.partition(b".")
        jwt = Jwt(_header_decoder.decode(_decode(head)), signed, _decode(body), _decode(signature))
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise Unauthenticated(f"The {subject} is malformed: its parts are not base64url JSON.") from None
    if jwt.header.crit is not UNSET:
        raise Unauthenticated(f"The {subject} requires extensions (crit) that are not supported.")
    return jwt


def _digest(project: Project, signed: bytes) -> bytes:
    started = project.keyed_hmac.copy()
    started.update(signed)
    return started.digest()


def encode(value: object) -> str:
    """Encode a header or claims as a part of a token."""
    return base64url.encode(msgspec.json.encode(value))


def _decode(part: bytes) -> bytes:
    return binascii.a2b_base64(part.translate(URL_SAFE) + PADDING[len(part) % 4], strict_mode=True)


# Meanings a claim can be mapped to. Only `recipient` is required.
MEANINGS = frozenset(("recipient", "tenant", "roles", "name", "topics", "publish", "since"))
LISTED = frozenset(("roles", "topics", "publish"))
# App tokens may lack `exp`. This is the last second that a datetime can hold.
NEVER = 253_402_300_799


def claim_names_of(pairs: tuple[str, ...]) -> Mapping[str, str]:
    """Parse `recipient=userId,roles=role` into a mapping from meaning to claim name."""
    claim_names = dict(pair.split("=", 1) for pair in pairs)
    if "recipient" not in claim_names or not MEANINGS.issuperset(claim_names) or not all(claim_names.values()):
        raise ValueError(pairs)
    return claim_names


def verify_app_token(
    secret: str, claim_names: Mapping[str, str], token: str, now: int, limits: Limits
) -> Principal | None:
    """Return the principal of an app token, or None if the app did not sign it. User ids may be integers, and a single role
    may be a plain string."""
    jwt = parse(token)
    digest = hmac.digest(secret.encode(), jwt.signed, "sha256")
    if jwt.header.alg != "HS256" or not hmac.compare_digest(digest, jwt.signature):
        return None
    try:
        payload = msgspec.json.decode(jwt.payload, type=dict[str, Any])
        # The app's claims under Bellcast's names
        renamed = {claim: payload[claim] for claim in ("nbf", "iat") if payload.get(claim) is not None}
        renamed["exp"] = payload.get("exp", NEVER)
        for meaning, claim in claim_names.items():
            value = payload.get(claim)
            if meaning == "recipient":
                renamed["sub"] = str(value) if type(value) is int else value
            elif meaning in LISTED and isinstance(value, str):
                renamed[meaning] = [value]
            else:
                renamed[meaning] = value
        session_claims = msgspec.convert(renamed, JwtClaims)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unauthenticated(f"The token's claims are wrong: {error}.") from None
    return claimed_principal(session_claims, now, limits)


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
        for claim, values in (("topics", self.topics), ("publish", self.publish)):
            for number, value in enumerate(values or ()):
                errors += validation.key(f"{claim}.{number}", value, limits)
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


def decode_claims(payload: bytes) -> JwtClaims:
    """Decode the claims of a payload. The signature must have been verified."""
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unauthenticated(f"The session token's claims are wrong: {error}.") from None


def claimed_principal(claims: JwtClaims, now: int, limits: Limits) -> Principal:
    """Return the principal of the claims. Raises Unauthenticated if they are not valid at `now` (UTC milliseconds)."""
    issued_at, expires_at = _milliseconds(claims.iat), _milliseconds(claims.exp)
    if now >= expires_at:  # as its live connections end, and without a tolerance, as cookies and keys
        raise Unauthenticated("The session token has expired: get a fresh one.")
    if claims.nbf and now < _milliseconds(claims.nbf) - LEEWAY:
        raise Unauthenticated("The session token is not valid yet (nbf): are both clocks right?")
    if now < issued_at - LEEWAY:  # otherwise a revocation would not affect it
        raise Unauthenticated("The session token was issued in the future (iat): are both clocks right?")
    if wrong := [*validation.key("sub", claims.sub, limits), *claims.errors(limits)]:
        raise Unauthenticated(f"The session token's claims are wrong: {claim_errors(wrong)}.")
    result = claims.principal(claims.sub, issued_at=issued_at, expires_at=expires_at, by_cookie=False)
    return msgspec.structs.replace(result, key=claims.bellcast_key) if claims.bellcast_key else result


def claim_errors(wrong: list[FieldError]) -> str:
    """Format the invalid fields as one sentence."""
    return "; ".join(f"{field} {message}" for field, message, *_ in wrong)


def _milliseconds(seconds: float) -> int:
    # Rounded down, so that a token issued in the millisecond before a revocation counts as older. The addend corrects
    # floats of this size, which may be 0.0003 ms too low.
    return int(seconds * 1000 + 0.001)
