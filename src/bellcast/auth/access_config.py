"""What the operator declared about access; settings fill it in, the doors keep to it."""

from msgspec import Struct


class AccessConfig(Struct, frozen=True, kw_only=True):
    """Who else vouches for recipients, which pages may ask, and what needs no permission."""

    jwks_url: str | None = None
    jwks_issuer: str | None = None
    jwks_audience: str | None = None
    jwt_secret: str | None = None
    jwt_claims: tuple[str, ...] = ("recipient=userId", "roles=role")
    session_url: str | None = None
    origins: tuple[str, ...] = ()
    public_topics: tuple[str, ...] = ()
    presence_topics: tuple[str, ...] = ("presence-*",)
    anonymous: bool = False
