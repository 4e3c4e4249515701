"""Server credentials: the project secret or an API key, and their scopes."""

import contextlib
import hmac

from bellcast.auth import keys
from bellcast.auth.store import Keys
from bellcast.kernel import times
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import DiskFull, Forbidden, Unauthenticated, Unavailable
from bellcast.kernel.identities import Caller, KeyScope, Project

# Minimum interval between writes of a key's last use. The list of keys shows whether a key is still in use, not each
# use.
USE_MS = 60_000


async def authenticate(project: Project, api_keys: Keys, credential: str, clock: Clock) -> Caller | None:
    """Return the caller of this secret or key, or None if it has neither format. Raises for a wrong or revoked key."""
    if is_secret(project, credential):
        return Caller(scopes=keys.SCOPES)
    parts = keys.parse(credential)
    if parts is None:
        return None
    id, secret = parts
    stored = await api_keys.find(id)
    if stored is None or not keys.matches(secret, stored[1]):
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


def is_secret(project: Project, credential: str) -> bool:
    """True if this is the project secret, or the second one. Compares in constant time."""
    given = credential.encode(errors="surrogatepass")
    return True in [hmac.compare_digest(one.secret.encode(), given) for one in project.accepted]


def require(caller: Caller, scope: KeyScope) -> None:
    """Raise Forbidden unless the caller has the scope."""
    if scope not in caller.scopes:
        raise Forbidden(f"This API key lacks the scope {scope}: create one with `bellcast key create --scope {scope}`.")
