"""API keys, `bc_<id>_<secret>`, and the project secret, with their scopes. A key is shown once; the store has its digest.

Scopes are independent: `manage` does not imply `send` or `read`. The project secret has all."""

import contextlib
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import NamedTuple, get_args

from bellcast.auth.store import ApiKey, Keys
from bellcast.kernel import times
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import DiskFull, Forbidden, Unauthenticated, Unavailable
from bellcast.kernel.identities import Caller, KeyScope, Project

PREFIX = "bc"
SCOPES: tuple[KeyScope, ...] = get_args(KeyScope)


class NewApiKey(NamedTuple):
    """A new key: its record, the text that is shown once, and the digest of its secret."""

    record: ApiKey
    text: str
    digest: bytes


def make(
    name: str,
    scopes: Sequence[KeyScope],
    now: int,
    tenants: tuple[str, ...] | None = None,
    expires_at: int | None = None,
) -> NewApiKey:
    """Create a key for some tenants or all, valid until a time (UTC milliseconds) or its revocation."""
    granted = tuple(scope for scope in SCOPES if scope in scopes)
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


# Minimum interval between writes of a key's last use. The list of keys shows whether a key is still in use, not each
# use.
USE_MS = 60_000


async def authenticate(project: Project, api_keys: Keys, credential: str, clock: Clock) -> Caller | None:
    """Return the caller of this secret or key, or None if it has neither format. Raises for a wrong or revoked key."""
    if is_secret(project, credential):
        return Caller(scopes=SCOPES)
    parts = parse(credential)
    if parts is None:
        return None
    id, secret = parts
    stored = await api_keys.find(id)
    if stored is None or not matches(secret, stored[1]):
        raise Unauthenticated("This API key does not exist.")
    if stored[0].revoked_at is not None:
        raise Unauthenticated("This API key was revoked.")
    key = stored[0]
    now = clock.now()
    expires_at = None if key.expires_at is None else times.milliseconds(key.expires_at)
    if expires_at is not None and now >= expires_at:
        raise Unauthenticated("This API key has expired.")
    if key.used_at is None or now - times.milliseconds(key.used_at) >= USE_MS:
        with contextlib.suppress(DiskFull, Unavailable):  # requests still succeed while the store cannot be written
            await api_keys.record_use(key.id, now)
    return Caller(scopes=key.scopes, key=id, tenants=key.tenants, expires_at=expires_at)


async def is_revoked(api_keys: Keys, id: str | None) -> bool:
    """True if what this key created has ended with it. What no key created does not end so."""
    stored = None if id is None else await api_keys.find(id)
    return id is not None and (stored is None or stored[0].revoked_at is not None)


def is_secret(project: Project, credential: str) -> bool:
    """True if this is the project secret, or the second one. Compares in constant time."""
    given = credential.encode(errors="surrogatepass")
    return True in [hmac.compare_digest(one.secret.encode(), given) for one in project.accepted]


def require(caller: Caller, scope: KeyScope) -> None:
    """Raise Forbidden unless the caller has the scope."""
    if scope not in caller.scopes:
        raise Forbidden(f"This API key lacks the scope {scope}: create one with `bellcast key create --scope {scope}`.")
