"""Access configuration, filled from the settings."""

from msgspec import Struct


class AccessConfig(Struct, kw_only=True):
    """External issuers of sessions, allowed origins, and topics that need no permission. Operators can change some of
    them while the server runs, so they must be read for each request."""

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
