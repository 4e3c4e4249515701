"""The site's own JWTs: claims `userId`, `role`, `tenant` and `sid`, HS256 with the site's secret.

Socket.IO connections and the REST API use the same token. Bellcast's setting `jwt_claims` maps the claims."""

import secrets
import time
from pathlib import Path

import jwt
from starlette.requests import Request

from bellcast.examples.app_kit import Accounts, NotSignedIn, Person, Session

from .identity import TENANT

# A random secret for the lifetime of the process; a site that runs alone keeps its own in a file.
JWT_SECRET = secrets.token_urlsafe(32)
JWT_CLAIMS = "recipient=userId,roles=role,tenant=tenant"


def kept_secret(file: Path) -> str:
    """Return the secret in the file, which is created if it does not exist."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(32))
    return file.read_text()


def sign(session: Session, secret: str) -> str:
    """Return a token that ends with the session."""
    now, person = int(time.time()), session.person
    claims = {"userId": person.key, "role": person.role, "tenant": TENANT, "sid": session.id}
    return jwt.encode({**claims, "iat": now, "exp": now + max(1, session.seconds_left)}, secret, "HS256")


def person_of(request: Request, accounts: Accounts, secret: str) -> Person:
    """Return the person of the request's token. Raises NotSignedIn without a valid token, or if its session has
    ended."""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    try:
        claims = jwt.decode(token, secret, ["HS256"])
    except jwt.InvalidTokenError:
        raise NotSignedIn from None
    session = accounts.find_id(str(claims.get("sid", "")))
    if session is None or session.person.key != claims.get("userId"):
        raise NotSignedIn
    return session.person
