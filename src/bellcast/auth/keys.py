"""API keys: `bc_<id>_<secret>`, shown once. The store holds only a digest.

Scopes are independent: `manage` does not imply `send` or `read`. The project secret has all."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import NamedTuple, get_args

from bellcast.kernel import times
from bellcast.kernel.errors import Invalid
from bellcast.kernel.identities import KeyScope
from bellcast.tenants.types import ApiKey

PREFIX = "bc"
SCOPES: tuple[KeyScope, ...] = get_args(KeyScope)


class NewApiKey(NamedTuple):
    """A new key: the stored record, and the text that is shown once."""

    key: ApiKey
    text: str
    digest: bytes


def make(
    name: str,
    scopes: Sequence[str],
    now: int,
    tenants: tuple[str, ...] | None = None,
    expires_at: int | None = None,
) -> NewApiKey:
    """Create a key, for some tenants or all, and until a time or its revocation. It has 256 random bits, so a plain SHA-256 digest is safe to store."""
    granted = tuple(scope for scope in SCOPES if scope in scopes)
    if not granted or not set(scopes) <= set(SCOPES):
        raise Invalid.of("scopes", f"must be one or more of: {', '.join(SCOPES)}")
    id, secret = secrets.token_hex(6), secrets.token_hex(32)
    until = times.to_rfc3339_or_null(expires_at)
    key = ApiKey(id=id, name=name, scopes=granted, tenants=tenants, created_at=times.to_rfc3339(now), expires_at=until)
    return NewApiKey(key, f"{PREFIX}_{id}_{secret}", digest(secret))


def parse(text: str) -> tuple[str, str] | None:
    """Split a key's text into id and secret; None if it has another format."""
    prefix, _, rest = text.partition("_")
    id, _, secret = rest.partition("_")
    return (id, secret) if prefix == PREFIX and id and secret else None


def digest(secret: str) -> bytes:
    """Return the digest for the store. Keys, tokens and codes are random, so a plain SHA-256 is safe to store."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def matches(secret: str, stored_digest: bytes) -> bool:
    """True if the digest is of this secret. Compares in constant time."""
    return hmac.compare_digest(digest(secret), stored_digest)
