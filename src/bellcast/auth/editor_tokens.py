"""Tokens of the embedded template editor: JWTs for some templates of one tenant.

They are signed with a key that is derived from the project secret, so that no verifier of session tokens accepts them, and this
one accepts no session token."""

import hmac
from fnmatch import fnmatchcase
from typing import Literal

import msgspec
from msgspec import Struct

from bellcast.auth import tokens
from bellcast.kernel import base64url
from bellcast.kernel.errors import Unauthenticated
from bellcast.kernel.identities import Project

EditorRight = Literal["edit", "publish", "test", "brand", "html"]

AUDIENCE = "editor"
SUBJECT = "editor token"
KEY_PURPOSE = b"bellcast editor token"
# A working day: the app issues the next one when it expires.
MAX_TTL_SECONDS = 8 * 3_600
# The name of the author in the audit log. Names of operators have no colon.
ACTOR = "editor:"


class EditorClaims(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a token permits: these templates of a tenant (`*` stands for any characters), for an author with this name, in a page
    of this origin. Times are epoch seconds."""

    aud: str = ""
    tenant: str
    templates: tuple[str, ...]
    can: tuple[EditorRight, ...]
    origin: str
    name: str
    email: str | None = None
    iat: float
    exp: float
    key: str | None = None  # the API key that created it

    def covers(self, template: str) -> bool:
        """Return whether the token is for this template."""
        return any(fnmatchcase(template, pattern) for pattern in self.templates)


def sign(project: Project, claims: EditorClaims) -> str:
    """Return the token with these claims."""
    header = {"alg": "HS256", "typ": "JWT", "kid": project.key}
    signed = f"{tokens.encode(header)}.{tokens.encode(msgspec.structs.replace(claims, aud=AUDIENCE))}"
    return f"{signed}.{base64url.encode(_digest(project, signed.encode()))}"


def is_editor(credential: str) -> bool:
    """Return whether a credential claims to be an editor token. It is not verified."""
    if not tokens.is_jwt(credential) or len(credential) > tokens.MAX_LENGTH:
        return False
    try:
        payload = msgspec.json.decode(base64url.decode(credential.split(".")[1]))
    except (ValueError, msgspec.DecodeError, RecursionError):
        return False
    return isinstance(payload, dict) and payload.get("aud") == AUDIENCE


def verify(project: Project, token: str, now: int) -> EditorClaims:
    """Return the claims of a valid token. Raises Unauthenticated."""
    jwt = tokens.parse(token, SUBJECT)
    is_signed = True in [hmac.compare_digest(_digest(one, jwt.signed), jwt.signature) for one in project.accepted]
    if jwt.header.alg != "HS256" or not is_signed:
        raise Unauthenticated(f"The {SUBJECT}'s signature is wrong.")
    try:
        claims = msgspec.json.decode(jwt.payload, type=EditorClaims)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unauthenticated(f"The {SUBJECT}'s claims are wrong.") from None
    if claims.aud != AUDIENCE:
        raise Unauthenticated(f"The {SUBJECT}'s aud is not {AUDIENCE}.")
    if now >= claims.exp * 1000:
        raise Unauthenticated(f"The {SUBJECT} has expired: create another.")
    return claims


def _digest(project: Project, signed: bytes) -> bytes:
    key = hmac.digest(project.secret.encode(), KEY_PURPOSE, "sha256")
    return hmac.digest(key, signed, "sha256")
