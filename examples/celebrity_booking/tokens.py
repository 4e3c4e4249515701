"""The site's own JWTs: claims `userId` and `role`, HS256 with the site's secret. Bellcast's settings map the claims."""

import secrets
import time

import jwt
from starlette.exceptions import HTTPException
from starlette.requests import Request

from .people import CAST, Person

# A random secret for the lifetime of the process; a real site reads it from its configuration.
JWT_SECRET = secrets.token_urlsafe(32)
LIFETIME_SECONDS = 8 * 3600


def sign(person: Person, secret: str) -> str:
    now = int(time.time())
    claims = {"userId": person.key, "role": person.role, "iat": now, "exp": now + LIFETIME_SECONDS}
    return jwt.encode(claims, secret, "HS256")


def asking(request: Request) -> Person:
    """Return the person of the request's token."""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    try:
        claims = jwt.decode(token, request.app.state.jwt_secret, ["HS256"])
        return CAST[claims["userId"]]
    except (jwt.InvalidTokenError, KeyError) as error:
        raise HTTPException(401, "Sign in first.") from error
